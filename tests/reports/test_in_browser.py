"""Reports of real runs in a real browser, and names from a file that try to be more than names."""

import io
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from rich.console import Console

from chainrule.documents import Document
from chainrule.render.page import page_html
from chainrule.render.terminal import print_document
from chainrule.reports.run_report import run_document
from chainrule.tasks import load_task
from chainrule.training import train

from .conftest import trained

COLUMNS = ("<script>alert(1)</script>", "[red]x[/red]", "=1+1", '"><img src=x onerror=alert(2)>')
CLASSES = ("<b>big</b>", "[bold]no[/]", "=cmd()", ":smile:")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Document:
    """The report of a run on a table whose names are markup of every kind."""
    lines = [",".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in (*COLUMNS, "class"))]
    for number in range(80):
        place = number % 4
        lines.append(",".join([*(f"{place + number * prime % 11 / 40:.3f}" for prime in (3, 5, 7, 9)), CLASSES[place]]))
    folder: Path = tmp_path_factory.mktemp("hostile")
    (folder / "names.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    task = {
        "name": "<i>hostile</i>",
        "description": "[link=https://example.com]here[/link] <script>alert(3)</script>",
        "data": {"source": str(folder / "names.csv"), "target": "class", "test": 0.2},
        "model": {"layers": [6, 4], "activation": "Tanh"},
        "loss": {"name": "CrossEntropyLoss"},
        "optimizer": {"name": "Adam", "lr": 0.05},
        "stop": {"epochs": 10},
    }
    return run_document(train(load_task(task)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("These tests need the system's Chromium: apt-get install chromium")
    switches = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=switches)
        yield opened
        opened.close()


def problems_of(browser: Browser, html: str, width: int, folder: Path) -> tuple[Page, list[str]]:
    """Open a page without a network; return it with what it complained about, asked for, or asked the reader."""
    path = folder / "report.html"
    path.write_text(html, encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("dialog", lambda dialog: problems.append(f"dialog {dialog.message}"))
    page.on(
        "request", lambda asked: problems.append(asked.url) if not asked.url.startswith(("data:", "file:")) else None
    )
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
    return page, problems


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["two-two-two", "two-hidden", "penalised", "diabetes"])
def test_the_report_of_a_run_fits_and_nothing_complains(
    browser: Browser, tmp_path: Path, name: str, width: int
) -> None:
    page, problems = problems_of(browser, page_html(run_document(trained(name))), width, tmp_path)
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("script, iframe, link:not([rel=icon])").count() == 0
    shown = page.locator(".picture img")
    assert shown.count() > 5
    assert shown.evaluate_all("images => images.every(image => image.naturalWidth > 100)")
    page.context.close()


def test_charts_stand_two_in_a_row_on_a_wide_screen_and_alone_on_a_narrow_one(browser: Browser, tmp_path: Path) -> None:
    html = page_html(run_document(trained("penalised")))
    columns = "box => getComputedStyle(box).gridTemplateColumns.split(' ').length"
    for width, expected in ((390, 1), (1280, 2)):
        page, _ = problems_of(browser, html, width, tmp_path)
        assert page.locator(".charts").first.evaluate(columns) == expected
        page.context.close()


def test_steps_of_the_first_update_stand_side_by_side_where_there_is_room(browser: Browser, tmp_path: Path) -> None:
    html = page_html(run_document(trained("two-two-two")))
    for width, is_beside in ((390, False), (1280, True)):
        page, _ = problems_of(browser, html, width, tmp_path)
        tops = page.locator(".sections > section").evaluate_all("all => all.map(one => one.offsetTop)")
        assert len(tops) == 6
        assert (tops[0] == tops[1]) is is_beside
        page.context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_hostile_names_are_inert_on_the_page(browser: Browser, tmp_path: Path, hostile: Document, width: int) -> None:
    page, problems = problems_of(browser, page_html(hostile), width, tmp_path)
    assert problems == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("script, i, b, .sheet a[href^=http], img[src=x]").count() == 0
    cells = page.locator("td, th").all_inner_texts()
    assert set(COLUMNS) <= set(cells)
    page.context.close()


def test_hostile_names_become_no_elements(hostile: Document) -> None:
    names: set[str] = set()

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            names.add(tag)

    Reader().feed(page_html(hostile))
    assert {"script", "b", "i", "object", "iframe"} & names == set()


def test_hostile_names_are_letters_on_the_terminal(hostile: Document) -> None:
    file = io.StringIO()
    print_document(hostile, Console(file=file, width=200, force_terminal=True, color_system="truecolor"))
    text = file.getvalue()
    for name in (*COLUMNS, *CLASSES, "[link=https://example.com]here[/link]"):
        assert name in text, name
    assert "\x1b]8;" not in text
