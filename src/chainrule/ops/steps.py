"""Functions that are flat between their jumps."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from typing import Any, ClassVar

import torch
from sympy import Expr, FunctionClass, S
from sympy.printing.printer import Printer

from chainrule.formulas import NamedFunction
from chainrule.ops.letters import X
from chainrule.ops.places import Wiring, optional
from chainrule.ops.rule import OpRule, Silencer
from chainrule.shapes import Tensor


class Step(NamedFunction):
    """A function whose derivative is 0 wherever it has one; PyTorch takes it to be 0 everywhere.

    Attributes:
        compute: the function on tensors.
    """

    compute: ClassVar[Any]

    @classmethod
    def slope(cls, argument: Expr) -> Expr:
        """Return 0."""
        return S.Zero


class Floor(Step):
    """The next whole number below."""

    text_name, latex_name = "floor", r"\operatorname{floor}"
    compute = staticmethod(torch.floor)

    def _chainrule_spreadsheet(self, printer: Printer) -> str:
        inner = printer._print(self.args[0])
        return f"INT({inner})"


class Ceiling(Step):
    """The next whole number above."""

    text_name, latex_name = "ceil", r"\operatorname{ceil}"
    compute = staticmethod(torch.ceil)

    def _chainrule_spreadsheet(self, printer: Printer) -> str:
        inner = printer._print(self.args[0])
        return f"(-INT(-({inner})))"


class Rounded(Step):
    """The nearest whole number, the even one of two."""

    text_name, latex_name = "round", r"\operatorname{round}"
    compute = staticmethod(torch.round)

    def _chainrule_spreadsheet(self, printer: Printer) -> str:
        inner = printer._print(self.args[0])
        return f"IF(ABS({inner}-TRUNC({inner}))=0.5,2*ROUND(({inner})/2,0),ROUND({inner},0))"


class Truncated(Step):
    """The next whole number towards 0."""

    text_name, latex_name = "trunc", r"\operatorname{trunc}"
    compute = staticmethod(torch.trunc)

    def _chainrule_spreadsheet(self, printer: Printer) -> str:
        inner = printer._print(self.args[0])
        return f"TRUNC({inner})"


class Sign(Step):
    """−1, 0 or 1."""

    text_name, latex_name = "sign", r"\operatorname{sign}"
    compute = staticmethod(torch.sign)

    def _chainrule_spreadsheet(self, printer: Printer) -> str:
        inner = printer._print(self.args[0])
        return f"SIGN({inner})"


def _one(output: Tensor, input: Tensor) -> Wiring:
    return Wiring(optional("input", input, output))


def _flat(name: str, kind: FunctionClass, aliases: tuple[str, ...] = ()) -> OpRule:
    return OpRule(
        name,
        kind(X),
        {"input": X},
        _one,
        aliases=aliases,
        cuts=f"{name} is flat between its jumps, so its derivative is 0 everywhere.",
        silencers=(
            Silencer(
                "flat",
                f"rounded by {name}, which is flat everywhere",
                "input",
                lambda a, _, __: torch.ones_like(a["input"], dtype=torch.bool),
            ),
        ),
    )


STEPS: tuple[OpRule, ...] = (
    _flat("floor", Floor),
    _flat("ceil", Ceiling),
    _flat("round", Rounded),
    _flat("trunc", Truncated, ("fix",)),
    _flat("sign", Sign, ("sgn",)),
)
