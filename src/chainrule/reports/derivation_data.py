"""Derivations and worked examples as JSON-able data, each formula as text, as LaTeX and for a spreadsheet."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sympy import Expr

from chainrule.programs import Program, program_latex, program_spreadsheet, program_text
from chainrule.programs.derivation import Adjoint, Derivation, DerivedPath, Equation, derive_all
from chainrule.programs.evaluating import loss_after
from chainrule.programs.program import Step

_STEPS: tuple[Step, ...] = ("forward", "loss", "gradients", "update")


def derivation_dict(program: Program, derivation: Derivation) -> dict[str, Any]:
    """Return a derivation as data.

    The formulas for spreadsheets are for a sheet with one quantity in each row of column B: `quantities` says which.
    """
    data = _Data(program)
    return {
        "program": program.title,
        **data.derivation(derivation),
        "adjoints": data.adjoints(derivation),
        "quantities": quantity_dicts(program),
    }


def worked_example_dict(program: Program) -> dict[str, Any]:
    """Return a whole step as data: what is given, the lines of every part, and the derivations of all gradients."""
    data = _Data(program)
    return {
        "program": program.title,
        "loss": program.quantities[program.loss].value,
        "loss_after": loss_after(program),
        "notes": list(program.notes),
        "quantities": quantity_dicts(program),
        "lines": {step: data.lines(step) for step in _STEPS},
        "derivations": [data.derivation(each) for each in derive_all(program)],
    }


def quantity_dicts(program: Program) -> list[dict[str, Any]]:
    """Return the quantities in order, each with the cell that the formulas for spreadsheets mean by it."""
    cells = _cells(program)
    return [
        {
            "name": each.name,
            "latex": each.latex,
            "kind": each.kind,
            "value": each.value,
            "meaning": each.meaning,
            "sample": each.sample,
            "cell": cells[each.name],
        }
        for each in program.quantities.values()
    ]


def _cells(program: Program) -> Mapping[str, str]:
    return {name: f"B{row}" for row, name in enumerate(program.quantities, 1)}


class _Data:
    def __init__(self, program: Program) -> None:
        self.program, self.cells = program, _cells(program)
        self.printed: dict[Expr, dict[str, str]] = {}

    def derivation(self, derivation: Derivation) -> dict[str, Any]:
        """Return one derivation, without the adjoints that others need too."""
        return {
            "parameter": derivation.parameter,
            "name": derivation.name,
            "meaning": derivation.meaning,
            "value": derivation.value,
            "gradient": derivation.gradient,
            "path_count": derivation.path_count,
            "paths": self._paths(derivation.paths),
            "samples": [
                {"sample": use.shared.sample, "path_count": use.path_count, **self._path(use.shared)}
                for use in derivation.uses
            ],
            "sum": self._adjoint(derivation.adjoint),
            "update": [self._equation(line) for line in derivation.update],
        }

    def adjoints(self, derivation: Derivation) -> list[dict[str, Any]]:
        """Return the adjoints that a derivation needs, from the loss's side."""
        return [self._adjoint(adjoint) for adjoint in derivation.needed]

    def lines(self, step: Step) -> list[dict[str, Any]]:
        """Return the lines of one of the steps."""
        return [
            {
                **self._equation(Equation(line.name, line.formula, self.program.quantities[line.name].value)),
                "words": line.words,
            }
            for line in self.program.in_step(step)
        ]

    def _formula(self, formula: Expr) -> dict[str, str]:
        if formula not in self.printed:
            self.printed[formula] = {
                "formula": program_text(formula),
                "latex": program_latex(formula),
                "spreadsheet": program_spreadsheet(formula, self.cells),
            }
        return self.printed[formula]

    def _equation(self, equation: Equation) -> dict[str, Any]:
        return {"name": equation.name, **self._formula(equation.formula), "value": equation.value}

    def _paths(self, paths: Iterable[DerivedPath]) -> list[dict[str, Any]]:
        return [{"sample": path.sample, **self._path(path)} for path in paths]

    def _path(self, path: DerivedPath) -> dict[str, Any]:
        return {
            "through": list(path.through),
            "factors": [self._equation(factor.equation) for factor in path.factors],
            "product": path.value,
        }

    def _adjoint(self, adjoint: Adjoint) -> dict[str, Any]:
        products = [
            {"upstream": self._equation(each.upstream), "partial": self._equation(each.partial)}
            for each in adjoint.products
        ]
        return {**self._equation(adjoint.equation), "products": products, "stages": self._stages(adjoint.stages)}

    def _stages(self, stages: Sequence[Expr]) -> list[dict[str, str]]:
        return [self._formula(stage) for stage in stages]
