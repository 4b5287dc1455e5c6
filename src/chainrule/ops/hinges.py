"""The function max(0, u) of margin losses, with PyTorch's derivative where u is 0."""

from typing import Any, ClassVar

import torch
from sympy import Expr, S
from sympy.printing.printer import Printer

from chainrule.formulas import NamedFunction
from chainrule.shapes import Tensor


class Reached(NamedFunction):
    """1 where u ≥ 0, and 0 elsewhere; written [u ≥ 0]."""

    text_name, latex_name = "reached", r"\operatorname{reached}"
    sign: ClassVar[tuple[str, str]] = ("≥", r"\geq")

    @staticmethod
    def compute(argument: Tensor) -> Tensor:
        """Return [argument ≥ 0]."""
        return (argument >= 0).to(torch.float64)

    @classmethod
    def slope(cls, argument: Expr) -> Expr:
        """Return 0."""
        return S.Zero

    def _chainrule_text(self, printer: Printer) -> str:
        return f"[{printer._print(self.args[0])} {self.sign[0]} 0]"

    def _latex(self, printer: Printer, **settings: Any) -> str:
        return rf"\left[{printer._print(self.args[0])} {self.sign[1]} 0\right]"


class Exceeded(Reached):
    """1 where u > 0, and 0 elsewhere; written [u > 0]."""

    sign = (">", ">")

    @staticmethod
    def compute(argument: Tensor) -> Tensor:
        """Return [argument > 0]."""
        return (argument > 0).to(torch.float64)


class Hinge(NamedFunction):
    """max(0, u), whose derivative is 1 at u = 0, as that of torch's clamp_min."""

    text_name, latex_name = "max", r"\max"

    @staticmethod
    def compute(argument: Tensor) -> Tensor:
        """Return max(0, argument)."""
        return argument.clamp(min=0.0)

    @classmethod
    def slope(cls, argument: Expr) -> Expr:
        """Return [argument ≥ 0]."""
        return Reached(argument)

    def _chainrule_text(self, printer: Printer) -> str:
        return f"max(0, {printer._print(self.args[0])})"

    def _latex(self, printer: Printer, exp: str | None = None) -> str:
        shown = rf"\max\left(0, {printer._print(self.args[0])}\right)"
        return shown if exp is None else f"{shown}^{{{exp}}}"


class StrictHinge(Hinge):
    """max(0, u), whose derivative is 0 at u = 0."""

    @classmethod
    def slope(cls, argument: Expr) -> Expr:
        """Return [argument > 0]."""
        return Exceeded(argument)
