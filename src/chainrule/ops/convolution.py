"""Rules of convolutions and transposed convolutions, in one to three dimensions.

The sum runs over the channels of the output's group and the places of the kernel; what lies in the padding is 0.
"""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

import warnings

import torch.nn.functional as F  # noqa: N812
from sympy import Sum

from chainrule.ops.letters import WS, XS, B, K, N
from chainrule.ops.places import Arguments, Wiring, aligned, numbered
from chainrule.ops.products import zero_factors
from chainrule.ops.rule import OpRule, Silencer
from chainrule.ops.windows import Sizes, in_planes, joined, plane_count, sliding, spread, spreading
from chainrule.shapes import Tensor


def _convolve(
    output: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Wiring:
    axes = weight.dim() - 2
    kernel, sizes, steps = weight.shape[2:], input.shape[-axes:], spread(dilation, axes)
    if padding == "same":
        before = tuple(step * (width - 1) // 2 for step, width in zip(steps, kernel, strict=True))
    else:
        before = (0,) * axes if isinstance(padding, str) else spread(padding, axes)
    along = [
        sliding(size, windows, width, jump, start, step)
        for size, windows, width, jump, start, step in zip(
            sizes, output.shape[-axes:], kernel, spread(stride, axes), before, steps, strict=True
        )
    ]
    channels = weight.shape[1]
    taken = in_planes(plane_count(input.shape, axes), joined(along, sizes), sizes.numel())
    # (batch, group, channel of the group, window, place) → (batch, group, output of the group, window, channel, place)
    taken = taken.reshape(-1, groups, channels, *taken.shape[1:]).transpose(2, 3).unsqueeze(2)
    taken = taken.expand(-1, -1, weight.shape[0] // groups, -1, -1, -1)
    weights = numbered(weight).reshape(1, groups, weight.shape[0] // groups, 1, channels, -1).expand_as(taken)
    return _wiring(output, taken, weights, bias, axes)


def _convolve_transposed(
    output: Tensor,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Wiring:
    axes = weight.dim() - 2
    sizes = input.shape[-axes:]
    along = [
        spreading(size, outputs, width, jump, start, step)
        for size, outputs, width, jump, start, step in zip(
            sizes,
            output.shape[-axes:],
            weight.shape[2:],
            spread(stride, axes),
            spread(padding, axes),
            spread(dilation, axes),
            strict=True,
        )
    ]
    channels = weight.shape[0] // groups
    taken = in_planes(plane_count(input.shape, axes), joined(along, sizes), sizes.numel())
    taken = taken.reshape(-1, groups, channels, *taken.shape[1:]).transpose(2, 3).unsqueeze(2)
    taken = taken.expand(-1, -1, weight.shape[1], -1, -1, -1)
    weights = numbered(weight).reshape(1, groups, channels, weight.shape[1], 1, -1).permute(0, 1, 3, 4, 2, 5)
    return _wiring(output, taken, weights.expand_as(taken), bias, axes)


def _wiring(output: Tensor, taken: Tensor, weights: Tensor, bias: Tensor | None, axes: int) -> Wiring:
    rows = output.numel()
    places = {"input": taken.reshape(rows, -1), "weight": weights.reshape(rows, -1)}
    if bias is not None:
        places["bias"] = aligned(numbered(bias).reshape(-1, *(1,) * axes), output.shape)
    return Wiring(places)


def _silencers(name: str) -> tuple[Silencer, ...]:
    convolve = getattr(F, name)

    def compute(sizes: Arguments) -> Tensor:
        settings = {key: value for key, value in sizes.items() if key not in ("input", "weight", "bias")}
        with warnings.catch_warnings(action="ignore"):  # torch's advice on padding="same", which the op gave already
            result: Tensor = convolve(sizes["input"], sizes["weight"], None, **settings)
        return result

    return tuple(zero_factors(argument, compute) for argument in ("input", "weight"))


_SUM = Sum(XS[K] * WS[K], (K, 1, N)) + B
_SLOTS = {"input": XS[K], "weight": WS[K], "bias": B}
_NOTE = "k runs over the channels of the group and the places of the kernel; x is 0 in the padding."
_TRANSPOSED_NOTE = (
    "k runs over the channels of the group and the places of the kernel from which an input reaches this output; "
    "x is 0 where none does."
)


CONVOLUTION: tuple[OpRule, ...] = tuple(
    OpRule(name, _SUM, _SLOTS, wire, silencers=_silencers(name), note=note)
    for kind, wire, note in (
        ("conv", _convolve, _NOTE),
        ("conv_transpose", _convolve_transposed, _TRANSPOSED_NOTE),
    )
    for name in (f"{kind}1d", f"{kind}2d", f"{kind}3d")
)
