"""Which engine computes a group: the fastest that can, and in words why.

The sizes that decide were measured on an AMD Zen 4 (64-H-10 networks, batches of 64, float32, SGD, one thread): with
32 runs, `lanes` is nine times as fast as the plain loop at H = 256, twice at H = 1024 and one and a half times at
H = 1536. A vector of it is computed whole, however few runs are in it: with 4 runs it is twice as fast at H = 256, and
half as fast at H = 1024. vmap is no faster than the plain loop from H = 1024 on. What is chosen follows from the sizes
of the job alone, so that the same job is computed by the same engine again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import torch

from chainrule.components import generators_kept, generators_outside_torch
from chainrule.errors import ChainruleError, TaskError
from chainrule.sweeps.groups import Columns
from chainrule.sweeps.keys import LAYER_RATE
from chainrule.sweeps.lanes_engine import prepare_lanes
from chainrule.sweeps.loop_engine import LoopEngine, train_one
from chainrule.sweeps.outcome import EngineName, Want
from chainrule.sweeps.problem import Problem
from chainrule.sweeps.results import Engine, Refusal, Rows
from chainrule.sweeps.vmap_engine import prepare_vmap

Requested: TypeAlias = Literal["auto", "lanes", "vmap", "loop"]

_FEW_RUN_STEPS = 5_000  # up to which the plain loop is done before another engine is ready
_FEW_RUNS = 6  # up to which a step of all runs by vmap takes as long as the steps one by one
_LARGE = {"lanes": 100_000, "vmap": 30_000}  # trained numbers of a run, from which on the plain loop is as fast
_A_RUN = 10_000  # trained numbers for each run, beyond which lanes compute mostly lanes without a run
_CHECKED_STEPS = 4
_SHORT_EPOCH = 64
_MILD_RATE = 0.01
_AGREEMENT = {torch.float64: 1e-9, torch.float32: 2e-3}


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """An engine that is ready, and why it was taken."""

    engine: Engine
    why: str


def choose_engine(problem: Problem, requested: Requested, want: Want) -> Choice:
    """Return the engine for a group.

    Args:
        problem: the group.
        requested: "auto", or the engine that must do it.
        want: what is to be known of the runs.

    Raises:
        TaskError: the requested engine cannot compute the group; says why.
    """
    if requested != "auto":
        return _requested(problem, requested, want)
    runs, numbers = problem.runs, sum(value.numel() for value in problem.trained.values())
    on_gpu = problem.place.device.type == "cuda"
    if drawn := generators_drawn_from(problem):
        why = "The model draws random numbers in its forward pass, and only one run after the other draws those of "
        others = "; lanes draws others, with engine lanes." if drawn == {"torch"} else "."
        return Choice(LoopEngine(problem), f"{why}chainrule train{others}")
    if runs * problem.steps <= _FEW_RUN_STEPS or runs == 1:
        return Choice(LoopEngine(problem), f"{_count(runs, 'run')} of {_count(problem.steps, 'update')} are few.")
    reasons = []
    for prepare, name, usual in _faster(on_gpu):
        if numbers > _LARGE[name] and not on_gpu:
            reasons.append(f"{name} gains nothing at {numbers:,} trained numbers a run.")
            continue
        if name == "lanes" and numbers > _A_RUN * runs and not on_gpu:
            reasons.append(f"lanes gains nothing with {_count(runs, 'run')} of {numbers:,} trained numbers.")
            continue
        if name == "vmap" and runs < _FEW_RUNS and not on_gpu:
            reasons.append(f"vmap gains nothing with {_count(runs, 'run')}.")
            continue
        ready = _trusted(problem, prepare(problem, want))
        if not isinstance(ready, Refusal):
            return Choice(ready, " ".join([usual, *reasons]))
        reasons.append(f"{name} could not: {ready.reason}")
    return Choice(LoopEngine(problem), " ".join(["One run after the other.", *reasons]))


def generators_drawn_from(problem: Problem) -> set[str]:
    """Return whose generators a forward pass of the model, as it is trained, draws from: "torch", "python", "numpy"."""
    state = problem.base
    buffers = {name: value.clone() for name, value in state.model.named_buffers()}
    with generators_kept(state.place.device), torch.no_grad():
        before = _generators(problem)
        state.model(state.batches.inputs[: min(state.batches.size, state.batches.samples)])
        after = _generators(problem)
    for name, value in state.model.named_buffers():
        value.data.copy_(buffers[name])
    return {name.partition(".")[0] for name, one in before.items() if not torch.equal(one, after[name])}


def _generators(problem: Problem) -> dict[str, torch.Tensor]:
    states = {"torch.cpu": torch.random.get_rng_state(), **generators_outside_torch()}
    if problem.place.device.type == "cuda":
        states["torch.cuda"] = torch.cuda.get_rng_state(problem.place.device)
    return states


def _vmap(problem: Problem, want: Want) -> Engine | Refusal:
    return prepare_vmap(problem)


def _faster(on_gpu: bool) -> list[tuple[Callable[[Problem, Want], Engine | Refusal], Literal["lanes", "vmap"], str]]:
    lanes = (prepare_lanes, "lanes", "lanes is the fastest for many runs of a small network.")
    vmap = (_vmap, "vmap", "vmap computes many runs as one.")
    return [vmap, lanes] if on_gpu else [lanes, vmap]  # type: ignore[list-item]  # the names are literals


def _requested(problem: Problem, requested: EngineName, want: Want) -> Choice:
    why = "It was asked for."
    if requested == "loop":
        return Choice(LoopEngine(problem), why)
    drawn = generators_drawn_from(problem)
    if drawn - {"torch"}:
        ready: Engine | Refusal = Refusal(
            requested,
            "The model draws random numbers with Python's random or numpy.random in its forward pass, and only one run "
            "after the other draws those of chainrule train.",
        )
    elif requested == "vmap" and drawn:
        ready = Refusal("vmap", "The model draws random numbers in its forward pass.")
    else:
        ready = prepare_lanes(problem, want) if requested == "lanes" else prepare_vmap(problem)
    if requested == "lanes" and drawn == {"torch"}:
        why += " The model draws random numbers, and lanes draws others than chainrule train."
    else:
        ready = _trusted(problem, ready)
    if isinstance(ready, Refusal):
        raise TaskError(
            what=f"The {requested} engine cannot compute this sweep.",
            found=f"engine {requested}",
            cause=ready.reason,
            next_step="The engine auto takes the fastest that can.",
        )
    return Choice(ready, why)


def _trusted(problem: Problem, ready: Engine | Refusal) -> Engine | Refusal:
    """Return an engine whose first losses are those of the plain loop, or the refusal with the numbers of both."""
    if isinstance(ready, Refusal):
        return ready
    rows = _rows_to_check(problem)
    checked = replace(problem, columns=_mild(problem, rows), steps=_steps_to_check(problem))
    try:
        found = ready.on(checked).train(np.arange(len(rows)), Want(losses=True), lambda share: None).losses
    except ChainruleError:
        raise
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        return Refusal(ready.name, f"PyTorch says: {str(error).splitlines()[0]}")
    assert found is not None  # noqa: S101 - losses were asked for
    for number in range(len(rows)):
        plain, _ = train_one(checked, number, checked.steps, goes_on=False, tell=lambda share: None)
        ours = found[number, : len(plain)]
        with np.errstate(all="ignore"):
            differ = np.abs(ours - plain) > _AGREEMENT[problem.place.dtype] * np.maximum(np.abs(plain), 1e-6)
        differ |= np.isfinite(ours) != np.isfinite(plain)
        if differ.any():
            step = int(differ.argmax())
            return Refusal(
                ready.name,
                f"Its loss of step {step} is {ours[step]:.17g}, and that of the plain loop is {plain[step]:.17g}.",
            )
    return ready


def _steps_to_check(problem: Problem) -> int:
    # The last batch of an epoch may be smaller than the others, so an epoch is looked at where it is short.
    per_epoch = problem.base.batches.per_epoch
    steps = per_epoch + 1 if per_epoch <= _SHORT_EPOCH else _CHECKED_STEPS
    return min(problem.steps, max(steps, _CHECKED_STEPS))


def _rows_to_check(problem: Problem) -> Rows:
    """Return the first run, and the first with another seed."""
    others = np.flatnonzero(problem.seeds != problem.seeds[0])
    return np.array([0, *others[:1].tolist()], np.int64)


def _mild(problem: Problem, rows: Rows) -> Columns:
    """Return the values of some runs, with learning rates at which rounding is not blown up."""
    mild = {key: values[rows] for key, values in problem.columns.items()}
    for key, values in mild.items():
        if key == "optimizer.lr" or LAYER_RATE.fullmatch(key):
            mild[key] = np.minimum(values.astype(np.float64), _MILD_RATE)
    return mild


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
