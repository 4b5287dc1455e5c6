"""Gradients of a function of several tensors against its slopes: entry by entry, and along random directions."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch

from chainrule.shapes import Tensor
from chainrule.verification.branches import Branches
from chainrule.verification.finite_differences import EPSILON
from chainrule.verification.slopes import GUARD, TOLERANCE, Expected, Slope, measure_slope

Verdict = Literal["right", "wrong", "kink", "unclear"]
Watched = Callable[[], tuple[float, Branches | None]]

RESOLVED = 1e-3  # a difference that is off by more than this of the gradients around it says nothing
# An entry is known well enough when it is known to TOLERANCE of itself, or of these shares of the largest gradient of
# its tensor or of all tensors; but of a tensor with small gradients it is known to WELL of their largest, if that is
# not negligible beside the largest of all tensors and beside the function itself.
_OF_TENSOR, _OF_ALL, _WELL, _NEGLIGIBLE = 1e-2, 1e-3, 1e-4, 1e-6
_SPREAD = 8  # the steps of a direction are longer than those of an entry by √n over this
_MISSED = 0.01  # the probability for which `Comparison.resolution` is given
_DENSITY = 0.8  # P(|N(0, 1)| < x) < 0.8 x


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to look at.

    Attributes:
        entries: how many single entries, over all tensors.
        directions: how many random directions in every tensor of which not all entries are looked at.
        seed: decides which.
    """

    entries: int
    directions: int
    seed: int


@dataclass(frozen=True, slots=True)
class Look:
    """One gradient beside one slope.

    Attributes:
        place: the entry; None for a direction.
        gradient: what the backward pass says.
        slope: what the differences say.
        size: what the error is relative to, when it is above the floor.
        verdict: what follows.
    """

    place: tuple[int, ...] | None
    gradient: float
    slope: Slope
    size: float
    verdict: Verdict

    @property
    def error(self) -> float:
        """|gradient − slope| / max(size, floor); infinite where the gradient is not finite."""
        if not math.isfinite(self.gradient):
            return math.inf
        scale = max(self.size, self.slope.floor)
        return abs(self.gradient - self.slope.value) / scale if scale > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that was looked at in one tensor.

    Attributes:
        name: the tensor.
        shape: its shape.
        looks: entries and directions.
        is_beside: whether it was looked at beside the recorded point, because there is a kink at it.
        is_none: whether the backward pass gave it no gradient at all.
    """

    name: str
    shape: tuple[int, ...]
    looks: tuple[Look, ...]
    is_beside: bool = False
    is_none: bool = False

    @property
    def count(self) -> int:
        """How many entries the tensor has."""
        return math.prod(self.shape)

    @property
    def entries(self) -> tuple[Look, ...]:
        """The single entries that were looked at."""
        return tuple(look for look in self.looks if look.place is not None)

    @property
    def checked(self) -> int:
        """How many entries were found right or wrong."""
        return len({look.place for look in self.entries if look.verdict in ("right", "wrong")})

    @property
    def directions(self) -> int:
        """How many directions were looked at."""
        return len(self.looks) - len(self.entries)

    @property
    def kinks(self) -> tuple[Look, ...]:
        """The entries at a kink."""
        return tuple(look for look in self.entries if look.verdict == "kink")

    @property
    def verdict(self) -> Verdict:
        """Wrong when one look is; right when the others are right, but for entries at a kink."""
        verdicts = [look.verdict for look in self.looks]
        for verdict in ("wrong", "unclear"):
            if verdict in verdicts:
                return verdict
        return "right" if "right" in verdicts or not verdicts else "kink"

    @property
    def worst(self) -> Look | None:
        """The look with the largest error; kinks and what is unclear do not count, and an entry is named first."""
        counted = [look for look in self.looks if look.verdict in ("right", "wrong")]
        wrong = [look for look in counted if look.verdict == "wrong"]
        entries = [look for look in wrong or counted if look.place is not None]
        return max(entries or wrong or counted, key=lambda look: look.error, default=None)

    @property
    def floor(self) -> float:
        """The largest floor of the looks that count."""
        return max((look.slope.floor for look in self.looks if look.verdict in ("right", "wrong")), default=math.inf)

    @property
    def resolution(self) -> float:
        """The relative error ‖error‖/‖gradient‖ that all directions would miss with a probability of at most 1 %.

        An error e shows in a direction d of independent normal numbers as ⟨e, d⟩ = ‖e‖·N(0, 1), and it is missed when
        that is below what the differences tell apart. NaN when all entries were looked at, and nothing can be missed;
        infinite where the gradient is 0 as far as the differences tell.
        """
        seen = [
            max(TOLERANCE, GUARD * look.slope.uncertainty / look.size if look.size else math.inf)
            for look in self.looks
            if look.place is None and look.verdict == "right"
        ]
        if not seen:
            return math.nan if self.checked == self.count else math.inf
        missed = _DENSITY * max(seen) / math.pow(_MISSED, 1 / len(seen))
        return missed if missed < 1 else math.inf


class Surface:
    """A function of named tensors, which are moved in place and put back.

    Args:
        tensors: float64, or complex128: of those, real and imaginary parts are entries, told apart by a last index.
        evaluate: the function, the same every time it is called.
        watched: the function and the branches that it takes.
        gradients: autograd's gradient of every tensor, at where they are now.
        magnitude: the size of the terms that the function is a sum of, when it is not its own size.
    """

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        evaluate: Callable[[], float],
        watched: Watched,
        gradients: Callable[[], Mapping[str, Tensor | None]],
        magnitude: float = 0.0,
    ) -> None:
        self.tensors = {name: _real(tensor.detach()) for name, tensor in tensors.items()}
        self.evaluate = evaluate
        self.watched = watched
        self.gradients = gradients
        self.value = evaluate()
        self.size = max(abs(self.value), magnitude)
        self.is_repeatable = evaluate() == self.value
        self.noise = self._noise()
        self._branches: list[Branches | None] = []

    def branches(self) -> Branches | None:
        """Return the branches that the function takes where the tensors are."""
        if not self._branches:
            self._branches.append(self.watched()[1])
        return self._branches[0]

    def _noise(self) -> float:
        """Return by how much a value is off: the scatter of values at places so close that the function is a line."""
        generator = torch.Generator().manual_seed(0)
        before = {name: tensor.clone() for name, tensor in self.tensors.items()}
        moves = {
            name: torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor.device)
            for name, tensor in self.tensors.items()
        }
        values = []
        try:
            for number in range(6):
                for name, tensor in self.tensors.items():
                    tensor.copy_(before[name] * (1 + number * 2.0**-46 * moves[name]))
                values.append(self.evaluate())
        finally:
            for name, tensor in self.tensors.items():
                tensor.copy_(before[name])
        bends = [values[at] - 2 * values[at + 1] + values[at + 2] for at in range(4)]
        scatter = math.sqrt(sum(bend * bend for bend in bends) / (6 * len(bends)))
        scatter = scatter if math.isfinite(scatter) else 0.0
        return max(2 * scatter, 2 * EPSILON * self.size)

    @contextmanager
    def beside(self, seed: int) -> Iterator[None]:
        """Move all tensors a little, by 2⁻⁸ of their own size or of 1, away from kinks at the spot."""
        generator = torch.Generator().manual_seed(seed)
        before = {name: tensor.clone() for name, tensor in self.tensors.items()}
        value = self.value
        self._branches.clear()
        try:
            for tensor in self.tensors.values():
                move = torch.randn(tensor.shape, generator=generator, dtype=torch.float32).to(tensor)
                tensor.add_(move * 2.0**-8 * max(_rms(tensor), 2.0**-3))
            self.value = self.evaluate()
            yield
        finally:
            for name, tensor in self.tensors.items():
                tensor.copy_(before[name])
            self.value = value
            self._branches.clear()


def compare(surface: Surface, plan: Plan, progress: Callable[[int, int], None] | None = None) -> dict[str, Comparison]:
    """Compare the gradients of a function with its slopes.

    In every tensor its largest gradient is looked at, then entries drawn evenly, and directions where entries are left
    out. A tensor that has a kink at the spot wherever it is looked at is looked at again beside it: whether a backward
    pass is right does not depend on the place.

    Args:
        surface: the function.
        plan: how much to look at.
        progress: told how many tensors are done, and how many there are.
    """
    gradients = surface.gradients()
    shares = _shares({name: tensor.numel() for name, tensor in surface.tensors.items()}, plan.entries)
    found: dict[str, Comparison] = {}
    again: list[str] = []
    for number, name in enumerate(surface.tensors):
        look = _Looker(surface, name, gradients, plan.seed + number)
        found[name] = look.compare(shares[name], plan.directions)
        if found[name].verdict in ("kink", "unclear") and any(
            each.slope.kinks or each.slope.is_corner for each in found[name].looks
        ):
            again.append(name)
        if progress is not None:
            progress(number + 1, len(surface.tensors))
    if again:
        with surface.beside(plan.seed):
            gradients = surface.gradients()
            for name in again:
                found[name] = _beside(found[name], surface, gradients, plan, shares[name])
    return found


def _beside(
    before: Comparison, surface: Surface, gradients: Mapping[str, Tensor | None], plan: Plan, share: int
) -> Comparison:
    look = _Looker(surface, before.name, gradients, plan.seed)
    after = look.compare(share, plan.directions)
    kinks = tuple(each for each in before.looks if each.verdict == "kink" and each.place is not None)
    rest = tuple(each for each in after.looks if each.verdict != "kink")
    return Comparison(before.name, before.shape, kinks + rest, is_beside=True, is_none=before.is_none)


class _Looker:
    """Looks at one tensor."""

    def __init__(self, surface: Surface, name: str, gradients: Mapping[str, Tensor | None], seed: int) -> None:
        self._surface = surface
        self._name = name
        self._tensor = surface.tensors[name]
        gradient = gradients[name]
        self._is_none = gradient is None
        self._gradient = torch.zeros_like(self._tensor) if gradient is None else _real(gradient).to(self._tensor)
        self._generator = torch.Generator().manual_seed(seed)
        largest = max((_largest(_real(each)) for each in gradients.values() if each is not None), default=0.0)
        own, negligible = _largest(self._gradient), _NEGLIGIBLE * max(largest, surface.size)
        self._around = max(own * RESOLVED, negligible)
        self._scale = min(max(_OF_TENSOR * own, _OF_ALL * largest), max(_WELL / TOLERANCE * own, negligible))
        self._length = 2.0 ** round(math.log2(max(1.0, _rms(self._tensor))))

    def compare(self, share: int, directions: int) -> Comparison:
        looks = [self.entry(index) for index in self._choose(share)]
        if share < self._tensor.numel():
            for _ in range(directions):
                looks.append(self.direction(None))
            wrong = any(look.verdict == "wrong" for look in looks)
            if wrong and not any(look.verdict == "wrong" and look.place is not None for look in looks):
                looks.append(self._search())
        return Comparison(self._name, tuple(self._tensor.shape), tuple(looks), is_none=self._is_none)

    def _choose(self, share: int) -> list[int]:
        count = self._tensor.numel()
        if share >= count:
            return list(range(count))
        if share == 0:
            return []
        sizes = torch.nan_to_num(self._gradient.abs(), nan=math.inf).reshape(-1)
        first = int(sizes.argmax())
        others = torch.randperm(count, generator=self._generator)[:share].tolist()
        return sorted({first, *[each for each in others if each != first][: share - 1]})

    def entry(self, index: int) -> Look:
        place = tuple(int(each) for each in torch.unravel_index(torch.tensor(index), self._tensor.shape))
        gradient = float(self._gradient[place])
        before = float(self._tensor[place])
        length = self._length if before == 0 else 2.0 ** round(math.log2(max(1.0, abs(before))))

        def move(distance: float) -> None:
            self._tensor[place] = before + distance

        slope = self._measure(move, gradient, self._scale, length)
        return self._judge(place, gradient, slope, max(abs(gradient), abs(slope.value)))

    def direction(self, among: Tensor | None) -> Look:
        """Look along a random direction of length 1, in all entries or among some."""
        drawn = torch.randn(self._tensor.shape, generator=self._generator, dtype=torch.float32)
        if among is not None:
            drawn = drawn * among
        drawn /= drawn.norm()
        toward = drawn.to(self._tensor)  # 24 bits: sums with steps of powers of two are exact in float64
        gradient = float((self._gradient * toward).sum())
        before = self._tensor.clone()

        def move(distance: float) -> None:
            self._tensor.copy_(before + distance * toward)

        part = self._gradient if among is None else self._gradient * among.to(self._gradient)
        count = self._tensor.numel() if among is None else int(among.sum())
        usual = float(part.norm()) / math.sqrt(count)
        # A step of length 1 moves every entry by 1/√n only, and the loss changes over longer ones.
        length = self._length * 2.0 ** max(0, round(math.log2(math.sqrt(count) / _SPREAD)))
        slope = self._measure(move, gradient, max(usual, self._scale), length)
        return self._judge(None, gradient, slope, max(usual, abs(slope.value)))

    def _measure(self, move: Callable[[float], None], exact: float, scale: float, length: float) -> Slope:
        surface = self._surface

        def along(distance: float, is_watched: bool) -> tuple[float, Branches | None]:
            move(distance)
            try:
                return surface.watched() if is_watched else (surface.evaluate(), None)
            finally:
                move(0.0)

        return measure_slope(along, Expected(exact, scale, surface.noise, surface.value, surface.branches), length)

    def _search(self) -> Look:
        """Halve a tensor until one entry with a wrong gradient is left."""
        low, high = 0, self._tensor.numel()
        while high - low > 1:
            middle = (low + high) // 2
            halves = ((low, middle), (middle, high))
            looks = [self.direction(self._part(*half)) for half in halves]
            gaps = [abs(look.gradient - look.slope.value) for look in looks]
            low, high = halves[0] if gaps[0] >= gaps[1] else halves[1]
        return self.entry(low)

    def _part(self, low: int, high: int) -> Tensor:
        part = torch.zeros(self._tensor.numel(), dtype=torch.float32)
        part[low:high] = 1
        return part.reshape(self._tensor.shape)

    def _judge(self, place: tuple[int, ...] | None, gradient: float, slope: Slope, size: float) -> Look:
        if not math.isfinite(gradient):
            return Look(place, gradient, slope, size, "wrong")
        if not math.isfinite(slope.value):
            return Look(place, gradient, slope, 0.0, "unclear")
        unknown = GUARD * slope.uncertainty
        if abs(gradient - slope.value) > max(TOLERANCE * size, unknown):
            return Look(place, gradient, slope, size, "wrong")
        if unknown <= RESOLVED * max(size, self._around):
            return Look(place, gradient, slope, size, "right")
        return Look(place, gradient, slope, size, "kink" if slope.kinks or slope.is_corner else "unclear")


def _shares(counts: Mapping[str, int], budget: int) -> dict[str, int]:
    """Share the entries out evenly; what small tensors leave goes to larger ones."""
    shares: dict[str, int] = {}
    left = budget
    order = sorted(counts, key=lambda name: counts[name])
    for number, name in enumerate(order):
        shares[name] = min(counts[name], left // (len(order) - number))
        left -= shares[name]
    return shares


def _real(tensor: Tensor) -> Tensor:
    """Return a complex tensor as real and imaginary parts, whose gradients torch keeps as those of the gradient."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _rms(tensor: Tensor) -> float:
    return float(tensor.norm()) / math.sqrt(tensor.numel()) if tensor.numel() else 0.0


def _largest(tensor: Tensor) -> float:
    finite = tensor[tensor.isfinite()]
    return float(finite.abs().max()) if finite.numel() else 0.0
