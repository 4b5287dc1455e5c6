import math

import pytest
import sympy
from sympy import Expr, Max, Piecewise, cos, exp, tanh

from chainrule.activations.landmarks import Span, outline

x = sympy.Symbol("x", real=True)

RANGES = [
    (x, "(−∞, ∞)"),
    (x**2, "[0, ∞)"),
    (-(x**2) + 3, "(−∞, 3]"),
    (x**3 - 3 * x, "(−∞, ∞)"),
    (x * exp(-x * x), "[−0.428882, 0.428882]"),
    (exp(-x * x), "(0, 1]"),
    (sympy.Integer(2), "{2}"),
    (Max(x, 1), "[1, ∞)"),
    (Piecewise((exp(x), x < 0), (5, True)), "(0, 1) ∪ {5}"),
    (Piecewise((exp(x), x <= 0), (5, True)), "(0, 1] ∪ {5}"),
    (Piecewise((exp(x), x < 0), (exp(-x), True)), "(0, 1]"),
    (Piecewise((exp(x), x < 0), (2, x <= 0), (exp(-x), True)), "(0, 1) ∪ {2}"),
    (Piecewise((tanh(x), x < 0), (tanh(x) + 1, True)), "(−1, 0) ∪ [1, 2)"),
]


@pytest.mark.parametrize(("formula", "expected"), RANGES, ids=[str(formula) for formula, _ in RANGES])
def test_range(formula: Expr, expected: str) -> None:
    assert " ∪ ".join(str(span) for span in outline(formula, x, {}).value_range()) == expected


def test_turning_points_are_found_to_full_precision() -> None:
    (part,) = outline(x**3 - 3 * x, x, {}).parts
    assert part.flat_points == pytest.approx((-1.0, 1.0), abs=1e-14)
    assert [mark.value for mark in part.landmarks] == pytest.approx([-math.inf, 2.0, -2.0, math.inf])


def test_a_slope_that_only_touches_zero_is_flat_but_no_turn() -> None:
    (part,) = outline(x**3 + 1, x, {}).parts
    assert part.flat_points == (0.0,)
    assert len(part.landmarks) == 2


def test_turning_points_of_a_bounded_piece() -> None:
    inside = outline(Piecewise((0, x < -5), (cos(x), x < 5), (0, True)), x, {}).parts[1]
    assert inside.flat_points == pytest.approx((-math.pi, 0.0, math.pi))


def test_spans_read_as_in_a_book() -> None:
    spans = [Span(-math.inf, 0.0, False, True), Span(0.5, 0.5, True, True), Span(1.0, 2.0, True, False)]
    assert [str(span) for span in spans] == ["(−∞, 0]", "{0.5}", "[1, 2)"]
