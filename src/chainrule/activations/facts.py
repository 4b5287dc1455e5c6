"""What the catalogue says of an activation."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from chainrule.activations.landmarks import Span
from chainrule.activations.rule import Argument
from chainrule.formulas import number_text


@dataclass(frozen=True, slots=True)
class PrintedFormula:
    """A formula as text and as LaTeX."""

    text: str
    latex: str


@dataclass(frozen=True, slots=True)
class Break:
    """A point where the function has no derivative.

    Attributes:
        place: where.
        kind: "kink" (the slope changes at once) or "jump" (the value does).
        jump: the value just right of it minus the value just left of it; 0 at a kink.
        slope_before: the derivative just left of it.
        slope_after: the derivative just right of it.
        torch_slope: what PyTorch's autograd returns there.
    """

    place: float
    kind: Literal["kink", "jump"]
    jump: float
    slope_before: float
    slope_after: float
    torch_slope: float


@dataclass(frozen=True, slots=True)
class Vanishing:
    """Where the derivative is zero.

    Attributes:
        intervals: open intervals on which it is exactly zero.
        points: single points at which it is zero.
        at_minus_infinity: whether it goes to zero as x → −∞, without being zero from some place on.
        at_plus_infinity: the same for x → ∞.
        faint_below: the place below which its size stays under 0.01, when it goes to zero as x → −∞.
        faint_above: the place above which its size stays under 0.01, when it goes to zero as x → ∞.
    """

    intervals: tuple[tuple[float, float], ...]
    points: tuple[float, ...]
    at_minus_infinity: bool
    at_plus_infinity: bool
    faint_below: float | None
    faint_above: float | None

    def __str__(self) -> str:
        texts = [_interval_text(low, high) for low, high in self.intervals]
        if self.points:
            texts.append("x = " + ", ".join(number_text(point, 4) for point in self.points))
        ends = (self.at_minus_infinity, self.at_plus_infinity)
        texts += {(True, True): ["x → ±∞"], (True, False): ["x → −∞"], (False, True): ["x → ∞"]}.get(ends, [])
        return ", ".join(texts) or "nowhere"


def _interval_text(low: float, high: float) -> str:
    if math.isinf(low):
        return f"x < {number_text(high)}"
    return f"x > {number_text(low)}" if math.isinf(high) else f"{number_text(low)} < x < {number_text(high)}"


@dataclass(frozen=True, slots=True)
class ActivationFacts:
    """An activation with given arguments: its formulas, and what follows from them.

    Attributes:
        name: the class in torch.nn.
        title: the name, with the choice of formula where torch offers one: "GELU (tanh)".
        arguments: torch's arguments that are in the formula, with their values.
        symbols: the symbols of the formula with their values.
        formula: f(x), or y[i] for an activation of several inputs.
        derivatives: each derivative with what it is the derivative of, such as ("f′(x)", ...).
        definitions: the named functions in the formulas, such as σ(x), with their definitions.
        output_range: the numbers that the formula takes; float64 may round to an end that it only approaches.
        mean: E[f(z)] for z ~ N(0, 1); None where it depends on the number of inputs.
        is_zero_centred: whether the size of `mean` is at most 1e-6; False where all outputs have one sign.
        monotone: "rising" (never falls), "falling" (never rises) or "no"; steps below 1e-6 do not count.
        is_bounded_below: whether some number is below all outputs.
        is_bounded_above: whether some number is above all outputs.
        vanishing: where the derivative is zero.
        breaks: where there is no derivative.
        gain_forward: 1/√E[f(z)²]; a layer's weights times this keep the outputs' mean square at 1. None where it
            depends on the number of inputs, infinite where f(z) = 0.
        gain_backward: 1/√E[f′(z)²], which keeps the mean square of the adjoints; jumps of f are left out.
        torch_gain: `torch.nn.init.calculate_gain`, None where PyTorch has none.
        slice_meaning: for an activation of several inputs, the function that range and derivative were read from.
        notes: what the formula does not say.
    """

    name: str
    title: str
    arguments: tuple[tuple[str, Argument], ...]
    symbols: tuple[tuple[str, float], ...]
    formula: PrintedFormula
    derivatives: tuple[tuple[str, PrintedFormula], ...]
    definitions: tuple[PrintedFormula, ...]
    output_range: tuple[Span, ...]
    mean: float | None
    is_zero_centred: bool
    monotone: Literal["rising", "falling", "no"]
    is_bounded_below: bool
    is_bounded_above: bool
    vanishing: Vanishing
    breaks: tuple[Break, ...]
    gain_forward: float | None
    gain_backward: float | None
    torch_gain: float | None
    slice_meaning: str
    notes: tuple[str, ...]

    @property
    def range_text(self) -> str:
        """The output range as text, such as "(−1, ∞)"."""
        return " ∪ ".join(str(span) for span in self.output_range)

    @property
    def bounded_text(self) -> str:
        """Where the outputs are bounded: "both", "below", "above" or "no"."""
        return _BOUNDED[self.is_bounded_below, self.is_bounded_above]

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as JSON-able data; infinities are null."""
        data: dict[str, Any] = _finite(dataclasses.asdict(self))
        texts = {"range_text": self.range_text, "vanishing_text": str(self.vanishing), "bounded": self.bounded_text}
        return data | {"arguments": dict(self.arguments), "symbols": dict(self.symbols)} | texts


_BOUNDED = {(True, True): "both", (True, False): "below", (False, True): "above", (False, False): "no"}


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
