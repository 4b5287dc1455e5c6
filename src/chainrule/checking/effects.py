"""What the mistakes of a table do to the loss: it is trained by the file's rules and by the right ones."""

from collections.abc import Mapping

import numpy as np

from chainrule.checking.columns import ColumnJudge
from chainrule.checking.network import TOTAL
from chainrule.checking.readings import FIRST, Named, Reading, UnreadableError, compute, names_in
from chainrule.checking.results import Effect
from chainrule.checking.truth import Truth


class Training:
    """A training by a table's rules: the right ones, but for the formulas that are wrong.

    Args:
        truth: the network.
        given: what every row is given, (rows,) each; of the parameters the first counts. More rows than these take
            the last.
        wrong: the wrong formulas, by column, and the formulas of the columns that read those.
        rates: learning rates to train with, side by side; None takes the table's.
    """

    def __init__(
        self,
        truth: Truth,
        given: Mapping[str, np.ndarray],
        wrong: Mapping[str, Reading],
        rates: np.ndarray | None = None,
    ) -> None:
        self.truth, self.given, self.wrong, self.rates = truth, given, wrong, rates
        self.rows: list[_Row] = []

    def losses(self, count: int) -> np.ndarray:
        """Return the losses of rows 0 to count − 1, (count, rates).

        Raises:
            UnreadableError: a formula reads what is not there.
        """
        with np.errstate(all="ignore"):
            rows = [np.atleast_1d(self.row(number).numbers[TOTAL]) for number in range(count)]
            return np.stack(np.broadcast_arrays(*rows))

    def row(self, number: int) -> "_Row":
        """Return a row, by training up to it."""
        while len(self.rows) <= number:
            place = len(self.rows)
            given = {name: np.asarray(values[min(place, len(values) - 1)]) for name, values in self.given.items()}
            if self.rates is not None:
                given["η"] = self.rates
            if place:
                before = self.rows[-1]
                given |= {name: before.after(name) for name in self.truth.program.updated}
            self.rows.append(_Row(self, place, self.truth.numbers(given)))
        return self.rows[number]


class _Row:
    def __init__(self, training: Training, place: int, numbers: Mapping[str, np.ndarray]) -> None:
        self.training, self.place, self.numbers = training, place, numbers
        self._known: dict[str, np.ndarray] = {}

    def get(self, name: str) -> np.ndarray:
        """Return a quantity as the table computes it."""
        if name not in self._known:
            wrong = self.training.wrong.get(name)
            updated = {after: before for before, after in self.training.truth.program.updated.items()}
            if wrong is not None and name not in self.training.truth.program.updated:
                self._known[name] = compute(wrong, self._value_of)
            elif name in updated:
                self._known[name] = self.after(updated[name])
            else:
                self._known[name] = self.numbers[name]
        return self._known[name]

    def after(self, name: str) -> np.ndarray:
        """Return a parameter or a state after this row's update."""
        training = self.training
        after = training.truth.program.updated[name]
        for column, shift in ((after, 0), (name, 1)):
            if column in training.wrong:
                return compute(
                    training.wrong[column],
                    lambda part, shift=shift: self._value_of(Named(part.name, part.offset + shift)),  # type: ignore[misc]
                )
        line = training.truth.program.by_name[after]
        numbers = {symbol.name: self.get(symbol.name) for symbol in line.computed.free_symbols}
        return training.truth.evaluate(after, numbers)

    def _value_of(self, part: Named) -> np.ndarray:
        if part.offset == 0 or self.training.truth.is_setting(part.name):
            return self.get(part.name)
        if part.offset == 1 and part.name in self.training.truth.program.updated:
            return self.after(part.name)
        other = 0 if part.offset == FIRST else self.place + part.offset
        if not 0 <= other < len(self.training.rows):
            raise UnreadableError("a row that is not there")
        return self.training.rows[other].get(part.name)


def rules_of(judge: ColumnJudge, wrong: Mapping[str, Reading | None]) -> dict[str, Reading]:
    """Return the formulas that a training by a table's rules follows in the place of the right ones.

    They are the wrong formulas, and those, right in themselves, that read what is wrong: a gradient made from a wrong
    δ is right as a formula, and yet the training takes a wrong step.

    Args:
        judge: of the table.
        wrong: the wrong formulas by column; None where typed numbers are wrong.
    """
    rules = {name: reading for name, reading in wrong.items() if reading is not None}
    others = {name: judge.evidence.commonest(name) for name in judge.table.columns if name not in wrong}
    while True:
        readers = {
            name: reading
            for name, reading in others.items()
            if reading is not None
            and name not in rules
            and any(part.name in rules for part in names_in(reading))
            and judge.judge_quickly(name)
        }
        if not readers:
            return rules
        rules |= readers


def effect_of(judge: ColumnJudge, wrong: Mapping[str, Reading | None]) -> Effect | None:
    """Return what wrong columns do to the loss over as many updates as there are rows; None if it cannot be computed.

    Args:
        judge: of the table.
        wrong: the wrong formulas by column; None where typed numbers are wrong, so that the file's own weights count.
    """
    truth = judge.truth
    given = {name: judge.stated(name) for name in truth.given}
    rows = judge.table.rows
    updates = rows - 1 if rows > 1 else 1
    if not all(np.isfinite(values[0]) for values in given.values()):
        return None
    try:
        right = Training(truth, given, {}).losses(updates + 1)[:, 0]
        if all(reading is not None for reading in wrong.values()):
            found = Training(truth, given, rules_of(judge, wrong)).losses(updates + 1)[:, 0]
        elif rows > 1:
            found = judge.true_rows[TOTAL]
        else:
            return None
    except (UnreadableError, KeyError):
        return None
    differences = np.abs(found - right)
    if not np.isfinite(differences).all():
        return None
    largest = int(np.argmax(differences))
    return Effect(updates, float(found[-1]), float(right[-1]), float(differences[largest]), largest)
