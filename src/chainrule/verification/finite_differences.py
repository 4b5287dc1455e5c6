"""Is autograd's gradient right? Central differences in float64, for a sample of a model's parameters."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from chainrule.shapes import Float, Tensor

Loss = Callable[[], Float[Tensor, ""]]

# Central differences are off by h²/6 · f‴ and by rounding ε·|f|/h; h = ε^(1/3) balances the two.
STEP = torch.finfo(torch.float64).eps ** (1 / 3)
TOLERANCE = 1e-5
FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class GradientCheck:
    """How far autograd's gradients are from central differences.

    The error of an entry is |autograd − difference| / max(|autograd|, |difference|, floor), where the floor is
    `FLOOR` times the largest gradient of all checked entries: below it, central differences see only rounding.

    Attributes:
        worst: the largest error; entries at a kink do not count.
        where: the entry that has it, such as "hidden1.weight[0, 1]".
        checked: how many entries were checked.
        entries: how many the model has.
        kinks: entries where the loss has a corner within the step, and no derivative to compare.
        reason: why nothing was checked; empty when something was.
    """

    worst: float
    where: str
    checked: int
    entries: int
    kinks: tuple[str, ...] = ()
    reason: str = ""

    @property
    def is_right(self) -> bool:
        """Whether every entry that was checked agrees to within `TOLERANCE`."""
        return not self.reason and self.worst <= TOLERANCE

    def __str__(self) -> str:
        if self.reason:
            return f"gradients not checked: {self.reason}"
        share = "all" if self.checked == self.entries else f"{self.checked} of"
        text = (
            f"gradients agree with finite differences in float64: {share} {self.entries} entries, "
            f"largest relative error {self.worst:.1e}"
            if self.is_right
            else f"gradients DIFFER from finite differences in float64: {self.where}, "
            f"relative error {self.worst:.1e} ({share} {self.entries} entries checked)"
        )
        return text + (f"; {len(self.kinks)} at a kink, not counted" if self.kinks else "")


def check_gradients(loss: Loss, parameters: dict[str, nn.Parameter], entries: int, seed: int) -> GradientCheck:
    """Compare autograd's gradient of a loss with central differences, entry by entry.

    Args:
        loss: computes the loss from the parameters, the same every time it is called; float64.
        parameters: by name; float64 leaves. They are nudged in place and put back.
        entries: how many entries to check at most, drawn evenly from all.
        seed: decides which.
    """
    total = sum(parameter.numel() for parameter in parameters.values())
    value = loss()
    if not value.isfinite():
        return GradientCheck(0.0, "", 0, total, reason=f"the loss is {value.item()} at these weights")
    gradients = torch.autograd.grad(value, list(parameters.values()), allow_unused=True)
    by_name = dict(zip(parameters, gradients, strict=True))
    chosen = _choose(parameters, min(entries, total), seed)
    measured = []
    for name, index in chosen:
        gradient = by_name[name]
        exact = 0.0 if gradient is None else float(gradient.reshape(-1)[index])
        measured.append((name, index, exact, *_differences(loss, parameters[name], index)))
    floor = FLOOR * max((abs(exact) for _, _, exact, *_ in measured if math.isfinite(exact)), default=0.0)
    worst, where, kinks = 0.0, "", []
    for name, index, exact, central, left, right in measured:
        scale = max(abs(exact), abs(central), floor)
        error = abs(exact - central) / scale if scale > 0 else 0.0
        error = error if math.isfinite(exact) and math.isfinite(central) else math.inf
        label = _label(name, index, parameters[name])
        if error > TOLERANCE and _is_kink(exact, left, right, scale):
            kinks.append(label)
        elif error >= worst:
            worst, where = error, label
    return GradientCheck(worst, where, len(chosen), total, tuple(kinks))


def _choose(parameters: dict[str, nn.Parameter], count: int, seed: int) -> list[tuple[str, int]]:
    places = [(name, parameter.numel()) for name, parameter in parameters.items()]
    total = sum(size for _, size in places)
    generator = torch.Generator().manual_seed(seed)
    picked = sorted(torch.randperm(total, generator=generator)[:count].tolist())
    chosen, start = [], 0
    for name, size in places:
        chosen += [(name, number - start) for number in picked if start <= number < start + size]
        start += size
    return chosen


def _differences(loss: Loss, parameter: nn.Parameter, index: int) -> tuple[float, float, float]:
    """Return the central, left and right difference quotients of one entry."""
    entries, spot = parameter.detach(), _place(index, parameter)
    before = float(entries[spot])
    step = STEP * max(1.0, abs(before))
    values = []
    try:
        for place in (before - step, before, before + step):
            entries[spot] = place
            values.append(float(loss().detach()))
    finally:
        entries[spot] = before
    below, here, above = values
    return (above - below) / (2 * step), (here - below) / step, (above - here) / step


def _is_kink(exact: float, left: float, right: float, scale: float) -> bool:
    """Whether the slopes at both sides differ as at a corner, with the gradient at or between them."""
    gap = abs(right - left)
    slack = 0.01 * gap
    return gap > 100 * TOLERANCE * scale and min(left, right) - slack <= exact <= max(left, right) + slack


def _label(name: str, index: int, parameter: nn.Parameter) -> str:
    return f"{name}[{', '.join(map(str, _place(index, parameter)))}]"


def _place(index: int, parameter: nn.Parameter) -> tuple[int, ...]:
    return tuple(int(each) for each in torch.unravel_index(torch.tensor(index), parameter.shape))
