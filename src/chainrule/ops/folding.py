"""Rules of torch.nn.functional.unfold and fold: the windows of images as columns, and the sum of columns."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

import torch
import torch.nn.functional as F  # noqa: N812
from sympy import Sum

from chainrule.ops.letters import XS, K, N
from chainrule.ops.places import Arguments, Wiring, grouped, numbered, tensor_argument
from chainrule.ops.rule import OpRule, Silencer, moving
from chainrule.ops.windows import Sizes, spread
from chainrule.shapes import Tensor


def _columns(input: Tensor, kernel_size: Sizes, dilation: Sizes = 1, padding: Sizes = 0, stride: Sizes = 1) -> Tensor:
    sizes = [spread(size, 2) for size in (kernel_size, dilation, padding, stride)]
    # Not for whole numbers; float64 holds them up to 2⁵³.
    return F.unfold(input.to(torch.float64), *sizes).to(torch.int64)


def _targets(shape: torch.Size, windows: tuple[Sizes, Sizes, Sizes, Sizes], columns: torch.Size) -> Tensor:
    """Return for every element of the columns the element of the image that it is added to, counted from 1, or 0."""
    numbers = torch.arange(1, shape.numel() + 1).reshape(shape)
    return _columns(numbers, *windows).reshape(columns)


def _fold(
    output: Tensor,
    input: Tensor,
    output_size: Sizes,
    kernel_size: Sizes,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    stride: Sizes = 1,
) -> Wiring:
    targets = _targets(output.shape, (kernel_size, dilation, padding, stride), input.shape)
    inside = targets > 0
    return Wiring({"input": grouped(targets[inside] - 1, numbered(input)[inside], output.numel())})


def _in_padding(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    settings = [arguments.get(name, default) for name, default in (("dilation", 1), ("padding", 0), ("stride", 1))]
    shape = tensor_argument(arguments).shape
    return _targets(output.shape, (arguments["kernel_size"], *settings), shape) == 0


FOLDING: tuple[OpRule, ...] = (
    moving("im2col", _columns, left_out="in no window: the windows end before it"),
    OpRule(
        "fold",
        Sum(XS[K], (K, 1, N)),
        {"input": XS[K]},
        _fold,
        aliases=("col2im",),
        silencers=(Silencer("in the padding", "in the padding, which is cut off", "input", _in_padding),),
        note="k runs over the elements of all windows that lie on the output's own place.",
    ),
)
