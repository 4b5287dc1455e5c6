"""A program computed with NumPy in float64: for one set of numbers, for many at once, or update after update."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sympy import Expr
from sympy.printing.numpy import NumPyPrinter

from chainrule.formulas import NUMPY_FUNCTIONS, NamedFunction
from chainrule.programs.program import Program

Numbers = Mapping[str, float | np.ndarray]
_CANCELLING = ("Softplus", "NormalDistribution", "erf", "erfc")  # NumPy lacks them, and written out they lose digits


class _Printer(NumPyPrinter):  # type: ignore[misc]  # SymPy has no types
    """Python source over local names v0, v1, ...; functions that NumPy lacks are written out."""

    def __init__(self, names: Mapping[str, str]) -> None:
        super().__init__({"allow_unknown_functions": False, "order": "none"})  # sorting takes half the time
        self.names = names

    def _print_Symbol(self, expr: Any) -> str:  # noqa: N802  # SymPy finds it by this name
        return self.names[expr.name]

    def _print_Function(self, expr: Any) -> str:  # noqa: N802  # as above
        name = type(expr).__name__
        if name in _CANCELLING:
            return f"{name}({self._print(expr.args[0])})"
        if isinstance(expr, NamedFunction):
            return str(self._print(type(expr).definition(expr.args[0])))
        return str(super()._print_Function(expr))


class Evaluator:
    """A program as one Python function, compiled once.

    >>> from chainrule.programs import Layer, layered_program
    >>> program = layered_program(1, [Layer(1, "identity")], "mean")
    >>> float(Evaluator(program)({"i1": 2.0, "w1": 3.0, "t1": 5.0, "η": 0.1})["E_total"])
    1.0
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        computed = {assignment.name for assignment in program.assignments}
        self._given = [name for name in program.quantities if name not in computed]
        self._made = [assignment.name for assignment in program.assignments]
        names = {name: f"v{number}" for number, name in enumerate([*self._given, *self._made])}
        self._compute = _compiled(program, names, self._given, self._made)

    def __call__(self, numbers: Numbers) -> dict[str, np.ndarray]:
        """Return every quantity's number.

        Args:
            numbers: for what is given, by name, arrays that broadcast against each other; what is left out has the
                program's own value.

        Returns:
            By name, what was given and what was computed; overflow gives infinities or NaN without a warning.
        """
        given = [
            np.asarray(numbers.get(name, self.program.quantities[name].value), dtype=np.float64) for name in self._given
        ]
        with np.errstate(all="ignore"):
            made = self._compute(*given)
        return dict(zip([*self._given, *self._made], [*given, *map(np.asarray, made)], strict=True))

    def one(self, expression: Expr, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return an expression's number, from the numbers of all quantities in it."""
        return evaluate([expression], numbers)[0]


def evaluate(expressions: Sequence[Expr], numbers: Numbers) -> list[np.ndarray]:
    """Return the numbers of expressions over quantities, from the numbers of all quantities in them."""
    names = sorted({symbol.name for expression in expressions for symbol in expression.free_symbols})
    places = {name: f"v{number}" for number, name in enumerate(names)}
    printed = ", ".join(_printed(expression, places) for expression in expressions)
    compute = _function([f"return ({printed},)"], places.values())
    with np.errstate(all="ignore"):
        return [np.asarray(value) for value in compute(*(np.asarray(numbers[name], np.float64) for name in names))]


def loss_after(program: Program) -> float:
    """Return the loss on the same samples with the parameters as they are after the program's update."""
    values = {name: quantity.value for name, quantity in program.quantities.items()}
    later = values | {name: values[after] for name, after in program.updated.items()}
    return float(Evaluator(program)(later)[program.loss])


def run_program(program: Program, updates: int, numbers: Numbers | None = None) -> dict[str, np.ndarray]:
    """Train by the program: repeat its step, each time from the parameters and states that the one before left.

    Args:
        program: with an optimizer's lines.
        updates: how many.
        numbers: what to begin with in place of the program's own values; arrays run many trainings at once.

    Returns:
        By name, the numbers of steps 0 to `updates`, (updates + 1, ...); the last row has no update.
    """
    evaluator = Evaluator(program)
    now: dict[str, Any] = dict(numbers or {})
    rows = []
    for _ in range(updates + 1):
        row = evaluator(now)
        rows.append(row)
        now |= {name: row[after] for name, after in program.updated.items()}
    return {name: np.stack(np.broadcast_arrays(*(row[name] for row in rows))) for name in rows[0]}


def _printed(expression: Expr, names: Mapping[str, str]) -> str:
    return str(_Printer(names).doprint(expression))


def _compiled(program: Program, names: Mapping[str, str], given: list[str], made: list[str]) -> Any:
    lines = [f"{names[line.name]} = {_printed(line.computed, names)}" for line in program.assignments]
    lines.append(f"return ({', '.join(names[name] for name in made)},)")
    return _function(lines, [names[name] for name in given])


def _function(lines: list[str], arguments: Any) -> Any:
    # The source is printed from SymPy expressions over names that this file chose, so nothing of a user's is run.
    source = f"def compute({', '.join(arguments)}):\n" + "\n".join(f"    {line}" for line in lines)
    space: dict[str, Any] = {
        **NUMPY_FUNCTIONS,
        "numpy": np,
        "functools": functools,
    }  # SymPy prints Max and Min with both
    exec(source, space)  # noqa: S102
    return space["compute"]
