# ruff: noqa: A006
"""Hazards: numbers from which an op makes a NaN or an infinity, in its value or in what it sends back."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from chainrule.ops import OpRule, rule_for

from .cases import Case, at

INFINITE = math.inf
# One input, one output element for each input element: the masks must be exactly the elements that are hit.
ELEMENTWISE = [
    Case("log", torch.log, {"input": at(0.0, -1.0, 1.0)}),
    Case("log2", torch.log2, {"input": at(0.0, -1.0, 1.0)}),
    Case("log10", torch.log10, {"input": at(0.0, -1.0, 1.0)}),
    Case("log1p", torch.log1p, {"input": at(-1.0, -2.0, 0.0)}),
    Case("sqrt", torch.sqrt, {"input": at(0.0, -1.0, 1.0)}),
    Case("rsqrt", torch.rsqrt, {"input": at(0.0, -1.0, 1.0)}),
    Case("reciprocal", torch.reciprocal, {"input": at(0.0, -1.0, 1.0)}),
    Case("exp", torch.exp, {"input": at(0.0, 800.0, -800.0)}),
    Case("exp2", torch.exp2, {"input": at(0.0, 2000.0)}),
    Case("expm1", torch.expm1, {"input": at(0.0, 800.0)}),
    Case("sinh", torch.sinh, {"input": at(0.0, 800.0)}),
    Case("cosh", torch.cosh, {"input": at(0.0, 800.0)}),
    Case("square", torch.square, {"input": at(1e200, 1.0)}),
    Case("asin", torch.asin, {"input": at(0.0, 1.0, -1.0, 2.0)}),
    Case("acos", torch.acos, {"input": at(0.0, 1.0, -1.0, 2.0)}),
    Case("lgamma", torch.lgamma, {"input": at(0.0, -1.0, 2.0)}),
    Case("pow", torch.pow, {"input": at(0.0, 2.0), "exponent": -1}),
    Case("pow", torch.pow, {"input": at(0.0, -2.0, 4.0), "exponent": 0.5}),
    Case("pow", torch.pow, {"input": at(1e200, 4.0), "exponent": 2}),
    Case("pow", torch.pow, {"input": at(-2.0, -2.0, 4.0), "exponent": at(2.0, 0.5, 2.0)}),
    Case("rpow", lambda input, other: other**input, {"input": at(2.0, -1.0, 0.5), "other": -2.0}),
    Case("rpow", lambda input, other: other**input, {"input": at(2.0, -1.0, 0.5), "other": 0.0}),
    Case("hypot", torch.hypot, {"input": at(0.0, 0.0, 1.0), "other": at(0.0, 1.0, 0.0)}),
    Case("atan2", torch.atan2, {"input": at(0.0, 0.0, 1.0), "other": at(0.0, 1.0, 0.0)}),
    Case("normalize", F.normalize, {"input": at(0.0, 0.0, 3.0, 4.0).reshape(2, 2), "eps": 0.0}),
    Case("div", torch.div, {"input": at(1.0, 0.0, 2.0), "other": at(0.0, 0.0, 2.0)}),
    Case("div", torch.div, {"input": at(1e300, 2.0), "other": at(1e-300, 2.0)}),
    Case("rdiv", lambda input, other: other / input, {"input": at(0.0, 2.0), "other": 1.0}),
    Case("mul", torch.mul, {"input": at(0.0, 1e300, 1.0), "other": at(INFINITE, 1e300, 1.0)}),
    Case("add", torch.add, {"input": at(1e308, 1.0), "other": at(1e308, 1.0)}),
    Case("softmax", F.softmax, {"input": at(-INFINITE, -INFINITE, 1.0, -INFINITE).reshape(2, 2), "dim": 1}),
    Case("log_softmax", F.log_softmax, {"input": at(-INFINITE, -INFINITE), "dim": 0}),
    Case("softmin", F.softmin, {"input": at(INFINITE, INFINITE), "dim": 0}),
]


def chosen(case: Case) -> OpRule:
    rule = rule_for(case.name)
    assert rule is not None
    return rule.chosen(case.arguments)


def hit(case: Case, side: str) -> torch.Tensor:
    """Which places the hazards of one side mark, of any argument."""
    output = case.output()
    found = torch.zeros(output.shape, dtype=torch.bool)
    for hazard in chosen(case).hazards:
        if hazard.hits == side and isinstance(case.arguments.get(hazard.argument), torch.Tensor):
            found |= hazard.mask(case.arguments, output)
    return found


@pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
def test_forward_hazards_are_where_the_value_is_not_finite(case: Case) -> None:
    output = case.output()
    expected = ~output.isfinite()
    if case.name == "log_softmax" or (case.name == "softmax" and expected.any()):
        expected = output.isnan()  # −∞ is the logarithm of an honest 0
    assert hit(case, "forward").tolist() == expected.tolist()


@pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
def test_backward_hazards_are_where_only_the_derivative_is_not_finite(case: Case) -> None:
    arguments = {
        name: value.clone().requires_grad_() if isinstance(value, torch.Tensor) else value
        for name, value in case.arguments.items()
    }
    output = case.call(**arguments)
    output.sum().backward()
    finite = torch.ones(output.shape, dtype=torch.bool)
    for value in arguments.values():
        if isinstance(value, torch.Tensor):
            finite &= value.grad.isfinite()
    expected = output.isfinite() & ~finite
    assert hit(case, "backward").tolist() == expected.tolist()


def test_groups_are_named_by_all_their_elements() -> None:
    rows = at(-INFINITE, -INFINITE, 1.0, 2.0).reshape(2, 2)
    rule = rule_for("logsumexp")
    assert rule is not None
    (hazard,) = rule.hazards
    arguments = {"input": rows, "dim": 1}
    assert hazard.mask(arguments, torch.logsumexp(rows, 1)).tolist() == [[True, True], [False, False]]


def test_a_channel_without_spread_is_named() -> None:
    arguments = {
        "input": at(2.0, 1.0, 2.0, 3.0).reshape(2, 2),
        "running_mean": at(2.0, 1.0),
        "running_var": at(0.0, 1.0),
        "eps": 0.0,
    }
    output = F.batch_norm(**arguments)
    rule = rule_for("batch_norm")
    assert rule is not None
    (hazard,) = rule.chosen(arguments).hazards
    assert hazard.mask(arguments, output).tolist() == (~output.isfinite()).tolist() == [[True, False]] * 2


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_powers_of_0_send_nothing_back_to_their_exponent(exponent: float) -> None:
    base, power = at(0.0).requires_grad_(), at(exponent).requires_grad_()
    output = base**power
    output.sum().backward()
    rule = rule_for("pow")
    assert rule is not None
    for name, tensor in (("input", base), ("exponent", power)):
        (silencer,) = (one for one in rule.silencers if one.argument == name)
        assert tensor.grad is not None
        found = silencer.mask({"input": base.detach(), "exponent": power.detach()}, output.detach())
        assert found.tolist() == [tensor.grad.item() == 0]


def test_a_soft_margin_overflows() -> None:
    arguments = {"input": at(900.0, -900.0), "target": at(1.0, 1.0), "reduction": "none"}
    output = F.soft_margin_loss(**arguments)
    rule = rule_for("soft_margin_loss")
    assert rule is not None
    (hazard,) = rule.chosen(arguments).hazards
    assert hazard.mask(arguments, output).tolist() == output.isinf().tolist() == [False, True]


def test_a_target_probability_of_0_silences_the_input_and_breaks_the_target() -> None:
    scores, target = at(-1.0, -2.0).requires_grad_(), at(0.0, 1.0).requires_grad_()
    output = F.kl_div(scores, target, reduction="sum")
    output.backward()
    assert scores.grad is not None
    assert target.grad is not None
    arguments = {"input": scores.detach(), "target": target.detach(), "reduction": "sum"}
    rule = rule_for("kl_div")
    assert rule is not None
    (silencer,), (hazard,) = rule.silencers, (one for one in rule.hazards if one.hits == "backward")
    assert silencer.mask(arguments, output.detach()).tolist() == (scores.grad == 0).tolist() == [True, False]
    assert hazard.mask(arguments, output.detach()).tolist() == (~target.grad.isfinite()).tolist() == [True, False]


def test_a_class_without_probability_is_named() -> None:
    scores = at(-INFINITE, 1.0, -INFINITE, 1.0).reshape(2, 2)
    arguments = {"input": scores, "target": torch.tensor([0, 1]), "reduction": "none"}
    rule = rule_for("cross_entropy")
    assert rule is not None
    (hazard,) = (one for one in rule.chosen(arguments).hazards if one.name == "log of 0")
    assert F.cross_entropy(**arguments).isinf().tolist() == [True, False]
    assert hazard.mask(arguments, F.cross_entropy(**arguments)).tolist() == [[True, False], [False, False]]


@pytest.mark.parametrize("name", ["var", "std"])
def test_one_number_has_no_spread(name: str) -> None:
    rule = rule_for(name)
    assert rule is not None
    (hazard,) = rule.hazards
    alone = at(2.0, 3.0).reshape(2, 1)
    with pytest.warns(UserWarning, match="degrees of freedom"):
        spread = getattr(torch, name)(alone, dim=1)
    assert hazard.mask({"input": alone, "dim": 1}, spread).all()


def test_a_norm_of_zeros_sends_zeros_back() -> None:
    zeros = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    torch.linalg.vector_norm(zeros).backward()
    assert zeros.grad is not None
    assert zeros.grad.tolist() == [0.0, 0.0, 0.0]
