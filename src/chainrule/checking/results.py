"""What was found: a verdict on a file, its sheets, and their columns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["right", "wrong", "not understood"]


@dataclass(frozen=True, slots=True)
class ColumnCheck:
    """What is so of one column, or of one equation of a file of formulas.

    Attributes:
        header: as it stands in the file.
        quantity: the canonical name: "∂E/∂w3".
        is_right: None where it could not be judged; `reason` says why.
        cells: how many cells were judged.
        wrong_cells: how many of them are wrong.
        first_wrong_cell: "Z33"; in a file of formulas "line 3".
        found: the number there.
        expected: the number that belongs there, from the row's own inputs and weights.
        found_formula: the formula there, as it stands.
        found_in_names: the same with names in the place of cells.
        expected_formula: what belongs there, in the file's own cells.
        expected_in_names: the same in names.
        relative_error: |found − expected| / |expected|.
        slip: the likely mistake, in words.
        slip_kinds: which of the usual slips it is: ("wrong unit's activation",).
        reason: why it could not be judged.
        remarks: what else must be known: that this file's numbers hide the mistake, that it follows from another.
    """

    header: str
    quantity: str
    is_right: bool | None
    cells: int = 0
    wrong_cells: int = 0
    first_wrong_cell: str = ""
    found: float | None = None
    expected: float | None = None
    found_formula: str = ""
    found_in_names: str = ""
    expected_formula: str = ""
    expected_in_names: str = ""
    relative_error: float | None = None
    slip: str = ""
    slip_kinds: tuple[str, ...] = ()
    reason: str = ""
    remarks: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "header": self.header,
            "quantity": self.quantity,
            "ok": self.is_right,
            "first_wrong_cell": self.first_wrong_cell or None,
            "found": self.found,
            "expected": self.expected,
            "relative_error": self.relative_error,
            "slip": self.slip or None,
            "found_formula": self.found_formula or None,
            "found_in_names": self.found_in_names or None,
            "expected_formula": self.expected_formula or None,
            "expected_in_names": self.expected_in_names or None,
            "cells": self.cells,
            "wrong_cells": self.wrong_cells,
            "reason": self.reason or None,
            "remarks": list(self.remarks),
        }


@dataclass(frozen=True, slots=True)
class Effect:
    """What the mistakes do to the loss: two trainings from the same start.

    Attributes:
        updates: how many.
        wrong: the loss behind them, with the file's own weights.
        right: the loss behind them, with the right rule.
        largest: the largest difference of the two losses on the way.
        largest_at: behind how many updates that is.
    """

    updates: int
    wrong: float
    right: float
    largest: float
    largest_at: int

    @property
    def difference(self) -> float:
        """How far the loss is moved."""
        return abs(self.wrong - self.right)


@dataclass(frozen=True, slots=True)
class SheetCheck:
    """What is so of one table.

    Attributes:
        name: of the sheet.
        verdict: on this table.
        network: what was understood of the network, by label.
        conventions: what was understood of loss, biases, update and rate, by label.
        rows: how many rows of data.
        columns: what was judged.
        unread: headers that were not recognised.
        effect: what the mistakes do to the loss; None where there are none, or where it cannot be computed.
        remarks: what else must be known.
        reason: why it was not understood, and what to do.
    """

    name: str
    verdict: Verdict
    network: Mapping[str, Any] = field(default_factory=dict)
    conventions: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 0
    columns: tuple[ColumnCheck, ...] = ()
    unread: tuple[str, ...] = ()
    effect: Effect | None = None
    remarks: tuple[str, ...] = ()
    reason: str = ""

    @property
    def wrong(self) -> tuple[ColumnCheck, ...]:
        """The columns that are wrong."""
        return tuple(column for column in self.columns if column.is_right is False)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        effect = self.effect
        return {
            "name": self.name,
            "verdict": self.verdict,
            "network": dict(self.network),
            "conventions": dict(self.conventions),
            "rows": self.rows,
            "columns": [column.to_dict() for column in self.columns],
            "unread": list(self.unread),
            "effect": None
            if effect is None
            else {
                "updates": effect.updates,
                "loss": effect.wrong,
                "right_loss": effect.right,
                "largest_difference": effect.largest,
                "largest_at": effect.largest_at,
            },
            "remarks": list(self.remarks),
            "reason": self.reason or None,
        }


@dataclass(frozen=True, slots=True)
class Checked:
    """The verdict on a file.

    Attributes:
        path: the file.
        verdict: "wrong" where any table is; "right" where at least one was judged and none is wrong.
        sheets: by table.
        notes: what must be known of the file: formulas that were computed again, sheets that hold no table.
        next_step: where it was not understood: what to do.
    """

    path: str
    verdict: Verdict
    sheets: tuple[SheetCheck, ...]
    notes: tuple[str, ...] = ()
    next_step: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data."""
        return {
            "verdict": self.verdict,
            "file": self.path,
            "sheets": [sheet.to_dict() for sheet in self.sheets],
            "notes": list(self.notes),
            "next_step": self.next_step or None,
        }
