"""Updates as sums of terms against torch.optim: totals, formulas, and steps taken again bit by bit."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.ops.update_rules import MEANINGS, _compiled, replay_update, update_terms
from chainrule.trace import Missing, Statistics, Update

SHAPE = (3, 5)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.01, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.0, "momentum": 0.9}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.3}),
    ("Adam", {"lr": 0.1, "betas": (0.5, 0.6), "amsgrad": True, "maximize": True}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.3, "decoupled_weight_decay": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.0, "amsgrad": True}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.5, "maximize": True, "eps": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.1, "alpha": 0.7, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.1, "centered": True}),
    ("RMSprop", {"lr": 0.1, "centered": True, "momentum": 0.8, "weight_decay": 0.1, "maximize": True}),
]
every_case = pytest.mark.parametrize(
    ("name", "arguments"), CASES, ids=[f"{name}-{'-'.join(given)}" for name, given in CASES]
)


def snapshot(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value.clone() if isinstance(value, torch.Tensor) else value for name, value in state.items()}


def updates(
    name: str, arguments: dict[str, Any], dtype: torch.dtype = torch.float64, steps: int = 4, seed: int = 0
) -> Iterator[Update]:
    """Yield what an optimizer did at each of its steps."""
    generator = torch.Generator().manual_seed(seed)
    parameter = torch.randn(SHAPE, generator=generator, dtype=dtype)
    optimizer = getattr(torch.optim, name)([parameter], **arguments)
    for _ in range(steps):
        parameter.grad = torch.randn(SHAPE, generator=generator, dtype=dtype)
        before, gradient = parameter.clone(), parameter.grad.clone()
        state_before = snapshot(optimizer.state.get(parameter, {}))
        hyperparameters = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
        optimizer.step()
        yield Update(
            "w",
            0,
            0,
            name,
            hyperparameters,
            before,
            parameter.clone(),
            gradient,
            state_before,
            snapshot(optimizer.state[parameter]),
        )


def made_update(**changes: Any) -> Update:
    """Return one step of SGD, with some of its fields changed."""
    (update,) = updates("SGD", {"lr": 0.1}, steps=1)
    for field, value in changes.items():
        setattr(update, field, value)
    return update


def assert_total_is_change(update: Update) -> None:
    result = update_terms(update)
    assert result.reason == ""
    assert result.change is not None
    assert result.total is not None
    torch.testing.assert_close(torch.stack([term.amount for term in result.terms]).sum(0), result.total)
    assert all(term.amount.shape == SHAPE for term in result.terms)
    sizes = torch.stack([term.amount.abs() for term in result.terms]).amax(0)
    before, after = update.before, update.after
    assert isinstance(before, torch.Tensor)
    assert isinstance(after, torch.Tensor)
    # The change itself is known to one rounding of the parameter.
    ulp = torch.finfo(before.dtype).eps * torch.maximum(before.abs(), after.abs()).double()
    relative = 1e-12 if before.dtype == torch.float64 else 8 * torch.finfo(before.dtype).eps
    assert ((result.total - result.change).abs() <= relative * sizes + 2 * ulp).all()
    assert result.largest_difference == float((result.total - result.change).abs().max())


@every_case
@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_terms_add_up_to_the_change(name: str, arguments: dict[str, Any], foreach: bool, dtype: torch.dtype) -> None:
    for update in updates(name, {**arguments, "foreach": foreach}, dtype):
        assert_total_is_change(update)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_terms_add_up_for_a_fused_step(name: str) -> None:
    for update in updates(name, {"lr": 0.1, "fused": True, "weight_decay": 0.1}, torch.float32):
        assert_total_is_change(update)


@settings(max_examples=40, deadline=None)
@given(
    lr=st.floats(1e-6, 10),
    momentum=st.floats(0, 0.999),
    decay=st.one_of(st.just(0.0), st.floats(1e-6, 1)),
    dampening=st.floats(0, 1),
    nesterov=st.booleans(),
    maximize=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_sgd_adds_up_for_any_hyperparameters(
    lr: float, momentum: float, decay: float, dampening: float, nesterov: bool, maximize: bool, seed: int
) -> None:
    nesterov = nesterov and momentum > 0
    arguments = {"lr": lr, "momentum": momentum, "weight_decay": decay, "nesterov": nesterov, "maximize": maximize}
    for update in updates("SGD", {**arguments, "dampening": 0.0 if nesterov else dampening}, steps=3, seed=seed):
        assert_total_is_change(update)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["Adam", "AdamW"]),
    lr=st.floats(1e-6, 10),
    betas=st.tuples(st.floats(0, 0.99), st.floats(0, 0.999)),
    decay=st.one_of(st.just(0.0), st.floats(1e-6, 1)),
    amsgrad=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_adam_adds_up_for_any_hyperparameters(
    name: str, lr: float, betas: tuple[float, float], decay: float, amsgrad: bool, seed: int
) -> None:
    arguments = {"lr": lr, "betas": betas, "weight_decay": decay, "amsgrad": amsgrad}
    for update in updates(name, arguments, steps=3, seed=seed):
        assert_total_is_change(update)


def test_a_constant_gradient_cancels_under_the_root_of_centered_rmsprop() -> None:
    parameter = torch.tensor([1.0, -2.0])
    optimizer = torch.optim.RMSprop([parameter], lr=1e-3, centered=True, alpha=0.1)
    for _ in range(6):
        parameter.grad = torch.tensor([0.3, 7.0])
        before, state = parameter.clone(), snapshot(optimizer.state.get(parameter, {}))
        optimizer.step()
    group = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
    result = update_terms(Update("w", 0, 0, "RMSprop", group, before, parameter, parameter.grad, state))
    assert result.reason == ""
    assert result.change is not None
    assert float(result.change.abs().max()) > 0.01


@every_case
def test_the_whole_formula_and_its_definitions_hold_for_the_numbers(name: str, arguments: dict[str, Any]) -> None:
    for update in updates(name, arguments):
        result = update_terms(update)
        assert result.formula is not None
        assert result.quantities is not None
        assert set().union(*(term.formula.free_symbols for term in result.terms)) <= set(result.quantities)
        assert set(result.quantities) <= set(MEANINGS)
        known = dict(result.quantities)
        for equation in result.definitions:
            symbols = tuple(equation.rhs.free_symbols)
            value = _compiled(equation.rhs, symbols)(*(known[symbol] for symbol in symbols))
            torch.testing.assert_close(value, known.setdefault(equation.lhs, value), rtol=1e-9, atol=1e-12)
        symbols = tuple(result.formula.free_symbols)
        value = _compiled(result.formula, symbols)(*(known[symbol] for symbol in symbols))
        torch.testing.assert_close(value.expand_as(result.total), result.total, rtol=1e-10, atol=1e-14)


@every_case
@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_replayed_update_is_bit_identical(
    name: str, arguments: dict[str, Any], foreach: bool, dtype: torch.dtype
) -> None:
    for update in updates(name, {**arguments, "foreach": foreach}, dtype):
        held = snapshot(update.kept_state_before)
        replayed = replay_update(update)
        assert isinstance(replayed, torch.Tensor)
        assert isinstance(update.after, torch.Tensor)
        assert torch.equal(replayed, update.after)
        assert all(torch.equal(held[key], value) for key, value in update.kept_state_before.items())


@pytest.mark.parametrize("name", ["Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "Rprop", "ASGD"])
def test_other_optimizers_of_torch_show_their_change_and_can_be_replayed(name: str) -> None:
    for update in updates(name, {}):
        result = update_terms(update)
        assert result.terms == ()
        assert result.reason == (
            f"There is no formula for {name}, only for SGD, Adam, AdamW, RMSprop: its state and the change are shown."
        )
        before, after, replayed = update.before, update.after, replay_update(update)
        assert isinstance(before, torch.Tensor)
        assert isinstance(after, torch.Tensor)
        assert isinstance(replayed, torch.Tensor)
        torch.testing.assert_close(result.change, after - before)
        torch.testing.assert_close(replayed, after, rtol=0, atol=0)


def shown(name: str, arguments: dict[str, Any], step: int) -> list[tuple[str, str]]:
    update = next(itertools.islice(updates(name, arguments), step, None))
    return [(term.name, term.text) for term in update_terms(update).terms]


def test_the_terms_read_as_in_a_textbook() -> None:
    heavy_ball = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    assert shown("SGD", heavy_ball, 0) == [("gradient step", "−η·g"), ("weight decay", "−η·λ·w")]
    assert shown("SGD", heavy_ball, 1) == [
        ("gradient step", "−η·g"),
        ("momentum", "−η·μ·u"),
        ("weight decay", "−η·λ·w"),
    ]
    assert shown("SGD", {**heavy_ball, "nesterov": True}, 1) == [
        ("gradient step", "−η·g"),
        ("momentum", "−η·μ²·u"),
        ("Nesterov look-ahead", "−η·μ·(g + λ·w)"),
        ("weight decay", "−η·λ·w"),
    ]
    assert shown("SGD", {"lr": 0.1, "maximize": True}, 0) == [("gradient step", "η·g")]
    assert shown("AdamW", {}, 1) == [
        ("momentum", "−β₁·η·m/((1 − β₁^t)·(ε + √v̂))"),
        ("adaptive step", "−η·g·(1 − β₁)/((1 − β₁^t)·(ε + √v̂))"),
        ("weight decay", "−η·λ·w"),
    ]
    assert shown("RMSprop", {"momentum": 0.5}, 1) == [("adaptive step", "−η·g/(ε + √v̅)"), ("momentum", "−η·μ·u")]


def test_the_whole_update_reads_as_in_a_textbook() -> None:
    update = next(itertools.islice(updates("AdamW", {}), 1, None))
    result = update_terms(update)
    assert result.text == (
        "Δw = −η·λ·w − η·m̂/(ε + √v̂)\nm̂ = (β₁·m + g·(1 − β₁))/(1 − β₁^t)\nv̂ = (β₂·v + g²·(1 − β₂))/(1 − β₂^t)"
    )
    assert result.latex.startswith(r"\Delta w = - \eta \lambda w - \frac{\eta \hat{m}}{\epsilon + \sqrt{\hat{v}}} \\ ")


def test_an_update_whose_after_was_overwritten_is_computed_again() -> None:
    update = made_update()
    expected = update_terms(update).change
    overwritten = made_update(kept_after=Missing("it was overwritten in place after the recording"))
    result = update_terms(overwritten)
    assert result.reason == ""
    assert result.change is not None
    assert torch.equal(result.change, expected)


def test_no_gradient_means_no_change() -> None:
    update = made_update(kept_gradient=None)
    update.kept_after = Missing("gone")
    result = update_terms(update)
    assert result.reason == "The parameter had no gradient, so the optimizer left it alone."
    assert result.change is not None
    assert not result.change.any()


def test_what_is_missing_is_named() -> None:
    statistics = Statistics(15, 0.0, 1.0, -1.0, 1.0, 0.0)
    assert update_terms(made_update(kept_before=statistics, kept_after=statistics)).reason == (
        "Only statistics of the parameter were kept, so neither its change nor the terms are known."
    )
    assert update_terms(made_update(kept_before=Missing("it is gone"))).reason == (
        "The change is not known because it is gone."
    )
    result = update_terms(made_update(kept_gradient=statistics))
    assert result.reason == "There are no terms because the gradient was not kept."
    assert result.change is not None
    remembered = {"momentum_buffer": Missing("the budget was used up")}
    assert replay_update(made_update(kept_state_before=remembered)) == Missing(
        "the state 'momentum_buffer' before was not kept: the budget was used up"
    )


def test_optimizers_from_elsewhere_are_not_mistaken_for_torchs() -> None:
    assert replay_update(made_update(optimizer="Lion")) == Missing(
        "Lion is not an optimizer of torch.optim that can be run on one parameter"
    )
    assert replay_update(made_update(optimizer="LBFGS")) == Missing(
        "LBFGS is not an optimizer of torch.optim that can be run on one parameter"
    )
    update = made_update()
    assert isinstance(update.before, torch.Tensor)
    update.kept_after = update.before + 0.25
    result = update_terms(update)
    assert result.terms == ()
    assert result.reason.startswith("The formula of torch's optimizer of this name differs from the change by up to ")


def test_complex_parameters_have_no_terms() -> None:
    number = torch.ones(2, dtype=torch.complex64)
    update = made_update(kept_before=number, kept_after=number, kept_gradient=number)
    assert update_terms(update).reason == "The parameter is complex; the formulas here are for real ones."


def test_gradients_that_are_not_finite_and_empty_parameters_are_expected() -> None:
    update = made_update()
    gradient = update.gradient
    assert isinstance(gradient, torch.Tensor)
    gradient[0, 0], gradient[0, 1] = math.nan, math.inf
    update.kept_after = replay_update(update)
    result = update_terms(update)
    assert result.reason == ""
    assert result.largest_difference is not None
    assert result.largest_difference < 1e-15
    empty = torch.zeros(0)
    assert update_terms(made_update(kept_before=empty, kept_after=empty, kept_gradient=empty)).largest_difference == 0
    scalar = torch.tensor(2.0)
    result = update_terms(
        made_update(kept_before=scalar, kept_after=torch.tensor(1.9), kept_gradient=torch.tensor(1.0))
    )
    assert [term.amount.shape for term in result.terms] == [()]


def test_a_sparse_gradient() -> None:
    sparse = torch.sparse_coo_tensor(torch.tensor([[1], [2]]), torch.tensor([3.0]), SHAPE, check_invariants=False)
    update = made_update(kept_before=torch.zeros(SHAPE), kept_gradient=sparse.coalesce())
    update.kept_after = Missing("gone")
    result = update_terms(update)
    assert result.reason == ""
    assert result.change is not None
    assert float(result.change[1, 2]) == pytest.approx(-0.3)


def test_a_learning_rate_that_is_a_tensor() -> None:
    for update in updates("Adam", {"lr": torch.tensor(0.1, dtype=torch.float64)}):
        assert_total_is_change(update)
    for update in updates("Adam", {"lr": torch.tensor(0.1)}):
        assert update_terms(update).reason == ""


DAMAGES = [
    {"betas": 5},
    {"betas": (1.0, 1.0)},
    {"betas": [0.9]},
    {"lr": []},
    {"lr": None},
    {"weight_decay": [[]]},
    {"weight_decay": 10**30},
    {"eps": "small"},
]


@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_settings_that_the_optimizer_does_not_take_are_a_reason_and_no_error(damage: dict[str, Any]) -> None:
    (update,) = updates("Adam", {}, steps=1)
    update.hyperparameters = {**update.hyperparameters, **damage}
    result = update_terms(update)
    assert result.reason.startswith(
        "There are no terms because Adam does not take the recorded settings ("
    ) or result.reason.startswith("The formula of torch's optimizer of this name differs from the change")
    assert result.terms == ()
    update.kept_after = Missing("it is gone")
    replayed = replay_update(update)
    assert isinstance(replayed, Missing) or replayed.shape == SHAPE
    assert isinstance(update_terms(update).reason, str)
