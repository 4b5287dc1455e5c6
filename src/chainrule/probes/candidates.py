"""The activations that are compared, each with the gain that fits it."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from torch import nn

from chainrule.activations import ActivationFacts, Argument, describe
from chainrule.errors import TaskError
from chainrule.formulas import number_text

USUAL: Final = ("ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Tanh", "Sigmoid")
"""What is compared when nothing is said: the cheapest and simplest first. Ties are resolved in this order."""
NO_GAIN: Final = "its gain depends on the number of its inputs, or is infinite"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An activation for the hidden layers.

    Attributes:
        label: as it is shown: "LeakyReLU(negative_slope=0.2)".
        name: the class in torch.nn.
        arguments: of that class, where they are not PyTorch's defaults.
        gain: 1/√E[f(z)²] for z ~ N(0, 1), which keeps the mean square of the outputs from layer to layer.
        is_sigmoid: whether its slope is small everywhere and its outputs have one sign, so that depth stifles it.
    """

    label: str
    name: str
    arguments: tuple[tuple[str, Argument], ...]
    gain: float
    is_sigmoid: bool

    @property
    def component(self) -> dict[str, Any]:
        """The candidate as a task writes it."""
        return {"name": self.name, **dict(self.arguments)}

    @property
    def initialiser(self) -> dict[str, Any]:
        """Its own initialiser as a task writes it: variance 2·gain²/(inputs + outputs) of a layer's weights."""
        return {"name": "xavier_normal_", "gain": round(self.gain, 6)}


CandidateLike: TypeAlias = str | Candidate | nn.Module | type[nn.Module]
"""What is taken for a candidate; see `candidate_from`."""


def candidate_of(name: str, arguments: Mapping[str, Argument] | None = None, label: str = "") -> Candidate:
    """Return an activation as a candidate.

    Args:
        name: of torch.nn or torch.nn.functional.
        arguments: of its class.
        label: as it is to be shown; its name and arguments when empty.

    Raises:
        UnknownNameError: there is no such activation or argument.
        TaskError: it has no gain, or takes several inputs.
        ChainruleError: an argument makes no sense.
    """
    given = dict(arguments or {})
    facts = describe(name, **given)
    if facts.slice_meaning or facts.gain_forward is None or not math.isfinite(facts.gain_forward):
        raise TaskError(
            what=f"{facts.name} cannot be compared as the activation of the hidden layers.",
            where="candidates",
            found=facts.name,
            expected="an activation that maps each number by itself",
            cause=f"Initial weights need its gain, and {NO_GAIN}.",
        )
    shown = ", ".join(f"{key}={_text(value)}" for key, value in given.items())
    return Candidate(
        label=label or (f"{facts.name}({shown})" if shown else facts.name),
        name=facts.name,
        arguments=tuple(given.items()),
        gain=facts.gain_forward,
        is_sigmoid=is_like_sigmoid(facts),
    )


def candidate_from(given: object) -> Candidate:
    """Return as a candidate what is given for one: a name, a candidate, or a module or class of torch.nn.

    Args:
        given: "LeakyReLU", nn.LeakyReLU or nn.LeakyReLU(0.2); what `candidate_of` returns stays as it is.

    Raises:
        ChainruleError: it is none of these, or cannot be compared.
    """
    if isinstance(given, Candidate):
        return given
    if isinstance(given, str):
        return candidate_of(given)
    kind = given if isinstance(given, type) else type(given)
    if not (issubclass(kind, nn.Module) and getattr(nn, kind.__name__, None) is kind):
        raise TaskError(
            what="A candidate is no activation of torch.nn.",
            where="candidates",
            found=getattr(given, "__name__", None) or kind.__name__,
            expected='a name such as "GELU", nn.GELU, nn.LeakyReLU(0.2), or what candidate_of returns',
            cause="Initial weights need the gain of the activation, which follows from a known formula.",
        )
    return candidate_of(kind.__name__, {} if given is kind else _arguments_of(given))


def _arguments_of(module: object) -> dict[str, Any]:
    """Return the arguments that a module was made with, where they are not PyTorch's defaults."""
    found = {}
    for name, parameter in inspect.signature(type(module).__init__).parameters.items():
        value = getattr(module, name, None)
        if name != "inplace" and isinstance(value, int | float | str) and value != parameter.default:
            found[name] = value
    return found


def is_like_sigmoid(facts: ActivationFacts) -> bool:
    """Return whether an activation is bounded on both sides and keeps one sign, as Sigmoid is and does.

    Its mean square is then mostly the square of its mean, which carries no signal: at the gain that keeps the mean
    square, changes of the inputs shrink by the square of gain_forward/gain_backward a layer.
    """
    spans = facts.output_range
    low, high = spans[0].lower, spans[-1].upper
    return math.isfinite(low) and math.isfinite(high) and (low >= 0 or high <= 0)


def _text(value: Argument) -> str:
    return number_text(value) if isinstance(value, int | float) else repr(value)
