"""What silences layers and losses, what breaks them, and how their formulas read."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from chainrule.ops import rule_for
from chainrule.ops.dropout import draw_mask
from chainrule.ops.rule import OpRule

from .cases import Case, normal
from .layer_cases import ATTENTION, attend, attention, some_keys
from .test_rules import autograd_jacobian, chosen

nan, inf = math.nan, math.inf


def rule(name: str, **arguments: Any) -> OpRule:
    found = rule_for(name)
    assert found is not None
    return found.chosen(arguments)


def silenced(case: Case, name: str) -> torch.Tensor:
    """The mask of a silencer, by its name."""
    (silencer,) = (silencer for silencer in chosen(case).silencers if silencer.name == name)
    return silencer.mask(case.arguments, case.output())


def endangered(case: Case, name: str) -> torch.Tensor:
    (hazard,) = (hazard for hazard in chosen(case).hazards if hazard.name == name)
    return hazard.mask(case.arguments, case.output())


def test_the_first_of_several_largest_is_the_one_that_is_taken() -> None:
    case = Case("max_pool1d", F.max_pool1d, {"input": torch.tensor([[1.0, 1.0, 0.0, 2.0, 2.0, 2.0]]), "kernel_size": 3})
    assert silenced(case, "not the largest").tolist() == [[False, True, True, False, True, True]]


def test_a_weight_of_0_silences_its_channel() -> None:
    weight = torch.tensor([0.0, 2.0]).double()
    for name, more in (
        ("batch_norm", {"running_mean": None, "running_var": None, "training": True}),
        ("batch_norm", {"running_mean": normal(2), "running_var": torch.ones(2).double()}),
        ("group_norm", {"num_groups": 2}),
        ("instance_norm", {}),
    ):
        case = Case(name, getattr(F, name), {"input": normal(3, 2, 4), "weight": weight, **more})
        mask = silenced(case, "weight 0")
        assert mask[:, 0].all()
        assert not mask[:, 1].any()
        assert torch.equal(autograd_jacobian(case, "input").abs().amax(0) == 0, mask.reshape(-1))
    rms = Case("rms_norm", F.rms_norm, {"input": normal(3, 2), "normalized_shape": (2,), "weight": weight})
    assert silenced(rms, "weight 0").tolist() == [[True, False]] * 3  # of the direct way; x still moves the mean square


def test_masked_keys_and_values_are_silenced_and_so_is_a_query_without_keys() -> None:
    case = attention(attn_mask=some_keys)
    # The second key is the only one of the only query that takes it, so that it changes nothing either.
    assert silenced(case, "masked key")[0, 0, :, 0].tolist() == [False, True, False, False]
    assert not silenced(case, "masked value").any()
    assert silenced(case, "fully masked query")[0, 0, :, 0].tolist() == [False, True, False]
    hidden = attention(attn_mask=torch.tensor([True, False, True, False]).expand(3, 4))
    for name, argument in (("masked key", "key"), ("masked value", "value")):
        mask = silenced(hidden, name)
        assert mask[1, 1].all(1).tolist() == [False, True, False, True]
        assert torch.equal(autograd_jacobian(hidden, argument).abs().amax(0) == 0, mask.reshape(-1))


def test_a_query_that_is_sure_of_one_key_is_silenced() -> None:
    key = torch.tensor([[100.0, 0.0], [0.0, 0.0]]).double()
    query = torch.tensor([[1.0, 0.0], [0.01, 0.0]]).double()
    case = Case("scaled_dot_product_attention", attend, {"query": query, "key": key, "value": normal(2, 2)})
    # The keys do not differ in their second feature, so that it decides nothing.
    assert silenced(case, "decided query").tolist() == [[True, True], [False, True]]


def test_grouped_queries_silence_a_key_only_together() -> None:
    case = attention(heads=4, key_heads=2, enable_gqa=True)
    assert silenced(case, "masked key").shape == (2, 2, 4, 2)
    assert not silenced(case, "masked key").any()


@pytest.mark.parametrize("case", ATTENTION, ids=str)
def test_scores_beyond_the_range_of_exp_have_a_derivative(case: Case) -> None:
    large = Case(case.name, case.call, {**case.arguments, "query": 2000 * case.arguments["query"]})
    output = large.output()
    for argument in ("query", "key", "value"):
        expected = autograd_jacobian(large, argument)
        for school in (True, False):
            ours = chosen(large).jacobian(argument, large.arguments, output, school=school)
            torch.testing.assert_close(ours, expected, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(chosen(large).forward(large.arguments, output), output, rtol=1e-9, atol=1e-12)


def test_dropout_inside_attention_has_no_formula_and_says_so() -> None:
    found = rule("scaled_dot_product_attention", dropout_p=0.1)
    assert found.formula is None
    assert (
        found.note
        == "With dropout, the shares p[j] are dropped at random inside of the op, and the mask cannot be seen."
    )


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("dropout", (6, 5)),
        ("dropout1d", (2, 6, 3)),
        ("dropout2d", (2, 6, 2, 2)),
        ("alpha_dropout", (6, 5)),
        ("feature_alpha_dropout", (2, 6, 3)),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_mask_is_drawn_again_where_the_input_is_0(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    values = normal(*shape).relu().to(dtype)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    arguments = {"input": values, "p": 0.4, "training": True}
    taught = values.clone().requires_grad_()
    output = getattr(F, name)(taught, 0.4, True)
    after = torch.get_rng_state()
    mask = draw_mask(name, arguments, state)
    assert torch.equal(torch.get_rng_state(), after)
    (slopes,) = torch.autograd.grad(output.sum(), taught)
    assert torch.equal(mask, slopes != 0)
    assert not mask[values == 0].all()
    found = rule(name, **arguments)
    with_mask = found.jacobian("input", {**arguments, "mask": mask}, output.detach())
    assert torch.equal(with_mask.diagonal() != 0, slopes.reshape(-1) != 0)
    read_off = found.jacobian("input", arguments, output.detach()).diagonal().reshape(shape)
    assert torch.equal((read_off != 0)[values != 0], mask[values != 0])


def test_dropout_does_nothing_when_it_is_off() -> None:
    assert rule("dropout", training=False).text() == rule("dropout", p=0.0).text() == "y = x"
    assert rule("alpha_dropout").text() == "y = x"  # it is off unless told
    assert rule("dropout", p=1.0).text() == "y = m·x"


def test_a_spread_of_0_is_a_hazard_where_nothing_is_added_to_it() -> None:
    flat = torch.tensor([[2.0, 2.0], [1.0, 3.0]]).double()
    case = Case("layer_norm", F.layer_norm, {"input": flat, "normalized_shape": (2,), "eps": 0.0})
    mask = endangered(case, "variance 0")
    assert mask.tolist() == [[True, True], [False, False]]
    assert torch.equal(case.output().isnan(), mask)
    assert not endangered(Case("layer_norm", F.layer_norm, {**case.arguments, "eps": 1e-5}), "variance 0").any()
    grouped = Case("group_norm", F.group_norm, {"input": flat.reshape(1, 4), "num_groups": 2, "eps": 0.0})
    assert torch.equal(grouped.output().isnan(), endangered(grouped, "variance 0"))
    zeros = torch.tensor([[0.0, 0.0], [1.0, 3.0]]).double()
    root = Case("rms_norm", F.rms_norm, {"input": zeros, "normalized_shape": (2,), "eps": 0.0})
    assert torch.equal(root.output().isnan(), endangered(root, "norm of 0"))


def test_a_norm_of_zeros_sends_nothing_back() -> None:
    values = torch.tensor([[0.0, 0.0, 1.0, 0.0]]).double()
    for power in (2, 3.0):
        case = Case("lp_pool1d", F.lp_pool1d, {"input": values, "norm_type": power, "kernel_size": 2})
        assert silenced(case, "window of zeros").tolist() == [[True, True, False, False]]
        ours = chosen(case).jacobian("input", case.arguments, case.output())
        assert torch.equal(ours, autograd_jacobian(case, "input"))


def test_a_mean_over_ignored_samples_alone_is_a_hazard() -> None:
    ignored = torch.tensor([-100, -100])
    for name in ("nll_loss", "cross_entropy"):
        case = Case(name, getattr(F, name), {"input": normal(2, 3), "target": ignored})
        assert endangered(case, "mean of nothing").all()
        assert case.output().isnan()
        some = Case(name, getattr(F, name), {"input": normal(2, 3), "target": torch.tensor([1, -100])})
        assert not endangered(some, "mean of nothing").any()
        assert silenced(some, "ignored").tolist() == [[False] * 3, [True] * 3]


def test_losses_name_what_overflows() -> None:
    large = torch.tensor([1.0, 800.0]).double()
    poisson = Case("poisson_nll_loss", F.poisson_nll_loss, {"input": large, "target": large})
    assert endangered(poisson, "exp overflow").tolist() == [False, True]
    assert poisson.output().isinf()
    logs = Case("kl_div", F.kl_div, {"input": large, "target": large, "log_target": True, "reduction": "sum"})
    assert endangered(logs, "exp overflow").tolist() == [False, True]
    ends = torch.tensor([0.0, 0.5, 1.0]).double()
    binary = Case("binary_cross_entropy", F.binary_cross_entropy, {"input": ends, "target": ends.flip(0)})
    assert endangered(binary, "log of 0").tolist() == [True, False, True]
    empty = Case(
        "poisson_nll_loss",
        F.poisson_nll_loss,
        {"input": -ends, "target": ends, "log_input": False, "reduction": "none"},
    )
    assert endangered(empty, "log of 0").tolist() == [False, True, True]
    assert empty.output().isnan().tolist() == [False, True, True]


def test_a_prediction_that_is_already_right_is_silenced() -> None:
    scores = torch.tensor([[20.0, 0.0, 0.0], [1.0, 0.0, 0.0]]).double()
    case = Case("cross_entropy", F.cross_entropy, {"input": scores, "target": torch.tensor([0, 0])})
    assert silenced(case, "already right").tolist() == [[True] * 3, [False] * 3]
    logits = torch.tensor([20.0, -20.0, 20.0]).double()
    binary = Case(
        "binary_cross_entropy_with_logits",
        F.binary_cross_entropy_with_logits,
        {"input": logits, "target": torch.tensor([1.0, 0.0, 0.0]).double()},
    )
    assert silenced(binary, "already right").tolist() == [True, True, False]


def test_embedding_rows_that_are_not_asked_for_are_silenced() -> None:
    table = normal(4, 2)
    case = Case("embedding", F.embedding, {"input": torch.tensor([1, 2]), "weight": table, "padding_idx": 2})
    assert silenced(case, "row not used")[:, 0].tolist() == [True, False, False, True]
    assert silenced(case, "padding row")[:, 0].tolist() == [False, False, True, False]
    scaled = rule("embedding", scale_grad_by_freq=True)
    assert (scaled.formula, scaled.note) == (
        None,
        "scale_grad_by_freq divides what comes back to a row by how often the row occurs.",
    )


def test_formulas_and_derivatives_read_as_they_are_taught() -> None:
    index = torch.tensor([0])
    hard = rule("cross_entropy", target=index, reduction="none")
    assert hard.text() == "y = log(Σ_q e^x[q]) − x[t]"
    assert hard.school_text("input") == "∂y/∂x[m] = p[m] − δ[m,t]"
    mean = rule("cross_entropy", target=index)
    assert mean.text() == "y = Σⱼ (log(Σ_q e^x[j,q]) − x[j,t[j]])/n"
    assert mean.derivative_text("input") == "∂y/∂x[j,k] = (e^x[j,k]/Σ_q e^x[j,q] − δ[k,t[j]])/n"
    assert mean.school_text("input") == "∂y/∂x[m,l] = (p[m,l] − δ[l,t[m]])/n"
    logits = rule("binary_cross_entropy_with_logits", reduction="none")
    assert logits.text() == "y = c·(softplus(x) − x·z)"
    assert logits.derivative_text("input") == "∂y/∂x = c·(σ(x) − z)"
    assert rule("layer_norm").school_text("input") == "∂y[i]/∂x[m] = w·(δ[i,m] − (z[i]·z[m] + 1)/n)/σ"
    assert rule("conv2d").derivative_text("weight") == "∂y/∂w[k] = x[k]"
    assert rule("max_pool2d").text() == "y = maxₖ x[k]"
    assert rule("margin_ranking_loss", reduction="none").text() == "y = max(0, m − z·(v − x))"
    assert rule("margin_ranking_loss", reduction="none").derivative_text("input2") == ("∂y/∂x = z·[m − z·(v − x) ≥ 0]")
    assert rule("margin_ranking_loss", reduction="none").derivative_latex("input2") == (
        r"\frac{\partial y}{\partial x} = z \left[m - z \left(v - x\right) \geq 0\right]"
    )
    assert rule("scaled_dot_product_attention").school_text("key") == "∂y/∂k[m,l] = c·p[m]·q[l]·(v[m] − y)"


def test_the_deprecated_arguments_of_losses_still_choose_the_reduction() -> None:
    assert rule("mse_loss", size_average=False).text() == rule("mse_loss", reduction="sum").text()
    assert rule("mse_loss", reduce=False).text() == rule("mse_loss", reduction="none").text()
    assert rule("mse_loss", size_average=True).text() == rule("mse_loss").text()
