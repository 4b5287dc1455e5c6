"""Composite ops opened: the same outputs, the same contributions, and the law inside, for real models; and refusals."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from chainrule.errors import ChainruleError, UnknownNameError
from chainrule.queries import can_open, open_op
from chainrule.queries.recorded import RunAgainError
from chainrule.recorder import Recorder, record
from chainrule.trace import ModuleNote, Trace

Call = Callable[..., Any]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def classes(*shape: int) -> Tensor:
    return torch.randint(0, 5, shape, generator=torch.Generator().manual_seed(4))


LOGITS = normal(6, 5)


# -- real models


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.2, batch_first=True, activation="gelu")
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)).mean(1)


class Attention(nn.Module):
    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True, **options)

    def forward(self, x: Tensor) -> Tensor:
        y, weights = self.attention(x, x, x, key_padding_mask=torch.tensor([[False, False, True]]).expand(2, 3))
        return y.sum(1)[:, :5] + weights.sum()


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.rnn = kind(8, 4, num_layers=2, batch_first=True)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.rnn(x)[0][:, -1]))


class Pictures(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.silu(self.norm(self.conv(x.unsqueeze(1))), inplace=True)
        return self.head(F.adaptive_avg_pool2d(F.dropout(F.max_pool2d(hidden, 2), 0.3), 1).flatten(1))


def step_of(model: nn.Module, dtype: torch.dtype = torch.float64) -> Trace:
    torch.manual_seed(2)
    return record(model.to(dtype), F.cross_entropy, normal(2, 3, 8).to(dtype), classes(2))


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[str, ...]]] = {
    "encoder": (Encoder, ("linear", "multi_head_attention_forward", "layer_norm", "gelu", "dropout", "cross_entropy")),
    "attention": (Attention, ("multi_head_attention_forward", "cross_entropy")),
    "attention with biases": (
        lambda: Attention(add_bias_kv=True, add_zero_attn=True, dropout=0.2),
        ("multi_head_attention_forward", "cross_entropy"),
    ),
    "lstm": (lambda: Recurrent(nn.LSTM), ("lstm", "layer_norm", "linear", "cross_entropy")),
    "gru": (lambda: Recurrent(nn.GRU), ("gru", "layer_norm", "linear", "cross_entropy")),
    "pictures": (
        Pictures,
        (*("conv2d", "batch_norm", "silu", "max_pool2d", "dropout", "adaptive_avg_pool2d"), "linear", "cross_entropy"),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_composite_op_of_a_model_opens(name: str, check: Call) -> None:
    build, expected = MODELS[name]
    trace = step_of(build())
    opened = set()
    for op in trace.ops:
        if not can_open(op):
            check(trace, open_op(trace, op))
            opened.add(op.name)
    assert opened == set(expected)


@pytest.mark.parametrize("name", MODELS)
def test_in_float32_the_difference_is_rounding(name: str) -> None:
    trace = step_of(MODELS[name][0](), torch.float32)
    for op in trace.ops:
        if not can_open(op):
            about = open_op(trace, op).about
            assert about["output_difference"] <= 3e-5
            assert about["contribution_difference"] <= 3e-5


def test_the_inside_opens_again(check: Call) -> None:
    trace = step_of(Encoder())
    inner = open_op(trace, "layer.self_attn.multi_head_attention_forward")
    assert {op.module for op in inner.ops} == {"layer.self_attn"}
    names = [op.name for op in inner.ops_in("forward")]
    assert len(names) > 15
    attention = next(op for op in inner.ops if op.name == "scaled_dot_product_attention")
    deeper = open_op(inner, attention)
    check(inner, deeper)
    assert [op.name for op in deeper.ops_in("forward")] == [
        "transpose",
        "matmul",
        "mul",
        "softmax",
        "dropout",
        "matmul",
    ]
    deepest = open_op(deeper, next(op for op in deeper.ops if op.name == "softmax"))
    check(deeper, deepest)


def test_names_kinds_loss_and_notes() -> None:
    model = nn.Sequential(nn.Linear(8, 5))
    trace = record(model, F.cross_entropy, normal(2, 8).float(), classes(2))
    inner = open_op(trace, "0.linear")
    assert [(value.name, value.kind) for value in inner.values] == [
        ("input", "input"),
        ("0.weight", "parameter"),
        ("0.bias", "parameter"),
        ("0.t", "computed"),
        ("0.matmul", "computed"),
        ("0.linear", "computed"),
    ]
    assert [op.name for op in inner.ops] == ["t", "matmul", "add", "add backward", "matmul backward", "t backward"]
    assert inner.loss is None
    assert inner.modules["0"].outputs == (5,)
    assert inner.ops[0].source == trace.ops[0].source
    assert inner.about["origin"] == "chainrule's table of smaller versions"
    assert inner.notes[0].startswith("This is the inside of linear in 0, ")
    torch.testing.assert_close(inner.value("0.weight").adjoint, model[0].weight.grad)
    loss = open_op(trace, "cross_entropy")
    assert loss.value("cross_entropy").id == loss.loss
    assert {op.phase for op in loss.ops} == {"loss", "backward"}
    assert loss.modules == {"": ModuleNote("Sequential", True, (loss.loss,))}
    assert float(loss.value("cross_entropy").adjoint) == 1.0


def test_nothing_of_the_user_is_changed() -> None:
    model = Pictures()
    trace = step_of(model)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    generator = torch.get_rng_state()
    kept = [value.data.clone() for value in trace.values if isinstance(value.data, Tensor)]
    for op in trace.ops:
        if not can_open(op):
            open_op(trace, op)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)
    assert torch.equal(torch.get_rng_state(), generator)
    for tensor, value in zip(kept, [value for value in trace.values if isinstance(value.data, Tensor)], strict=True):
        assert torch.equal(tensor, value.data)


def test_a_loaded_trace_opens_too(tmp_path: Path, check: Call) -> None:
    step_of(Encoder()).save(tmp_path / "step")
    trace = Trace.load(tmp_path / "step")
    opened = set()
    for op in trace.ops:
        if not can_open(op):
            check(trace, open_op(trace, op))
            opened.add(op.name)
    assert opened == set(MODELS["encoder"][1])


def test_under_no_grad_and_without_a_backward_pass() -> None:
    x = normal(2, 4).requires_grad_()
    with Recorder(nn.Module()) as recorder:
        F.layer_norm(x, (4,))
    with torch.no_grad():
        inner = open_op(recorder.trace, "layer_norm")
    assert inner.notes[-1] == "There are no adjoints inside, because no gradient came back to the op."
    assert not list(inner.ops_in("backward"))
    with torch.no_grad(), Recorder(nn.Module()) as recorder:
        F.layer_norm(x, (4,))
    assert open_op(recorder.trace, 0).about["output_difference"] <= 1e-12


def test_autocast() -> None:
    shared = nn.Linear(8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        trace = record(shared, lambda y: shared(y).float().square().mean(), normal(4, 8).float())
    for op in [op for op in trace.ops if op.name == "linear"]:
        inner = open_op(trace, op)
        assert inner.about["output_difference"] <= 0.04
        assert inner.about["contribution_difference"] <= 0.04
        assert inner.value(trace.values[op.outputs[0]].name).dtype == "bfloat16"


def test_contributions_that_cancel_are_measured_by_their_terms() -> None:
    """Softmax does not see a shift, so what it sends back to one vanishes: what is left of it is rounding."""
    torch.manual_seed(0)
    shift = torch.zeros(1, requires_grad=True)
    recorder = Recorder(nn.Module())
    recorder.name({"shift": shift}, "input")
    with recorder:
        F.linear(torch.ones(1), shift.unsqueeze(1).expand(5, 1)).softmax(0).log()[0].backward()
    inner = open_op(recorder.trace, "softmax")
    assert inner.about["contribution_difference"] <= 1e-5


# -- what cannot be opened


def refused(trace: Trace, op: Any) -> str:
    with pytest.raises(ChainruleError) as caught:
        open_op(trace, op)
    return re.sub(r", \w+\.py:\d+", "", str(caught.value))


END = "Its numbers are in the trace all the same: its inputs, its outputs, and what it sent back to each."


def test_a_single_step(recorded: Call) -> None:
    trace = recorded(lambda x: x + 1, (LOGITS,))
    assert refused(trace, "add") == (
        "The op add cannot be opened.\n  where: add\nIt is one step: 'add' is not made of smaller ops.\n" + END
    )


def test_a_single_step_that_only_trying_shows(recorded: Call) -> None:
    trace = recorded(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), (normal(2, 4, 7, 6),))
    assert can_open(trace.ops[0]) == ""
    assert refused(trace, "interpolate") == (
        "The op interpolate cannot be opened.\n  where: interpolate\n"
        "It is one step: 'interpolate' is not made of smaller ops.\n" + END
    )


def test_backward_update_and_packed_sequences() -> None:
    packed = nn.utils.rnn.pack_padded_sequence(normal(3, 2, 4).float(), [3, 2])
    model = nn.LSTM(4, 3)
    with Recorder(model) as recorder:
        model(packed)[0].data.sum().backward()
    trace = recorder.trace
    lstm = next(op for op in trace.ops if op.name == "lstm")
    assert can_open(lstm) == (
        "Its input is a packed sequence (pack_padded_sequence), whose samples end at different steps."
    )
    backward = next(op for op in trace.ops if op.phase == "backward")
    assert can_open(backward) == (
        "It is the backward pass of an op: open the op of the forward pass, whose inside has its own backward."
    )


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 2 * gradient


def test_a_function_of_the_users_own(recorded: Call) -> None:
    trace = recorded(Doubled.apply, (LOGITS,))
    op = trace.ops[0]
    assert op.opaque
    assert can_open(op) == op.opaque


def test_statistics_hold_nothing_to_open() -> None:
    trace = record(nn.Linear(8, 5), F.cross_entropy, normal(2, 8).float(), classes(2), keep="statistics")
    with pytest.raises(RunAgainError) as caught:
        open_op(trace, "linear")
    assert str(caught.value).startswith("The numbers of input are not in the trace.\n")


def test_embedding_whose_gradient_is_no_derivative(recorded: Call) -> None:
    rows = classes(3, 4)
    trace = recorded(lambda w: F.embedding(rows, w, scale_grad_by_freq=True), (normal(5, 3),))
    assert can_open(trace.ops[0]) == "With scale_grad_by_freq its gradient is not the derivative of what it computes."


def test_a_probability_of_one(recorded: Call) -> None:
    trace = recorded(lambda p: F.binary_cross_entropy(p, torch.ones(2).double()), (torch.tensor([1.0, 0.5]).double(),))
    assert refused(trace, "binary_cross_entropy") == (
        "The op binary_cross_entropy cannot be opened.\n  where: binary_cross_entropy\n"
        "A probability among its inputs is 0 or 1: there the kernel's derivative is a convention of its own and not "
        "the derivative of the formula.\n" + END
    )


def test_other_numbers_are_never_shown(recorded: Call) -> None:
    """PyTorch's hardsigmoid kernel divides by 6 in float32 when it goes backward, whatever the dtype."""
    trace = recorded(F.hardsigmoid, (LOGITS,))
    assert refused(trace, "hardsigmoid") == (
        "The smaller version of hardsigmoid does not give the recorded numbers, so it is not shown.\n"
        "  where:    hardsigmoid\n"
        "  found:    contribution to x0 by 2e-08 of the largest\n"
        "  expected: at most 6e-14, which rounding explains\n"
        "Its smaller version comes from PyTorch's decomposition into core ATen operations, and is not what the kernel "
        "computed here."
    )


def test_a_wrong_value_in_the_trace_is_noticed(recorded: Call) -> None:
    trace = recorded(F.linear, (normal(2, 3), normal(5, 3)))
    trace.value("x1").kept = trace.value("x1").data * (1 + 1e-9)
    text = refused(trace, "linear")
    assert text.startswith("The smaller version of linear does not give the recorded numbers, so it is not shown.")


def test_unknown_names() -> None:
    trace = step_of(Recurrent(nn.GRU))
    with pytest.raises(UnknownNameError) as caught:
        open_op(trace, "haed.linear")
    assert str(caught.value) == (
        "The trace has no op 'haed.linear'.\n  found:    haed.linear\n  expected: one of head.linear"
    )
    with pytest.raises(UnknownNameError) as caught:
        open_op(trace, 9999)
    assert str(caught.value) == (f"The trace has no op 9999.\n  found:    9999\n  expected: 0 to {len(trace.ops) - 1}")


class Cancelling(nn.Module):
    """What comes back through the batch norm sums to 0 over the batch, so the layer norm's bias gets only rounding."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm = nn.LayerNorm(6), nn.BatchNorm1d(6, affine=False)
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.inner(x)))


def test_contributions_that_cancel_to_nothing_in_float64() -> None:
    torch.manual_seed(1)
    trace = record(Cancelling().double(), lambda out: (out - 1).square().mean(), normal(8, 6))
    assert open_op(trace, "inner.layer_norm").about["contribution_difference"] <= 1e-14


def test_a_decomposition_that_reads_what_memory_held_is_refused(recorded: Call) -> None:
    target = torch.tensor([[1]])
    trace = recorded(lambda x: F.ctc_loss(x.log_softmax(-1), target, (3,), (1,)), (normal(3, 1, 4),))
    assert refused(trace, "ctc_loss") == (
        "The op ctc_loss cannot be opened.\n  where: ctc_loss\n"
        "PyTorch's decomposition of it works with tensors whose elements are not set.\n" + END
    )


DRAWING: dict[str, Call] = {
    "dropout1d": lambda x: F.dropout1d(x, 0.3),
    "dropout2d": lambda x: F.dropout2d(x[None], 0.3),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.2, True),
    "feature_alpha_dropout": lambda x: F.feature_alpha_dropout(x, 0.2, True),
    "rrelu": lambda x: F.rrelu(x, training=True),
    "fractional_max_pool2d": lambda x: F.fractional_max_pool2d(x, 2, output_size=3),
    "rand_like": lambda x: x * torch.rand_like(x),
}


@pytest.mark.parametrize("name", DRAWING)
def test_the_generator_is_left_alone_opened_or_refused(name: str, recorded: Call) -> None:
    trace = recorded(DRAWING[name], (normal(2, 6, 7),))
    before = torch.get_rng_state()
    for op in trace.ops_in("forward"):
        if not can_open(op):
            try:
                inner = open_op(trace, op)
            except ChainruleError:
                continue
            assert not [part for part in inner.ops if part.name.startswith("empty")]
    assert torch.equal(torch.get_rng_state(), before)


def test_what_the_smaller_version_raises_is_said(recorded: Call) -> None:
    rows = torch.tensor([[1, 2], [3, 4]])
    trace = recorded(lambda weight: F.embedding_bag(rows, weight, mode="max"), (normal(9, 4),))
    inner = open_op(trace, "embedding_bag")
    again = next(op for op in inner.ops_in("forward") if op.name == "embedding_bag")
    assert refused(inner, again).splitlines()[2] == (
        "Its smaller version does not run: RuntimeError: Autograd not support dtype: Long"
    )
