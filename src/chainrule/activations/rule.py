"""What the catalogue records of an activation: its formula and its parameters. Everything else follows from them."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy
import torch
from sympy import Basic, Expr, Symbol

X = Symbol("x", real=True)


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument of a torch.nn class that is in the formula.

    Attributes:
        argument: its name in torch's signature; its default is read from there.
        symbol: its letter in the formula.
        example: the value that the catalogue shows when torch gives no default.
    """

    argument: str
    symbol: Symbol
    example: float | None = None


@dataclass(frozen=True, slots=True)
class ActivationRule:
    """An activation that maps each number by itself.

    Attributes:
        name: the class in torch.nn.
        expression: f(x), with the symbols of the parameters.
        parameters: the arguments that are in the formula.
        constants: symbols of the formula that no argument sets, with their values.
        option: an argument of torch that chooses between formulas, and the choice that this rule is for.
        requires: what must hold between the parameters for the formula to make sense.
        notes: what the formula does not say.
        initialiser: the name in `torch.nn.init.calculate_gain`, when it has one.
        initialiser_argument: the argument that `calculate_gain` takes as `param`.
    """

    name: str
    expression: Expr
    parameters: tuple[Parameter, ...] = ()
    constants: tuple[tuple[Symbol, Expr], ...] = ()
    option: tuple[str, str] | None = None
    requires: Basic = sympy.S.true
    notes: tuple[str, ...] = ()
    initialiser: str = ""
    initialiser_argument: str = ""


@dataclass(frozen=True, slots=True)
class VectorRule:
    """An activation whose outputs each depend on several inputs.

    Attributes:
        name: the class in torch.nn.
        expression: y[i], in index notation.
        jacobian: ∂y[i]/∂x[j], in index notation and with y for the outputs.
        slice: y[i] as a function of x, its own input x[i], while the other inputs stay.
        slice_meaning: what was held fixed in `slice`.
        gate: the factor g(b) of a product slice(a)·g(b) with an input b of its own; None without one.
        notes: what the formula does not say.
    """

    name: str
    expression: Expr
    jacobian: tuple[tuple[str, Expr], ...]
    slice: Expr
    slice_meaning: str
    gate: Expr | None = None
    notes: tuple[str, ...] = ()


Rule = ActivationRule | VectorRule
Argument = int | float | str


def torch_defaults(name: str) -> dict[str, Any]:
    """Return the arguments of a torch.nn class with their defaults; those without one are left out."""
    signature = inspect.signature(getattr(torch.nn, name))
    return {
        argument.name: argument.default
        for argument in signature.parameters.values()
        if argument.default is not inspect.Parameter.empty
    }


def build_module(name: str, arguments: Mapping[str, Argument]) -> torch.nn.Module:
    """Return the torch.nn module, in evaluation mode and float64."""
    kind = getattr(torch.nn, name)
    # A module with weights rounds them to its first dtype; .double() would come too late.
    dtype = {"dtype": torch.float64} if "dtype" in inspect.signature(kind).parameters else {}
    module: torch.nn.Module = kind(**arguments, **dtype)
    return module.eval()
