import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from chainrule.documents import Document
from chainrule.render.page import page_html

LONG = " x" + "y" * 300 + "<b>"


@dataclass
class Visit:
    """A page that is open in the browser, and what it complained about or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("These tests need the system's Chromium: apt-get install chromium")
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
    ]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def open_page(document: Document, width: int = 1280, **options: object) -> Visit:
        path = tmp_path / "page.html"
        path.write_text(page_html(document), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)  # type: ignore[arg-type]
        contexts.append(context)
        context.set_offline(True)
        visit = Visit(context.new_page())

        def pass_only_the_page(route: Route) -> None:
            visit.requests.append(route.request.url)
            route.continue_() if route.request.url == path.as_uri() else route.abort()

        context.route("**/*", pass_only_the_page)
        visit.page.on("console", lambda message: visit.complaints.append(message.text))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.goto(path.as_uri())
        assert [request for request in visit.requests if not request.startswith("data:")] == [path.as_uri()]
        return visit

    yield open_page
    for context in contexts:
        context.close()


def open_all_folds(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("text", ["", LONG], ids=["short", "long"])
def test_every_block_fits_and_nothing_complains(
    visit: Callable[..., Visit], document_with: Callable[[str], Document], width: int, scheme: str, text: str
) -> None:
    visited = visit(document_with(text), width, color_scheme=scheme)
    open_all_folds(visited.page)
    assert visited.page.evaluate("document.documentElement.scrollWidth") == width
    assert visited.page.evaluate("document.body.scrollWidth") == width
    assert visited.complaints == []


def test_every_picture_is_drawn(visit: Callable[..., Visit], every_block: Document) -> None:
    page = visit(every_block).page
    open_all_folds(page)
    widths = page.evaluate("[...document.images].map(image => [image.complete, image.naturalWidth, image.width])")
    assert len(widths) == 4
    assert all(complete and natural > 200 and shown > 200 for complete, natural, shown in widths)


def test_a_fold_opens_on_a_click(visit: Callable[..., Visit], every_block: Document) -> None:
    page = visit(every_block).page
    hidden = page.get_by_text("Behind the fold.")
    assert not hidden.is_visible()
    page.get_by_text("Closed", exact=True).click()
    assert hidden.is_visible()
    page.get_by_text("Closed", exact=True).click()
    assert not hidden.is_visible()


def test_folds_are_open_on_paper(visit: Callable[..., Visit], every_block: Document) -> None:
    page = visit(every_block).page
    page.emulate_media(media="print")
    box = page.get_by_text("Behind the fold.").bounding_box()
    assert box is not None
    assert box["height"] > 10


def test_the_schemes_differ_and_pictures_stay_on_white(visit: Callable[..., Visit], every_block: Document) -> None:
    grounds = {}
    for scheme in ("light", "dark"):
        page = visit(every_block, color_scheme=scheme).page
        grounds[scheme] = [
            page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).backgroundColor")
            for selector in ("body", ".picture")
        ]
    white = "rgb(255, 255, 255)"
    assert grounds == {"light": [white, white], "dark": ["rgb(21, 25, 30)", white]}


@pytest.mark.parametrize("width", [390, 1280])
def test_a_wide_table_scrolls_in_its_box_and_keeps_its_names(
    visit: Callable[..., Visit], every_block: Document, width: int
) -> None:
    page = visit(every_block, width).page
    open_all_folds(page)
    box = page.locator(".table").nth(1)
    assert box.evaluate("box => box.scrollWidth > box.clientWidth && box.scrollHeight > box.clientHeight")
    box.evaluate("box => box.scrollTo(700, 900)")
    moved = box.evaluate(
        """box => {
            const place = element => element.getBoundingClientRect();
            const row = box.querySelector('tbody tr:nth-child(40)');
            const head = box.querySelector('thead th:nth-child(30)');
            return [place(row.firstElementChild).left - place(box).left, place(head).top - place(box).top];
        }"""
    )
    assert all(abs(distance) <= 2 for distance in moved)


def test_contents_lead_to_their_sections(visit: Callable[..., Visit], every_block: Document) -> None:
    page = visit(every_block).page
    page.get_by_role("link", name="Second").click()
    top = page.get_by_role("heading", name="Second").evaluate("heading => heading.getBoundingClientRect().top")
    assert 0 <= top < 100
