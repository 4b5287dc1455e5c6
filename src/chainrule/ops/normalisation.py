"""Rules of normalisation: by mean and variance, by root mean square, by a norm.

z[k] stands for the normalised input (x[k] − mean)/σ with σ² = variance + ε, in the derivatives that use it:
∂y[i]/∂x[m] = w/σ·(δ[i,m] − (1 + z[i]·z[m])/n), the form of textbooks. The variance is divided by n, not by n − 1.
"""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

import math
from collections.abc import Callable, Sequence
from functools import cache

import torch
from sympy import Abs, Expr, IndexedBase, KroneckerDelta, Max, Pow, Sum, Symbol, nsimplify, sqrt

from chainrule.ops.differentiation import LargestShared
from chainrule.ops.letters import ALPHA, BETA, EPSILON, XS, ZS, B, C, I, J, K, M, N, W, X
from chainrule.ops.places import Arguments, Wiring, aligned, numbered
from chainrule.ops.rule import Hazard, OpRule, Silencer
from chainrule.shapes import Tensor

SIGMA = Symbol("sigma", positive=True)
MEAN = Symbol("mu", real=True)
VARIANCE = Symbol("v", real=True)
DIRECTIONS, GAIN = IndexedBase("v", real=True), Symbol("g", real=True)


def _over_groups(
    output: Tensor,
    input: Tensor,
    groups: Tensor,
    own: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: int | float,
) -> Wiring:
    """Return the wiring of a normalisation over groups of elements.

    Args:
        output: the output.
        input: the input.
        groups: for each output the element numbers of its group, (outputs, K).
        own: for each output its own place in its group.
        weight: element numbers of the scale for each output; None without one.
        bias: element numbers of the shift likewise.
        eps: what is added to the variance.
    """
    places = {"input": groups}
    numbers = _normalised(input, groups, eps) | {I: own, EPSILON: eps}
    if weight is None:
        numbers[W] = 1.0
    else:
        places["weight"] = weight
    if bias is not None:
        places["bias"] = bias
    return Wiring(places, numbers)


def _normalised(input: Tensor, groups: Tensor, eps: int | float) -> dict[Symbol, Tensor | float]:
    elements = input.detach().reshape(-1).to(torch.float64)[groups]
    variance, mean = torch.var_mean(elements, 1, correction=0, keepdim=True)
    deviation = torch.sqrt(variance + eps)
    return {SIGMA: deviation.reshape(-1), ZS: (elements - mean) / deviation}


def _rows(shape: torch.Size, last: int) -> tuple[Tensor, Tensor]:
    """Return the groups that the last axes make, for every element, and its own place in its group."""
    size = math.prod(shape[len(shape) - last :])
    count = math.prod(shape)
    groups = torch.arange(count).reshape(-1, 1, size).expand(-1, size, -1).reshape(count, size)
    return groups, torch.arange(size).repeat(count // size if size else 0)


def _layer_norm(
    output: Tensor,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: int | float = 1e-5,
) -> Wiring:
    groups, own = _rows(input.shape, len(normalized_shape))
    return _over_groups(output, input, groups, own, _last(weight, output), _last(bias, output), eps)


def _last(weight: Tensor | None, output: Tensor) -> Tensor | None:
    return None if weight is None else aligned(numbered(weight), output.shape)


def _by_channel(weight: Tensor | None, output: Tensor) -> Tensor | None:
    if weight is None:
        return None
    return aligned(numbered(weight).reshape(-1, *(1,) * (output.dim() - 2)), output.shape)


def _group_norm(
    output: Tensor,
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: int | float = 1e-5,
) -> Wiring:
    groups, own = _rows(_grouped(input, num_groups), 1)
    return _over_groups(output, input, groups, own, _by_channel(weight, output), _by_channel(bias, output), eps)


def _grouped(input: Tensor, num_groups: int) -> torch.Size:
    return torch.Size((input.shape[0] * num_groups, input[0].numel() // num_groups))


def _batch_norm(
    output: Tensor,
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: int | float | None = 0.1,
    eps: int | float = 1e-5,
) -> Wiring:
    scale, shift = _by_channel(weight, output), _by_channel(bias, output)
    if not _uses_batch({"training": training, "running_mean": running_mean}):
        assert running_mean is not None  # noqa: S101  # or the batch would have been used
        assert running_var is not None  # noqa: S101
        return _with_running(output, input, running_mean, running_var, scale, shift, weight, bias, eps)
    groups, own = _channels(input)
    return _over_groups(output, input, groups, own, scale, shift, eps)


def _channels(input: Tensor) -> tuple[Tensor, Tensor]:
    """Return for every element the elements of its channel, over the batch and over space, and its place in them."""
    by_channel = numbered(input).transpose(0, 1).reshape(input.shape[1], -1)
    channel = torch.arange(input.shape[1]).reshape(-1, *(1,) * (input.dim() - 2)).expand(input.shape).reshape(-1)
    own = torch.empty(input.numel(), dtype=torch.int64)
    own[by_channel.reshape(-1)] = torch.arange(by_channel.shape[1]).repeat(input.shape[1])
    return by_channel[channel], own


def _instance_norm(
    output: Tensor,
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: int | float = 0.1,
    eps: int | float = 1e-5,
) -> Wiring:
    scale, shift = _by_channel(weight, output), _by_channel(bias, output)
    if not use_input_stats:
        assert running_mean is not None  # noqa: S101  # torch refuses the call without them
        assert running_var is not None  # noqa: S101
        return _with_running(output, input, running_mean, running_var, scale, shift, weight, bias, eps)
    groups, own = _rows(input.shape, input.dim() - 2)
    return _over_groups(output, input, groups, own, scale, shift, eps)


def _with_running(
    output: Tensor,
    input: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: int | float,
) -> Wiring:
    channel = _by_channel(running_mean, output)
    places = {"input": numbered(input).reshape(-1)}
    numbers: dict[Symbol, Tensor | float] = {
        MEAN: running_mean.detach().to(torch.float64)[channel],
        VARIANCE: running_var.detach().to(torch.float64)[channel],
        EPSILON: eps,
    }
    if scale is None:
        numbers[W] = 1.0
    else:
        places["weight"] = scale
    if shift is not None:
        places["bias"] = shift
    return Wiring(places, numbers)


def _rms_norm(
    output: Tensor,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    eps: int | float | None = None,
) -> Wiring:
    groups, own = _rows(input.shape, len(normalized_shape))
    added = torch.finfo(input.dtype).eps if eps is None else eps
    elements = input.detach().reshape(-1).to(torch.float64)[groups]
    root = torch.sqrt((elements**2).mean(1, keepdim=True) + added)
    numbers: dict[Symbol | IndexedBase, Tensor | float] = {I: own, EPSILON: added, SIGMA: root.reshape(-1)}
    numbers[ZS] = elements / root
    if weight is None:
        return Wiring({"input": groups}, numbers | {W: 1.0})
    return Wiring({"input": groups, "weight": aligned(numbered(weight), output.shape)}, numbers)


def _local_response(
    output: Tensor, input: Tensor, size: int, alpha: int | float = 1e-4, beta: int | float = 0.75, k: int | float = 1.0
) -> Wiring:
    around = torch.arange(input.shape[1]).unsqueeze(1) - size // 2 + torch.arange(size)
    is_inside = (around >= 0) & (around < input.shape[1])
    places = numbered(input).movedim(1, -1)[..., around.clamp(0, input.shape[1] - 1)]
    places = torch.where(is_inside, places, -1).movedim(-2, 1).reshape(-1, size)
    return Wiring({"input": places}, {I: _whole(size // 2, output), ALPHA: alpha, BETA: beta, C: k, N: float(size)})


def _whole(number: int, output: Tensor) -> Tensor:
    return torch.full((output.numel(),), number, dtype=torch.int64)


def _normalize(
    output: Tensor,
    input: Tensor,
    p: int | float = 2.0,
    dim: int = 1,
    eps: int | float = 1e-12,
    out: Tensor | None = None,
) -> Wiring:
    size = input.shape[dim]
    places = numbered(input).movedim(dim, -1)
    rows = places.unsqueeze(-2).expand(*places.shape, size).movedim(-2, dim % input.dim()).reshape(-1, size)
    own = torch.arange(size).expand(places.shape).movedim(-1, dim).reshape(-1)
    return Wiring({"input": rows}, {I: own, EPSILON: eps})


def _weight_norm(output: Tensor, v: Tensor, g: Tensor, dim: int = 0) -> Wiring:
    if dim == -1:  # one length for the whole tensor
        rows, lengths = numbered(v).reshape(1, -1).expand(v.numel(), -1), torch.zeros(v.numel(), dtype=torch.int64)
        return Wiring({"v": rows, "g": lengths}, {I: numbered(v).reshape(-1)})
    by_length = numbered(v).transpose(0, dim).flatten(1)
    shape = [-1 if axis == dim else 1 for axis in range(v.dim())]
    which = torch.arange(v.shape[dim]).reshape(shape).expand(v.shape).reshape(-1)
    own = torch.empty(v.numel(), dtype=torch.int64)
    own[by_length.reshape(-1)] = torch.arange(by_length.shape[1]).repeat(by_length.shape[0])
    return Wiring({"v": by_length[which], "g": which}, {I: own})


def _uses_batch(arguments: Arguments) -> bool:
    return bool(arguments.get("training", False)) or arguments.get("running_mean") is None


def _mean_of(letter: Symbol) -> Expr:
    return Sum(XS[letter], (letter, 1, N)) / N


_DEVIATION = sqrt(Sum((XS[K] - _mean_of(J)) ** 2, (K, 1, N)) / N + EPSILON)
_NORMALISED = (XS[I] - _mean_of(J)) / _DEVIATION * W + B
_NORMALISED_BY_X = W / SIGMA * (KroneckerDelta(I, M) - (1 + ZS[I] * ZS[M]) / N)
_RUNNING = (X - MEAN) / sqrt(VARIANCE + EPSILON) * W + B
_ROOT_MEAN_SQUARE = XS[I] / sqrt(Sum(XS[K] ** 2, (K, 1, N)) / N + EPSILON) * W

_SLOTS = {"input": XS[K], "weight": W, "bias": B}
_RUNNING_SLOTS = {"input": X, "weight": W, "bias": B}
_SCHOOL = {"input": _NORMALISED_BY_X, "weight": ZS[I]}
_NOTE = "In ∂y/∂x, z[k] = (x[k] − mean)/σ is the normalised input, and σ² = variance + ε."


def _weight_is_zero(by_channel: bool) -> Silencer:
    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        weight = arguments.get("weight")
        if weight is None:
            return torch.zeros((), dtype=torch.bool)
        is_zero: Tensor = weight == 0
        return is_zero.reshape(-1, *(1,) * (output.dim() - 2)) if by_channel else is_zero

    return Silencer("weight 0", "multiplied by a weight that is 0", "input", find)


def _layer_groups(arguments: Arguments) -> Tensor:
    return _rows(arguments["input"].shape, len(arguments["normalized_shape"]))[0]


def _spread_is_zero(groups: Callable[[Arguments], Tensor]) -> Hazard:
    def find(arguments: Arguments, output: Tensor) -> Tensor:
        if arguments.get("eps", 1e-5) != 0:
            return torch.zeros((), dtype=torch.bool)
        values: Tensor = arguments["input"].detach()
        elements = values.reshape(-1)[groups(arguments)]
        return (elements == elements[:, :1]).all(1).reshape(values.shape)

    return Hazard(
        "variance 0", "the same in its whole group, so that the variance is 0, and ε is 0", "input", "forward", find
    )


def _all_zero(arguments: Arguments, output: Tensor) -> Tensor:
    if arguments.get("eps") != 0:
        return torch.zeros((), dtype=torch.bool)
    values: Tensor = arguments["input"].detach()
    return (values.reshape(-1)[_layer_groups(arguments)] == 0).all(1).reshape(values.shape)


def _running_variance_is_zero(arguments: Arguments, output: Tensor) -> Tensor:
    if arguments.get("eps", 1e-5) != 0:
        return torch.zeros((), dtype=torch.bool)
    is_zero: Tensor = arguments["running_var"] == 0
    return is_zero.reshape(-1, *(1,) * (output.dim() - 2))


_NO_ROOT = Hazard(
    "norm of 0", "0 in its whole group, so that the root mean square is 0, and ε is 0", "input", "forward", _all_zero
)


def _running(name: str, wire: Callable[..., Wiring]) -> OpRule:
    return OpRule(
        name,
        _RUNNING,
        _RUNNING_SLOTS,
        wire,
        silencers=(_weight_is_zero(by_channel=True),),
        hazards=(
            Hazard(
                "variance 0",
                "of a channel whose running variance is 0, and ε is 0",
                "input",
                "forward",
                _running_variance_is_zero,
            ),
        ),
        note="μ and v are the running mean and variance, constants here.",
    )


def _choose_batch(arguments: Arguments) -> OpRule:
    return _BATCH if _uses_batch(arguments) else _BATCH_RUNNING


def _choose_instance(arguments: Arguments) -> OpRule:
    return _INSTANCE if arguments.get("use_input_stats", True) else _INSTANCE_RUNNING


_BATCH_RUNNING = _running("batch_norm", _batch_norm)
_BATCH = OpRule(
    "batch_norm",
    _NORMALISED,
    _SLOTS,
    _batch_norm,
    choose=_choose_batch,
    school=_SCHOOL,
    silencers=(_weight_is_zero(by_channel=True),),
    note="The sums run over the batch and the places of one channel. " + _NOTE,
)
_INSTANCE_RUNNING = _running("instance_norm", _instance_norm)
_INSTANCE = OpRule(
    "instance_norm",
    _NORMALISED,
    _SLOTS,
    _instance_norm,
    choose=_choose_instance,
    school=_SCHOOL,
    silencers=(_weight_is_zero(by_channel=True),),
    hazards=(_spread_is_zero(lambda arguments: _rows(arguments["input"].shape, arguments["input"].dim() - 2)[0]),),
    note="The sums run over the places of one channel of one sample. " + _NOTE,
)


def _alone(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    """∂y[i]/∂x[m] is δ[i,m] − y[i]·∂(norm)/∂x[m] over the norm, and ∂(norm)/∂x[m] is ±|y[m]|^(p − 1)."""
    power, dim = float(arguments.get("p", 2.0)), arguments.get("dim", 1)
    sizes = output.detach().abs()
    if sizes.dim() == 0:
        sizes, dim = sizes.unsqueeze(0), 0
    is_largest = sizes == sizes.amax(dim, keepdim=True)
    slopes = is_largest / is_largest.sum(dim, keepdim=True) if math.isinf(power) else sizes ** (power - 1)
    best = torch.cat([sizes, torch.zeros_like(sizes.narrow(dim, 0, 1))], dim).topk(2, dim).values
    others = torch.where(sizes < best.narrow(dim, 0, 1), best.narrow(dim, 0, 1), best.narrow(dim, 1, 1))
    norms = torch.linalg.vector_norm(arguments["input"].detach(), power, dim, keepdim=True)
    found = ((1 - sizes * slopes).abs() <= threshold) & (others * slopes <= threshold)
    found &= norms > arguments.get("eps", 1e-12)
    return found.reshape(output.shape)


def _no_length(arguments: Arguments, output: Tensor) -> Tensor:
    if arguments.get("eps", 1e-12) != 0:
        return torch.zeros((), dtype=torch.bool)
    is_zero: Tensor = arguments["input"] == 0
    return output.isnan() & is_zero


@cache
def _unit(power: float) -> OpRule:
    if power == 2:
        length = sqrt(Sum(XS[K] ** 2, (K, 1, N)))
    elif math.isinf(power):
        length = LargestShared(Abs(XS[K]), K, N)
    else:
        exponent = nsimplify(power, rational=True)
        length = Pow(Sum(Abs(XS[K]) ** exponent, (K, 1, N)), 1 / exponent)
    return OpRule(
        "normalize",
        XS[I] / Max(length, EPSILON),
        {"input": XS[K]},
        _normalize,
        choose=lambda arguments: _unit(float(arguments.get("p", 2.0))),
        silencers=(
            Silencer(
                "alone",
                "the only one of its group that is not about 0, so that its size does not count",
                "input",
                _alone,
            ),
        ),
        hazards=(Hazard("0/0", "0 like its whole group, whose norm is 0, and ε is 0", "input", "forward", _no_length),),
        note="Along one dimension, the output has norm 1 unless the input is 0.",
    )


NORMALISATION: tuple[OpRule, ...] = (
    OpRule(
        "layer_norm",
        _NORMALISED,
        _SLOTS,
        _layer_norm,
        aliases=("native_layer_norm",),
        school=_SCHOOL,
        silencers=(_weight_is_zero(by_channel=False),),
        hazards=(_spread_is_zero(_layer_groups),),
        note="The sums run over the last dimensions. " + _NOTE,
    ),
    _BATCH,
    OpRule(
        "group_norm",
        _NORMALISED,
        _SLOTS,
        _group_norm,
        school=_SCHOOL,
        silencers=(_weight_is_zero(by_channel=True),),
        hazards=(
            _spread_is_zero(lambda arguments: _rows(_grouped(arguments["input"], arguments["num_groups"]), 1)[0]),
        ),
        note="The sums run over the channels of a group and their places. " + _NOTE,
    ),
    _INSTANCE,
    OpRule(
        "rms_norm",
        _ROOT_MEAN_SQUARE,
        {"input": XS[K], "weight": W},
        _rms_norm,
        school={"input": W / SIGMA * (KroneckerDelta(I, M) - ZS[I] * ZS[M] / N), "weight": ZS[I]},
        silencers=(_weight_is_zero(by_channel=False),),
        hazards=(_NO_ROOT,),
        note="In ∂y/∂x, z[k] = x[k]/σ with σ the root mean square.",
    ),
    OpRule(
        "local_response_norm",
        XS[I] * (C + ALPHA / N * Sum(XS[K] ** 2, (K, 1, N))) ** (-BETA),
        {"input": XS[K]},
        _local_response,
        note="The sum runs over n neighbouring channels; c is torch's argument k.",
    ),
    _unit(2.0),
    OpRule(
        "weight_norm",
        GAIN * DIRECTIONS[I] / sqrt(Sum(DIRECTIONS[K] ** 2, (K, 1, N))),
        {"v": DIRECTIONS[K], "g": GAIN},
        _weight_norm,
        aliases=("weight_norm_interface",),
        hazards=(
            Hazard(
                "norm of 0",
                "0 in its whole row, which then has no direction",
                "v",
                "forward",
                lambda arguments, output: output.isnan() & (arguments["v"] == 0),
            ),
        ),
        note="v is the direction and g the length of one row of the weight.",
    ),
)
