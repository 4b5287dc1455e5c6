"""Rows of the table for convolution, pooling, normalisation, dropout, embeddings and attention."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from chainrule.ops.dropout import draw_mask

from .cases import Case, normal


def whole(*shape: int, below: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(below, shape, generator=torch.Generator().manual_seed(seed))


def seeded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that draws the same random numbers at every call."""

    def run(**arguments: Any) -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return function(**arguments)

    return run


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that keeps torch's advice to itself."""

    def run(**arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return function(**arguments)

    return run


def conv(name: str, *shape: int, weight: tuple[int, ...], bias: bool = True, seed: int = 0, **more: Any) -> Case:
    transposed = "transpose" in name
    outputs = weight[1] * more.get("groups", 1) if transposed else weight[0]
    return Case(
        name,
        quiet(getattr(F, name)),  # padding="same" of an even kernel makes a copy, and says so
        {
            "input": normal(*shape, seed=seed),
            "weight": normal(*weight, seed=seed + 1),
            "bias": normal(outputs, seed=seed + 2) if bias else None,
            **more,
        },
    )


CONVOLUTION = [
    conv("conv1d", 2, 3, 7, weight=(4, 3, 3)),
    conv("conv1d", 3, 7, weight=(4, 3, 3), bias=False, stride=2, padding=1, dilation=2),
    conv("conv1d", 1, 4, 6, weight=(6, 2, 4), groups=2, padding="same", dilation=1),
    conv("conv1d", 1, 2, 6, weight=(2, 2, 3), padding="valid"),
    conv("conv2d", 2, 2, 5, 4, weight=(3, 2, 3, 2), stride=(2, 1), padding=(1, 0)),
    conv("conv2d", 1, 4, 5, 5, weight=(4, 1, 3, 3), groups=4, padding="same", dilation=(1, 2)),
    conv("conv2d", 1, 2, 4, 4, weight=(2, 2, 2, 2), padding=(3,)),
    conv("conv3d", 1, 2, 3, 3, 3, weight=(2, 2, 2, 2, 2), padding=1, stride=2),
    conv("conv_transpose1d", 2, 3, 4, weight=(3, 2, 3)),
    conv("conv_transpose1d", 3, 4, weight=(3, 2, 3), stride=2, padding=1, output_padding=1, dilation=2),
    conv("conv_transpose2d", 1, 4, 3, 2, weight=(4, 2, 3, 2), groups=2, stride=(2, 3), padding=(1, 0), bias=False),
    conv("conv_transpose3d", 1, 2, 2, 2, 2, weight=(2, 1, 2, 2, 2), stride=2),
]


def pool(name: str, *shape: int, **more: Any) -> Case:
    return Case(name, getattr(F, name), {"input": normal(*shape), **more})


ties = torch.tensor([[0.0, 0.0, 1.0, 1.0, 0.0, 1.0, -1.0]], dtype=torch.float64)
POOLING = [
    pool("max_pool1d", 2, 3, 7, kernel_size=3),
    pool("max_pool1d", 3, 7, kernel_size=3, stride=2, padding=1, dilation=2, ceil_mode=True),
    Case("max_pool1d", F.max_pool1d, {"input": ties, "kernel_size": 3, "stride": 1}, exact_only=True),
    pool("max_pool2d", 2, 2, 5, 4, kernel_size=(2, 3), stride=(2, 1), padding=(1, 1)),
    pool("max_pool2d", 1, 2, 5, 5, kernel_size=2, ceil_mode=True),
    pool("max_pool2d", 1, 2, 5, 5, kernel_size=2, return_indices=True),
    pool("max_pool3d", 1, 2, 4, 3, 3, kernel_size=2, stride=1),
    pool("avg_pool1d", 2, 2, 7, kernel_size=3, stride=2, padding=1),
    pool("avg_pool1d", 2, 2, 8, kernel_size=3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
    pool("avg_pool2d", 2, 2, 5, 4, kernel_size=2),
    pool("avg_pool2d", 1, 2, 5, 6, kernel_size=(3, 2), stride=2, padding=1, ceil_mode=True),
    pool("avg_pool2d", 1, 2, 5, 6, kernel_size=3, padding=1, count_include_pad=False),
    pool("avg_pool2d", 1, 2, 5, 6, kernel_size=3, divisor_override=4),
    pool("avg_pool3d", 1, 2, 4, 4, 4, kernel_size=2, padding=1),
    pool("adaptive_avg_pool1d", 2, 2, 7, output_size=3),
    pool("adaptive_avg_pool2d", 2, 2, 5, 7, output_size=(2, None)),
    pool("adaptive_avg_pool3d", 1, 2, 4, 3, 5, output_size=(2, 2, 3)),
    pool("adaptive_max_pool1d", 2, 2, 7, output_size=3),
    pool("adaptive_max_pool2d", 2, 2, 5, 7, output_size=(2, 3)),
    pool("adaptive_max_pool3d", 2, 4, 3, 5, output_size=2),
    pool("lp_pool1d", 2, 2, 7, norm_type=2, kernel_size=3),
    pool("lp_pool2d", 1, 2, 5, 5, norm_type=4.0, kernel_size=2, stride=1),
    pool("lp_pool2d", 1, 2, 5, 5, norm_type=2.0, kernel_size=2, ceil_mode=True),
    pool("lp_pool2d", 1, 2, 5, 5, norm_type=float("inf"), kernel_size=2),
    Case("lp_pool1d", F.lp_pool1d, {"input": ties.abs(), "norm_type": 3, "kernel_size": 4}),
    Case("lp_pool1d", F.lp_pool1d, {"input": normal(1, 6).abs(), "norm_type": 2.5, "kernel_size": 2}),
    pool("lp_pool3d", 1, 2, 4, 4, 4, norm_type=2, kernel_size=2),
]


def positive(*shape: int, seed: int = 0) -> torch.Tensor:
    return normal(*shape, seed=seed).abs() + 0.2


NORMALISATION = [
    Case("layer_norm", F.layer_norm, {"input": normal(2, 3, 4), "normalized_shape": (4,)}),
    Case(
        "layer_norm",
        F.layer_norm,
        {
            "input": normal(2, 3, 4),
            "normalized_shape": [3, 4],
            "weight": normal(3, 4),
            "bias": normal(3, 4, seed=1),
            "eps": 0.1,
        },
    ),
    Case(
        "batch_norm",
        F.batch_norm,
        {
            "input": normal(3, 2, 4),
            "running_mean": None,
            "running_var": None,
            "weight": normal(2),
            "bias": normal(2, seed=1),
            "training": True,
        },
    ),
    Case(
        "batch_norm",
        F.batch_norm,
        {"input": normal(5, 3), "running_mean": None, "running_var": None, "weight": None, "training": True},
    ),
    Case(
        "batch_norm",
        F.batch_norm,
        {
            "input": normal(2, 3, 2, 2),
            "running_mean": normal(3),
            "running_var": positive(3),
            "weight": normal(3, seed=1),
            "bias": normal(3, seed=2),
            "eps": 1e-3,
        },
    ),
    Case("batch_norm", F.batch_norm, {"input": normal(2, 3), "running_mean": normal(3), "running_var": positive(3)}),
    Case(
        "group_norm",
        F.group_norm,
        {"input": normal(2, 4, 3), "num_groups": 2, "weight": normal(4), "bias": normal(4, seed=1)},
    ),
    Case("group_norm", F.group_norm, {"input": normal(2, 6), "num_groups": 3}),
    Case("instance_norm", F.instance_norm, {"input": normal(2, 3, 5), "weight": normal(3), "bias": normal(3, seed=1)}),
    Case(
        "instance_norm",
        F.instance_norm,
        {
            "input": normal(2, 3, 2, 2),
            "running_mean": normal(3),
            "running_var": positive(3),
            "use_input_stats": False,
        },
    ),
    Case("rms_norm", F.rms_norm, {"input": normal(2, 3, 4), "normalized_shape": (4,), "weight": normal(4)}),
    Case("rms_norm", F.rms_norm, {"input": normal(2, 3, 4), "normalized_shape": (3, 4), "eps": 0.2}),
    Case("local_response_norm", F.local_response_norm, {"input": normal(2, 5, 3), "size": 3, "alpha": 0.5}),
    Case(
        "local_response_norm",
        F.local_response_norm,
        {"input": normal(1, 4, 2, 2), "size": 4, "alpha": 0.5, "beta": 0.5, "k": 2.0},
    ),
    Case("weight_norm", torch._weight_norm, {"v": normal(3, 2, 2), "g": normal(3, 1, 1)}),
    Case("weight_norm", torch._weight_norm, {"v": normal(3, 2), "g": normal(1, 2), "dim": 1}),
    Case("normalize", F.normalize, {"input": normal(3, 4)}),
    Case("normalize", F.normalize, {"input": normal(2, 3, 4), "dim": 0, "p": 3.0}),
    Case("normalize", F.normalize, {"input": normal(2, 3), "p": 1.0}),
    Case("normalize", F.normalize, {"input": normal(2, 3), "p": 2.5, "dim": -1}),
    Case("normalize", F.normalize, {"input": normal(2, 3), "p": float("inf")}),
    Case("normalize", F.normalize, {"input": torch.tensor([[0.0, 0.0], [3.0, 0.0]]).double()}, exact_only=True),
    Case("normalize", F.normalize, {"input": torch.tensor([[0.0, 2.0]]).double(), "p": 3.0}),
    Case("normalize", F.normalize, {"input": 0.1 * normal(2, 3, 4), "dim": -1, "eps": 5.0}),
]
DROPOUT = [
    Case("dropout", seeded(F.dropout), {"input": normal(4, 5)}),
    Case("dropout", seeded(F.dropout), {"input": normal(4, 5), "p": 0.2, "training": True}),
    Case("dropout", seeded(F.dropout), {"input": normal(4, 5), "training": False}),
    Case("dropout", seeded(F.dropout), {"input": normal(4, 5), "p": 1.0}),
    Case("dropout1d", seeded(F.dropout1d), {"input": normal(2, 6, 3)}),
    Case("dropout2d", seeded(F.dropout2d), {"input": normal(2, 6, 2, 2)}),
    Case("dropout3d", seeded(F.dropout3d), {"input": normal(1, 6, 2, 1, 2), "p": 0.3}),
    Case("alpha_dropout", seeded(F.alpha_dropout), {"input": normal(4, 5), "p": 0.3, "training": True}),
    Case("alpha_dropout", seeded(F.alpha_dropout), {"input": normal(4, 5)}),
    Case("feature_alpha_dropout", seeded(F.feature_alpha_dropout), {"input": normal(2, 6, 3), "training": True}),
]
BAGS = {"input": whole(7, below=5), "weight": normal(5, 3), "offsets": torch.tensor([0, 3, 3, 6])}
EMBEDDING = [
    Case("embedding", F.embedding, {"input": whole(2, 3, below=5), "weight": normal(5, 4)}),
    Case(
        "embedding",
        F.embedding,
        {"input": torch.tensor([1, 4, 4, 0]), "weight": normal(5, 4), "padding_idx": -1},
        exact_only=True,  # the padding row is a constant for autograd alone
    ),
    Case("torch.embedding", torch.embedding, {"weight": normal(5, 4), "indices": whole(2, 3, below=5)}),
    Case(
        "torch.embedding",
        torch.embedding,
        {"weight": normal(5, 4), "indices": torch.tensor([1, 4, 4, 0]), "padding_idx": 4},
        exact_only=True,  # as above
    ),
    Case("embedding_bag", F.embedding_bag, BAGS),
    Case("embedding_bag", F.embedding_bag, {**BAGS, "mode": "sum"}),
    Case("embedding_bag", F.embedding_bag, {"input": whole(2, 3, below=5), "weight": normal(5, 4), "mode": "max"}),
    Case(
        "embedding_bag",
        F.embedding_bag,
        {**BAGS, "mode": "sum", "per_sample_weights": normal(7), "include_last_offset": False},
    ),
    Case(
        "embedding_bag",
        F.embedding_bag,
        {"input": torch.tensor([[1, 4, 4], [0, 4, 0]]), "weight": normal(5, 4), "padding_idx": 4},
        exact_only=True,
    ),
    Case(
        "embedding_bag",
        F.embedding_bag,
        {**BAGS, "offsets": torch.tensor([0, 3, 7]), "include_last_offset": True},
    ),
]


def attention(*, keys: int = 4, heads: int = 2, key_heads: int | None = None, **more: Any) -> Case:
    tensors = {
        "query": normal(2, heads, 3, 2, seed=1),
        "key": normal(2, key_heads or heads, keys, 2, seed=2),
        "value": normal(2, key_heads or heads, keys, 3, seed=3),
    }
    return Case("scaled_dot_product_attention", attend, {**tensors, **more})


def attend(**arguments: Any) -> torch.Tensor:
    # jacobian differentiates twice, which the fused kernels do not know.
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        return F.scaled_dot_product_attention(**arguments)


def attend_dropping(dropout_mask: torch.Tensor, **arguments: Any) -> torch.Tensor:
    return seeded(attend)(**arguments)


def dropping(**more: Any) -> Case:
    """Attention with dropout, whose mask is drawn again."""
    arguments = {**attention(**more).arguments, "dropout_p": 0.4}
    with torch.random.fork_rng():
        torch.manual_seed(3)
        mask = draw_mask("scaled_dot_product_attention", arguments, torch.get_rng_state())
    return Case("scaled_dot_product_attention", attend_dropping, {**arguments, "dropout_mask": mask})


some_keys = torch.tensor([[True, False, True, True], [False] * 4, [False, True, False, False]])
ATTENTION = [
    attention(),
    attention(is_causal=True, keys=3, scale=0.3),
    attention(attn_mask=some_keys),
    attention(attn_mask=normal(3, 4)),
    attention(attn_mask=normal(2, 1, 3, 4)),
    attention(heads=4, key_heads=2, enable_gqa=True),
    dropping(),
    dropping(attn_mask=normal(3, 4)),
    dropping(heads=4, key_heads=2, enable_gqa=True, is_causal=True),
    Case(
        "scaled_dot_product_attention",
        attend,
        {"query": normal(3, 2), "key": 40 * normal(4, 2, seed=1), "value": normal(4, 2, seed=2)},
        steepest=40.0,  # in proportion to the keys
    ),
]

LAYERS = [*CONVOLUTION, *POOLING, *NORMALISATION, *DROPOUT, *EMBEDDING, *ATTENTION]
