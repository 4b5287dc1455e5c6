"""Rules of convolutions and transposed convolutions, in one to three dimensions.

The sum runs over the channels of the output's group and the places of the kernel; what lies in the padding is 0.
"""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

import warnings

import torch
import torch.nn.functional as F  # noqa: N812
from sympy import Sum

from chainrule.ops.letters import WS, XS, B, K, N
from chainrule.ops.places import Arguments, Wiring, numbered
from chainrule.ops.products import zero_factors
from chainrule.ops.rule import OpRule, Silencer
from chainrule.ops.windows import Sizes, sliding, spread, spreading
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
    *,
    outputs: Tensor | None = None,
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
    # Its group's filters are rows: number o, channel by channel.
    filters = numbered(weight).reshape(weight.shape[0], weight.shape[1], -1)
    return _wiring(output, input, along, filters, bias, outputs, groups)


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
    *,
    outputs: Tensor | None = None,
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
    filters = numbered(weight).reshape(groups, channels, weight.shape[1], -1).transpose(1, 2)
    filters = filters.reshape(groups * weight.shape[1], channels, -1)
    return _wiring(output, input, along, filters, bias, outputs, groups)


def _wiring(
    output: Tensor,
    input: Tensor,
    along: list[Tensor],
    filters: Tensor,
    bias: Tensor | None,
    outputs: Tensor | None,
    groups: int,
) -> Wiring:
    """Return the wiring of a convolution.

    Args:
        output: the output.
        input: the input.
        along: for each axis of space the places of each window, (windows, k).
        filters: the element numbers of the weights of each output channel, (output channels, channels of a group, k).
        bias: the bias.
        outputs: the outputs that are asked for; None for all.
        groups: how many groups the channels are in.
    """
    axes, (filter_count, channels) = len(along), filters.shape[:2]
    asked = torch.arange(output.numel()) if outputs is None else outputs
    rest, inside = asked, torch.zeros(asked.numel(), 1, dtype=torch.int64)
    sizes, steps = input.shape[-axes:], []
    for axis in reversed(range(axes)):
        windows = along[axis].shape[0]
        steps.append(along[axis][rest % windows])
        rest = rest // windows
    for size, step in zip(sizes, reversed(steps), strict=True):
        outer, inner = inside.unsqueeze(2), step.unsqueeze(1)
        inside = torch.where((outer < 0) | (inner < 0), -1, outer * size + inner).flatten(1)
    sample, own = rest // filter_count, rest % filter_count
    group = own // (filter_count // groups)
    planes = (sample * groups + group).unsqueeze(1) * channels + torch.arange(channels)
    taken = torch.where(inside.unsqueeze(1) < 0, -1, planes.unsqueeze(2) * sizes.numel() + inside.unsqueeze(1))
    places = {"input": taken.flatten(1), "weight": filters.flatten(1)[own]}
    if bias is not None:
        places["bias"] = own
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
