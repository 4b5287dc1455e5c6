"""A run on the terminal: what is trained, the first update, a live line, and how it ended."""

import time
from collections.abc import Mapping, Sequence
from typing import final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from chainrule.documents import Document, Heading
from chainrule.render.terminal import print_document
from chainrule.reports.first_update import first_update_blocks
from chainrule.reports.run_lines import opening_document
from chainrule.training import FirstUpdate, State
from chainrule.verification import GradientCheck

# Where a live line cannot be drawn, a plain line now and then says that the run goes on.
PLAIN_SECONDS = 10.0
_LINE, _NARROWEST_BAR, _WIDEST_BAR = 88, 6, 24  # columns: of the text of the live line, and of the bar before it


@final
class TerminalReporter:
    """Shows a run on a console; `screen` is standard error when standard output holds JSON."""

    def __init__(self, screen: Console, is_quiet: bool) -> None:
        self._screen = screen
        self._is_quiet = is_quiet
        self._bar: Progress | None = None
        self._row = TaskID(0)
        self._begun = time.perf_counter()
        self._first_step = 0
        self._last_line = self._begun

    def run_begins(self, state: State, check: GradientCheck) -> None:
        """Print what is trained."""
        if not self._is_quiet:
            print_document(opening_document(state), self._screen)
        self._begun = self._last_line = time.perf_counter()
        self._first_step = state.progress.step
        if self._first_step:
            self._say(f"Going on after update {self._first_step}.")

    def first_update(self, state: State, first: FirstUpdate) -> None:
        """Print the six steps of the first update with their numbers."""
        if not self._is_quiet:
            blocks = (Heading("The first update, step by step"), *first_update_blocks(state, first))
            print_document(Document("", blocks), self._screen)
        self._begun = time.perf_counter()

    def progress(self, state: State, loss: float) -> None:
        """Refresh the live line, or print a plain one now and then."""
        if self._is_quiet:
            return
        text = self._line(state, loss)
        if not self._screen.is_terminal:
            now = time.perf_counter()
            if now - self._last_line >= PLAIN_SECONDS:
                self._last_line = now
                self._say(text)
            return
        if self._bar is None:
            self._bar = self._live_line()
            self._bar.start()
            self._row = self._bar.add_task("", total=state.total_steps)
        self._bar.update(self._row, completed=state.progress.step, description=text)

    def _live_line(self) -> Progress:
        text = TextColumn("{task.description}", table_column=Column(no_wrap=True), markup=False)
        room = min(self._screen.width - _LINE, _WIDEST_BAR)
        columns = (BarColumn(bar_width=room), text) if room >= _NARROWEST_BAR else (text,)
        return Progress(*columns, console=self._screen, transient=True)

    def metrics(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Nothing: the live line shows what a person can read."""

    def close(self) -> None:
        """Take the live line off the screen."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _say(self, text: str) -> None:
        self._screen.print(Text(text), soft_wrap=True)

    def _line(self, state: State, loss: float) -> str:
        step, total = state.progress.step, state.total_steps
        seconds = max(time.perf_counter() - self._begun, 1e-9)
        speed = (step - self._first_step) / seconds
        left = (total - step) / speed if speed else float("inf")
        parts = [f"update {step}/{total}", f"loss {loss:.4g}", *self._metrics(state)]
        parts += [f"rate {state.learning_rate:.3g}", f"{speed:.0f} updates/s", f"{_clock(left)} left"]
        return "  ".join(parts)

    @staticmethod
    def _metrics(state: State) -> list[str]:
        numbers = []
        for label, name in (("", "epoch/train_metric"), ("validation ", "epoch/validation_metric")):
            value = state.history.last(name)
            if value is not None:
                numbers.append(f"{label}{value:.3f}")
        metric = "accuracy" if state.objective.classes else "R²"
        return [f"{metric} {', '.join(numbers)}"] if numbers else []


def _clock(seconds: float) -> str:
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
