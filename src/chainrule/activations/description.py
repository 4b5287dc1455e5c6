"""The facts of an activation, worked out from its formula."""

import math
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from sympy import Expr

from chainrule.activations.facts import ActivationFacts, Break, PrintedFormula, Vanishing
from chainrule.activations.landmarks import Outline, SmoothPart, outline
from chainrule.activations.lookup import RULES, BoundRule, bind
from chainrule.activations.moments import Numeric, gaussian_mean
from chainrule.activations.rule import ActivationRule, Argument, VectorRule, X, build_module
from chainrule.formulas import derivative, named_functions_in, to_latex, to_text

ZERO_CENTRED_TOLERANCE = 1e-6
STEP_TOLERANCE = 1e-6
FAINT = 0.01
_SMOOTH_TOLERANCE = 1e-12
_QUADRATURE_ERROR = 1e-13


def describe(name: str, **arguments: Argument) -> ActivationFacts:
    """Return formula, derivative and facts of one activation of torch.nn.

    Args:
        name: a class of torch.nn or its name in torch.nn.functional, such as "LeakyReLU" or "leaky_relu".
        **arguments: arguments of that class that are in its formula, such as `negative_slope=0.2`; PyTorch's
            defaults for the others.

    Raises:
        UnknownNameError: there is no such activation, argument or choice.
        ChainruleError: a value is no finite number, or the formula makes no sense with it.
    """
    bound = bind(name, arguments)
    if isinstance(bound.rule, VectorRule):
        return _describe_vector(bound.rule)
    return _describe_elementwise(bound.rule, bound)


def describe_all() -> tuple[ActivationFacts, ...]:
    """Return the facts of every activation of torch.nn with PyTorch's defaults, in the catalogue's order."""
    chosen = [dict([rule.option]) if isinstance(rule, ActivationRule) and rule.option else {} for rule in RULES]
    return tuple(describe(rule.name, **options) for rule, options in zip(RULES, chosen, strict=True))


def catalogue_rows() -> list[dict[str, object]]:
    """Return the catalogue as JSON-able rows, one per activation."""
    return [facts.to_dict() for facts in describe_all()]


def _describe_elementwise(rule: ActivationRule, bound: BoundRule) -> ActivationFacts:
    shape = outline(rule.expression, X, bound.values)
    slope = derivative(rule.expression, X, bound.values)
    mean = _mean(shape)
    option_text = f" ({rule.option[1]})" if rule.option and rule.option[1] != "none" else ""
    return ActivationFacts(
        name=rule.name,
        title=rule.name + option_text,
        arguments=tuple(bound.arguments.items()),
        symbols=tuple((to_text(symbol), float(value)) for symbol, value in bound.values.items()),
        formula=_printed(rule.expression),
        derivatives=(("f′(x)", _printed(slope)),),
        definitions=_definitions(rule.expression, slope),
        output_range=shape.value_range(),
        mean=mean,
        is_zero_centred=abs(mean) <= ZERO_CENTRED_TOLERANCE,
        monotone=_monotony(shape),
        is_bounded_below=_is_bounded(shape)[0],
        is_bounded_above=_is_bounded(shape)[1],
        vanishing=_vanishing(shape),
        breaks=_breaks(shape, rule.name, bound.arguments),
        gain_forward=_gain(_mean_square(shape)),
        gain_backward=_gain(_mean_square_slope(shape)),
        torch_gain=_torch_gain(rule, bound.arguments),
        slice_meaning="",
        notes=rule.notes,
    )


def _describe_vector(rule: VectorRule) -> ActivationFacts:
    shape = outline(rule.slice, X, {})
    is_product = rule.gate is not None
    gain = _gain(_mean_square(shape) * _mean_square(outline(rule.gate, X, {}))) if is_product else None
    # The mean of a product of independent factors is the product of their means; a·σ(b) has E[a] = 0.
    mean = _mean(shape) if is_product else None
    return ActivationFacts(
        name=rule.name,
        title=rule.name,
        arguments=(),
        symbols=(),
        formula=_printed(rule.expression),
        derivatives=tuple((name, _printed(entry)) for name, entry in rule.jacobian),
        definitions=_definitions(rule.expression, *(entry for _, entry in rule.jacobian)),
        output_range=shape.value_range(),
        mean=mean,
        is_zero_centred=mean is not None and abs(mean) <= ZERO_CENTRED_TOLERANCE,
        monotone=_monotony(shape),
        is_bounded_below=_is_bounded(shape)[0],
        is_bounded_above=_is_bounded(shape)[1],
        vanishing=_vanishing(shape),
        breaks=(),
        gain_forward=gain,
        gain_backward=None,
        torch_gain=None,
        slice_meaning=rule.slice_meaning,
        notes=rule.notes,
    )


def _printed(expression: Expr) -> PrintedFormula:
    return PrintedFormula(to_text(expression), to_latex(expression))


def _definitions(*expressions: Expr) -> tuple[PrintedFormula, ...]:
    found = dict.fromkeys(kind for expression in expressions for kind in named_functions_in(expression))
    return tuple(
        PrintedFormula(
            f"{kind.text_name}(x) = {to_text(kind.definition(X))}",
            rf"{kind.latex_name}\left(x\right) = {to_latex(kind.definition(X))}",
        )
        for kind in found
    )


def _monotony(shape: Outline) -> Literal["rising", "falling", "no"]:
    values = [mark.value for mark in shape.landmarks()]
    steps = [after - before for before, after in pairwise(values)]
    if all(step >= -STEP_TOLERANCE for step in steps):
        return "rising"
    return "falling" if all(step <= STEP_TOLERANCE for step in steps) else "no"


def _is_bounded(shape: Outline) -> tuple[bool, bool]:
    spans = shape.value_range()
    return math.isfinite(spans[0].lower), math.isfinite(spans[-1].upper)


def _vanishing(shape: Outline) -> Vanishing:
    first, last = shape.parts[0], shape.parts[-1]
    fades_left = not first.is_constant and first.end_slopes[0] == 0.0
    fades_right = not last.is_constant and last.end_slopes[1] == 0.0
    return Vanishing(
        intervals=tuple((part.lower, part.upper) for part in shape.parts if part.is_constant),
        points=tuple(point for part in shape.parts for point in part.flat_points),
        at_minus_infinity=fades_left,
        at_plus_infinity=fades_right,
        faint_below=_faint_end(first, outward=-1.0) if fades_left else None,
        faint_above=_faint_end(last, outward=1.0) if fades_right else None,
    )


def _faint_end(part: SmoothPart, outward: float) -> float:
    """Return where the slope of the outermost part was last as large as `FAINT`, going outward."""
    inner = part.lower if outward > 0 else part.upper
    start = inner if math.isfinite(inner) else 0.0
    places = start + outward * np.sinh(np.linspace(0.0, math.asinh(1e4), 4001)[1:])
    large = np.flatnonzero(np.abs(part.slope(places)) >= FAINT)
    if large.size == 0:
        return float(start)
    near, far = float(places[large[-1]]), float(places[min(large[-1] + 1, places.size - 1)])
    for _ in range(60):
        middle = 0.5 * (near + far)
        is_large = bool(np.abs(part.slope(np.array([middle])))[0] >= FAINT)
        near, far = (middle, far) if is_large else (near, middle)
    return near


def _breaks(shape: Outline, name: str, arguments: dict[str, Argument]) -> tuple[Break, ...]:
    breaks = []
    for before, after in pairwise(shape.parts):
        jump = after.landmarks[0].value - before.landmarks[-1].value
        slope_before, slope_after = before.end_slopes[1], after.end_slopes[0]
        is_jump = abs(jump) > _SMOOTH_TOLERANCE
        if is_jump or abs(slope_after - slope_before) > _SMOOTH_TOLERANCE:
            breaks.append(
                Break(
                    place=after.lower,
                    kind="jump" if is_jump else "kink",
                    jump=jump if is_jump else 0.0,
                    slope_before=slope_before,
                    slope_after=slope_after,
                    torch_slope=_autograd_slope(name, arguments, after.lower),
                )
            )
    return tuple(breaks)


def _autograd_slope(name: str, arguments: dict[str, Argument], place: float) -> float:
    with torch.enable_grad():
        point = torch.tensor([place], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(build_module(name, arguments)(point).sum(), point)
    return float(slope)


def _mean(shape: Outline) -> float:
    mean = gaussian_mean((part.lower, part.upper, part.value) for part in shape.parts)
    return mean if abs(mean) > _QUADRATURE_ERROR else 0.0


def _mean_square(shape: Outline) -> float:
    return gaussian_mean((part.lower, part.upper, _squared(part.value)) for part in shape.parts)


def _mean_square_slope(shape: Outline) -> float:
    return gaussian_mean((part.lower, part.upper, _squared(part.slope)) for part in shape.parts)


def _squared(function: Numeric) -> Numeric:
    def square(points: np.ndarray) -> np.ndarray:
        return np.square(function(points))

    return square


def _gain(mean_square: float) -> float:
    return 1.0 / math.sqrt(mean_square) if mean_square > 0.0 else math.inf


def _torch_gain(rule: ActivationRule, arguments: dict[str, Argument]) -> float | None:
    if not rule.initialiser:
        return None
    parameter = arguments.get(rule.initialiser_argument)
    return float(torch.nn.init.calculate_gain(rule.initialiser, parameter))  # type: ignore[arg-type]
