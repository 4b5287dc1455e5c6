import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule.errors import ChainruleError, ShapeError, UnknownNameError
from chainrule.queries.again import RunAgainError, adjoint_of
from chainrule.queries.asked import check_asked, numbers_of
from chainrule.queries.explained import Explanation, Rest
from chainrule.queries.explained_paths import MOST_STEPS
from chainrule.queries.explaining import explain
from chainrule.recorder import record
from chainrule.registry import HalfSumOfSquares
from chainrule.trace import Trace, Value

from .recorded_cases import AUTOCAST, CASES, Cells, make, trace_of

TOLERANCE = {"float64": 2e-13, "float32": 4e-6, "bfloat16": 2**-6}


def nested(explanation: Explanation) -> Iterator[Explanation]:
    yield explanation
    for use in explanation.uses:
        for term in use.terms:
            if term.further is not None:
                yield from nested(term.further)


def explained_values(trace: Trace) -> list[Value]:
    def is_asked(value: Value) -> bool:
        if value.kind == "hidden" or not value.dtype.startswith(("float", "bfloat")):
            return False
        return value.kind in ("parameter", "input") or value.adjoint is not None

    asked = [value for value in trace.values if is_asked(value)]
    return asked[:: max(len(asked) // 6, 1)]


def size_of(explanation: Explanation) -> float:
    products = [abs(term.product) for use in explanation.uses for term in use.terms]
    return max([abs(explanation.gradient), *products, 1e-300])


# -- the law


@pytest.mark.parametrize("name", CASES)
def test_terms_and_rests_add_up_to_the_recorded_gradient(name: str) -> None:
    trace = trace_of(name)
    count = 0
    for value in explained_values(trace):
        if name == "reentrant checkpoint" and value.adjoint is None:
            continue  # the way to it leads through the checkpoint, which is not run again
        top = explain(trace, value, depth=2, top=3)
        adjoint = adjoint_of(trace, value)
        assert (adjoint is None) == top.note.startswith("Nothing comes back to it")
        if adjoint is not None:
            assert top.gradient == float((adjoint.to_dense() if adjoint.is_sparse else adjoint)[top.index])
        for explanation in nested(top):
            assert abs(explanation.difference) <= TOLERANCE[explanation.precision] * size_of(explanation), (
                explanation.element
            )
            for use in explanation.uses:
                assert len(use.terms) <= 3
                assert [abs(term.product) for term in use.terms] == sorted(
                    (abs(term.product) for term in use.terms), reverse=True
                )
                for term in use.terms:
                    assert term.product == term.adjoint * term.derivative
            count += 1
    assert count > 4


@pytest.mark.parametrize("name", AUTOCAST)
def test_autocast_is_explained_to_the_rounding_of_its_dtype_and_says_so(name: str) -> None:
    explanations = [explain(trace_of(name), value) for value in explained_values(trace_of(name)) if value.id]
    assert {explanation.precision for explanation in explanations if explanation.uses} == {"bfloat16"}


def test_a_weight_that_autocast_casts_once_has_a_term_for_each_use() -> None:
    explanation = explain(trace_of("autocast, shared layer"), "linear.weight")
    assert [use.name for use in explanation.uses] == ["linear", "linear"]
    assert abs(explanation.difference) <= 2**-6 * max(abs(use.contribution) for use in explanation.uses)


@pytest.mark.parametrize("name", ["mlp", "cnn", "transformer", "GRU with dropout"])
def test_samples_add_what_they_add_alone(name: str) -> None:
    trace = trace_of(name)
    for value in trace.parameters[-4:]:
        explanation = explain(trace, value)
        if explanation.by_sample:
            assert [share.sample for share in explanation.by_sample] == list(range(4))
            total = math.fsum(share.contribution for share in explanation.by_sample)
            assert abs(total - explanation.gradient) <= 1e-14 * size_of(explanation) * 10
    assert explain(trace, trace.parameters[-1]).by_sample


def test_the_share_of_a_sample_is_the_gradient_of_its_own_loss() -> None:
    trace = trace_of("mlp")
    case, model, inputs = make("mlp")
    explanation = explain(trace, "0.weight", (1, 2))
    for share in explanation.by_sample:
        model.zero_grad()
        row = slice(share.sample, share.sample + 1)
        (functional.cross_entropy(model(inputs[row]), case.targets[row]) / 4).backward()
        assert share.contribution == pytest.approx(model[0].weight.grad[1, 2].item(), rel=1e-12)


def test_samples_are_not_told_apart_where_inputs_and_targets_disagree_on_the_batch() -> None:
    assert explain(trace_of("tied embedding"), "middle.weight").by_sample == ()


def test_samples_are_not_told_apart_where_the_first_dimension_is_no_batch() -> None:
    torch.manual_seed(0)
    squared = nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)).double()
    x = torch.randn(4, 4, dtype=torch.float64)
    trace = record(squared, functional.mse_loss, x, x)
    assert explain(trace, "bias").by_sample
    assert explain(trace, "parametrizations.weight.original1").by_sample == ()


# -- the 2-2-2 network


class TwoTwoTwo(nn.Module):
    """The worked example with biases that are not learned."""

    def __init__(self) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.tensor([[0.15, 0.20], [0.25, 0.30]], dtype=torch.float64))
        self.w2 = nn.Parameter(torch.tensor([[0.40, 0.45], [0.50, 0.55]], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.sigmoid(x @ self.w1.T + 0.35)
        return torch.sigmoid(hidden @ self.w2.T + 0.60)


def two_two_two() -> Trace:
    x = torch.tensor([[0.05, 0.10]], dtype=torch.float64)
    return record(TwoTwoTwo(), HalfSumOfSquares(), x, torch.tensor([[0.01, 0.99]], dtype=torch.float64))


def test_an_output_weight_of_the_worked_example() -> None:
    explanation = explain(two_two_two(), "w2", (0, 0))
    assert explanation.gradient == pytest.approx(0.08216704056423078, rel=1e-14)
    (path,) = explanation.paths
    assert path.product == pytest.approx(explanation.gradient, rel=1e-14)
    assert [round(factor.derivative, 4) for factor in path.factors if factor.derivative != 1] == [0.1868, 0.5933]
    assert round(path.adjoint, 4) == 0.7414
    assert str(path) == (
        "∂L/∂sigmoid#2[0, 0] (0.741365) · ∂sigmoid#2[0, 0]/∂add#2[0, 0] (0.186816) · ∂add#2[0, 0]/∂matmul#2[0, 0] (1)"
        " · ∂matmul#2[0, 0]/∂T#2[0, 0] (0.59327) · ∂T#2[0, 0]/∂w2[0, 0] (1) = 0.082167"
    )


def test_a_hidden_weight_of_the_worked_example_is_the_sum_over_two_paths() -> None:
    explanation = explain(two_two_two(), "w1", (0, 0))
    assert explanation.gradient == pytest.approx(0.0004385677344743, rel=1e-12)
    assert len(explanation.paths) == 2
    assert {path.start for path in explanation.paths} == {"sigmoid#2[0, 0]", "sigmoid#2[0, 1]"}
    assert math.fsum(path.product for path in explanation.paths) == pytest.approx(explanation.gradient, rel=1e-14)
    assert abs(explanation.other_paths.total) < 1e-17


def test_the_rule_and_its_derivative_stand_beside_the_numbers() -> None:
    (use,) = explain(trace_of("mlp"), "0.weight").uses
    assert (use.formula, use.derivative, use.note) == ("y = Σₖ x[k]·w[k] + b", "∂y/∂w[k] = x[k]", "")
    (use,) = explain(trace_of("mlp"), "0.linear").uses
    assert (use.formula, use.derivative) == ("y = σ(x)", "∂y/∂x = y·(1 − y)")


def test_an_op_without_a_rule_says_so_and_has_numbers_all_the_same() -> None:
    explanation = explain(trace_of("LSTM"), "body.weight_ih_l0")
    (use,) = explanation.uses
    assert (use.formula, use.derivative) == ("", "")
    assert use.note == "chainrule has no formula for this op; its numbers come from running it again."
    assert use.terms


# -- uses, levels, and what is shown


def test_each_use_of_a_tied_weight_and_of_a_residual_is_shown() -> None:
    trace = trace_of("tied embedding")
    explanation = explain(trace, "embed.weight")
    assert sorted(use.name for use in explanation.uses) == ["T", "embedding"]
    contributions = [abs(use.contribution) for use in explanation.uses]
    assert contributions == sorted(contributions, reverse=True)
    assert math.fsum(use.contribution for use in explanation.uses) == pytest.approx(explanation.gradient, rel=1e-13)
    assert len(explain(trace, "middle.weight").uses) == 2


def test_uses_that_are_not_taken_apart_are_one_sum() -> None:
    trace = trace_of("LSTMCell")
    everything = explain(trace, "cell.weight_hh", top=9)
    assert len(everything.uses) == 5
    some = explain(trace, "cell.weight_hh", everything.index, top=2)
    assert [use.op for use in some.uses] == [use.op for use in everything.uses[:2]]
    assert some.others.count == 3
    assert some.others.total == pytest.approx(math.fsum(use.contribution for use in everything.uses[2:]), rel=1e-14)
    assert abs(some.difference) <= 1e-15


def test_the_rest_is_what_the_shown_terms_leave() -> None:
    trace = trace_of("transformer")
    everything = explain(trace, "0.norm2.weight", top=100)
    few = explain(trace, everything.value, everything.index, top=1)
    full = {use.op: [term.product for term in use.terms] for use in everything.uses}
    for use in few.uses:
        assert use.terms[0].product == full[use.op][0]
        assert use.rest.count == len(full[use.op]) - 1
        assert use.rest.total == pytest.approx(math.fsum(full[use.op][1:]), abs=1e-15)


def test_levels_go_on_to_the_loss_and_no_further() -> None:
    trace = trace_of("mlp")
    assert all(term.further is None for use in explain(trace, "0.weight").uses for term in use.terms)
    deep = explain(trace, "0.weight", depth=50, top=2)
    found = {explanation.value for explanation in nested(deep)}
    assert found == {"0.weight", "0.linear", "1.sigmoid", "2.linear"}
    for explanation in nested(deep):
        for use in explanation.uses:
            for term in use.terms:
                if term.further is not None:
                    assert (term.further.value, term.further.index) == (term.output, term.index)
                    assert term.further.gradient == term.adjoint


def test_an_explanation_takes_apart_no_more_than_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainrule.queries.explaining.MOST_ELEMENTS", 40)
    explanation = explain(trace_of("transformer"), "0.norm2.weight", depth=9, top=30)
    assert len({(each.value, each.index) for each in nested(explanation)}) == 40


def test_a_path_that_is_too_long_ends_where_it_stands() -> None:
    class Long(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            y = self.weight * x
            for _ in range(100):
                y = y * 1.01
            return y

    explanation = explain(record(Long(), torch.sum, torch.ones(1, dtype=torch.float64)), "weight")
    (path,) = explanation.paths
    assert len(path.factors) == MOST_STEPS
    assert path.product == pytest.approx(explanation.gradient, rel=1e-13)


def test_what_stays_inside_an_op_is_shown_for_its_output() -> None:
    torch.manual_seed(0)
    trace = record(Cells().double(), torch.sum, torch.randn(2, 2, 3, dtype=torch.float64))
    state = next(value for value in trace.values if any(use.place == ("self",) for use in value.uses))
    explanation = explain(trace, state)
    assert explanation.uses[-1].note == "Inside this op, another of its outputs is computed from it."
    assert abs(explanation.difference) <= 1e-15


# -- which element


def test_without_an_index_it_is_the_element_with_the_largest_gradient() -> None:
    trace = trace_of("mlp")
    explanation = explain(trace, "0.weight")
    assert explanation.chosen
    adjoint = trace.value("0.weight").adjoint
    assert isinstance(adjoint, Tensor)
    assert abs(explanation.gradient) == float(adjoint.abs().max())
    assert not explain(trace, trace.loss).chosen


def test_negative_indices_count_from_the_end() -> None:
    trace = trace_of("mlp")
    assert explain(trace, "0.weight", (-1, -4)) == explain(trace, "0.weight", (4, 0))
    assert explain(trace, "0.bias", -1) == explain(trace, "0.bias", (4,))


ERRORS = {
    (0, 0, 0): """\
The index does not fit 0.weight.
  found:    3 numbers: 0, 0, 0
  expected: 2, one for each dimension of its shape [5, 4]""",
    (): """\
The index does not fit 0.weight.
  found:    0 numbers: none
  expected: 2, one for each dimension of its shape [5, 4]""",
    (1, 4): """\
0.weight has no element [1, 4].
  found:    4
  expected: 0 to 3 there, as its shape is [5, 4]""",
    (-6, 0): """\
0.weight has no element [-6, 0].
  found:    -6
  expected: 0 to 4 there, as its shape is [5, 4]""",
}


@pytest.mark.parametrize("index", ERRORS)
def test_an_index_that_does_not_fit(index: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as raised:
        explain(trace_of("mlp"), "0.weight", index)
    assert str(raised.value) == ERRORS[index]


# -- what has no gradient


def test_unknown_names_list_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"^The trace has no value '0\.wieght'\."):
        explain(trace_of("mlp"), "0.wieght")


def test_whole_numbers_have_no_gradient() -> None:
    with pytest.raises(ChainruleError) as raised:
        explain(trace_of("tied embedding"), "input")
    assert (
        str(raised.value)
        == """\
input has no gradient.
  found:    int64
  expected: floating-point numbers
Nothing can be differentiated by whole numbers or truth values."""
    )


def test_complex_numbers_are_not_explained_but_what_leads_to_them_has_its_contribution() -> None:
    trace = trace_of("complex numbers")
    with pytest.raises(ChainruleError) as raised:
        explain(trace, "fft_rfft")
    assert (
        str(raised.value)
        == """\
fft_rfft cannot be explained.
  found:    complex128
  expected: real numbers"""
    )
    explanation = explain(trace, "linear.linear")
    assert [use.note for use in explanation.uses] == ["Complex numbers are not taken apart."]
    assert explanation.uses[0].rest == Rest(explanation.gradient, 0)
    assert explanation.difference == 0


def test_hidden_values_are_not_explained() -> None:
    trace = trace_of("autocast, shared layer")
    hidden = next(value for value in trace.values if value.kind == "hidden")
    with pytest.raises(ChainruleError) as raised:
        explain(trace, hidden)
    assert (
        str(raised.value)
        == f"""\
{hidden.name} cannot be explained.
It was made inside of an op, and the trace has only its gradient.
Explain an input or an output of that op."""
    )


def test_statistics_say_what_to_record() -> None:
    trace = record(nn.Linear(2, 1), torch.sum, torch.ones(1, 2), keep="statistics")
    with pytest.raises(RunAgainError) as raised:
        explain(trace, "weight")
    assert (
        str(raised.value)
        == """\
The numbers of weight are not in the trace.
  found:    its statistics
  expected: the tensor itself
Record the step with keep="values" (and a larger byte_budget, if the trace has left_out)."""
    )


@pytest.mark.parametrize("option", ["depth", "top"])
def test_depth_and_top_are_at_least_one(option: str) -> None:
    with pytest.raises(ChainruleError) as raised:
        explain(trace_of("mlp"), "0.weight", **{option: 0})
    assert str(raised.value) == f"{option} is at least 1.\n  found:    0\n  expected: 1 or more"


def test_a_value_from_which_nothing_leads_to_the_loss_has_gradient_zero() -> None:
    class Unused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.cut = nn.Linear(2, 1), nn.Linear(2, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x) + self.cut(x).detach()

    explanation = explain(record(Unused(), torch.sum, torch.ones(1, 2)), "cut.weight")
    assert (explanation.gradient, explanation.uses, explanation.difference) == (0.0, (), 0.0)
    assert explanation.note == (
        "Nothing comes back to it: no path along which gradients flow leads from it to the loss."
    )


def test_the_loss_is_explained_by_itself() -> None:
    trace = trace_of("mlp")
    explanation = explain(trace, trace.loss)
    assert (explanation.gradient, explanation.uses, explanation.note) == (1.0, (), "It is the loss itself: ∂L/∂L = 1.")


def test_the_output_of_a_checkpoints_own_backward_pass_says_that_nothing_takes_it() -> None:
    trace = trace_of("reentrant checkpoint")
    explanation = explain(trace, "body.3.linear")
    assert (explanation.uses, explanation.difference) == ((), 0.0)
    assert explanation.note == (
        "No op in the trace takes it: its gradient was handed in, as a checkpoint does when it computes again."
    )


def test_inputs_are_explained_though_autograd_did_not_follow_them() -> None:
    trace = trace_of("frozen and overwritten")
    explanation = explain(trace, "input", (0, 0), depth=3)
    assert not explanation.is_recorded
    assert {use.name for use in explanation.uses} == {"linear", "mul", "getitem"}
    assert explain(trace_of("mlp"), "0.weight").is_recorded


def test_a_gradient_that_is_not_a_number_shows_the_product_that_is_not() -> None:
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([0.0, 1.0]))

        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x > 0, torch.log(self.weight), torch.zeros(()))

    explanation = explain(record(Masked(), torch.sum, torch.tensor([0.0, 1.0])), "weight")
    assert explanation.index == (0,)
    assert math.isnan(explanation.gradient)
    (term,) = explanation.uses[0].terms
    assert (term.adjoint, term.derivative) == (0.0, math.inf)
    assert math.isnan(term.product)


def test_zero_times_not_a_number_in_a_matrix_product_is_shown() -> None:
    explanation = explain(
        record(nn.Linear(1, 1, bias=False), lambda y: (y * math.nan).sum(), torch.zeros(1, 1)), "weight"
    )
    assert math.isnan(explanation.gradient)
    (term,) = explanation.uses[0].terms
    assert math.isnan(term.adjoint)
    assert term.derivative == 0.0


# -- gradients that are zero


def zeros() -> Trace:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.5, 0.25], [1.0, -1.0], [0.75, 0.5]]))
        model[0].bias.copy_(torch.tensor([5.0, -50.0, 5.0]))
    inputs = torch.tensor([[0.0, 1.0], [0.0, -1.0], [0.0, 2.0]])
    return record(model, nn.MSELoss(), inputs, torch.zeros(3, 1))


NOTES = {
    ("0.weight", (0, 0)): "Every product is 0, because the local derivative, x[k], is 0 in all 3 samples.",
    ("2.weight", (0, 1)): "Every product is 0, because the local derivative, x[k], is 0 in all 3 samples.",
    ("0.weight", (1, 1)): "Every product is 0, because ∂L/∂y is 0 for all 3 elements of 0.linear that it reaches. "
    "Ask why it is 0 there: chainrule.why(trace, '0.linear').",
    ("0.linear", (0, 1)): "Every product is 0, because the local derivative is 0 for every element that relu made.",
    ("0.weight", (0, 1)): "",
}


@pytest.mark.parametrize(("name", "index"), NOTES)
def test_a_gradient_of_zero_says_which_factor_is_zero(name: str, index: tuple[int, ...]) -> None:
    explanation = explain(zeros(), name, index)
    (use,) = explanation.uses
    assert use.note == NOTES[name, index]
    assert (explanation.gradient == 0) == bool(use.note)
    assert bool(use.terms) != bool(use.note)


# -- what is no question


NO_NAME = "expected: a name such as 'fc1.weight', the path of a module, '%7' or 7 for an id, or a Value of the trace"
NO_INDEX = "expected: a whole number for each dimension, such as (1, 0), or None for the largest gradient"


def refusal(trace: object, name: object = "0.weight", index: object = None, **numbers: object) -> str:
    with pytest.raises(ChainruleError) as raised:
        check_asked(trace, name, index, **numbers)
    return str(raised.value)


def test_what_is_no_question_says_what_one_is() -> None:
    trace = trace_of("mlp")
    assert refusal(7) == (
        "What is explained is a trace.\n  found:    int 7\n"
        "  expected: a Trace, as chainrule.record and Trace.load return it"
    )
    for name, found in ((None, "NoneType None"), (3.5, "float 3.5"), ([], "list []"), (True, "bool True")):
        assert refusal(trace, name) == f"That is no name of a value.\n  found:    {found}\n  {NO_NAME}"
    indices = {
        "0,0": "str '0,0'",
        (1.5, 0): "tuple (1.5, 0)",
        (None, 0): "tuple (None, 0)",
        torch.tensor(1.5): "Tensor tensor(1.5000)",
    }
    for index, found in [*indices.items(), (slice(1), "slice slice(None, 1, None)")]:
        assert (
            refusal(trace, "0.weight", index) == f"That is no index of an element.\n  found:    {found}\n  {NO_INDEX}"
        )
    for depth, found in (("2", "str '2'"), (1.5, "float 1.5"), (True, "bool True")):
        assert refusal(trace, depth=depth) == f"depth is a whole number.\n  found:    {found}\n  expected: 1 or more"


def test_indices_are_whole_numbers_of_any_kind() -> None:
    assert numbers_of(torch.tensor([1, 0])) == numbers_of([1, 0]) == numbers_of(torch.tensor([1, 0]).numpy()) == (1, 0)
    assert numbers_of(3) == numbers_of(torch.tensor(3)) == (3,)
    assert numbers_of(()) == ()
    assert numbers_of("3") is None
