"""Slopes are as exact as they say, and kinks are not taken for slopes."""

import math
from collections.abc import Callable

import pytest
import torch

from chainrule.verification.branches import Branches, BranchWatch
from chainrule.verification.finite_differences import EPSILON
from chainrule.verification.slopes import EVALUATIONS, GUARD, TOLERANCE, Expected, Slope, measure_slope

SMOOTH: dict[str, tuple[Callable[[float], float], float]] = {
    "line": (lambda x: 3 * x - 1, 3.0),
    "sine": (lambda x: math.sin(x + 0.3), math.cos(0.3)),
    "steep": (lambda x: math.sin(3000 * x), 3000.0),
    "gentle": (lambda x: 1e-6 * math.sin(x), 1e-6),
    "exponential": (lambda x: math.exp(20 * x), 20.0),
    "cubic": (lambda x: (x + 2) ** 3, 12.0),
    "large": (lambda x: 1e12 * math.cos(x + 1), -1e12 * math.sin(1)),
    "flat": (lambda x: 7.0, 0.0),
}


def measured(function: Callable[[float], float], exact: float) -> tuple[Slope, int]:
    calls = 0

    def along(distance: float, is_watched: bool) -> tuple[float, Branches | None]:
        nonlocal calls
        calls += 1
        return function(distance), None

    noise = 2 * EPSILON * max(abs(function(0.0)), abs(function(1e-3)))
    slope = measure_slope(along, Expected(exact, abs(exact), noise, function(0.0), lambda: None), 1.0)
    return slope, calls


@pytest.mark.parametrize("name", SMOOTH)
def test_a_slope_is_as_exact_as_it_says(name: str) -> None:
    function, exact = SMOOTH[name]
    slope, calls = measured(function, exact)
    assert abs(slope.value - exact) <= GUARD * slope.uncertainty
    assert GUARD * slope.uncertainty <= max(2 * TOLERANCE * abs(exact), 1e-10)
    assert not slope.is_corner
    assert calls <= EVALUATIONS


@pytest.mark.parametrize("share", [1e-6, -1e-6, 1.0, -2.0])
@pytest.mark.parametrize("name", [name for name in SMOOTH if name != "flat"])
def test_a_wrong_expectation_is_not_confirmed(name: str, share: float) -> None:
    function, exact = SMOOTH[name]
    slope, _ = measured(function, exact * (1 + share))
    assert abs(slope.value - exact * (1 + share)) > max(GUARD * slope.uncertainty, TOLERANCE * abs(exact))


@pytest.mark.parametrize(("expected", "left", "right"), [(0.0, 0.0, 1.0), (1.0, -1.0, 1.0), (0.0, 3.0, 1.0)])
def test_a_corner_at_the_spot_is_seen_without_being_told(expected: float, left: float, right: float) -> None:
    slope, _ = measured(lambda x: max(x, 0.0) * right + min(x, 0.0) * left, expected)
    assert slope.is_corner or slope.value == expected
    assert abs(slope.value - expected) <= slope.uncertainty


def test_a_corner_beside_the_spot_is_stepped_around() -> None:
    slope, _ = measured(lambda x: max(x + 3e-6, 0.0), 1.0)
    assert not slope.is_corner
    assert slope.value == pytest.approx(1.0, abs=1e-7)
    wrong, _ = measured(lambda x: max(x + 3e-6, 0.0), 1.001)
    assert abs(wrong.value - 1.001) > GUARD * wrong.uncertainty


def test_a_function_that_is_not_finite_nearby_has_no_slope() -> None:
    slope, _ = measured(lambda x: math.nan if x else 1.0, 1.0)
    assert math.isnan(slope.value)
    assert slope.uncertainty == math.inf


# -- branches

X = torch.tensor([-1.0, 0.5, 2.0, 0.0])
OPS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "abs": torch.abs,
    "leaky_relu": torch.nn.functional.leaky_relu,
    "hardtanh": torch.nn.functional.hardtanh,
    "clamp": lambda x: torch.clamp(x, -0.5, 0.7),
    "floor": torch.floor,
    "max": torch.max,
    "maximum": lambda x: torch.maximum(x, torch.tensor(0.25)),
    "amax": lambda x: torch.amax(x, 0),
    "topk": lambda x: torch.topk(x, 2).values,
    "hardshrink": torch.nn.functional.hardshrink,
    "gt": lambda x: torch.where(x > 0.25, x, -x),
}


def branches(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> Branches:
    watch = BranchWatch(lambda: "here")
    with watch:
        function(x)
    return watch.branches


@pytest.mark.parametrize("name", OPS)
def test_another_branch_is_seen_and_named(name: str) -> None:
    before = branches(OPS[name], X)
    assert before.differences(branches(OPS[name], X * 1.0)) == ()
    (kink,) = before.differences(branches(OPS[name], torch.tensor([3.0, -0.5, -2.0, 1.0])))
    assert (kink.op, kink.module) == (name, "here")
    assert kink.count > 0


def test_an_input_that_is_written_over_was_looked_at_before() -> None:
    before = branches(lambda x: torch.relu_(x.clone()), X)
    (kink,) = before.differences(branches(lambda x: torch.relu_(x.clone()), -X))
    assert str(kink) == "relu in here"
    assert kink.count == 3


@pytest.mark.parametrize("function", [torch.tanh, torch.exp, torch.nn.functional.gelu, lambda x: x @ x])
def test_smooth_ops_have_no_branches(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    assert branches(function, X).sides == []


def test_another_way_through_the_program_is_a_branch() -> None:
    (kink,) = branches(torch.relu, X).differences(branches(lambda x: torch.relu(x).abs(), X))
    assert (kink.op, kink.count) == ("a branch of the program", 0)
