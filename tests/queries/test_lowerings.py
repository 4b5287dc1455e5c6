"""Composite ops opened, a call for each row of the table: the same outputs and contributions, and the law inside."""

import math
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from chainrule.queries import can_open, open_op
from chainrule.queries.lowerings import LOWERINGS

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
    "gaussian_nll_loss": ("gaussian_nll_loss", F.gaussian_nll_loss, (LOGITS, ties(6, 5), LOGITS.exp())),
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
def test_inside_has_the_recorded_numbers(name: str, recorded: Call, check: Call) -> None:
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
