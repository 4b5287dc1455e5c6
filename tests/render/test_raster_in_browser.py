import math
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

from chainrule.documents import Raster, RasterAxis
from chainrule.render.page import page_html

from .raster_cases import SEQUENTIAL, document_of, small_raster

LONG = " x" + "y" * 300 + "</script><b>"
LEFT, RIGHT, TOP, BOTTOM = 62, 26, 10, 46  # what raster.js leaves around the plot


@dataclass
class Visit:
    """A page that is open in the browser, and what it complained about or asked for."""

    page: Page
    raster: Raster
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def at(self, column: float, row: float) -> tuple[float, float]:
        """Where the middle of a cell is on the screen, when the whole map is shown."""
        box = self.page.locator("figure.raster canvas").bounding_box()
        assert box is not None
        width, height = box["width"] - LEFT - RIGHT, box["height"] - TOP - BOTTOM
        columns, rows = len(self.raster.x.values), len(self.raster.y.values)
        return (
            box["x"] + LEFT + (column + 0.5) / columns * width,
            box["y"] + TOP + (1 - (row + 0.5) / rows) * height,
        )

    def told(self) -> dict[str, str]:
        """What the page says of the run that is looked at."""
        pairs: list[list[str]] = self.page.evaluate(
            "[...document.querySelectorAll('.raster-readout > div')]"
            ".map(item => [...item.children].map(part => part.textContent))"
        )
        return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}

    def closeness(self) -> float:
        text = self.page.locator(".raster-closeness").inner_text()
        return 1.0 if text == "whole map" else float(text.removesuffix("×"))

    def command(self) -> tuple[float, float, float] | None:
        line = self.page.locator(".raster-command")
        if not line.is_visible():
            return None
        found = re.fullmatch(r"chainrule map xor --zoom (\S+) (\S+) (\S+)", line.locator("code").inner_text())
        assert found is not None
        return float(found[1]), float(found[2]), float(found[3])

    def colour(self, x: float, y: float) -> list[int]:
        """The colour of the canvas at a place of the screen."""
        self.page.wait_for_timeout(60)  # it is drawn with the next frame
        pixel: list[int] = self.page.evaluate(
            """([x, y]) => {
                const canvas = document.querySelector('figure.raster canvas');
                const box = canvas.getBoundingClientRect();
                const dense = canvas.width / canvas.clientWidth;
                return [...canvas.getContext('2d').getImageData((x - box.x) * dense, (y - box.y) * dense, 1, 1).data];
            }""",
            [x, y],
        )
        return pixel[:3]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("These tests need the system's Chromium: apt-get install chromium")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def open_page(raster: Raster, width: int = 1280, **options: Any) -> Visit:
        path = tmp_path / "page.html"
        path.write_text(page_html(document_of(raster)), encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        context.set_offline(True)
        visit = Visit(context.new_page(), raster)

        def pass_only_the_page(route: Route) -> None:
            visit.requests.append(route.request.url)
            route.continue_() if route.request.url == path.as_uri() else route.abort()

        context.route("**/*", pass_only_the_page)
        visit.page.on("console", lambda message: visit.complaints.append(message.text))
        visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        visit.page.goto(path.as_uri())
        visit.page.wait_for_selector("figure.raster[data-ready=yes]", timeout=10_000)
        assert [request for request in visit.requests if not request.startswith("data:")] == [path.as_uri()]
        return visit

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("text", ["", LONG], ids=["short", "long"])
def test_it_fits_and_nothing_complains(visit: Callable[..., Visit], width: int, scheme: str, text: str) -> None:
    visited = visit(small_raster(text=text, bar=SEQUENTIAL), width, color_scheme=scheme)
    visited.page.mouse.move(*visited.at(3, 4))
    assert visited.page.evaluate("document.documentElement.scrollWidth") == width
    assert visited.complaints == []


def test_a_pointer_is_told_the_numbers_of_the_run_under_it(visit: Callable[..., Visit]) -> None:
    visited = visit(small_raster())
    assert visited.told() == {}
    for column, row in ((0, 0), (7, 3), (39, 19), (25, 10)):
        visited.page.mouse.move(*visited.at(column, row))
        told = visited.told()
        assert told.keys() == {"lr.0", "lr.1", "state", "measure"}
        assert float(told["measure"]) == 100 * row + column
        assert told["state"] == ("converged" if column < 20 else "diverged")
        assert float(told["lr.0"]) == pytest.approx(visited.raster.x.values[column], rel=0.01)
        assert float(told["lr.1"]) == pytest.approx(visited.raster.y.values[row], rel=0.01)
    assert visited.complaints == []


def test_cells_have_their_colours_and_rows_go_up(visit: Callable[..., Visit]) -> None:
    visited = visit(small_raster(bar=SEQUENTIAL))
    missing, failed, left, right = (
        visited.colour(*visited.at(*cell)) for cell in ((30, 0), (30, 1), (2, 12), (38, 12))
    )
    assert (missing, failed) == ([0xDF, 0xE3, 0xE7], [0xDB, 0xA5, 0x91])
    assert left != right
    assert visited.colour(*visited.at(2, 18)) == left


def test_the_wheel_zooms_around_the_pointer(visit: Callable[..., Visit]) -> None:
    visited = visit(small_raster())
    assert visited.command() is None
    visited.page.mouse.move(*visited.at(12, 6))
    before = visited.told()
    for _ in range(4):
        visited.page.mouse.wheel(0, -120)
    visited.page.wait_for_timeout(100)
    assert visited.closeness() == 5.0  # exp(2), but no closer than four of twenty rows
    assert visited.told() == before  # the same run is under the pointer
    command = visited.command()
    assert command is not None
    x, y, factor = command
    assert factor == visited.closeness()
    assert 1e-3 < x < 1e6
    assert 1e-2 < y < 1e2
    for _ in range(12):
        visited.page.mouse.wheel(0, 120)
    visited.page.wait_for_timeout(100)
    assert (visited.closeness(), visited.command()) == (1.0, None)


def test_the_command_names_the_window_that_is_seen(visit: Callable[..., Visit]) -> None:
    visited = visit(small_raster())
    visited.page.get_by_role("button", name="Zoom in").click()
    visited.page.get_by_role("button", name="Zoom in").click()
    command = visited.command()
    assert command is not None
    x, y, factor = command
    # Around the middle of the map, which is the geometric middle of its axes.
    assert x == pytest.approx(math.sqrt(1e-3 * 1e6), rel=1e-3)
    assert y == pytest.approx(1.0, rel=1e-3)
    assert factor == pytest.approx(1.5**2, rel=1e-2)
    visited.page.get_by_role("button", name="Whole map").click()
    assert visited.command() is None


def test_dragging_moves_the_map_and_stays_inside(visit: Callable[..., Visit]) -> None:
    visited = visit(small_raster())
    for _ in range(2):
        visited.page.get_by_role("button", name="Zoom in").click()
    before = visited.command()
    x, y = visited.at(20, 10)
    visited.page.mouse.move(x, y)
    chosen = visited.told()
    visited.page.mouse.down()
    visited.page.mouse.move(x + 60, y + 40, steps=4)
    assert visited.told() == chosen  # the map goes along with the pointer
    after = visited.command()
    assert before is not None
    assert after is not None
    assert after[0] < before[0]
    assert after[1] > before[1]
    assert after[2] == before[2]
    visited.page.mouse.move(x + 3000, y, steps=4)
    visited.page.mouse.up()
    command = visited.command()
    assert command is not None
    assert command[0] > 1e-3


def test_keys_choose_runs_and_zoom(visit: Callable[..., Visit]) -> None:
    visited = visit(small_raster())
    visited.page.mouse.move(*visited.at(12, 6))
    visited.page.locator("figure.raster canvas").focus()
    for key, measure in (("ArrowRight", 613), ("ArrowUp", 713), ("Shift+ArrowRight", 723), ("ArrowDown", 623)):
        visited.page.keyboard.press(key)
        assert float(visited.told()["measure"]) == measure
    visited.page.keyboard.press("+")
    assert visited.closeness() == 1.5
    visited.page.keyboard.press("-")
    assert visited.closeness() == 1.0
    visited.page.keyboard.press("+")
    visited.page.keyboard.press("0")
    assert visited.closeness() == 1.0


def test_a_finger_is_told_too_and_two_zoom(visit: Callable[..., Visit]) -> None:
    visited = visit(small_raster(), 390, has_touch=True)
    visited.page.touchscreen.tap(*visited.at(12, 6))
    assert float(visited.told()["measure"]) == 612
    visited.page.evaluate(
        """([x, y]) => {
            const canvas = document.querySelector('figure.raster canvas');
            canvas.setPointerCapture = () => {};
            const send = (name, id, shift) => canvas.dispatchEvent(new PointerEvent(name,
                { pointerId: id, pointerType: 'touch', clientX: x + shift, clientY: y, bubbles: true }));
            send('pointerdown', 7, -20); send('pointerdown', 8, 20);
            send('pointermove', 7, -40); send('pointermove', 8, 40);
            send('pointerup', 7, -40); send('pointerup', 8, 40);
        }""",
        list(visited.at(20, 10)),
    )
    assert visited.closeness() == pytest.approx(2.0, abs=0.01)


def test_named_values_and_a_linear_axis(visit: Callable[..., Visit]) -> None:
    names = RasterAxis("model.activation", "model.activation", tuple(map(float, range(40))), "names",
                       tuple(f"name {place}" for place in range(40)))  # fmt: skip
    line = RasterAxis("momentum", "momentum", tuple(np.linspace(0, 0.95, 20).tolist()), "linear")
    visited = visit(replace(small_raster(), x=names, y=line, command=""))
    visited.page.mouse.move(*visited.at(17, 4))
    told = visited.told()
    assert (told["model.activation"], told["momentum"]) == ("name 17", "0.2")
    visited.page.get_by_role("button", name="Zoom in").click()
    assert visited.page.locator(".raster-command").count() == 0
    assert visited.complaints == []


def test_a_map_of_a_million_runs_is_drawn(visit: Callable[..., Visit]) -> None:
    visited = visit(small_raster(1024, 1024))
    visited.page.mouse.move(*visited.at(1000, 500))
    assert float(visited.told()["measure"]) == pytest.approx(100 * 500 + 1000, abs=300)
    visited.page.mouse.wheel(0, -240)
    visited.page.wait_for_timeout(200)
    assert visited.closeness() > 2
    assert visited.complaints == []
