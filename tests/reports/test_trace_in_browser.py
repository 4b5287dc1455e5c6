"""Pages and notebook fragments of recorded steps in a real browser."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from chainrule.render.graph_picture import graph_svg
from chainrule.render.page import fragment_html, page_html
from chainrule.reports.trace_graph import trace_graph
from chainrule.reports.trace_report import trace_document

from .trace_cases import trace_of

NAMES = ["two-two-two", "residual", "deep encoder", "recurrent", "hand built"]


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


def visit(browser: Browser, text: str, path: Path, width: int, scheme: str = "light") -> tuple[Page, list[str]]:
    """Open a file without a network; return the page with what it complained about or asked for."""
    path.write_text(text, encoding="utf-8")
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        offline=True,
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "request", lambda asked: problems.append(asked.url) if not asked.url.startswith(("data:", "file:")) else None
    )
    page.goto(path.as_uri())
    return page, problems


def open_all_folds(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_and_nothing_complains(browser: Browser, tmp_path: Path, name: str, width: int) -> None:
    page, problems = visit(browser, page_html(trace_document(trace_of(name))), tmp_path / "step.html", width)
    for _ in ("closed", "open"):
        assert page.evaluate("document.documentElement.scrollWidth") == width
        open_all_folds(page)
    assert problems == []
    assert page.locator("script, iframe, link:not([rel=icon]), img").count() == 0
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_graph_is_drawn_on_white_in_any_scheme(browser: Browser, tmp_path: Path, scheme: str) -> None:
    html = page_html(trace_document(trace_of("residual")))
    page, _ = visit(browser, html, tmp_path / "step.html", 1280, scheme)
    drawn = page.locator(".picture svg")
    assert drawn.evaluate("svg => svg.getBoundingClientRect().width") > 300
    assert page.evaluate("getComputedStyle(document.querySelector('.picture')).backgroundColor") == "rgb(255, 255, 255)"
    page.context.close()


@pytest.mark.parametrize("name", NAMES)
def test_every_text_of_a_graph_stays_in_its_box_and_in_the_picture(browser: Browser, tmp_path: Path, name: str) -> None:
    page, problems = visit(browser, graph_svg(trace_graph(trace_of(name))), tmp_path / "step.svg", 1280)
    sizes = page.evaluate(
        """() => {
            const svg = document.documentElement;
            const outside = [...svg.querySelectorAll('text')].filter(text => {
                const box = text.getBBox();
                return box.x < 0 || box.x + box.width > svg.viewBox.baseVal.width;
            });
            const boxes = [...svg.querySelectorAll('g > title + rect, g:not([transform]) > rect:first-child')];
            const over = boxes.flatMap(rect => [...rect.parentNode.querySelectorAll('text')].filter(text => {
                const inner = text.getBBox(), outer = rect.getBBox();
                return inner.x < outer.x - 0.5 || inner.x + inner.width > outer.x + outer.width + 0.5;
            }));
            return {outside: outside.map(t => t.textContent), over: over.map(t => t.textContent), boxes: boxes.length};
        }"""
    )
    assert sizes["boxes"] > 2
    assert (sizes["outside"], sizes["over"]) == ([], [])
    assert problems == []
    page.context.close()


def test_a_module_opens_on_a_click(browser: Browser, tmp_path: Path) -> None:
    page, _ = visit(browser, page_html(trace_document(trace_of("deep encoder"))), tmp_path / "step.html", 1280)
    line = page.locator("summary:visible", has_text="layers.4 (TransformerEncoderLayer): ").first
    inner = line.locator("xpath=..").locator("strong", has_text="relu")
    assert not inner.is_visible()
    line.click()
    assert inner.is_visible()
    page.context.close()


NOTEBOOK = """<!DOCTYPE html><html><head><meta charset="utf-8">
<style>p {{ color: rgb(1, 2, 3); margin: 7px; }}</style></head>
<body {theme}><p id="before">before</p>{fragment}<p id="after">after</p><table id="other"><tr><td>1</td></tr></table>
</body></html>"""


@pytest.mark.parametrize("width", [390, 1280])
def test_a_fragment_leaves_the_notebook_around_it_alone(browser: Browser, tmp_path: Path, width: int) -> None:
    look = """() => ['before', 'after', 'other'].map(id => {
        const style = getComputedStyle(document.getElementById(id));
        return [style.color, style.margin, style.fontSize, style.borderCollapse, style.whiteSpace].join();
    })"""
    fragment = fragment_html(trace_document(trace_of("residual")))
    looks = []
    for inside in ("", fragment):
        text = NOTEBOOK.format(theme="", fragment=inside)
        page, problems = visit(browser, text, tmp_path / "notebook.html", width)
        open_all_folds(page)
        looks.append(page.evaluate(look))
        assert problems == []
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.context.close()
    assert looks[0] == looks[1]


def test_a_fragment_follows_the_look_of_the_notebook_and_not_of_the_system(browser: Browser, tmp_path: Path) -> None:
    fragment = fragment_html(trace_document(trace_of("two-two-two")))
    ground = "getComputedStyle(document.querySelector('.chainrule-document')).backgroundColor"
    found = {}
    for theme in ('data-jp-theme-light="true"', 'data-jp-theme-light="false"', 'class="vscode-dark"', ""):
        text = NOTEBOOK.format(theme=theme, fragment=fragment)
        page, _ = visit(browser, text, tmp_path / "notebook.html", 800, "light" if "dark" in theme else "dark")
        found[theme] = page.evaluate(ground)
        page.context.close()
    light, dark = "rgb(255, 255, 255)", "rgb(21, 25, 30)"
    assert list(found.values()) == [light, dark, dark, dark]
