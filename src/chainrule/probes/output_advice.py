"""Which activation and which loss a network should end with, from what its targets are.

What stands behind each piece of advice is read from the catalogue of activations (range, where the derivative
vanishes, gain) or computed by autograd from the loss itself; no number of it is written down here.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import torch
from torch import nn

from chainrule.activations import ActivationFacts, describe
from chainrule.errors import ChainruleError
from chainrule.formulas import number_text
from chainrule.shapes import Tensor

Kind = Literal["binary", "multi-class", "unbounded", "positive"]
_WRONG: Final = -10.0  # a logit that is confidently wrong: its sigmoid is below 1e-4


@dataclass(frozen=True, slots=True)
class Fact:
    """A computed fact: what it is about, and a sentence with the numbers."""

    about: str
    sentence: str


@dataclass(frozen=True, slots=True)
class OutputAdvice:
    """How a network should end.

    Attributes:
        kind: what the targets are.
        targets: what was seen of them, as a sentence.
        activation: of the output layer, and of the model when it is used; as torch names it.
        loss: as torch names it.
        facts: why, computed.
        present: what the task has now, as "activation, loss"; empty where that is not known.
        objections: what speaks against what the task has now, as sentences with computed facts.
    """

    kind: Kind
    targets: str
    activation: str
    loss: str
    facts: tuple[Fact, ...]
    present: str = ""
    objections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a network ends now; empty where that is not known.

    Attributes:
        activation: of the output layer.
        loss: its name.
        outputs: numbers that the output layer returns; 0 where that is not known.
    """

    activation: str = ""
    loss: str = ""
    outputs: int = 0


def advise_output(targets: Tensor, classes: int, present: Ending | None = None) -> OutputAdvice:
    """Return how a network for these targets should end, with the computed facts behind it.

    Args:
        targets: class ids (samples,) of a classification, or numbers (samples, columns), as the loss sees them.
        classes: how many classes there are; 0 for a regression.
        present: how the network ends now.

    Example:
        >>> advise_output(torch.tensor([[0.5], [7.0], [2.5]]), 0).activation
        'Softplus'
    """
    now = present or Ending()
    if classes == 2 and now.outputs in (0, 1):
        kind: Kind = "binary"
        seen, facts = "Two classes, one output.", _binary_facts()
        activation, loss = "Identity, and Sigmoid to read off a probability", "BCEWithLogitsLoss"
    elif classes:
        kind, seen, facts = "multi-class", f"{classes} classes, one output each.", _class_facts(classes)
        activation, loss = "Identity, and Softmax to read off probabilities", "CrossEntropyLoss"
    else:
        low, high = float(targets.min()), float(targets.max())
        seen = f"Numbers from {number_text(low, 4)} to {number_text(high, 4)}"
        kind = "positive" if low >= 0 and high > 0 else "unbounded"
        are_counts = kind == "positive" and bool((targets == targets.round()).all()) and high > 1
        seen += ", whole and none below 0." if are_counts else ", none below 0." if kind == "positive" else "."
        if are_counts:
            activation, loss = "Identity, and exp to read off a mean", "PoissonNLLLoss with log_input = true"
        elif kind == "positive":
            activation, loss = "Softplus", "MSELoss, or HuberLoss where some targets are far off"
        else:
            activation, loss = "Identity", "MSELoss, or HuberLoss where some targets are far off"
        facts = _positive_facts(high) if kind == "positive" else _unbounded_facts()
    words = ", ".join(part for part in (now.activation, now.loss) if part)
    return OutputAdvice(kind, seen, activation, loss, facts, words, tuple(_objections(now, kind, targets)))


def _objections(now: Ending, kind: Kind, targets: Tensor) -> Iterator[str]:
    """Yield what speaks against how the network ends now."""
    if kind == "binary" and now.loss == "BCEWithLogitsLoss" and now.activation == "Sigmoid":
        yield f"BCEWithLogitsLoss takes the Sigmoid itself, so there are two: {_squeezed()}"
    if kind == "binary" and now.loss in ("MSELoss", "HalfSumOfSquares") and now.activation == "Sigmoid":
        yield (
            f"A confidently wrong output learns slowly: at a logit of {number_text(_WRONG)} for a target of 1 the "
            f"slope is {_slope_of('MSELoss'):.4g} with MSELoss and {_slope_of('BCEWithLogitsLoss'):.4g} with "
            "BCEWithLogitsLoss."
        )
    if kind == "multi-class" and now.loss == "CrossEntropyLoss" and now.activation == "Softmax":
        yield "CrossEntropyLoss takes the Softmax itself, so there are two; see the facts below."
    if kind in ("binary", "multi-class") or now.activation in ("", "Identity"):
        return
    try:
        facts = describe(now.activation)
    except ChainruleError:  # an activation of the user's own, or one output each: the catalogue does not know it
        return
    low, high = facts.output_range[0].lower, facts.output_range[-1].upper
    outside = int(((targets < low) | (targets > high)).sum())
    if outside:
        yield (
            f"{facts.name} has the range {facts.range_text}: {outside} of {targets.numel()} targets lie outside of it, "
            "where no output gets."
        )
    if kind == "positive" and low < 0:
        yield f"{facts.name} has the range {facts.range_text}, so it does not keep the output positive."


def _squeezed() -> str:
    low, high = (float(torch.sigmoid(torch.tensor(float(end), dtype=torch.float64))) for end in (0, 1))
    return f"outputs between 0 and 1 are read as logits, which mean probabilities from {low:.4g} to {high:.4g} only."


def _binary_facts() -> tuple[Fact, ...]:
    sigmoid = describe("Sigmoid")
    through, direct = _slope_of("MSELoss"), _slope_of("BCEWithLogitsLoss")
    return (
        _range_fact(sigmoid),
        _vanishing_fact(sigmoid),
        Fact(
            "BCEWithLogitsLoss",
            f"At a logit of {number_text(_WRONG)} for a target of 1 its slope is {direct:.4g}, and that of MSELoss "
            f"behind a Sigmoid {through:.4g}: the logarithm cancels the flat end of the Sigmoid, the square does not.",
        ),
        Fact("BCELoss", _stability()),
    )


def _class_facts(classes: int) -> tuple[Fact, ...]:
    softmax = describe("Softmax")
    logits = torch.zeros(1, classes, dtype=torch.float64)
    logits[0, 0] = -_WRONG
    target = torch.tensor([1])
    direct = _gradient(lambda z: nn.functional.cross_entropy(z, target), logits)
    twice = _gradient(lambda z: nn.functional.cross_entropy(torch.softmax(z, 1), target), logits)
    floor = float(nn.functional.cross_entropy(torch.eye(classes, dtype=torch.float64)[1:2], target))
    return (
        _range_fact(softmax),
        Fact(
            "CrossEntropyLoss",
            f"It takes the Softmax itself. Where another class leads by {number_text(-_WRONG)} its gradient has length "
            f"{direct:.4g}; behind a Softmax of your own {twice:.4g}, and a perfect prediction would still cost "
            f"{floor:.4g}.",
        ),
    )


def _unbounded_facts() -> tuple[Fact, ...]:
    tanh, relu = describe("Tanh"), describe("ReLU")
    place = torch.linspace(-100.0, 100.0, 5, dtype=torch.float64)
    slope = _slopes(nn.Identity(), place)
    return (
        Fact("Identity", f"Range (−∞, ∞); its slope is {number_text(float(slope.min()))} everywhere, so the adjoint of "
             "the loss reaches the last layer as it is."),
        Fact("Tanh", f"Range {tanh.range_text}: targets beyond it cannot be reached."),
        Fact("ReLU", f"Range {relu.range_text}, and its derivative is 0 for {relu.vanishing}: no negative target."),
    )  # fmt: skip


def _positive_facts(largest: float) -> tuple[Fact, ...]:
    softplus, elu, relu = describe("Softplus"), describe("ELU"), describe("ReLU")
    lowest = elu.output_range[0].lower
    at = torch.tensor([math.log(largest)], dtype=torch.float64)
    steep, gentle = float(at.exp()), float(_slopes(nn.Softplus(), torch.tensor([largest], dtype=torch.float64)))
    return (
        _range_fact(softplus),
        _vanishing_fact(softplus),
        Fact(
            "ELU",
            f"Range {elu.range_text}: it falls to −α = {number_text(lowest)} and does not keep an output positive, "
            "though that is sometimes taught.",
        ),
        Fact(
            "ReLU",
            f"Range {relu.range_text}, and its derivative is 0 for {relu.vanishing}: an output that begins there "
            "learns nothing.",
        ),
        Fact(
            "exp",
            f"It is positive too, and its slope is its value: at an output of {number_text(largest, 4)}, the largest "
            f"target, {steep:.4g}, and that of Softplus {gentle:.4g}. Use it with a loss that takes the logarithm "
            f"itself, such as PoissonNLLLoss, whose slope at a wrong output e^a = {number_text(largest, 4)} for a "
            f"target of 1 is {_poisson_slope(largest):.4g}, where MSELoss behind exp has {_square_slope(largest):.4g}.",
        ),
    )


def _slopes(module: nn.Module, places: Tensor) -> Tensor:
    with torch.enable_grad():
        point = places.detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(module(point).sum(), point)
    return slope


def _poisson_slope(value: float) -> float:
    one = torch.ones(1, dtype=torch.float64)
    return _gradient(lambda a: nn.functional.poisson_nll_loss(a, one, log_input=True), one * math.log(value))


def _square_slope(value: float) -> float:
    one = torch.ones(1, dtype=torch.float64)
    return _gradient(lambda a: nn.functional.mse_loss(a.exp(), one), one * math.log(value))


def _range_fact(facts: ActivationFacts) -> Fact:
    gain = f"; gain {facts.gain_forward:.4g}" if facts.gain_forward is not None else ""
    return Fact(facts.name, f"Range {facts.range_text}{gain}.")


def _vanishing_fact(facts: ActivationFacts) -> Fact:
    faint = [
        f"{sign} {number_text(place, 4)}"
        for sign, place in (("below", facts.vanishing.faint_below), ("above", facts.vanishing.faint_above))
        if place is not None
    ]
    more = f"; its size is under 0.01 {' and '.join(faint)}" if faint else ""
    return Fact(facts.name, f"Its derivative vanishes: {facts.vanishing}{more}.")


def _slope_of(loss: str) -> float:
    """Return the size of ∂L/∂z at a confidently wrong logit z for a target of 1."""
    one = torch.ones(1, 1, dtype=torch.float64)
    if loss == "MSELoss":
        return _gradient(lambda z: nn.functional.mse_loss(torch.sigmoid(z), one), torch.full_like(one, _WRONG))
    return _gradient(lambda z: nn.functional.binary_cross_entropy_with_logits(z, one), torch.full_like(one, _WRONG))


def _stability() -> str:
    logit = torch.full((1, 1), -120.0)
    one = torch.ones(1, 1)
    apart = float(nn.functional.binary_cross_entropy(torch.sigmoid(logit), one))
    joined = float(nn.functional.binary_cross_entropy_with_logits(logit, one))
    return (
        f"Behind a Sigmoid in float32, a logit of {number_text(float(logit))} for a target of 1 costs {apart:g}, where "
        f"PyTorch cuts the logarithm off; BCEWithLogitsLoss gives {joined:g}, the true value."
    )


def _gradient(function: Callable[[Tensor], Tensor], place: Tensor) -> float:
    with torch.enable_grad():
        point = place.detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(function(point), point)
    return float(slope.norm())
