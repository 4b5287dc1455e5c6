"""A run on the terminal: what is trained, the first update, a live line, and how it ended."""

import time
from collections.abc import Mapping, Sequence
from typing import final

from rich.console import Console
from rich.text import Text

from chainrule.cli.live_line import LiveLine, clock
from chainrule.documents import Document, Heading
from chainrule.render.terminal import print_document
from chainrule.reports.first_update import first_update_blocks
from chainrule.reports.run_lines import opening_document
from chainrule.training import FirstUpdate, State
from chainrule.verification import GradientCheck

_LINE = 88  # columns of the text of the live line


@final
class TerminalReporter:
    """Shows a run on a console; `screen` is standard error when standard output holds JSON."""

    def __init__(self, screen: Console, is_quiet: bool) -> None:
        self._screen = screen
        self._is_quiet = is_quiet
        self._live = LiveLine(screen, width=_LINE)
        self._begun = time.perf_counter()
        self._first_step = 0

    def run_begins(self, state: State, check: GradientCheck) -> None:
        """Print what is trained."""
        if not self._is_quiet:
            print_document(opening_document(state), self._screen)
        self._begun = time.perf_counter()
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
        if not self._is_quiet:
            self._live.show(self._line(state, loss), state.progress.step, state.total_steps)

    def metrics(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Nothing: the live line shows what a person can read."""

    def close(self) -> None:
        """Take the live line off the screen."""
        self._live.close()

    def _say(self, text: str) -> None:
        self._screen.print(Text(text), soft_wrap=True)

    def _line(self, state: State, loss: float) -> str:
        step, total = state.progress.step, state.total_steps
        seconds = max(time.perf_counter() - self._begun, 1e-9)
        speed = (step - self._first_step) / seconds
        left = (total - step) / speed if speed else float("inf")
        parts = [f"update {step}/{total}", f"loss {loss:.4g}", *self._metrics(state)]
        parts += [f"rate {state.learning_rate:.3g}", f"{speed:.0f} updates/s", f"{clock(left)} left"]
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
