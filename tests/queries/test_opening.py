"""Composite ops opened: the same outputs, the same contributions, and the law inside, for calls and real models."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from chainrule.errors import ChainruleError, UnknownNameError
from chainrule.queries import can_open, open_op
from chainrule.queries.lowerings import LOWERINGS
from chainrule.queries.recorded import RunAgainError
from chainrule.recorder import Recorder, record
from chainrule.trace import Trace

Call = Callable[..., Any]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def classes(*shape: int, count: int = 5, ignored: int | None = None) -> Tensor:
    found = torch.randint(0, count, shape, generator=torch.Generator().manual_seed(4))
    if ignored is not None:
        found.view(-1)[::3] = ignored
    return found


def shares(*shape: int) -> Tensor:
    return torch.softmax(normal(*shape, seed=9), 1)


def ties(*shape: int) -> Tensor:
    """Numbers of which many are equal, zeros among them."""
    return torch.randint(0, 3, shape, generator=torch.Generator().manual_seed(7)).double().clamp(min=1) - 1


def recorded(call: Call, tensors: tuple[Tensor, ...]) -> Trace:
    """Record one call with random adjoints of its outputs; every float among the tensors requires a gradient."""
    leaves = [part.clone().requires_grad_(part.is_floating_point()) for part in tensors]
    recorder = Recorder(nn.Module())
    recorder.name({f"x{number}": leaf for number, leaf in enumerate(leaves)}, "input")
    torch.manual_seed(1)
    with recorder:
        made = call(*leaves)
        made = made if isinstance(made, tuple) else (made,)
        outputs = [part for part in made if isinstance(part, Tensor) and part.requires_grad]
        with torch._C.DisableTorchFunction():
            adjoints = [normal(*part.shape, seed=20).to(part.dtype) for part in outputs]
        torch.autograd.backward(outputs, adjoints)
    return recorder.trace


def largest_violation(trace: Trace) -> float:
    """Return by how much the sum over uses differs from the adjoint, over all values, relative to the largest term."""
    worst = 0.0
    for value in trace.values:
        sent = [use.contribution for use in value.uses]
        terms = [part for part in sent if isinstance(part, Tensor)]
        if terms and isinstance(value.adjoint, Tensor):
            largest = max(float(part.abs().max()) for part in terms) if value.adjoint.numel() else 0.0
            total = torch.stack(terms).sum(0)
            start = value.adjoint if value.id not in _outputs(trace) else total
            worst = max(worst, float((total - start).abs().max()) / largest if largest else 0.0)
    return worst


def _outputs(trace: Trace) -> tuple[int, ...]:
    return tuple(number for note in trace.modules.values() for number in note.outputs)


def check(outer: Trace, inner: Trace) -> None:
    assert inner.about["output_difference"] <= 1e-12
    assert inner.about["contribution_difference"] <= 1e-10
    assert largest_violation(inner) <= 1e-14
    op = outer.ops[int(inner.about["op"])]
    for use in op.inputs:  # independently of what `open_op` compares
        value = outer.values[use.value]
        if not value.requires_grad or use.place in (("self",), ("hidden",)):
            continue
        same = inner.value(value.name)
        sent = [part.contribution for part in op.inputs if part.value == use.value and part.place != ("self",)]
        total = sum(part for part in sent if isinstance(part, Tensor))
        if isinstance(total, Tensor):
            torch.testing.assert_close(same.adjoint, total, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(same.data, value.data, rtol=0, atol=0)
    for number in op.outputs:
        made = outer.values[number]
        if made.name:
            torch.testing.assert_close(inner.value(made.name).data, made.data, rtol=1e-12, atol=1e-13)


HIDDEN = torch.zeros(4, 6, dtype=torch.bool)
HIDDEN[:, 4:] = True
HIDDEN[2] = True  # this query may look nowhere
SHIFT = torch.zeros(4, 6, dtype=torch.float64).masked_fill(HIDDEN, -math.inf)
HEADS = (normal(2, 4, 4, 3), normal(2, 4, 6, 3, seed=1), normal(2, 4, 6, 3, seed=2))
FEW = (normal(2, 4, 4, 3), normal(2, 2, 6, 3, seed=1), normal(2, 2, 6, 3, seed=2))
IMAGE, KERNEL = normal(2, 4, 7, 6), normal(6, 4, 3, 2, seed=1)
AFFINE = (normal(4, seed=1), normal(4, seed=2))
RUNNING = (normal(4, seed=5), normal(4, seed=6).abs())
LOGITS = normal(6, 5)
W5 = normal(5, seed=3).abs()


def stacked(kind: type[nn.RNNBase], **options: Any) -> tuple[Call, tuple[Tensor, ...]]:
    torch.manual_seed(0)
    layer = kind(3, 4, **options).double()

    def call(x: Tensor, *weights: Tensor) -> Any:
        parameters = dict(zip(dict(layer.named_parameters()), weights, strict=True))
        output, state = torch.func.functional_call(layer, parameters, (x,))
        return (output, *state) if isinstance(state, tuple) else (output, state)

    return call, (normal(2, 5, 3), *(part.detach() for part in layer.parameters()))


def cell(call: Call, gates: int, states: int = 1) -> tuple[Call, tuple[Tensor, ...]]:
    def run(x: Tensor, w: Tensor, u: Tensor, b: Tensor, c: Tensor, *state: Tensor) -> Any:
        return call(x, state if states > 1 else state[0], w, u, b, c)

    weights = (normal(gates * 4, 3), normal(gates * 4, 4, seed=1), normal(gates * 4, seed=2), normal(gates * 4, seed=3))
    return run, (normal(2, 3, seed=5), *weights, *(normal(2, 4, seed=6 + number) for number in range(states)))


def bce(p: Tensor, **options: Any) -> Tensor:
    return F.binary_cross_entropy(p, ties(6, 5), **options)


# name of the opened op, the call, its tensors
TABLE: dict[str, tuple[str, Call, tuple[Tensor, ...]]] = {
    "linear": ("linear", F.linear, (normal(2, 4, 3), normal(5, 3), normal(5))),
    "linear without bias": ("linear", F.linear, (normal(3), normal(5, 3))),
    "addmm": ("addmm", lambda b, x, w: torch.addmm(b, x, w, beta=0.5), (LOGITS, normal(6, 3), normal(3, 5))),
    "bilinear": ("bilinear", F.bilinear, (normal(4, 3), normal(4, 2), normal(5, 3, 2), normal(5))),
    "embedding": ("embedding", lambda w: F.embedding(classes(3, 4), w), (normal(5, 3),)),
    "embedding padding": ("embedding", lambda w: F.embedding(classes(3, 4), w, -1), (normal(5, 3),)),
    "softmax": ("softmax", lambda x: F.softmax(x, 1), (LOGITS,)),
    "torch softmax": ("softmax", lambda x: torch.softmax(x, 0), (LOGITS,)),
    "softmax method": ("softmax", lambda x: x.softmax(-1), (LOGITS,)),
    "softmin": ("softmin", lambda x: F.softmin(x, 1), (LOGITS,)),
    "log_softmax": ("log_softmax", lambda x: F.log_softmax(x, 1), (LOGITS * 300,)),
    "log_softmax method": ("log_softmax", lambda x: x.log_softmax(0), (LOGITS,)),
    "logsumexp": ("logsumexp", lambda x: x.logsumexp((0, 1)), (LOGITS * 300,)),
    "dropout": ("dropout", lambda x: F.dropout(x, 0.4), (LOGITS,)),
    "attention": ("scaled_dot_product_attention", F.scaled_dot_product_attention, HEADS),
    "attention causal": (
        "scaled_dot_product_attention",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.3),
        HEADS,
    ),
    "attention masked": (
        "scaled_dot_product_attention",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, ~HIDDEN),
        HEADS,
    ),
    "attention shifted": (
        "scaled_dot_product_attention",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, SHIFT),
        HEADS,
    ),
    "attention biased": (
        "scaled_dot_product_attention",
        lambda q, k, v, b: F.scaled_dot_product_attention(q, k, v, b),
        (*HEADS, normal(4, 6, seed=8)),
    ),
    "attention grouped": (
        "scaled_dot_product_attention",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        FEW,
    ),
    "attention dropout": (
        "scaled_dot_product_attention",
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, dropout_p=0.3),
        HEADS,
    ),
    "attention of itself": (
        "scaled_dot_product_attention",
        lambda q: F.scaled_dot_product_attention(q, q, q),
        HEADS[:1],
    ),
    "layer_norm": ("layer_norm", lambda x, w, b: F.layer_norm(x, (3, 4), w, b), (normal(2, 3, 4), *[normal(3, 4)] * 2)),
    "layer_norm plain": ("layer_norm", lambda x: F.layer_norm(x, (4,)), (normal(2, 3, 4),)),
    "rms_norm": ("rms_norm", lambda x, w: F.rms_norm(x, (4,), w), (normal(2, 3, 4), AFFINE[0])),
    "batch_norm": (
        "batch_norm",
        lambda x, w, b: F.batch_norm(x, RUNNING[0].clone(), RUNNING[1].clone(), w, b, training=True),
        (IMAGE, *AFFINE),
    ),
    "batch_norm evaluating": ("batch_norm", lambda x, w, b: F.batch_norm(x, *RUNNING, w, b), (IMAGE, *AFFINE)),
    "batch_norm of rows": ("batch_norm", lambda x: F.batch_norm(x, None, None, training=True), (normal(6, 4),)),
    "group_norm": ("group_norm", lambda x, w, b: F.group_norm(x, 2, w, b), (IMAGE, *AFFINE)),
    "instance_norm": ("instance_norm", lambda x, w, b: F.instance_norm(x, weight=w, bias=b), (IMAGE, *AFFINE)),
    "instance_norm running": (
        "instance_norm",
        lambda x: F.instance_norm(x, *RUNNING, use_input_stats=False),
        (IMAGE,),
    ),
    "gelu": ("gelu", F.gelu, (LOGITS,)),
    "gelu tanh": ("gelu", lambda x: F.gelu(x, approximate="tanh"), (LOGITS,)),
    "silu": ("silu", F.silu, (LOGITS,)),
    "softplus": ("softplus", lambda x: F.softplus(x, beta=2, threshold=3), (LOGITS * 400,)),
    "mish": ("mish", F.mish, (LOGITS,)),
    "logsigmoid": ("log_sigmoid", F.logsigmoid, (torch.cat((LOGITS * 400, ties(2, 5))),)),
    "glu": ("glu", lambda x: F.glu(x, 0), (LOGITS,)),
    "elu": ("elu", lambda x: F.elu(x, 1.5), (torch.cat((LOGITS * 400, ties(2, 5))),)),
    "celu": ("celu", lambda x: F.celu(x, 1.5), (torch.cat((LOGITS, ties(2, 5))),)),
    "selu": ("selu", F.selu, (LOGITS,)),
    "hardswish": ("hardswish", F.hardswish, (LOGITS * 3,)),
    "mse_loss": ("mse_loss", F.mse_loss, (LOGITS, normal(6, 5, seed=1))),
    "mse_loss weighted": ("mse_loss", lambda x, t, w: F.mse_loss(x, t, weight=w), (LOGITS, ties(6, 5), LOGITS.abs())),
    "l1_loss": ("l1_loss", lambda x, t: F.l1_loss(x, t, reduction="sum"), (ties(6, 5), ties(5, 6).T.contiguous())),
    "huber_loss": ("huber_loss", lambda x, t: F.huber_loss(x, t, delta=0.7), (LOGITS, normal(6, 5, seed=1))),
    "smooth_l1_loss": (
        "smooth_l1_loss",
        lambda x, t: F.smooth_l1_loss(x, t, beta=0.5, reduction="none"),
        (ties(6, 5), ties(5, 6).T.contiguous() * 0.5),
    ),
    "smooth_l1_loss of 0": ("smooth_l1_loss", lambda x, t: F.smooth_l1_loss(x, t, beta=0.0), (LOGITS, ties(6, 5))),
    "binary_cross_entropy": ("binary_cross_entropy", bce, (torch.sigmoid(LOGITS),)),
    "binary_cross_entropy weighted": (
        "binary_cross_entropy",
        lambda p: bce(p, weight=W5, reduction="sum"),
        (torch.sigmoid(LOGITS),),
    ),
    "binary_cross_entropy_with_logits": (
        "binary_cross_entropy_with_logits",
        lambda x: F.binary_cross_entropy_with_logits(x, shares(6, 5), pos_weight=W5),
        (LOGITS * ties(6, 5),),
    ),
    "kl_div": ("kl_div", lambda x, t: F.kl_div(x, t, reduction="batchmean"), (LOGITS, shares(6, 5))),
    "kl_div of logarithms": (
        "kl_div",
        lambda x, t: F.kl_div(x, t, reduction="sum", log_target=True),
        (LOGITS, shares(6, 5).log()),
    ),
    "nll_loss": ("nll_loss", lambda x: F.nll_loss(x, classes(6)), (LOGITS,)),
    "nll_loss weighted, ignored, of pictures": (
        "nll_loss",
        lambda x: F.nll_loss(x, classes(2, 7, 6, count=4, ignored=2), W5[:4], ignore_index=2),
        (IMAGE,),
    ),
    "cross_entropy": ("cross_entropy", lambda x: F.cross_entropy(x, classes(6)), (LOGITS,)),
    "cross_entropy of one": ("cross_entropy", lambda x: F.cross_entropy(x, classes()), (LOGITS[0],)),
    "cross_entropy ignored": (
        "cross_entropy",
        lambda x: F.cross_entropy(x, classes(6, ignored=-100), reduction="none"),
        (LOGITS,),
    ),
    "cross_entropy smoothed": (
        "cross_entropy",
        lambda x: F.cross_entropy(x, classes(6, ignored=1), W5, ignore_index=1, label_smoothing=0.2),
        (LOGITS,),
    ),
    "cross_entropy smoothed, no weights": (
        "cross_entropy",
        lambda x: F.cross_entropy(x, classes(6, ignored=-100), label_smoothing=0.2),
        (LOGITS,),
    ),
    "cross_entropy of probabilities": (
        "cross_entropy",
        lambda x, t: F.cross_entropy(x, t, W5, label_smoothing=0.1),
        (LOGITS, shares(6, 5)),
    ),
    "cross_entropy of pictures": (
        "cross_entropy",
        lambda x: F.cross_entropy(x, classes(2, 7, 6, count=4), reduction="sum", label_smoothing=0.1),
        (IMAGE,),
    ),
    "conv1d": ("conv1d", lambda x, w, b: F.conv1d(x, w, b, 2, 1), (normal(2, 4, 7), normal(6, 4, 3), normal(6))),
    "conv2d": ("conv2d", lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 0), (1, 2)), (IMAGE, KERNEL, normal(6))),
    "conv2d grouped": ("conv2d", lambda x, w: F.conv2d(x, w, groups=2), (IMAGE, normal(6, 2, 3, 2))),
    "conv2d same": ("conv2d", lambda x, w: F.conv2d(x, w, padding="same", dilation=2), (IMAGE[0], KERNEL)),
    "conv3d": ("conv3d", lambda x, w: F.conv3d(x, w, padding=1), (normal(1, 2, 3, 4, 3), normal(2, 2, 2, 3, 2))),
    "conv_transpose1d": (
        "conv_transpose1d",
        lambda x, w, b: F.conv_transpose1d(x, w, b, 2, 1, 1, 2, 2),
        (normal(2, 4, 5), normal(4, 3, 3), normal(6)),
    ),
    "conv_transpose2d": (
        "conv_transpose2d",
        lambda x, w: F.conv_transpose2d(x, w, None, 2, 1),
        (IMAGE, normal(4, 3, 3, 2)),
    ),
    "max_pool1d": ("max_pool1d", lambda x: F.max_pool1d(x, 2), (ties(2, 3, 7),)),
    "max_pool2d": ("max_pool2d", lambda x: F.max_pool2d(x, 3, 2, 1), (ties(2, 4, 7, 6),)),
    "max_pool2d up": ("max_pool2d", lambda x: F.max_pool2d(x, 2, 2, ceil_mode=True, dilation=2), (IMAGE,)),
    "max_pool2d indices": (
        "max_pool2d_with_indices",
        lambda x: F.max_pool2d(x, 3, 2, 1, return_indices=True),
        (ties(2, 4, 7, 6),),
    ),
    "avg_pool1d": ("avg_pool1d", lambda x: F.avg_pool1d(x, 3), (normal(2, 3, 7),)),
    "avg_pool2d": ("avg_pool2d", lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), (IMAGE,)),
    "avg_pool2d without padding": (
        "avg_pool2d",
        lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
        (IMAGE,),
    ),
    "avg_pool3d": ("avg_pool3d", lambda x: F.avg_pool3d(x, 2, divisor_override=3), (normal(1, 2, 3, 4, 3),)),
    "adaptive_avg_pool2d": ("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, (3, 4)), (IMAGE,)),
    "adaptive_avg_pool2d of one": ("adaptive_avg_pool2d", lambda x: F.adaptive_avg_pool2d(x, 1), (IMAGE,)),
    "adaptive_max_pool2d": ("adaptive_max_pool2d", lambda x: F.adaptive_max_pool2d(x, (3, None)), (ties(2, 4, 7, 6),)),
    "lstm": ("lstm", *stacked(nn.LSTM)),
    "lstm of two, both ways": ("lstm", *stacked(nn.LSTM, num_layers=2, bidirectional=True, batch_first=True)),
    "lstm with dropout": ("lstm", *stacked(nn.LSTM, num_layers=3, dropout=0.4)),
    "lstm projected": ("lstm", *stacked(nn.LSTM, proj_size=2, bias=False)),
    "gru": ("gru", *stacked(nn.GRU, num_layers=2, bidirectional=True)),
    "gru without biases": ("gru", *stacked(nn.GRU, bias=False, batch_first=True)),
    "rnn_tanh": ("rnn_tanh", *stacked(nn.RNN, num_layers=2)),
    "rnn_relu": ("rnn_relu", *stacked(nn.RNN, nonlinearity="relu")),
    "lstm_cell": ("lstm_cell", *cell(torch.lstm_cell, 4, 2)),
    "gru_cell": ("gru_cell", *cell(torch.gru_cell, 3)),
    "rnn_tanh_cell": ("rnn_tanh_cell", *cell(torch.rnn_tanh_cell, 1)),
}

# What the table does not have: PyTorch's own Python, and its decompositions.
OTHERS: dict[str, tuple[str, Call, tuple[Tensor, ...]]] = {
    "softsign": ("softsign", F.softsign, (LOGITS,)),
    "tanhshrink": ("tanhshrink", F.tanhshrink, (LOGITS,)),
    "normalize": ("normalize", F.normalize, (LOGITS,)),
    "triplet_margin_with_distance_loss": (
        "triplet_margin_with_distance_loss",
        F.triplet_margin_with_distance_loss,
        (LOGITS, normal(6, 5, seed=1), normal(6, 5, seed=2)),
    ),
    "einsum": ("einsum", lambda a, b: torch.einsum("nij,njk->nk", a, b), (normal(2, 3, 4), normal(2, 4, 5))),
    "cosine_similarity": ("cosine_similarity", F.cosine_similarity, (LOGITS, normal(6, 5, seed=1))),
    "poisson_nll_loss": ("poisson_nll_loss", F.poisson_nll_loss, (LOGITS, ties(6, 5))),
    "margin_ranking_loss": (
        "margin_ranking_loss",
        lambda a, b: F.margin_ranking_loss(a, b, torch.ones(6, 5), margin=0.2),
        (LOGITS, normal(6, 5, seed=1)),
    ),
    "hinge_embedding_loss": (
        "hinge_embedding_loss",
        lambda x: F.hinge_embedding_loss(x, 2 * ties(6, 5) - 1),
        (LOGITS,),
    ),
    "pixel_shuffle": ("pixel_shuffle", lambda x: F.pixel_shuffle(x, 2), (IMAGE,)),
}


@pytest.mark.parametrize("name", [*TABLE, *OTHERS])
def test_inside_has_the_recorded_numbers(name: str) -> None:
    opened, call, tensors = (TABLE | OTHERS)[name]
    outer = recorded(call, tensors)
    op = next(op for op in outer.ops if op.name == opened)
    assert can_open(op) == ""
    inner = open_op(outer, op)
    check(outer, inner)
    assert [part.name for part in inner.ops_in(op.phase)] != [opened]


def test_every_lowering_has_a_case() -> None:
    covered = {name for name, _, _ in TABLE.values()}
    known = {name.rsplit(".", 1)[-1] for row in LOWERINGS for name in row.functions}
    tested_alike = {"baddbmm", "logsigmoid", "rnn_relu_cell", "conv_transpose3d"}
    pools = {name for name in known if re.search(r"pool[123]d", name)}
    assert known - covered - tested_alike - pools == set()


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
def test_every_composite_op_of_a_model_opens(name: str) -> None:
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


def test_the_inside_opens_again() -> None:
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
    return re.sub(r", test_opening.py:\d+", "", str(caught.value))


END = "Its numbers are in the trace all the same: its inputs, its outputs, and what it sent back to each."


def test_a_single_step() -> None:
    trace = recorded(lambda x: x + 1, (LOGITS,))
    assert refused(trace, "add") == (
        "The op add cannot be opened.\n  where: add\nIt is one step: 'add' is not made of smaller ops.\n" + END
    )


def test_a_single_step_that_only_trying_shows() -> None:
    trace = recorded(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), (IMAGE,))
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


def test_a_function_of_the_users_own() -> None:
    trace = recorded(Doubled.apply, (LOGITS,))
    op = trace.ops[0]
    assert op.opaque
    assert can_open(op) == op.opaque


def test_statistics_hold_nothing_to_open() -> None:
    trace = record(nn.Linear(8, 5), F.cross_entropy, normal(2, 8).float(), classes(2), keep="statistics")
    with pytest.raises(RunAgainError) as caught:
        open_op(trace, "linear")
    assert str(caught.value).startswith("The numbers of input are not in the trace.\n")


def test_embedding_whose_gradient_is_no_derivative() -> None:
    rows = classes(3, 4)
    trace = recorded(lambda w: F.embedding(rows, w, scale_grad_by_freq=True), (normal(5, 3),))
    assert can_open(trace.ops[0]) == "With scale_grad_by_freq its gradient is not the derivative of what it computes."


def test_a_probability_of_one() -> None:
    trace = recorded(lambda p: F.binary_cross_entropy(p, torch.ones(2).double()), (torch.tensor([1.0, 0.5]).double(),))
    assert refused(trace, "binary_cross_entropy") == (
        "The op binary_cross_entropy cannot be opened.\n  where: binary_cross_entropy\n"
        "A probability among its inputs is 0 or 1: there the kernel's derivative is a convention of its own and not "
        "the derivative of the formula.\n" + END
    )


def test_other_numbers_are_never_shown() -> None:
    """PyTorch's hardsigmoid kernel divides by 6 in float32 when it goes backward, whatever the dtype."""
    trace = recorded(F.hardsigmoid, (LOGITS,))
    assert refused(trace, "hardsigmoid") == (
        "The smaller version of hardsigmoid does not give the recorded numbers, so it is not shown.\n"
        "  where:    hardsigmoid\n"
        "  found:    contribution to x0 by 3e-08 of the largest\n"
        "  expected: at most 6e-14, which rounding explains\n"
        "Its smaller version comes from PyTorch's decomposition into core ATen operations, and is not what the kernel "
        "computed here."
    )


def test_a_wrong_value_in_the_trace_is_noticed() -> None:
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
