"""Rules of pooling: the largest, the mean or a norm of the inputs in a window, in one to three dimensions."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

import math
from collections.abc import Callable, Sequence
from functools import cache

import torch
from sympy import Abs, Pow, Sum, nsimplify

from chainrule.ops.differentiation import Largest
from chainrule.ops.letters import XS, C, K, N
from chainrule.ops.places import Arguments, Wiring
from chainrule.ops.rule import OpRule, Silencer
from chainrule.ops.windows import Sizes, adaptive, in_planes, joined, plane_count, sliding, spread
from chainrule.shapes import Tensor

OutputSizes = int | Sequence[int | None]


def _windows(
    output: Tensor, input: Tensor, axes: int, kernel_size: Sizes, stride: Sizes | None, padding: Sizes, dilation: Sizes
) -> Tensor:
    sizes, kernel = input.shape[-axes:], spread(kernel_size, axes)
    along = [
        sliding(size, windows, width, jump, before, step)
        for size, windows, width, jump, before, step in zip(
            sizes,
            output.shape[-axes:],
            kernel,
            spread(stride, axes) if stride else kernel,
            spread(padding, axes),
            spread(dilation, axes),
            strict=True,
        )
    ]
    return in_planes(plane_count(input.shape, axes), joined(along, sizes), sizes.numel()).reshape(output.numel(), -1)


def _shared_windows(output: Tensor, input: Tensor, axes: int) -> Tensor:
    sizes = input.shape[-axes:]
    along = [adaptive(size, windows) for size, windows in zip(sizes, output.shape[-axes:], strict=True)]
    return in_planes(plane_count(input.shape, axes), joined(along, sizes), sizes.numel()).reshape(output.numel(), -1)


def _largest(axes: int) -> Callable[..., Wiring]:
    def wire(
        output: Tensor,
        input: Tensor,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Wiring:
        places = _windows(output, input, axes, kernel_size, stride, padding, dilation)
        return Wiring({"input": places}, fills={"input": -math.inf})

    return wire


def _largest_adaptive(axes: int) -> Callable[..., Wiring]:
    def wire(output: Tensor, input: Tensor, output_size: OutputSizes, return_indices: bool = False) -> Wiring:
        return Wiring({"input": _shared_windows(output, input, axes)}, fills={"input": -math.inf})

    return wire


def _mean_adaptive(axes: int) -> Callable[..., Wiring]:
    def wire(output: Tensor, input: Tensor, output_size: OutputSizes) -> Wiring:
        places = _shared_windows(output, input, axes)
        return Wiring({"input": places}, {N: (places >= 0).sum(1).to(torch.float64)})

    return wire


def _mean(axes: int) -> Callable[..., Wiring]:
    def wire(
        output: Tensor,
        input: Tensor,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Wiring:
        places = _windows(output, input, axes, kernel_size, stride, padding, 1)
        if divisor_override:
            return Wiring({"input": places}, {C: float(divisor_override)})
        counted = (places >= 0).sum(1)
        if count_include_pad:
            # The padding counts, but not what a last window (ceil_mode) reaches beyond it.
            padded = input.new_empty(
                *(1,) * (input.dim() - axes),
                *(size + 2 * more for size, more in zip(input.shape[-axes:], spread(padding, axes), strict=True)),
            )
            one_plane = output[(0,) * (output.dim() - axes)]
            counted = (_windows(one_plane, padded, axes, kernel_size, stride, 0, 1) >= 0).sum(1)
            counted = counted.repeat(plane_count(output.shape, axes))
        return Wiring({"input": places}, {N: counted.to(torch.float64)})

    return wire


def _norm(axes: int) -> Callable[..., Wiring]:
    def wire(
        output: Tensor,
        input: Tensor,
        norm_type: int | float,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        ceil_mode: bool = False,
    ) -> Wiring:
        places = _windows(output, input, axes, kernel_size, stride, 0, 1)
        # A window of zeros sends nothing back, although its norm has no slope: its places count as outside.
        places = torch.where(output.reshape(-1, 1) == 0, -1, places)
        # torch multiplies a mean over what is inside by the size of a whole window, so a cut one counts for more.
        share = places.shape[1] / (places >= 0).sum(1).clamp(min=1).to(torch.float64)
        return Wiring({"input": places}, {C: share})

    return wire


def _never_largest(wire: Callable[..., Wiring], size: Callable[[Tensor], Tensor] = lambda values: values) -> Silencer:
    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        given = {name: value for name, value in arguments.items() if name != "input"}
        values = arguments["input"]
        places = wire(output, values, **given).places["input"]
        elements = torch.cat([size(values.detach()).reshape(-1), values.new_tensor([-math.inf])])
        first = elements[places].argmax(1, keepdim=True)
        return ~_reached(values, places.gather(1, first))

    return Silencer("not the largest", "not the largest of any window", "input", find)


_MEAN = Sum(XS[K], (K, 1, N)) / N
_MEAN_SLOTS = {"input": XS[K]}
_LARGEST = Largest(XS[K], K, N)


def _in_no_window(axes: int) -> Silencer:
    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        padding = arguments.get("padding", 0)
        places = _windows(
            output, arguments["input"], axes, arguments["kernel_size"], arguments.get("stride"), padding, 1
        )
        return ~_reached(arguments["input"], places)

    return Silencer("in no window", "in no window: the windows end before it", "input", find)


def _reached(values: Tensor, places: Tensor) -> Tensor:
    reached = torch.zeros(values.numel() + 1, dtype=torch.bool)
    reached[places.reshape(-1)] = True
    return reached[:-1].reshape(values.shape)


def _zero_windows(axes: int) -> Silencer:
    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        values = arguments["input"]
        places = _windows(output, values, axes, arguments["kernel_size"], arguments.get("stride"), 0, 1)
        return _reached(values, places) & ~_reached(values, places[output.reshape(-1) != 0])

    return Silencer("window of zeros", "in windows of zeros alone, where the norm sends nothing back", "input", find)


def _small_share(axes: int, power: float) -> Silencer:
    """∂y/∂x[k] is (x[k]/y)^(p − 1) but for the factor of a window that is cut, and at most 1."""

    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        values, norms = arguments["input"].detach(), output.detach().reshape(-1, 1)
        places = _windows(output, values, axes, arguments["kernel_size"], arguments.get("stride"), 0, 1)
        elements = torch.cat([values.reshape(-1), values.new_zeros(1)])
        slopes = (elements[places] / norms).abs().to(torch.float64) ** (power - 1)
        slopes = torch.where((places >= 0) & (norms != 0), slopes, 0.0)
        most = torch.zeros(elements.numel(), dtype=torch.float64)
        most.scatter_reduce_(0, places.reshape(-1) % elements.numel(), slopes.reshape(-1), "amax")
        touched = _reached(values, places[output.reshape(-1) != 0])
        return (most[:-1] <= threshold).reshape(values.shape) & touched

    return Silencer("0", "0, or small beside the others of its window", "input", find)


@cache
def _norm_rule(axes: int, power: float, is_cut: bool) -> OpRule:
    def choose(arguments: Arguments) -> OpRule:
        return _norm_rule(axes, float(arguments["norm_type"]), bool(arguments.get("ceil_mode")))

    if math.isinf(power):
        formula = Largest(Abs(XS[K]), K, N)
        more: tuple[Silencer, ...] = (_never_largest(_norm(axes), torch.abs),)
    else:
        exponent = nsimplify(power, rational=True)
        inside = Sum(XS[K] ** exponent, (K, 1, N))
        formula = Pow(C * inside if is_cut else inside, 1 / exponent)
        more = (_small_share(axes, power),) if power > 1 else ()
    return OpRule(
        f"lp_pool{axes}d",
        formula,
        _MEAN_SLOTS,
        _norm(axes),
        choose=choose,
        silencers=(_zero_windows(axes), _in_no_window(axes), *more),
        note="c is the size of a whole window over that of this one, which is cut at the edge." if is_cut else "",
    )


def _pools(axes: int) -> tuple[OpRule, ...]:
    """Return the rules of pooling over so many axes."""
    largest, largest_adaptive = _largest(axes), _largest_adaptive(axes)
    unused = (_in_no_window(axes),)
    override = OpRule(
        f"avg_pool{axes}d",
        Sum(XS[K], (K, 1, N)) / C,
        _MEAN_SLOTS,
        _mean(axes),
        silencers=unused,
        note="c is divisor_override.",
    )
    mean = OpRule(
        f"avg_pool{axes}d",
        _MEAN,
        _MEAN_SLOTS,
        _mean(axes),
        choose=lambda arguments: override if arguments.get("divisor_override") else mean,
        silencers=unused,
        note="n counts the padding too, unless count_include_pad is off.",
    )
    return (
        OpRule(
            f"max_pool{axes}d",
            _LARGEST,
            _MEAN_SLOTS,
            largest,
            aliases=(f"max_pool{axes}d_with_indices", f"_max_pool{axes}d"),
            silencers=(_never_largest(largest),),
            note="Where several are the largest, the gradient goes to the first of them.",
        ),
        OpRule(
            f"adaptive_max_pool{axes}d",
            _LARGEST,
            _MEAN_SLOTS,
            largest_adaptive,
            aliases=(f"adaptive_max_pool{axes}d_with_indices", f"_adaptive_max_pool{axes}d"),
            silencers=(_never_largest(largest_adaptive),),
            note="Where several are the largest, the gradient goes to the first of them.",
        ),
        mean,
        OpRule(f"adaptive_avg_pool{axes}d", _MEAN, _MEAN_SLOTS, _mean_adaptive(axes)),
        _norm_rule(axes, 2.0, False),
    )


POOLING: tuple[OpRule, ...] = (*_pools(1), *_pools(2), *_pools(3))
