"""One line that says how far something is: drawn again and again, or printed now and then without a terminal."""

import time
from typing import final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

PLAIN_SECONDS = 10.0
"""Where a live line cannot be drawn, a plain line now and then says that it goes on."""
_NARROWEST_BAR, _WIDEST_BAR = 6, 24  # columns


@final
class LiveLine:
    """A line with a bar before it."""

    def __init__(self, screen: Console, plain_seconds: float = PLAIN_SECONDS, width: int = 0) -> None:
        """Make a line that does not show yet.

        Args:
            screen: where.
            plain_seconds: between two plain lines.
            width: how many columns of the screen the text needs; the bar takes what is left, or is left out.
        """
        self._screen = screen
        self._plain_seconds = plain_seconds
        self._width = width
        self._bar: Progress | None = None
        self._row = TaskID(0)
        self._last_line = time.perf_counter()

    def show(self, text: str, completed: int | float = 0, total: int | float | None = None) -> None:
        """Say how far it is.

        Args:
            text: the line.
            completed: how much of the total is done.
            total: all of it; None while that is not known.
        """
        if not self._screen.is_terminal:
            now = time.perf_counter()
            if now - self._last_line >= self._plain_seconds:
                self._last_line = now
                self._screen.print(Text(text), soft_wrap=True)
            return
        if self._bar is None:
            self._bar = self._begun()
            self._bar.start()
            self._row = self._bar.add_task("", total=total)
        self._bar.update(self._row, completed=completed, total=total, description=text, refresh=total is None)

    def _begun(self) -> Progress:
        text = TextColumn("{task.description}", table_column=Column(no_wrap=True), markup=False)
        room = min(self._screen.width - self._width, _WIDEST_BAR)
        columns = (BarColumn(bar_width=room), text) if room >= _NARROWEST_BAR else (text,)
        # What is printed on standard output stays there when the line is on standard error.
        return Progress(*columns, console=self._screen, transient=True, redirect_stdout=not self._screen.stderr)

    def close(self) -> None:
        """Take the live line off the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def clock(seconds: int | float) -> str:
    """Return a duration as 1:05 or 2:01:05, and a question mark for one that nobody knows."""
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
