"""Numbers over the steps of a run, by name and step."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import polars

EPOCH = "epoch/"  # what is noted when an epoch has ended, after the update whose number it bears


@dataclass(frozen=True, slots=True)
class Curve:
    """One number over the steps at which it was noted; step k is after k updates."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.steps)


@final
class History:
    """Everything that was noted during a run: `history["loss"]` is a curve over steps.

    Step k means: after k updates. The loss at step 0 is that of the initial weights.
    """

    def __init__(self) -> None:
        self._columns: dict[str, tuple[list[int], list[float]]] = {}
        self._pending: list[tuple[int, Mapping[str, float]]] = []

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """Note some numbers at a step. Steps come in order."""
        self._pending.append((step, values))
        for name, value in values.items():
            column = self._columns.get(name)
            if column is None:
                column = self._columns[name] = ([], [])
            column[0].append(step)
            column[1].append(value)

    def take_pending(self) -> list[tuple[int, Mapping[str, float]]]:
        """Return what was noted since the last call, for whoever writes it down."""
        pending, self._pending = self._pending, []
        return pending

    def __getitem__(self, name: str) -> Curve:
        steps, values = self._columns.get(name, ([], []))
        return Curve(tuple(steps), tuple(values))

    def last(self, name: str) -> float | None:
        """Return the newest value under a name, or None when there is none."""
        values = self._columns.get(name, ([], []))[1]
        return values[-1] if values else None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __len__(self) -> int:
        return len(self._columns)

    def to_polars(self) -> polars.DataFrame:
        """Return a table with one row for each number: name, step, value."""
        names = [name for name, (steps, _) in self._columns.items() for _ in steps]
        steps = [step for steps, _ in self._columns.values() for step in steps]
        values = [value for _, values in self._columns.values() for value in values]
        schema = {"name": polars.String, "step": polars.Int64, "value": polars.Float64}
        return polars.DataFrame({"name": names, "step": steps, "value": values}, schema=schema)

    @classmethod
    def from_polars(cls, table: polars.DataFrame, before: int | None = None) -> "History":
        """Return the history of a table that `to_polars` made.

        Args:
            table: name, step, value.
            before: keep what was known before update number `before` + 1 began: steps below it, and the epoch that
                ended there.
        """
        history = cls()
        for name, step, value in table.iter_rows():
            if before is None or step < before or (step == before and name.startswith(EPOCH)):
                column = history._columns.setdefault(name, ([], []))
                column[0].append(step)
                column[1].append(value)
        return history
