"""Is autograd's gradient right? Central differences in float64, for a sample of a model's parameters."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from chainrule.shapes import Float, Tensor

Loss = Callable[[], Float[Tensor, ""]]

# Central differences are off by h²/6 · f‴ and by rounding ε·|f|/h; h = ε^(1/3) balances the two.
EPSILON = torch.finfo(torch.float64).eps
STEP = EPSILON ** (1 / 3)
TOLERANCE = 1e-5
FLOOR = 1e-6
CORNER = 100 * TOLERANCE  # slopes at both sides of an entry that differ by more are looked at from nearer
ROUNDINGS = 10  # by how many ε a loss is off that was summed over layers and samples


@dataclass(frozen=True, slots=True)
class GradientCheck:
    """How far autograd's gradients are from central differences.

    The error of an entry is |autograd − difference| / max(|autograd|, |difference|, floor). The floor is `FLOOR` times
    the largest gradient of all checked entries, or where the rounding of the loss alone, ε·|loss|/h, would look like an
    error of `TOLERANCE`: below it, central differences see nothing else.

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


@dataclass(frozen=True, slots=True)
class _Differences:
    """The central, left and right difference quotients of one entry."""

    central: float
    left: float
    right: float

    @property
    def gap(self) -> float:
        return abs(self.right - self.left)

    def error(self, exact: float, floor: float) -> float:
        if not (math.isfinite(exact) and math.isfinite(self.central)):
            return math.inf
        scale = max(abs(exact), abs(self.central), floor)
        return abs(exact - self.central) / scale if scale > 0 else 0.0


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
    slopes = []
    for name, index in chosen:
        gradient = by_name[name]
        slopes.append(0.0 if gradient is None else float(gradient.reshape(-1)[index]))
    floor = FLOOR * max((abs(exact) for exact in slopes if math.isfinite(exact)), default=0.0)
    floor = max(floor, ROUNDINGS * EPSILON * abs(value.item()) / STEP / TOLERANCE)
    worst, where, kinks = 0.0, "", []
    for (name, index), exact in zip(chosen, slopes, strict=True):
        label = _label(name, index, parameters[name])
        error = _error(exact, loss, parameters[name], index, floor)
        if error is None:
            kinks.append(label)
        elif error >= worst:
            worst, where = error, label
    return GradientCheck(worst, where, len(chosen), total, tuple(kinks))


def _error(exact: float, loss: Loss, parameter: nn.Parameter, index: int, floor: float) -> float | None:
    """Return the error of an entry, or None at a corner.

    Slopes at both sides that differ mean a corner or a curvature. Seen from nearer, a corner is as sharp as before,
    and a curvature is not; a corner that was not quite at the spot is out of sight.
    """
    wide = _differences(loss, parameter, index, STEP)
    error = wide.error(exact, floor)
    if error <= TOLERANCE or wide.gap <= CORNER * max(abs(exact), abs(wide.central), floor):
        return error
    near = _differences(loss, parameter, index, STEP / 10)
    return None if near.gap > wide.gap / 2 else min(error, near.error(exact, floor))


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


def _differences(loss: Loss, parameter: nn.Parameter, index: int, size: float) -> "_Differences":
    entries, spot = parameter.detach(), _place(index, parameter)
    before = float(entries[spot])
    step = size * max(1.0, abs(before))
    values = []
    try:
        for place in (before - step, before, before + step):
            entries[spot] = place
            values.append(float(loss().detach()))
    finally:
        entries[spot] = before
    below, here, above = values
    return _Differences((above - below) / (2 * step), (here - below) / step, (above - here) / step)


def _label(name: str, index: int, parameter: nn.Parameter) -> str:
    return f"{name}[{', '.join(map(str, _place(index, parameter)))}]"


def _place(index: int, parameter: nn.Parameter) -> tuple[int, ...]:
    return tuple(int(each) for each in torch.unravel_index(torch.tensor(index), parameter.shape))
