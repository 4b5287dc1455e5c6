"""The line that says how far something is."""

import io

import pytest
from rich.console import Console

from chainrule.cli.live_line import LiveLine, clock


def test_without_a_terminal_a_plain_line_comes_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter((100.0, 101.0, 104.0, 107.9, 108.0))  # the first is when the line is made
    monkeypatch.setattr("chainrule.cli.live_line.time.perf_counter", lambda: next(moments))
    stream = io.StringIO()
    line = LiveLine(Console(file=stream), plain_seconds=4.0)
    for text in ("too soon", "[first]", "too soon", "second"):
        line.show(text, 1, 10)
    line.close()
    assert stream.getvalue() == "[first]\nsecond\n"


@pytest.mark.parametrize(("width", "has_bar"), [(0, True), (74, True), (75, False), (200, False)])
def test_a_bar_is_drawn_where_there_is_room_beside_the_text(width: int, has_bar: bool) -> None:
    stream = io.StringIO()
    line = LiveLine(Console(file=stream, force_terminal=True, width=80, legacy_windows=False), width=width)
    line.show("[red] 3/10", 3, 10)
    line.close()
    assert "[red] 3/10" in stream.getvalue()
    assert ("━" in stream.getvalue()) == has_bar


def test_durations() -> None:
    assert [clock(seconds) for seconds in (0.4, 61, 3700, float("inf"))] == ["0:00", "1:01", "1:01:40", "?"]
