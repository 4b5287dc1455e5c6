"""Which activation: every candidate with a rate of its own, run with the same seeds, and ranked."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from chainrule.errors import TaskError
from chainrule.findings import Finding
from chainrule.formulas import number_text
from chainrule.probes.activation_runs import Ends, Numbers, Point, Runs, Start
from chainrule.probes.candidates import Candidate
from chainrule.probes.choice import Compared
from chainrule.probes.gains import LARGEST, SMALLEST, mean_gains
from chainrule.probes.ranking import LEVEL, Preference, Ranking, mean_interval, rank
from chainrule.probes.tuning import Decades, Interrupted, best_rate, capped, tune
from chainrule.sweeps import Progress, Status

SEEDS: Final = 8
TUNING_SEEDS: Final = 4
FEWEST: Final = 5
"""Seeds below which nothing is compared."""
MARGIN: Final = 0.002
"""Means that differ by less than this share of what training takes off the loss tie, where nothing shows more."""
DEEP: Final = 6
"""Hidden layers from which an activation like Sigmoid is not recommended unless shown."""
KNOWN: Final = 2.0
"""Standard deviations: below, predictions are not said to know more of their own samples than of others."""
_TUNING_BASE: Final = 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """How candidates are compared.

    Attributes:
        candidates: the preferred first, for ties.
        seeds: that they are compared with.
        tuning_seeds: that their rates are chosen with; others than `seeds`.
        decades: where their rates are looked for.
        margin: of a tie; see `Preference`.
    """

    candidates: tuple[Candidate, ...]
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    decades: Decades
    margin: float = MARGIN

    @property
    def runs(self) -> int:
        """How many runs that is, when every best rate lies inside of the decades that are tried first."""
        each = self.decades.usual_count * len(self.tuning_seeds) + len(self.seeds)
        return len(self.candidates) * each


@dataclass(slots=True)
class Comparison:
    """What was found so far.

    Attributes:
        compared: candidates that are finished.
        ranking: of them; None where nothing can be said.
        findings: what stands against the answer, or in its place.
        runs: that were made.
        was_interrupted: some candidates were left out.
        seconds: that it took.
    """

    compared: list[Compared] = field(default_factory=list)
    ranking: Ranking | None = None
    findings: list[Finding] = field(default_factory=list)
    runs: int = 0
    was_interrupted: bool = False
    seconds: float = 0.0


def plan_of(candidates: Sequence[Candidate], decades: Decades, first_seed: int, seeds: int, tuning_seeds: int) -> Plan:
    """Return the plan for some candidates.

    Raises:
        TaskError: fewer than two candidates, one of them twice, or too few seeds.
    """
    labels = [each.label for each in candidates]
    if len(set(labels)) < 2 or len(set(labels)) != len(labels):
        raise TaskError(
            what="There is nothing to compare.",
            where="candidates",
            found=", ".join(labels) or "none",
            expected="at least two activations, each once",
        )
    if seeds < FEWEST or tuning_seeds < 1:
        raise TaskError(
            what="So few seeds cannot show a difference.",
            found=f"{seeds} to compare with, {tuning_seeds} to tune with",
            expected=f"at least {FEWEST} to compare with, and 1 to tune with",
        )
    base = first_seed + max(_TUNING_BASE, seeds)
    return Plan(
        tuple(candidates),
        tuple(range(first_seed, first_seed + seeds)),
        tuple(range(base, base + tuning_seeds)),
        decades,
    )


def compare(runs: Runs, plan: Plan, has_norm: bool, progress: Progress | None = None) -> Comparison:
    """Compare candidates; Ctrl-C keeps those that are finished.

    Args:
        runs: trains them.
        plan: which, and how.
        has_norm: whether the model normalises what its layers return.
        progress: is told how it goes.
    """
    begun = time.perf_counter()
    found = Comparison()
    counted = _Counted(runs, plan, progress)
    with _stopping(found):
        if reason := _begins_nowhere(runs, plan):
            found.findings.append(reason)
            found.seconds = time.perf_counter() - begun
            return found
        for number, candidate in enumerate(plan.candidates):
            found.compared.append(_one(runs, counted, plan, candidate))
            counted.finish(number + 1)
    found.runs = counted.made
    _conclude(found, plan, runs.judges_validation, has_norm)
    found.seconds = time.perf_counter() - begun
    return found


def _begins_nowhere(runs: Runs, plan: Plan) -> Finding | None:
    """Say that with no candidate the loss is finite before the first update; the first that is ends the search."""
    losses: dict[str, float | int | str] = {}
    for candidate in plan.candidates:
        start = runs.start(candidate, plan.seeds[0])
        if math.isfinite(start.training) and math.isfinite(start.judged):
            return None
        lost = start.judged if math.isfinite(start.training) else start.training
        losses[f"loss, {candidate.label}"] = str(lost)
    return Finding(
        code="loss-not-finite",
        severity="error",
        claim="The loss is not finite before the first update, with no activation, so none can be called better.",
        where="the models at their initial weights",
        evidence=losses,
        remedy="Look for NaN or infinity in the data, a logarithm of 0 or a division by 0.",
    )


@contextmanager
def _stopping(found: Comparison) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, Interrupted):
        found.was_interrupted = True


def _one(runs: Runs, counted: "_Counted", plan: Plan, candidate: Candidate) -> Compared:
    """Tune the rate of a candidate, and run it with every seed."""
    starts: list[Start] = [runs.start(candidate, seed) for seed in plan.seeds]
    start = _mean([each.judged for each in starts])
    tried = tune(counted.ends, candidate, plan.tuning_seeds, plan.decades, start)
    rate = best_rate(tried)
    ends = counted.ends(candidate, [(rate, seed) for seed in plan.seeds], "compared")
    return Compared(
        label=candidate.label,
        gain=candidate.gain,
        layers=mean_gains([each.layers for each in starts]),
        start=start,
        rates=tried,
        rate=rate,
        losses=tuple(ends.judged.tolist()),
        training=tuple(ends.training.tolist()),
        training_starts=tuple(each.training for each in starts),
        knowledge=tuple(_knowledge(ends).tolist()),
    )


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan


def _conclude(found: Comparison, plan: Plan, judges_validation: bool, has_norm: bool) -> None:
    """Rank what is finished, or say why nothing can be said."""
    if found.was_interrupted:
        left = [each.label for each in plan.candidates[len(found.compared) :]]
        found.findings.append(_interrupted(left))
    if len(found.compared) < 2:
        return
    if reason := _trains_nothing(found.compared) or _is_noise(found.compared, judges_validation):
        found.findings.append(reason)
        return
    found.findings += [_extreme(each) for each in found.compared if each.is_extreme]
    cap = min(each.start for each in found.compared)
    losses = {each.label: capped(np.array(each.losses), cap) for each in found.compared}
    fall = cap - min(float(values.mean()) for values in losses.values())
    depth = max(len(each.layers) for each in found.compared)
    avoided = {
        candidate.label: f"it is not recommended at {depth} hidden layers without a norm"
        for candidate in plan.candidates
        if candidate.is_sigmoid and depth >= DEEP and not has_norm
    }
    names = tuple(candidate.label for candidate in plan.candidates)
    found.ranking = rank(losses, fall, Preference(names, plan.margin, avoided))


def _interrupted(left: Sequence[str]) -> Finding:
    return Finding(
        code="interrupted",
        severity="warning",
        claim=f"The comparison was interrupted; not compared: {', '.join(left)}.",
        where="the comparison",
        evidence={"candidates_left_out": len(left)},
        remedy="",
    )


def _trains_nothing(compared: Sequence[Compared]) -> Finding | None:
    """Say that no candidate's training loss is shown to fall, at any rate that was tried.

    A fall is measured in shares of its start, because starts differ much more from seed to seed than these do.
    """
    falls = {}
    for each in compared:
        starts = np.array(each.training_starts)
        falls_of_seeds = starts - np.minimum(np.nan_to_num(np.array(each.training), nan=np.inf), starts)
        values = falls_of_seeds / np.maximum(np.abs(starts), np.finfo(np.float64).tiny)
        mean, low, _ = mean_interval(values, 1 - (1 - LEVEL) / len(compared))
        if low > 0:
            return None
        falls[f"share that the loss falls by, {each.label}"] = mean
    rates = [tried.rate for each in compared for tried in each.rates]
    return Finding(
        code="nothing-trains",
        severity="error",
        claim="Nothing trains: with no activation, and at no rate that was tried, is the training loss shown to fall.",
        where=f"rates from {min(rates):.3g} to {max(rates):.3g}",
        evidence=dict(falls),
        remedy="Look at one step first: `chainrule why` says which gradients vanish, explode or are cut off; inputs "
        "that are not standardised, a loss that does not fit its targets and too few updates are the usual causes.",
    )


def _knowledge(ends: Ends) -> Numbers:
    """Return by how many standard deviations losses lie below those with the targets of other samples."""
    with np.errstate(all="ignore"):
        found: Numbers = (ends.shuffled - ends.judged) / ends.spread
    return found


def _is_noise(compared: Sequence[Compared], judges_validation: bool) -> Finding | None:
    """Say that no candidate's predictions know more of their own samples than of others.

    Judged is the median over the seeds, as if all of them had looked at the same samples: their validation parts
    overlap, and what a finite set of noise holds by chance shows in all of them alike.
    """
    if not judges_validation:  # on the training part, what was learnt by heart would count
        return None
    evidence: dict[str, float | int | str] = {}
    for each in compared:
        known = [value for value in each.knowledge if not math.isnan(value)]
        if not known:
            if any(math.isfinite(loss) for loss in each.losses):
                return None  # predictions are not known, so this cannot be said
            continue
        middle = float(np.median(known))
        if middle > KNOWN:
            return None
        evidence[f"deviations, {each.label}"] = middle
    return Finding(
        code="loss-is-noise",
        severity="error",
        claim="The loss is noise: on the validation samples no activation's predictions fit their own targets better "
        "than those of other samples, so no activation can be called better.",
        where="the validation part",
        evidence=evidence,
        remedy="Check that inputs and targets belong together row by row, and that the targets can be told from the "
        "inputs at all; more samples, or fewer updates where the training loss falls to nothing, may help.",
    )


def _extreme(each: Compared) -> Finding:
    fate = "die out" if each.chi < 1 else "blow up"
    mean = each.chi ** (1 / max(len(each.layers), 1))
    return Finding(
        code="extreme-gain",
        severity="warning",
        claim=f"{each.label}: changes of the inputs {fate} before training: χ over {len(each.layers)} layers is "
        f"{each.chi:.2g}, outside of {number_text(SMALLEST)} to {number_text(LARGEST)}.",
        where="initialisation, on the training part",
        evidence={"chi of the whole": each.chi, "chi of a layer": mean, "gain": each.gain},
        remedy="",
    )


class _Counted:
    """Runs of which all are told as one count."""

    def __init__(self, runs: Runs, plan: Plan, progress: Progress | None) -> None:
        self._runs, self._plan, self._progress = runs, plan, progress
        self._begun = time.perf_counter()
        self._planned = plan.runs
        self.made = 0

    def ends(self, candidate: Candidate, points: Sequence[Point], part: str) -> Ends:
        """Train once for each point; see `Runs`.

        Raises:
            Interrupted: runs were left out.
        """
        ends = self._runs.ends(candidate, points, part, self)
        self.made += int(ends.is_done.sum())
        if not ends.is_done.all():
            raise Interrupted
        return ends

    def tell(self, status: Status) -> None:
        """Take note of how far some of the runs are; see `Progress`."""
        if self._progress is None:
            return
        done = self.made + status.runs_done
        planned = max(self._planned, done)
        seconds = time.perf_counter() - self._begun
        left = seconds / done * (planned - done) if done else None
        self._progress.tell(Status(done, planned, seconds, left, status.engine))

    def finish(self, candidates: int) -> None:
        """Take note that so many candidates are finished: what is left is reckoned from there."""
        left = len(self._plan.candidates) - candidates
        self._planned = self.made + self._plan.runs // len(self._plan.candidates) * left
