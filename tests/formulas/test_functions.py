import mpmath
import numpy as np
import pytest
import sympy

from chainrule.formulas import NAMED_FUNCTIONS, named_functions_in, numeric, precise

X = sympy.Symbol("x", real=True)
POINTS = np.linspace(-6.0, 6.0, 49)


@pytest.mark.parametrize("kind", NAMED_FUNCTIONS)
def test_a_named_function_is_computed_as_it_is_defined(kind: sympy.FunctionClass) -> None:
    by_name, by_definition = numeric(kind(X), X)(POINTS), numeric(kind.definition(X), X)(POINTS)
    np.testing.assert_allclose(by_name, by_definition, rtol=1e-7, atol=1e-15)


@pytest.mark.parametrize("kind", NAMED_FUNCTIONS)
def test_the_stated_slope_is_the_derivative_of_the_definition(kind: sympy.FunctionClass) -> None:
    stated = numeric(kind(X).diff(X), X)(POINTS)
    derived = numeric(kind.definition(X).diff(X).doit(), X)(POINTS)
    np.testing.assert_allclose(stated, derived, rtol=1e-8, atol=1e-14)


@pytest.mark.parametrize("kind", NAMED_FUNCTIONS)
def test_float64_keeps_its_digits_in_both_tails(kind: sympy.FunctionClass) -> None:
    places = np.array([-37.0, -20.0, -1.0, 0.0, 1.0, 20.0, 37.0])
    with mpmath.workdps(400):
        written_out = [float(kind.definition(sympy.Rational(place)).evalf(30, maxn=5000)) for place in places]
    np.testing.assert_allclose(numeric(kind(X), X)(places), written_out, rtol=1e-12)
    np.testing.assert_allclose([float(precise(kind(X), X)(place)) for place in places], written_out, rtol=1e-14)


def test_a_constant_has_a_value_at_every_point() -> None:
    np.testing.assert_array_equal(numeric(sympy.Integer(3), X)(POINTS), np.full(49, 3.0))


def test_overflow_gives_infinity_without_a_warning() -> None:
    assert numeric(sympy.exp(X), X)(np.array([1e4]))[0] == np.inf


def test_the_named_functions_of_a_formula_are_found_once() -> None:
    sigmoid, softplus, *_ = NAMED_FUNCTIONS
    assert named_functions_in(softplus(X) + sigmoid(X) * sigmoid(2 * X)) == (sigmoid, softplus)
    assert named_functions_in(sympy.tanh(X)) == ()
