"""TensorBoard event files of a run. The only file that knows TensorBoard; it is imported on request."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

from torch.utils.tensorboard import SummaryWriter

from chainrule.training.first_update import FirstUpdate
from chainrule.training.state import State
from chainrule.verification import GradientCheck


@final
class TensorBoardReporter:
    """Writes every number that a run notes as a scalar, under the name that `metrics.parquet` has for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def run_begins(self, state: State, check: GradientCheck) -> None:
        """Open the event file; after a resume, numbers from there on replace older ones."""
        self._writer = SummaryWriter(str(self._folder), purge_step=state.progress.step)

    def first_update(self, state: State, first: FirstUpdate) -> None:
        """Nothing: TensorBoard draws curves."""

    def progress(self, state: State, loss: float) -> None:
        """Nothing: `metrics` brings every number."""

    def metrics(self, rows: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        """Write what was noted since the last time."""
        if self._writer is None:
            return
        for step, values in rows:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
        self._writer.flush()
