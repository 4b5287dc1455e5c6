"""Judging one column: its formulas at random points, its typed numbers to their digits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.checking.derivations import Derivation, derivation_of
from chainrule.checking.evidence import Evidence
from chainrule.checking.other_cells import OtherCells
from chainrule.checking.points import COUNT, Points
from chainrule.checking.precision import half_steps, noise, usual_digits
from chainrule.checking.readings import (
    FIRST,
    Named,
    Reading,
    UnreadableError,
    cell_text,
    compute,
    constants_in,
    names_in,
    reading_text,
    replaced,
)
from chainrule.checking.repairs import repaired_slips, unbracketed
from chainrule.checking.results import ColumnCheck
from chainrule.checking.search import find_slips
from chainrule.checking.slips import Slip
from chainrule.checking.targets import FormulaTarget, NumbersTarget, close
from chainrule.checking.truth import Truth

_MOST_TRIED = 40  # cells of one column whose typed numbers are matched with slips


@dataclass(frozen=True, slots=True)
class Judged:
    """The check of a column, and what the effect on the loss is computed from.

    Attributes:
        check: for the reader.
        reading: the wrong formula; None where nothing is wrong, or a typed number.
    """

    check: ColumnCheck
    reading: Reading | None = None


class ColumnJudge:
    """Judges the columns of a table.

    Args:
        evidence: the table.
        truth: the network that it is about.
        constants: the names of what is the same in every row.
        fixed: the numbers of constants that formulas write as numbers.
        values: the numbers of constants that have no name in the file.
    """

    def __init__(
        self,
        evidence: Evidence,
        truth: Truth,
        constants: frozenset[str],
        fixed: Mapping[str, float],
        values: Mapping[str, float],
    ) -> None:
        self.evidence, self.truth, self.constants, self.fixed = evidence, truth, constants, fixed
        self._values = {**values, **fixed}
        self.table, self.reader = evidence.table, evidence.reader
        self.points = Points(truth, constants, fixed)
        self._others: dict[tuple[str, float], Points] = {}
        self._verdicts: dict[tuple[str, Reading], bool | None] = {}
        self.true_rows = truth.numbers({name: self.stated(name) for name in truth.given})
        self.half = {name: self._rounding(name) for name in evidence.stated}

    def stated(self, name: str) -> np.ndarray:
        """Return the numbers of what a row is given, row by row; NaN where the table has none."""
        if name in self.evidence.stated and name not in self.fixed:
            return self.evidence.stated[name]
        if name in self._values:
            return np.full(self.table.rows, self._values[name])
        return np.full(self.table.rows, np.nan)

    def _rounding(self, name: str) -> np.ndarray:
        """Return by how much the numbers of a column may have been rounded: 0 for formulas and for what is given."""
        values = self.evidence.stated[name]
        if name not in self.table.columns or (self.table.rows == 1 and name in self.truth.given):
            return np.zeros_like(values)
        typed = np.array([self.reader.formula(name, row) is None for row in range(self.table.rows)])
        if not typed.any():
            return np.zeros_like(values)
        finite = values[np.isfinite(values)]
        updated = self.truth.program.updated
        if name in self.truth.given and name not in updated and len(finite) and np.ptp(finite) == 0:
            return np.zeros_like(values)
        steps = half_steps(values, self._digits(name))
        half = np.where(typed, steps, 0.0)
        if name in self.truth.given:
            half[0] = 0.0  # what training starts from is written out in full
        return half

    def _digits(self, name: str) -> tuple[int, int] | None:
        """Return to how many significant digits and decimals a column was rounded; None where nothing shows it."""
        own = usual_digits(self._typed(name))
        updated = self.truth.program.updated
        if name in updated:
            # Weights are rounded alike, and one of them alone may not show how; nor may one that is longer than others.
            shown = [usual_digits(self._typed(other)) for other in updated]
            counts = [each for each in shown if each is not None]
            if not counts:
                return own
            place = len(counts) // 4
            significant, decimals = (sorted(each, reverse=True)[place] for each in zip(*counts, strict=True))
            return (significant, decimals) if own is None else (max(own[0], significant), max(own[1], decimals))
        if own is not None:
            return own
        # Only zeros: rounded to the decimals of the other derivatives, else of the other columns.
        computed = [other for other in self.table.columns if other not in self.truth.given]
        for alike in ([other for other in computed if other[0] == name[0]], computed):
            numbers = [self._typed(other) for other in alike]
            shared = usual_digits(np.concatenate(numbers)) if numbers else None
            if shared is not None:
                return shared
        return None

    def _typed(self, name: str) -> np.ndarray:
        """Return the typed numbers of a column without those that training starts from, which are written in full."""
        if name not in self.table.columns:
            return np.empty(0)
        first = 1 if name in self.truth.given else 0
        rows = [row for row in range(first, self.table.rows) if self.reader.formula(name, row) is None]
        return np.asarray(self.evidence.stated[name][rows])

    def is_judged(self, name: str) -> bool:
        """Return whether a column holds something that is computed."""
        return self.derivation(name) is not None

    def derivation(self, name: str) -> Derivation | None:
        """Return what belongs in a column; None for what is given."""
        if not self.truth.knows(name):
            return None
        offset = -1 if name in self.truth.program.updated else 0
        if offset and self.table.rows == 1:
            return None
        return derivation_of(self.truth, name, offset)

    def judge(self, name: str) -> Judged:
        """Judge one column."""
        derivation = self.derivation(name)
        header = self.table.columns[name].header
        if derivation is None:
            return Judged(ColumnCheck(header, name, None, reason=f"This network has no {name}."))
        first = 1 if derivation.offset else 0
        rows = range(first, self.table.rows)
        readings = self.evidence.readings(name)
        values = self.evidence.stated[name]
        verdicts: dict[int, bool | None] = {}
        for row in rows:
            reading = readings[row]
            if reading is not None:
                verdicts[row] = self._is_right(name, reading)
        typed = [row for row in rows if readings[row] is None and np.isfinite(values[row])]
        if typed:
            right = self._right_numbers(name, derivation)
            verdicts |= {row: bool(right[row]) for row in typed if right[row] is not None}
        wrong = sorted(row for row, verdict in verdicts.items() if verdict is False)
        if wrong:
            return self._wrong(derivation, wrong, verdicts)
        judged = sum(verdict is True for verdict in verdicts.values())
        reason = ""
        if not judged:
            reason = self._unread_reason(name, [readings[row] for row in rows]) or "It holds no numbers to judge."
        return Judged(ColumnCheck(header, name, True if judged else None, judged, reason=reason))

    def judge_quickly(self, name: str) -> bool:
        """Return whether a column's commonest formula, or its first typed number, is right."""
        derivation = self.derivation(name)
        reading = self.evidence.commonest(name)
        if derivation is None:
            return False
        if reading is not None:
            return self._is_right(name, reading) is True
        numbers = [right for right in self._right_numbers(name, derivation) if right is not None]
        return bool(numbers) and sum(numbers) * 2 > len(numbers)

    def is_right_as(self, name: str, other: str) -> bool:
        """Return whether a column's formulas, all of them, give another quantity than the one it is taken for."""
        if not self.truth.knows(other):
            return False
        readings = {reading for reading in self.evidence.readings(name) if reading is not None}
        try:
            return bool(readings) and all(
                close(self.numbers_of(reading), self.points.value_of(other, 0)) for reading in readings
            )
        except UnreadableError:
            return False

    # Formulas

    def numbers_of(self, reading: Reading, points: Points | None = None) -> np.ndarray:
        """Return a formula's numbers at the random points.

        Raises:
            UnreadableError: it cannot be computed.
        """
        chosen = points or self.points

        def value_of(part: Named) -> np.ndarray:
            try:
                return chosen.value_of(part.name, part.offset)
            except KeyError as error:
                raise UnreadableError(f"{part.name} is not a quantity of this network") from error

        # A formula that reads no quantity, =5, has one number for all points.
        return np.broadcast_to(compute(reading, value_of), (COUNT,))

    def _is_right(self, name: str, reading: Reading) -> bool | None:
        key = (name, reading)
        if key not in self._verdicts:
            try:
                numbers = self.numbers_of(reading)
                is_right = close(numbers, self.points.value_of(name, 0))
                self._verdicts[key] = is_right or self._is_right_with_numbers(name, reading)
            except UnreadableError:
                self._verdicts[key] = None
        return self._verdicts[key]

    def _is_right_with_numbers(self, name: str, reading: Reading) -> bool:
        """Return whether a formula is right that has the number of a constant in the place of its cell: 0.5 for η."""
        written = {part.value for part in constants_in(reading)}
        read = {part.name for part in names_in(reading)}
        for constant in self.constants - read:
            values = self.stated(constant)
            if not len(values) or not np.isfinite(values[0]) or float(values[0]) not in written:
                continue
            key = (constant, float(values[0]))
            if key not in self._others:
                self._others[key] = Points(self.truth, self.constants, {**self.fixed, constant: key[1]})
            points = self._others[key]
            if close(self.numbers_of(reading, points), points.value_of(name, 0)):
                return True
        return False

    def _unread_reason(self, name: str, readings: Sequence[Reading | None]) -> str:
        for reading in readings:
            if reading is not None:
                try:
                    self.numbers_of(reading)
                except UnreadableError as error:
                    return f"Its formula cannot be judged: {error}."
        return ""

    # Typed numbers

    def row_value_of(self, part: Named) -> np.ndarray:
        """Return a quantity's numbers row by row: those that stand there, else those from the row's own weights."""
        if part.name in self.truth.given or part.name in self.evidence.stated:
            numbers = self.stated(part.name)
        else:
            numbers = self.true_rows[part.name]
        if part.name in self.constants or not part.offset:
            return numbers
        if part.offset == FIRST:
            return np.full_like(numbers, numbers[0])
        shifted = np.full_like(numbers, np.nan)
        if part.offset < 0:
            shifted[-part.offset :] = numbers[: part.offset]
        else:
            shifted[: -part.offset] = numbers[part.offset :]
        return shifted

    def _right_numbers(self, name: str, derivation: Derivation) -> list[bool | None]:
        """Return for each row whether the number there is right, to its digits; None where that cannot be said."""
        values = self.evidence.stated[name]
        allowed = self.half[name] * 1.001 + noise(values)
        own, off = self.from_parts(derivation.reading)
        is_right = np.abs(values - own) <= allowed + off
        known = np.isfinite(own)
        if not derivation.offset:
            whole, moved = self.true_rows[name], self._moved(name)
            is_right |= np.abs(values - whole) <= allowed + moved
            known |= np.isfinite(whole)
            read = self._from_columns(derivation)
            if read is not derivation:  # a column of δ, right or wrong, is what the gradients are made from
                own, off = self.from_parts(read.reading)
                is_right |= np.abs(values - own) <= allowed + off
        elif f"{name}⁺" in self.table.columns:
            before = self.row_value_of(Named(f"{name}⁺", -1))
            is_right |= np.abs(values - before) <= allowed
        return [bool(right) if known[row] else None for row, right in enumerate(is_right)]

    def from_parts(self, reading: Reading) -> tuple[np.ndarray, np.ndarray]:
        """Return what a formula gives row by row, and by how much the rounding of what it reads can move that."""
        numbers = np.asarray(compute(reading, self.row_value_of))
        moved = np.zeros(self.table.rows)
        for part in dict.fromkeys(names_in(reading)):
            half = self.half.get(part.name)
            if half is None or not half.any():
                continue
            step = self._shifted(half, part)
            changed = compute(reading, self._moving(part, step))
            moved += np.nan_to_num(np.abs(changed - numbers))
        return numbers, moved

    def _moving(self, part: Named, step: np.ndarray) -> Callable[[Named], np.ndarray]:
        """Return the numbers of every quantity, with one of them moved."""
        return lambda one: self.row_value_of(one) + (step if one == part else 0.0)

    def _shifted(self, numbers: np.ndarray, part: Named) -> np.ndarray:
        if not part.offset or part.name in self.constants:
            return numbers
        if part.offset == FIRST:
            return np.full_like(numbers, numbers[0])
        shifted = np.zeros_like(numbers)
        if part.offset < 0:
            shifted[-part.offset :] = numbers[: part.offset]
        else:
            shifted[: -part.offset] = numbers[part.offset :]
        return shifted

    def _moved(self, name: str) -> np.ndarray:
        """Return by how much the rounding of a row's inputs and weights can move a quantity."""
        moved = np.zeros(self.table.rows)
        given = {one: self.stated(one) for one in self.truth.given}
        for one in self.truth.given:
            half = self.half.get(one)
            if half is not None and half.any():
                changed = self.truth.numbers(given | {one: given[one] + half})[name]
                moved += np.nan_to_num(np.abs(changed - self.true_rows[name]))
        return moved

    # What is wrong

    def _wrong(self, derivation: Derivation, wrong: Sequence[int], verdicts: Mapping[int, bool | None]) -> Judged:
        name, row = derivation.name, wrong[0]
        column = self.table.columns[name]
        reading = self.evidence.readings(name)[row]
        expected = self._expected(derivation)[row]
        found = self.evidence.stated[name][row]
        if reading is not None:
            slips = self._slips_of_formula(self._as_read(derivation, reading), reading)
            formula = self.reader.formula(name, row)
            found_formula = "=" + formula.text.strip() if formula is not None else ""
            in_names = reading_text(reading, self._row_words(row))
        else:
            slips = self._slips_of_numbers(derivation, wrong, verdicts)
            found_formula = in_names = ""
        if reading is not None:
            derivation = self._as_read(derivation, reading)
        belongs = derivation.reading
        error = abs(found - expected) / abs(expected) if expected else np.inf if found != expected else 0.0
        remarks = []
        if np.isfinite(error) and error < 1e-12:
            remarks.append(self._hidden(wrong, derivation))
        slip = "; and ".join(str(one) for one in slips)
        if not slips:
            slip = "none of the usual slips"
        check = ColumnCheck(
            header=column.header,
            quantity=name,
            is_right=False,
            cells=sum(verdict is not None for verdict in verdicts.values()),
            wrong_cells=len(wrong),
            first_wrong_cell=str(column.cells[row]),
            found=_number(found),
            expected=_number(expected),
            found_formula=found_formula,
            found_in_names=in_names,
            expected_formula=cell_text(self._with_cells(belongs, row), lambda part: self._place(part, row)),
            expected_in_names=reading_text(belongs, self._row_words(row)),
            relative_error=_number(error),
            slip=slip,
            slip_kinds=tuple(one.kind for one in slips),
            remarks=tuple(remarks),
        )
        return Judged(check, reading)

    def _as_read(self, derivation: Derivation, reading: Reading) -> Derivation:
        """Return what belongs in a column from the derivatives that its formula reads: ∂E/∂o1·a_h1."""
        read = {part.name for part in names_in(reading) if part.name.startswith("∂E/∂") and part.offset == 0}
        return self._from_columns(derivation) if read else derivation

    def _from_columns(self, derivation: Derivation) -> Derivation:
        """Return what belongs in a column from the derivatives that have columns; the same where none has."""
        if derivation.offset or not derivation.name.startswith("∂E/∂"):
            return derivation
        adjoints = [name for name in self.table.columns if name.startswith("∂E/∂")]
        return derivation_of(self.truth, derivation.name, 0, adjoints) or derivation

    def _expected(self, derivation: Derivation) -> np.ndarray:
        if derivation.offset:
            return np.asarray(compute(derivation.reading, self.row_value_of))
        numbers: np.ndarray = self.true_rows[derivation.name]
        return numbers

    def _slips_of_formula(self, derivation: Derivation, reading: Reading) -> tuple[Slip, ...]:
        offsets = sorted({part.offset for part in names_in(reading)} | {derivation.offset}, key=abs)
        try:
            target = self.numbers_of(reading)
        except UnreadableError:
            return ()
        if not any(True for _ in names_in(reading)):
            return (Slip("constant formula", "it reads no quantity of the row"),)
        if not np.isfinite(target).any():
            return ()  # every slip is as near to a division by zero as every other
        formula = FormulaTarget(self.numbers_of, target)
        single = find_slips(self.truth, derivation, offsets, formula, most=1)
        if single:
            return single
        is_right = lambda other: close(self.numbers_of(other), self.points.value_of(derivation.name, 0))  # noqa: E731
        repaired = repaired_slips(reading, is_right)
        for slip, one in () if repaired else unbracketed(derivation):
            if close(self.numbers_of(one), target):
                return (slip,)
        return repaired or find_slips(self.truth, derivation, offsets, formula, most=2)

    def _slips_of_numbers(
        self, derivation: Derivation, wrong: Sequence[int], verdicts: Mapping[int, bool | None]
    ) -> tuple[Slip, ...]:
        name = derivation.name
        judged = [row for row, verdict in verdicts.items() if verdict is not None]
        values = self.evidence.stated[name]
        if (len(wrong) == 1 and len(judged) > 1) or len(wrong) * 4 < len(judged):
            number = f"{values[wrong[0]]:.12g}"
            computed = any(each is not None for each in self.evidence.readings(name))
            if computed:
                return (Slip("copied number", f"{number} was typed where a number is computed in the other rows"),)
            others = "another row is" if len(judged) == 2 else "the others are"
            most = others if len(wrong) == 1 else "most others are"
            return (Slip("mistyped number", f"{number} does not follow from its row, and {most} right"),)
        allowed = self.half[name] * 1.001 + noise(values)
        target = NumbersTarget(OtherCells(self, name), values, allowed, np.array(wrong[:_MOST_TRIED]))
        found: tuple[Slip, ...] = ()
        for one in dict.fromkeys((self._from_columns(derivation), derivation)):
            found = found or find_slips(self.truth, one, (-1, 0, 1, FIRST), target, most=1)
        for slip, reading in unbracketed(derivation):
            found = found or ((slip,) if target.confirms_reading(reading) else ())
        return found or find_slips(self.truth, derivation, (-1, 0, 1, FIRST), target, most=2)

    def _hidden(self, wrong: Sequence[int], derivation: Derivation) -> str:
        network = self.truth.network
        equal = [
            f"{one} = {other}"
            for names in (network.targets, network.inputs)
            for place, one in enumerate(names)
            for other in names[place + 1 :]
            if np.array_equal(self.stated(one), self.stated(other), equal_nan=True)
        ]
        because = f", because {' and '.join(equal)} in this file" if equal else ""
        return f"No number shows it{because}: only the formula does. With other numbers it gives another result."

    # Words and cells

    def _row_words(self, row: int) -> Callable[[int], str]:
        def words(offset: int) -> str:
            first = self.table.first
            return f" [{'column' if self.table.is_turned else 'row'} {first + row + offset}]"

        return words

    def _with_cells(self, reading: Reading, row: int, depth: int = 0) -> Reading:
        """Return a formula in which what has no cell is written out."""

        def change(part: Reading) -> Reading | None:
            if not isinstance(part, Named) or self._cell(part, row) or depth > 6:
                return None
            inner = derivation_of(self.truth, part.name, 0)
            if inner is None:
                return None
            moved = replaced(
                inner.reading, lambda one: Named(one.name, one.offset + part.offset) if isinstance(one, Named) else None
            )
            return self._with_cells(moved, row, depth + 1)

        return replaced(reading, change)

    def _cell(self, part: Named, row: int) -> str:
        column = self.table.columns.get(part.name)
        if column is not None and 0 <= row + part.offset < self.table.rows:
            return str(column.cells[row + part.offset])
        labelled = self.reader.constants.get(part.name)
        if labelled is not None and labelled.address is not None:
            return _fixed(str(labelled.address))
        return self.reader.cell_names.get(part.name, "")

    def _place(self, part: Named, row: int) -> str:
        if part.name in self.fixed:
            return f"{self.fixed[part.name]:.12g}"
        return self._cell(part, row) or part.name


def _fixed(cell: str) -> str:
    letters = cell.rstrip("0123456789")
    return f"${letters}${cell[len(letters) :]}"


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
