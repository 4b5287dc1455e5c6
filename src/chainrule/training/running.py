"""A run from beginning to end: the six steps, and everything around them."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Any

import torch
from torch import nn

from chainrule.components import generators_kept, seed_generators
from chainrule.data import Dataset, load_data
from chainrule.errors import CheckpointError
from chainrule.findings import Finding
from chainrule.tasks import Task
from chainrule.trace import History
from chainrule.training.building import dataset_parts, part_tensors
from chainrule.training.checking import check_run
from chainrule.training.devices import Placement, placement, wait_for_all
from chainrule.training.evaluation import Evaluation, evaluate
from chainrule.training.first_update import FirstUpdate, take_first_update
from chainrule.training.observing import Reporter, RunObserver
from chainrule.training.resuming import resume_run
from chainrule.training.run_folder import RunFolder
from chainrule.training.sharing import recorded_loss
from chainrule.training.signals import stopping_at_signals
from chainrule.training.six_steps import forward, initialise, loss, repeat
from chainrule.training.state import Progress, State
from chainrule.training.stopping import INTERRUPTED, LOSS_NOT_FINITE, keep_finite_weights
from chainrule.training.threads import computing_threads
from chainrule.training.trajectory import Trajectory
from chainrule.verification import GradientCheck


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What came of a run.

    Attributes:
        task: as it was run.
        folder: where it was written; None when it was not.
        model: with its final weights, or the best ones under early stopping.
        data: the data set.
        history: losses, rates and statistics over the steps.
        evaluations: of the final model, by part: "train", "validation", "test".
        progress: how far it came; `progress.stopped` says why it ended.
        seconds: spent in the six steps, in this process.
        check: gradients against finite differences, at the initial weights.
        findings: what went wrong.
        first_update: every number of the first step; None for larger networks.
        trajectory: weights and gradients over the steps; None for larger networks.
        convention: the loss in force, as a formula.
        place: device and precision, in words.
        parameters: how many numbers are trained.
        state: what the run had in hand when it ended.
        notes: what was done to the data, and which penalties and schedule are in force.
    """

    task: Task
    folder: Path | None
    model: nn.Module
    data: Dataset
    history: History
    evaluations: dict[str, Evaluation]
    progress: Progress
    seconds: float
    check: GradientCheck
    findings: tuple[Finding, ...]
    first_update: FirstUpdate | None
    trajectory: Trajectory | None
    convention: str
    place: str
    parameters: int
    state: State
    notes: tuple[str, ...] = field(default=())

    @property
    def was_interrupted(self) -> bool:
        """Whether Ctrl-C or a signal ended it."""
        return self.progress.stopped == INTERRUPTED

    @property
    def diverged(self) -> bool:
        """Whether it ended because the loss was no longer finite."""
        return self.progress.stopped == LOSS_NOT_FINITE

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-able data."""
        parts = {name: _numbers(evaluation) for name, evaluation in self.evaluations.items()}
        return {
            "task": self.task.name,
            "folder": str(self.folder) if self.folder else None,
            "stopped": self.progress.stopped,
            "epochs": self.progress.epoch,
            "steps": self.progress.step,
            "convention": self.convention,
            "device": self.place,
            "parameters": self.parameters,
            **parts,
            "gradient_check": {
                "worst": _json_number(self.check.worst),
                "where": self.check.where,
                "checked": self.check.checked,
                "entries": self.check.entries,
                "is_right": self.check.is_right,
                "reason": self.check.reason,
            },
            "findings": [finding.to_dict() for finding in self.findings],
            "notes": list(self.notes),
            "seconds": round(self.seconds, 3),
        }

    def __repr__(self) -> str:
        return f"Run({self.task.name!r}, {self.progress.step} updates, {self.progress.stopped!r}, {self.evaluations})"

    def _repr_html_(self) -> str:
        rows = [("stopped", self.progress.stopped), ("updates", str(self.progress.step)), ("loss", self.convention)]
        for name, evaluation in self.evaluations.items():
            metric = f", {evaluation.metric_name} {evaluation.metric:.4g}" if evaluation.metric_name else ""
            rows.append((name, f"loss {evaluation.loss:.6g}{metric}"))
        rows += [("gradients", str(self.check)), *(("finding", finding.claim) for finding in self.findings)]
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
        return f"<table><caption>{escape(self.task.name)}</caption>{cells}</table>"


def _numbers(evaluation: Evaluation) -> dict[str, float | None]:
    numbers = {"loss": _json_number(evaluation.loss)}
    if evaluation.metric_name:
        numbers["accuracy" if evaluation.metric_name == "accuracy" else "r2"] = _json_number(evaluation.metric)
    return numbers


def _json_number(value: float) -> float | None:
    """Return a number as JSON has it, which knows neither NaN nor infinity."""
    return value if math.isfinite(value) else None


def train(
    task: Task,
    *,
    folder: str | Path | None = None,
    resume: bool = False,
    reporters: Sequence[Reporter] = (),
) -> Run:
    """Train a task by backpropagation and return what came of it.

    The global generators of torch, Python and NumPy begin at the task's seed, and are left as they were. Ctrl-C ends
    the run after the update that is under way; what was reached is returned, and saved when there is a folder.

    Args:
        task: what to train.
        folder: where the run is written (task, metrics, checkpoints, weights); nowhere when not given.
        resume: go on from the newest checkpoint in `folder`.
        reporters: are told how it goes.

    Raises:
        ChainruleError: something does not fit, cannot be read or cannot be written; see `chainrule.errors`.

    Example:
        >>> from chainrule.tasks import load_task
        >>> run = train(load_task("two-two-two"))
        >>> run.history["loss"].values[0]
        0.24251985734837728
    """
    if resume and folder is None:
        raise CheckpointError(
            what="There is no run to resume.", found="no folder", expected="train(task, folder=..., resume=True)"
        )
    with placement(task.run.device, task.run.precision) as place, _seeded(task, place):
        written = RunFolder(Path(folder)) if folder is not None and place.is_main else None
        if written is not None and not resume:
            task = written.begin(task)
        elif folder is not None and resume:
            task = RunFolder(Path(folder)).go_on(task)
        data = load_data(task.data, task.seed)
        with computing_threads(task, data) as threads:
            where = replace(place, threads=threads)
            return _train(task, data, where, reporters if place.is_main else (), _Folders(folder, written, resume))


@dataclass(frozen=True, slots=True)
class _Folders:
    """Where a run is written: its folder, what the main process writes there, and whether it goes on."""

    path: str | Path | None
    written: RunFolder | None
    is_resumed: bool


def _train(task: Task, data: Dataset, place: Placement, shown: Sequence[Reporter], folders: _Folders) -> Run:
    written = folders.written
    first = take_first_update(task, place, data) if place.world == 1 else None
    state = initialise(task, place, data)
    trajectory = Trajectory.for_model(state.model, state.total_steps) if place.world == 1 else None
    check = check_run(state)
    seed_generators(task.seed + place.rank)
    try:
        if folders.is_resumed and folders.path is not None:
            resume_run(Path(folders.path), state, trajectory, written)
        if not state.finite_weights:
            keep_finite_weights(state)
        for reporter in shown:
            reporter.run_begins(state, check)
            if first is not None and state.progress.step == 0:
                reporter.first_update(state, first)
        folder_of_all = RunFolder(Path(folders.path)) if folders.path is not None else None
        observer = RunObserver(state, shown, written or folder_of_all, trajectory)
        with stopping_at_signals(state):
            seconds = _repeat(state, observer)
            return _finish(state, observer, written, (first, trajectory, check, seconds))
    finally:
        if written is not None:
            written.close()
        if state.penalties is not None:
            state.penalties.remove()


@contextmanager
def _seeded(task: Task, place: Placement) -> Iterator[None]:
    """Draw from generators that start at the task's seed, and put the caller's back afterwards."""
    with generators_kept(place.device):
        seed_generators(task.seed + place.rank)
        yield


def _repeat(state: State, observer: RunObserver) -> float:
    begun = time.perf_counter()
    try:
        repeat(state, observer)
    finally:
        observer.close()
    return time.perf_counter() - begun


def _finish(
    state: State,
    observer: RunObserver,
    written: RunFolder | None,
    parts: tuple[FirstUpdate | None, Trajectory | None, GradientCheck, float],
) -> Run:
    first, trajectory, check, seconds = parts
    if state.progress.stopped != LOSS_NOT_FINITE:  # to go on from there would help nobody
        observer.save(state)
    knows_all = state.batches.is_whole or state.task.run.recorded_loss == "training"
    if knows_all and state.progress.stopped not in (INTERRUPTED, LOSS_NOT_FINITE):
        _note_last_loss(state)
    if state.best_weights and state.progress.stopped != INTERRUPTED:
        state.model.load_state_dict(state.best_weights)
    evaluations = _evaluate_all(state)
    run = Run(
        task=state.task,
        folder=written.path if written is not None else None,
        model=state.model,
        data=state.data,
        history=state.history,
        evaluations=evaluations,
        progress=state.progress,
        seconds=seconds,
        check=check,
        findings=tuple(state.findings),
        first_update=first,
        trajectory=trajectory,
        convention=state.objective.convention(),
        place=state.place.describe(),
        parameters=sum(p.numel() for p in state.model.parameters() if p.requires_grad),
        state=state,
        notes=notes(state),
    )
    observer.flush(state)
    if written is not None:
        if not run.was_interrupted:
            written.finish_metrics(state.history)
        written.write_weights(state.model.state_dict())
        written.write_result(run.to_dict())
    wait_for_all(state.place)
    return run


def _evaluate_all(state: State) -> dict[str, Evaluation]:
    results = {}
    for name, part in dataset_parts(state.data).items():
        inputs, targets = part_tensors(part, state.objective, state.place)
        truth = part.targets.to(inputs.device)
        results[name] = evaluate(state.model, state.objective, inputs, targets, truth)
    return results


def _note_last_loss(state: State) -> None:
    """Note the loss after the last update, where every step's loss is that of the whole training part.

    It is the loss that the next step would have found, had there been one, and leaves no trace.
    """
    buffers = {name: buffer.clone() for name, buffer in state.model.named_buffers()}
    alone = replace(state, runner=state.model)
    batch = next(state.batches.epoch(state.progress.epoch, 0, state.place))
    with generators_kept(state.place.device), torch.enable_grad():
        number = recorded_loss(state, loss(alone, forward(alone, batch), batch).detach())
    for name, buffer in state.model.named_buffers():
        buffer.data.copy_(buffers[name])
    state.history.note(state.progress.step, {"loss": number, "lr": state.learning_rate})


def notes(state: State) -> tuple[str, ...]:
    """Return sentences on what was done to the data, and on the penalties and the schedule in force."""
    sentences = list(state.data.notes)
    if state.objective.rule.wants:
        sentences.append(f"{state.objective.name} takes {state.objective.rule.wants}.")
    if state.schedule is not None:
        sentences.append(f"Schedule: {state.schedule.describe()}.")
    if state.penalties is not None:
        sentences += [f"Penalty {sentence}." for sentence in state.penalties.describe()]
    return tuple(sentences)
