"""The kernel's random numbers in plain PyTorch: the same seed, step, op and element give the same number."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from chainrule.lanes.generator import normal_numbers, uniform_numbers
from chainrule.lanes.mathematics import Precision

aten = torch.ops.aten


class DrawnNumbers(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
    """While it is entered, PyTorch's random ops give the numbers that a kernel draws in one step of one run.

    The ops are numbered in the order in which they come, as in the traced step. Ops that a kernel has no generator for
    are left as they are; a step with one of them is refused before.
    """

    def __init__(self, seed: int, step: int, precision: Precision) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no types for it
        self.seed, self.step, self.precision = seed, step, precision
        self.ops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Replace what an op draws; every other op runs as it is."""
        options = kwargs or {}
        packet = func.overloadpacket
        if packet is aten.bernoulli_ and isinstance(args[1] if len(args) > 1 else 0.5, float):
            return args[0].copy_(self._uniform(args[0].shape) < (args[1] if len(args) > 1 else 0.5))
        if func is aten.bernoulli.p:
            return (self._uniform(args[0].shape) < args[1]).to(args[0].dtype)
        if packet in (aten.rand, aten.rand_like):
            return self._uniform(args[0] if packet is aten.rand else args[0].shape)
        if packet in (aten.randn, aten.randn_like):
            return self._drawn(normal_numbers, args[0] if packet is aten.randn else args[0].shape)
        if packet is aten.exponential_:
            rate = args[1] if len(args) > 1 else 1.0
            return args[0].copy_(-torch.log1p(-self._uniform(args[0].shape)) / rate)
        if packet is aten.rrelu_with_noise and (args[4] if len(args) > 4 else options.get("training", False)):
            value, noise, lower, upper = args[:4]
            drawn = self._uniform(value.shape) * (upper - lower) + lower
            noise.copy_(torch.where(value <= 0, drawn, 1.0))
            return value * noise
        return func(*args, **options)

    def _uniform(self, shape: Any) -> Tensor:
        return self._drawn(uniform_numbers, shape)

    def _drawn(self, numbers: Callable[..., Any], shape: Any) -> Tensor:
        count = torch.Size(shape).numel()
        drawn = numbers(self.seed, self.step, self.ops, count, self.precision)
        self.ops += 1
        return torch.from_numpy(drawn).to(torch.float64).reshape(tuple(shape))
