"""A run on the terminal: what is trained, the first update, a live line, and how it ended."""

import time
from collections.abc import Mapping, Sequence
from typing import final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

from chainrule.documents import Document, Heading
from chainrule.render.terminal import print_document
from chainrule.reports.first_update import first_update_blocks
from chainrule.reports.run_lines import opening_document
from chainrule.training import FirstUpdate, State
from chainrule.verification import GradientCheck

# Where a live line cannot be drawn, a plain line now and then says that the run goes on.
PLAIN_SECONDS = 10.0


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
            self._bar = Progress(
                BarColumn(bar_width=24),
                TextColumn("{task.description}"),
                console=self._screen,
                transient=True,
                auto_refresh=False,
            )
            self._bar.start()
            self._row = self._bar.add_task("", total=state.total_steps)
        self._bar.update(self._row, completed=state.progress.step, description=text, refresh=True)

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
        parts = [f"update {step}/{total}", f"loss {loss:.6g}"]
        for label, name in (("train", "epoch/train_metric"), ("validation", "epoch/validation_metric")):
            curve = state.history.last(name)
            if curve is not None:
                parts.append(f"{label} {'accuracy' if state.objective.classes else 'R²'} {curve:.4f}")
        parts += [f"rate {state.learning_rate:.3g}", f"{speed:.0f} updates/s", f"{_clock(left)} left"]
        return "  ".join(parts)


def _clock(seconds: float) -> str:
    if seconds == float("inf"):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
