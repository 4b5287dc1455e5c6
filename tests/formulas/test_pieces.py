import pytest
import sympy
from sympy import Abs, Expr, Integer, Max, Min, Or, Piecewise, Rational, Symbol, exp, sign, tanh

from chainrule.formulas import Piece, derivative, simplest, smooth_branch, split, to_text

x, low, high, lam, beta = sympy.symbols("x a b lambda beta", real=True)
VALUES = {low: Integer(-2), high: Rational(3, 2), lam: Rational(1, 2), beta: Integer(4)}

FORMULAS = [
    Max(0, x),
    Max(low, Min(high, x)),
    Min(high, Max(low, x)) * x,
    x * Max(0, Min(6, x + 3)) / 6,
    Max(0, x) + lam * Min(0, x),
    Piecewise((x - lam, x > lam), (x + lam, x < -lam), (0, True)),
    Piecewise((x, Or(x > lam, x < -lam)), (0, True)),
    Piecewise((x, beta * x > 2), (exp(beta * x), True)),
    x / (1 + Abs(x)),
    Abs(x - 1) + Abs(x + 1),
    sign(x) * x**2,
    tanh(x),
]
# On none of the places where pieces meet.
PLACES = [Rational(place, 7) + Rational(1, 100) for place in range(-30, 31)]


@pytest.mark.parametrize("formula", FORMULAS, ids=to_text)
def test_each_piece_has_the_formulas_values_on_its_interval(formula: Expr) -> None:
    for place in PLACES:
        (piece,) = [piece for piece in split(formula, x, VALUES) if _holds(piece, place)]
        at = {**VALUES, x: place}
        assert float(piece.expression.subs(at)) == pytest.approx(float(formula.subs(at)), abs=1e-14)
        assert not piece.expression.has(Max, Min, Abs, sign, Piecewise)


def _holds(piece: Piece, place: Expr) -> bool:
    return bool(piece.lower.subs(VALUES) < place) and bool(place < piece.upper.subs(VALUES))


@pytest.mark.parametrize("formula", FORMULAS, ids=to_text)
def test_the_derivative_is_the_limit_of_differences(formula: Expr) -> None:
    slope, step = derivative(formula, x, VALUES), Rational(1, 10**6)
    for place in PLACES:
        around = [float(formula.subs({**VALUES, x: place + shift}).evalf(30)) for shift in (-step, step)]
        difference = (around[1] - around[0]) / float(2 * step)
        assert float(slope.subs({**VALUES, x: place})) == pytest.approx(difference, rel=1e-6, abs=1e-8)


def test_the_ends_of_pieces_keep_their_letters() -> None:
    pieces = split(Piecewise((x - lam, x > lam), (x + lam, x < -lam), (0, True)), x, VALUES)
    infinity = sympy.oo
    assert [(piece.lower, piece.upper) for piece in pieces] == [(-infinity, -lam), (-lam, lam), (lam, infinity)]


def test_a_place_that_changes_nothing_is_no_end() -> None:
    always_x = Piecewise((x, x > 0), (x, True), evaluate=False)
    assert split(always_x, x, {}) == (Piece(-sympy.oo, sympy.oo, x),)
    assert derivative(always_x, x, {}) == 1


def test_a_smooth_joint_belongs_to_the_right_hand_piece_and_a_kink_to_none() -> None:
    alpha = Symbol("alpha", real=True)
    formula = Piecewise((x, x > 0), (alpha * (exp(x) - 1), True))
    assert to_text(derivative(formula, x, {alpha: Integer(1)})) == "α·e^x if x < 0, 1 if x ≥ 0"
    assert to_text(derivative(formula, x, {alpha: Integer(2)})) == "α·e^x if x < 0, 1 if x > 0"


def test_the_derivative_with_an_absolute_value_stays_in_one_piece() -> None:
    assert to_text(derivative(x / (1 + Abs(x)), x, {})) == "1/(1 + |x|)²"


def test_the_branch_is_chosen_at_the_point() -> None:
    formula = Max(low, Min(high, x))
    chosen = [smooth_branch(formula, {**VALUES, x: Integer(place)}) for place in (-5, 0, 5)]
    assert chosen == [low, x, high]


def test_only_a_much_shorter_form_replaces_a_formula() -> None:
    assert simplest(1 / (1 + x) - x / (1 + x) ** 2) == (1 + x) ** -2
    slope = exp(-x) / (1 + exp(-x)) ** 2
    assert simplest(slope) == slope
