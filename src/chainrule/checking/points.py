"""Random numbers for the quantities of several rows at once, on which formulas are compared.

A formula is right when it gives the right number whatever stands in the inputs and weights. So it is computed at
several points with random numbers, at which nothing is equal by chance: t1 = t2 in a file hides nothing here.
"""

from collections.abc import Collection, Mapping

import numpy as np

from chainrule.checking.truth import Truth

COUNT = 24  # so many that every ReLU is met on both of its sides
_SEED = 20150317


class Points:
    """The true numbers of a row, of the row above and of any other row, at `COUNT` random points.

    The parameters of a row are what the update of the row above makes of its own.

    Args:
        truth: what computes a row.
        constants: the names of what is the same in all rows: settings, fixed biases, inputs that never change.
        fixed: numbers of constants that formulas write as numbers: {"η": 0.5}.
    """

    def __init__(self, truth: Truth, constants: Collection[str], fixed: Mapping[str, float] | None = None) -> None:
        self.truth, self.constants = truth, frozenset(constants)
        self._fixed = dict(fixed or {})
        self._rows: dict[int, Mapping[str, np.ndarray]] = {}
        self._everywhere: dict[str, np.ndarray] = {}

    def row(self, offset: int) -> Mapping[str, np.ndarray]:
        """Return the numbers of the row `offset` rows below this one, by name."""
        if offset not in self._rows:
            random = np.random.default_rng([_SEED, offset + 100_000])
            given = {name: self._given(name, random) for name in self.truth.given}
            if -1 < offset < 50:  # far rows need no connection
                before = self.row(offset - 1)
                given |= {name: before[after] for name, after in self.truth.program.updated.items()}
            self._rows[offset] = self.truth.numbers(self.truth.with_targets(given, random, COUNT))
        return self._rows[offset]

    def value_of(self, name: str, offset: int) -> np.ndarray:
        """Return the numbers of one quantity."""
        return self.row(offset)[name]

    def _given(self, name: str, random: np.random.Generator) -> np.ndarray:
        if name not in self.constants:
            return self._drawn(name, random)
        if name not in self._everywhere:
            self._everywhere[name] = self._drawn(name, np.random.default_rng([_SEED, *name.encode()]))
        return self._everywhere[name]

    def _drawn(self, name: str, random: np.random.Generator) -> np.ndarray:
        if name in self._fixed:
            return np.full(COUNT, self._fixed[name])
        if self.truth.program.quantities[name].kind in ("setting", "state"):
            # Learning rates, decay rates below 1, and averages of squares are positive.
            return random.uniform(0.2, 0.8, COUNT)
        return random.uniform(0.3, 1.7, COUNT) * np.where(random.random(COUNT) < 0.3, -1.0, 1.0)
