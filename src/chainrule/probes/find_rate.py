"""The learning rate of a subject, by short runs that prove it.

Range tests give the scale. Twin runs then measure the path s (see `twins`) along which the loss loses its first fifth;
it hardly depends on the rate or the order of the batches, so it can be measured well with few updates. Two rates
follow from it: one that would lose this fifth in a single update, which is about as large as a rate can be, and one
that needs the whole training for it, which is too small. Good rates lie between, and the suggestion is a constant
times their geometric mean,

    η = κ · √(s · s/N) = κ · s/√N        N: the sum of what the schedule multiplies the rate by, over all updates

so a training four times as long gets half the rate. Adam and its kin move every weight by about the rate itself, in
whatever unit the loss is, so rates that serve one network serve many. There the logarithm of the suggestion is the mean
of this one's and of a usual rate's. κ and the usual rate were chosen on the development problems of
benchmarks/learning_rates.py. Where plain gradient descent goes over all data of a quadratic loss, the limit 2/λ is
exact, and the suggestion is 0.95 of it.

Short twins at the suggestion and round it are the proof, and lower it where a run at it is not stable.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import torch
from torch import nn

from chainrule.findings import Finding
from chainrule.probes.batch_stream import BatchStream
from chainrule.probes.budget import GRADIENT, Budget
from chainrule.probes.found_rate import Certainty, FoundRate, Region, StabilityLimit, TwinRun
from chainrule.probes.range_test import HIGHEST, LOWEST, Ascent, median_edge, range_test
from chainrule.probes.rate_findings import (
    LONG_ENOUGH,
    not_finite,
    nothing_trains,
    off_scale,
    too_few_updates,
    too_short,
)
from chainrule.probes.restoring import Snapshot
from chainrule.probes.stability import NoLimit, stability_limit
from chainrule.probes.subject import Subject, describe_optimizer
from chainrule.probes.twins import AMPLE, BATCHES, JUDGING, Judge, Measured, constant_loss, judge_of, path_of, run_twin

LEVEL: Final = 0.8
"""Of the loss at the start: where the path is measured."""
KAPPA: Final = 5.0
_KIN: Final = ("Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "SparseAdam")
USUAL: Final = dict.fromkeys(_KIN, 10**-2.5)
"""Rates that serve many networks, of optimizers whose updates do not depend on the unit of the loss."""
EXACT: Final = 0.95
"""Of the limit, where it is exact."""
MEASURED: Final = 2
"""Seeds that the path is measured with."""
_RANGE, _MEASURE = 0.2, 0.7  # of the allowed evaluations: spent after the range tests, and after measuring
_BELOW, _ABOVE = 1000.0, 30.0  # times the first range test's edge: where the repeated ones begin and end
_FEWEST: Final = 20  # gradient evaluations without which nothing can be said
_TRIES: Final = 7
_PRODUCTS: Final = 0.05  # of the allowed evaluations: Hessian-vector products where the limit is not exact
_LONGEST: Final = 150  # updates of a run; more tell nothing new
_CALIBRATION: Final = 0.04  # of the allowed evaluations: a run that looks for the path
_ASSUMED: Final = 10.0  # an edge where no range test showed a lower one
_CAREFUL: Final = 300.0  # below the edge: the first of these runs
_NO_WORSE, _WORSE = 1.1, 1.2  # times the start: may be noise, and is no noise
_STEEPER: Final = 4.0  # from one to the next
_NEAR, _TELLING = 0.5, 0.15  # of the way to the level: near enough; and so much that it tells how far the rest is
_MARGIN: Final = 4.0  # times the suggestion: must still get as far in as many updates
_TOLERANCE: Final = 0.25  # of the fall of the run at the suggestion: may be missing
_SAFE: Final = 2.0  # the suggestion stays this factor below the edge
_USELESS: Final = 25.0  # paths s: a training that goes no farther than this is too slow
USEFUL: Final = 6  # updates of a run that supports its rate; those that prove a suggestion have as many
_WIDE: Final = 10.0  # the good rates reach this factor down where no path was measured
_OFF_SCALE: Final = 1.75  # times the loss of the best constant prediction


@dataclass(slots=True)
class _Search:
    """What is known so far."""

    subject: Subject
    snapshot: Snapshot
    budget: Budget
    judge: Judge
    seeds: tuple[int, ...]
    start: float
    level: float = 0.0
    ascents: list[Ascent] = field(default_factory=list)
    twins: list[TwinRun] = field(default_factory=list)
    paths: dict[int, float] = field(default_factory=dict)
    lowest: float = math.inf
    is_off_scale: bool = False
    is_extrapolated: bool = False
    factor: float = 1.0
    notes: list[str] = field(default_factory=list)

    @property
    def edge(self) -> float | None:
        return median_edge(self.ascents)

    def twin(
        self,
        rate: float,
        seed: int,
        updates: int,
        level: float = -math.inf,
        faster: Callable[[float], float] | None = None,
    ) -> Measured:
        """Run a twin and remember it."""
        measured = run_twin(
            self.subject, self.snapshot, self.budget, self.judge,
            rate=rate, seed=seed, updates=updates, start=self.start, level=level, faster=faster,
        )  # fmt: skip
        if measured.run.losses:
            self.twins.append(measured.run)
        self.lowest = min(self.lowest, measured.lowest)
        return measured


def find_rate(subject: Subject, budget: Budget, seeds: tuple[int, ...] = (0, 1, 2)) -> FoundRate:
    """Find the learning rate of a subject.

    Use it inside `restored`, which puts everything back at the end.

    Args:
        subject: what is probed.
        budget: what it may cost.
        seeds: of the batches; each measures once, where the budget allows for it.

    Returns:
        The suggestion with its evidence; or findings that say why there is none.
    """
    snapshot = Snapshot(subject)
    judge = judge_of(subject, seeds[0], BATCHES if budget.allowed >= AMPLE else 1)
    snapshot.put_back()
    search = _Search(subject, snapshot, budget, judge, seeds, start=math.nan)
    if not budget.allows(judge.cost):
        return _refusal(search, too_short(budget, _FEWEST))
    search.start = judge.look(budget)
    if not math.isfinite(search.start):
        return _refusal(search, not_finite(search.start))
    limit = _full_batch_limit(search) if subject.is_full_batch else None
    if limit is not None and limit.is_exact:
        return _exact(search, limit)
    if budget.left < _FEWEST:
        return _refusal(search, too_short(budget, _FEWEST))
    _test_ranges(search)
    reference = _reference(search)
    search.level = reference - (1 - LEVEL) * abs(reference)
    search.is_off_scale = reference < search.start / 2
    usual = _usual(subject)
    if search.is_off_scale and usual is not None:
        return _answer(search, limit, usual)
    _measure(search)
    if not search.paths:
        return _refusal(search, _why_nothing(search))
    paths = list(search.paths.values())
    path = math.exp(math.fsum(map(math.log, paths)) / len(paths))
    return _answer(search, limit, search.factor * _suggestion(search, path), path)


def flow_of(subject: Subject) -> float:
    """Return N: the sum over the planned updates of what the schedule multiplies the rate by.

    A schedule that looks at the loss, or cannot be built on a single weight, counts as constant.
    """
    if subject.schedule is None:
        return float(subject.updates)
    weight = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scheduler = subject.schedule.build(optimizer, subject.updates)
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        return float(subject.updates)
    optimizer.step()  # torch wants an update before the first step of a scheduler
    every = _updates_of_an_epoch(subject) if subject.schedule.per == "epoch" else 1
    total = 0.0
    for number in range(subject.updates):
        total += float(optimizer.param_groups[0]["lr"])
        if (number + 1) % every == 0:
            scheduler.step()
    return total


def _updates_of_an_epoch(subject: Subject) -> int:
    return BatchStream(subject.batches).per_epoch or 1


# Range tests and measuring


def _test_ranges(search: _Search) -> None:
    """Run a range test over all rates, and shorter ones of other seeds, as steep, round its edge."""
    repeats = len(search.seeds) - 1
    share = math.log(_BELOW * _ABOVE) / math.log(HIGHEST / LOWEST)
    updates = min(max(10, int(_RANGE * search.budget.allowed / (1 + share * repeats))), _LONGEST)
    parts = (search.subject, search.snapshot, search.budget)
    search.ascents.append(range_test(*parts, seed=search.seeds[0], updates=updates))
    edge = search.ascents[0].curve.edge
    again = int(updates * share)
    if edge is None or again < 5:
        return
    for seed in search.seeds[1:]:
        low, high = max(edge / _BELOW, 2 * LOWEST), edge * _ABOVE
        search.ascents.append(range_test(*parts, seed=seed, updates=again, low=low, high=high))


def _reference(search: _Search) -> float:
    """Return the loss that a fifth is taken of: the start, unless it is off the scale of what training is about.

    Raw inputs can make the first loss hundreds of times the loss of the best constant prediction. Getting there is a
    matter of scale, and says little about the rates that follow. So the reference is at most 1.75 times that loss.
    """
    search.budget.spend(search.judge.cost, JUDGING)
    constant = constant_loss(search.judge)
    return search.start if constant is None else min(search.start, _OFF_SCALE * constant)


def _measure(search: _Search) -> None:
    """Measure the path to the level, once for each seed, with runs that take about the same number of updates."""
    budget = search.budget
    guess = _calibrated(search)
    if guess is None:
        _persist(search)
        return
    share = (_MEASURE * budget.allowed - budget.spent) / MEASURED
    aim = min(max(5, round(share / 1.25)), _LONGEST)
    for seed in search.seeds[:MEASURED]:
        if not budget.allows(aim * GRADIENT):
            break
        measured = search.twin(
            _capped(search, guess / aim), seed, 2 * aim, search.level,
            lambda path: _MARGIN * search.factor * _suggestion(search, path),
        )  # fmt: skip
        if measured.path is not None:
            search.paths[seed] = measured.path
            guess = math.exp(math.fsum(map(math.log, search.paths.values())) / len(search.paths))
            _look_ahead(search, measured)
        else:
            guess = _extrapolated(search, search.twins[-1:]) or 2 * guess
    if not search.paths:
        _nearly(search)
    if not search.paths:
        _persist(search)


def _nearly(search: _Search) -> None:
    """Take the path from the measuring run that came nearest to the level, where it came most of the way."""
    near = max(search.twins, key=lambda run: _share(search, run), default=None)
    path = _extrapolated(search, [near]) if near is not None and _share(search, near) >= _NEAR else None
    if near is not None and path is not None:
        search.paths[near.seed] = path
        search.is_extrapolated = True


def _look_ahead(search: _Search, measured: Measured) -> None:
    """Halve what will be suggested where a training that has begun does not bear four times the rate."""
    ahead = measured.ahead
    if ahead is not None and ahead.score > search.level and _usual(search.subject) is None:
        search.factor /= 2


def _calibrated(search: _Search) -> float | None:
    """Return about the path to the level, by very short runs at rising rates; None where the loss does not get near."""
    updates = min(max(5, round(_CALIBRATION * search.budget.allowed)), _LONGEST)
    curve = search.ascents[0].curve
    rate = min(search.edge or _ASSUMED, _ASSUMED) / _CAREFUL
    if search.is_off_scale and curve.descent is not None:
        rate = min(rate, curve.descent / 10)
    first = len(search.twins)
    best = math.inf
    for _ in range(_TRIES):
        path = search.twin(rate, search.seeds[0], updates, search.level).path
        if path is not None:
            return path if len(search.twins[-1].losses) > 2 else path / _STEEPER
        run = search.twins[-1]
        if run.score > _WORSE * search.start and best == math.inf:
            rate /= _CAREFUL / _STEEPER  # the range test was over before it showed an edge
            continue
        if run.score > max(best, _WORSE * search.start):
            break  # higher rates do not get farther any more
        best = min(best, run.score)
        if _share(search, run) > _NEAR:
            break
        rate *= _STEEPER
    return _extrapolated(search, search.twins[first:])


def _extrapolated(search: _Search, runs: Sequence[TwinRun]) -> float | None:
    """Return the path to the level as the run has it that came farthest for its path, as if the loss fell evenly."""
    found = []
    for run in runs:
        share = _share(search, run)
        if share >= _TELLING:
            found.append(path_of(search.subject.optimizer, [run.rate] * len(run.losses)) / share)
    return min(found, default=None)


def _share(search: _Search, run: TwinRun) -> float:
    """Return how much of the way to the level a run came; 0 for one that is not stable.

    It is counted in the logarithm of the loss, where that can be taken: a first loss may be off the scale.
    """
    if not run.is_stable:
        return 0.0
    if min(run.score, search.level) > 0:
        return math.log(search.start / run.score) / math.log(search.start / search.level)
    return (search.start - run.score) / (search.start - search.level)


def _persist(search: _Search) -> None:
    """Spend what is left on one long run, for a loss that stands on a plateau at first."""
    bearable = [run.rate for run in search.twins if run.score < _NO_WORSE * search.start]
    usual = _usual(search.subject)
    rate = 3 * usual if usual is not None else max(bearable) / 2 if bearable else 1e-2
    path = search.twin(_capped(search, rate), search.seeds[0], int(search.budget.left), search.level).path
    if path is not None:
        search.paths[search.seeds[0]] = path


def _usual(subject: Subject) -> float | None:
    return USUAL.get(type(subject.optimizer).__name__)


def _capped(search: _Search, rate: float) -> float:
    edge = search.edge
    return rate if edge is None else min(rate, edge / 3)


# The answer


def _suggestion(search: _Search, path: float) -> float:
    """Return the rate that follows from a path."""
    rate = KAPPA * path / math.sqrt(flow_of(search.subject))
    usual = _usual(search.subject)
    return rate if usual is None else math.sqrt(rate * usual)


def _answer(search: _Search, limit: StabilityLimit | None, wanted: float, path: float | None = None) -> FoundRate:
    """Prove a rate by twins, and say what was found.

    Args:
        search: what is known.
        limit: the stability limit over a full batch, where it was computed.
        wanted: the rate.
        path: to the level, where it was measured.
    """
    edge = search.edge
    proved = _proved(search, wanted if edge is None else min(wanted, edge / _SAFE))
    supported = _supported(search, proved)
    suggestion = proved if supported is None else min(proved, supported / _SAFE)
    low: float | None = None
    if supported is not None:
        low = suggestion / _WIDE if path is None else min(_USELESS * path / flow_of(search.subject), suggestion / 2)
    singles = [_suggestion(search, one) for one in search.paths.values()]
    spread = max(singles) / min(singles) if len(singles) > 1 else math.nan
    certainty, why = _certainty(search, suggestion, wanted, spread, supported)
    return _found(
        search,
        suggestion=suggestion,
        low=low,
        high=supported,
        regions=() if low is None or supported is None else _regions(search, low, supported),
        limit=limit,
        spread=spread,
        certainty=certainty,
        why=why,
        findings=(off_scale(search.start, search.lowest),) if search.is_off_scale else (),
    )


def _proved(search: _Search, suggestion: float) -> float:
    """Run twins at the suggestion and at four times it, and halve it while these show that it is too high.

    Four times the rate must get about as far in as many updates, or the suggestion is too near to the edge.
    """
    budget, seed = search.budget, search.seeds[0]
    updates = min(max(USEFUL, int(budget.left / 3.5 - search.judge.cost)), _LONGEST)
    if not budget.allows(2 * GRADIENT + search.judge.cost):
        return suggestion
    best = search.twin(suggestion, seed, updates).run
    while budget.allows(updates * GRADIENT + search.judge.cost):
        ahead = search.twin(_MARGIN * suggestion, seed, updates).run
        if best.is_stable and ahead.score <= best.score + _TOLERANCE * (search.start - best.score):
            break
        suggestion /= 2
    return suggestion


def _supported(search: _Search, suggestion: float) -> float | None:
    """Return the highest rate that a run of useful length came far with, below all that were unstable; None for none.

    Useful are 6 updates, or 5 where no run has more than 12: two or three updates at a rate that
    throws the weights about can lower the loss, and the training fails all the same. Far is the level, or nearly as far
    as the run at the suggestion, which need not come to the level.
    """
    longest = max((len(run.losses) for run in search.twins), default=0)
    useful = min(USEFUL, max(5, math.ceil(0.4 * longest)))
    at = [run.score for run in search.twins if run.rate == suggestion and run.is_stable and len(run.losses) >= useful]
    bar = max([search.level, *(score + _TOLERANCE * (search.start - score) for score in at)])
    lost = _lost_from(search)
    came = (run for run in search.twins if run.is_stable and run.score <= bar and len(run.losses) >= useful)
    highest = max((run.rate for run in came if run.rate < lost), default=None)
    return None if highest is None else min(highest, search.edge or math.inf)


def _certainty(
    search: _Search, suggestion: float, wanted: float, spread: float, supported: float | None
) -> tuple[Certainty, str]:
    if supported is None:
        return "unsure", "No run of useful length supports it or any higher rate, so it is a guess."
    if suggestion < wanted and suggestion == supported / _SAFE:
        return "unsure", (
            f"The twins ask for {wanted:.3g}; no run of useful length supports rates above {supported:.3g}, so half of "
            "that is suggested."
        )
    if suggestion < wanted:
        return "unsure", (
            f"The twins ask for {wanted:.3g}, which is too near to what is unstable, so {suggestion:.3g} is suggested."
        )
    if not search.paths:
        return "unsure", "It is the usual rate of this optimizer, which twins did not contradict."
    if search.is_extrapolated:
        return "unsure", (
            "No run came to the level at which the twins are compared; it is a guess from the one that came nearest."
        )
    if math.isnan(spread):
        return "unsure", "Only one run came to the level at which the twins are compared, so it is a guess from that."
    count = len(search.paths)
    said = f"{count} seeds, measured apart, ask for rates that differ by a factor of {spread:.3g}."
    if spread <= 1.25:
        return "sure", said
    return ("fairly sure" if spread <= 2 else "unsure"), said


def _regions(search: _Search, low: float, high: float) -> tuple[Region, ...]:
    slow = [run for run in search.twins if run.rate <= low]
    too_slow = "by the path that twins measured, the whole training would not get far"
    if slow:
        run = max(slow, key=lambda one: one.rate)
        too_slow += f"; at {run.rate:.3g} the loss is at {run.score:.4g} after {len(run.losses)} updates"
    good = [run for run in search.twins if low <= run.rate <= high and run.is_stable]
    best = min(good, key=lambda one: one.score, default=None)
    text = "between the two"
    if best is not None:
        fall = f"from {search.start:.4g} to {best.score:.4g} in {len(best.losses)} updates"
        text = f"at {best.rate:.3g} the loss falls {fall}"
    regions = [Region("too slow", None, low, too_slow), Region("good", low, high, text)]
    unstable = _unstable_from(search)
    if unstable == math.inf:
        return tuple(regions)
    lost = [run for run in search.twins if run.rate == unstable and not run.is_stable]
    shown = f"the loss of range tests leaves at {unstable:.3g}"
    if lost:
        after = f"at {lost[0].score:.4g}" if math.isfinite(lost[0].score) else "not finite"
        shown = f"at {unstable:.3g} the loss is {after} after {len(lost[0].losses)} updates"
    return (*regions, Region("unstable", unstable, None, shown))


def _unstable_from(search: _Search) -> float:
    """Return the lowest rate that was seen to be unstable, by twins or range tests; infinite where none was."""
    return min(_lost_from(search), search.edge or math.inf)


def _lost_from(search: _Search) -> float:
    """Return the lowest rate at which a twin ended clearly above its start, or high above those that were stable."""
    tame = max((run.rate for run in search.twins if run.is_stable), default=0.0)
    ceiling = search.start + (_NO_WORSE - 1) * abs(search.start)
    lost = [run.rate for run in search.twins if not run.is_stable and (run.score > ceiling or run.rate > tame)]
    return min(lost, default=math.inf)


# Full batches


def _full_batch_limit(search: _Search) -> StabilityLimit | None:
    """Return the stability limit over the one batch, and leave a note where there is none."""
    batches = BatchStream(search.subject.batches, search.seeds[0]).take(1)
    search.snapshot.put_back()
    products = max(4, int(_PRODUCTS * search.budget.allowed))
    found = stability_limit(search.subject, batches, search.budget, products=products)
    search.snapshot.put_back()
    if isinstance(found, NoLimit):
        search.notes.append(f"Stability limit: {found.reason}")
        return None
    return found


def _exact(search: _Search, limit: StabilityLimit) -> FoundRate:
    """Answer where the limit is exact: just below it, with twins at 0.95 of it and beyond it."""
    suggestion = EXACT * limit.limit
    updates = max(2, int(search.budget.left / 3 - search.judge.cost))
    for rate in (suggestion, suggestion / 10, 1.05 * limit.limit):
        if search.budget.allows(2 * GRADIENT + search.judge.cost):
            search.twin(rate, search.seeds[0], updates)
    low = suggestion / 10
    regions = (
        Region("too slow", None, low, "each update takes off less than a tenth of what one at the suggestion does"),
        Region("good", low, limit.limit, f"stable up to {limit.formula} = {limit.limit:.7g}, which is exact here"),
        Region("unstable", limit.limit, None, "along the largest curvature the deviation grows at every update"),
    )
    return _found(
        search,
        suggestion=suggestion,
        low=low,
        high=limit.limit,
        regions=regions,
        limit=limit,
        spread=1.0,
        certainty="sure",
        why=f"The limit {limit.limit:.7g} is exact for this loss; the suggestion is {EXACT:g} of it.",
    )


# Refusals


def _why_nothing(search: _Search) -> Finding:
    """Say why no run came to the level: too few updates where the runs were short, and only else the problem itself."""
    longest = max((len(run.losses) for run in search.twins), default=0)
    if longest < LONG_ENOUGH:
        return too_few_updates(search.start, search.lowest, longest, search.budget)
    return nothing_trains(search.start, search.lowest, search.twins, search.budget.share, search.level)


def _refusal(search: _Search, finding: Finding) -> FoundRate:
    return _found(
        search,
        suggestion=None,
        low=None,
        high=None,
        regions=(),
        limit=None,
        spread=math.nan,
        certainty="unsure",
        why="",
        findings=(finding,),
    )


def _found(
    search: _Search,
    *,
    suggestion: float | None,
    low: float | None,
    high: float | None,
    regions: Sequence[Region],
    limit: StabilityLimit | None,
    spread: float,
    certainty: Certainty,
    why: str,
    findings: tuple[Finding, ...] = (),
) -> FoundRate:
    subject, budget = search.subject, search.budget
    search.snapshot.put_back()
    return FoundRate(
        name=subject.name,
        optimizer=describe_optimizer(subject.optimizer),
        suggestion=suggestion,
        low=low,
        high=high,
        regions=tuple(regions),
        curves=tuple(one.curve for one in search.ascents),
        limit=limit,
        twins=tuple(search.twins),
        seeds=search.seeds,
        spread=spread,
        certainty=certainty,
        why_so_sure=why,
        cost=budget.by_purpose,
        allowed=budget.allowed,
        planned=budget.planned,
        present=subject.rate,
        start_loss=search.start,
        noise=search.ascents[0].noise if search.ascents else 0.0,
        findings=findings,
        notes=tuple(search.notes),
    )
