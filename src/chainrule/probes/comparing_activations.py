"""`compare_activations`: which activation, for a task or for any model, with the evidence."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from chainrule.components import build_optimizer
from chainrule.data import load_data
from chainrule.errors import TaskError
from chainrule.probes.activation_runs import TaskRuns, refuse_task, task_has_own_init
from chainrule.probes.candidates import USUAL, Candidate, candidate_of
from chainrule.probes.choice import ActivationChoice
from chainrule.probes.comparing import SEEDS, TUNING_SEEDS, Comparison, Plan, compare, plan_of
from chainrule.probes.output_advice import Ending, OutputAdvice, advise_output
from chainrule.probes.tuning import decades_round
from chainrule.sweeps import Progress
from chainrule.tasks import Component, Task, load_task

OWN: Final = "each candidate's own: xavier_normal_ with the gain that keeps the mean square of its outputs"


def compare_task(
    task: Task,
    candidates: Sequence[str | Candidate] = (),
    *,
    steps: int | None = None,
    seeds: int = SEEDS,
    tuning_seeds: int = TUNING_SEEDS,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> ActivationChoice:
    """Compare activations on a task; see `compare_activations`."""
    if task.model.module is not None:
        raise TaskError(
            what="The task's model is a module of your own, whose activations a task has no key for.",
            where="model.module",
            found=task.model.module,
            expected="model.layers",
            next_step="In Python chainrule.compare_activations takes the module itself: "
            "compare_activations(model, loss_fn, batches).",
        )
    refuse_task(task)
    chosen = candidates_of(candidates, _present(task))
    rate = task.optimizer.arguments.get("lr")
    plan = plan_of(chosen, decades_round(_rate_of(task) if rate is None else float(rate)), task.seed, seeds, tuning_seeds)
    runs = TaskRuns(task, steps or _own_steps(task), task_has_own_init(task), folder=folder)
    found = compare(runs, plan, has_norm=False, progress=progress)
    chosen_one = None if found.ranking is None else _named(plan, found.ranking.chosen)
    return ActivationChoice(
        name=task.name,
        candidates=tuple(found.compared),
        ranking=found.ranking,
        judged_by="validation loss" if runs.judges_validation else "training loss",
        seeds=plan.seeds,
        tuning_seeds=plan.tuning_seeds,
        steps=runs.steps,
        runs=found.runs,
        optimizer=task.optimizer.name,
        initialiser=OWN if runs.has_own_init else "the task's own",
        changes={} if chosen_one is None else _changes(chosen_one, found, runs.has_own_init),
        replaced=tuple(f"hidden{number}_activation" for number in range(1, len(task.model.layers or []))),
        advice=advice_for(task),
        findings=tuple(found.findings),
        notes=(*_notes(task, runs, plan), *runs.notes),
        engine=", ".join(runs.engines),
        was_interrupted=found.was_interrupted,
        seconds=found.seconds,
    )


def candidates_of(given: Sequence[str | Candidate], present: Sequence[Candidate] = ()) -> list[Candidate]:
    """Return candidates by name; the usual ones, and what the model has now, when none are given.

    Raises:
        ChainruleError: a name is none of an activation that can be compared.
    """
    if given:
        return [each if isinstance(each, Candidate) else candidate_of(each) for each in given]
    usual = [candidate_of(name) for name in USUAL]
    known = {each.label for each in usual}
    return [*usual, *(each for each in present if each.label not in known)]


def advice_for(task: Task) -> OutputAdvice:
    """Return how the network of a task should end."""
    data = load_data(task.data, task.seed)
    last = task.model.output_activation
    layers = task.model.layers
    ending = Ending(
        "" if isinstance(last, list) or layers is None else last.name,
        "" if task.loss is None else task.loss.name,
        layers[-1] if layers is not None else 0,
    )
    return advise_output(data.train.targets, len(data.class_names), ending)


def _present(task: Task) -> list[Candidate]:
    """Return the activations that a task has now, where they can be compared."""
    given = task.model.activation
    found: dict[str, Candidate] = {}
    for component in given if isinstance(given, list) else [given]:
        try:
            candidate = candidate_of(component.name, _formula_arguments(component))
        except TaskError:  # it cannot be compared; the candidates take its place all the same
            continue
        found.setdefault(candidate.label, candidate)
    return list(found.values())


def _formula_arguments(component: Component) -> dict[str, Any]:
    return {key: value for key, value in component.arguments.items() if key not in ("inplace", "dtype", "device")}


def _rate_of(task: Task) -> float:
    """Return the rate that torch gives an optimizer for which the task says none."""
    with torch.random.fork_rng(devices=[]):
        optimizer = build_optimizer(task.optimizer, nn.Linear(1, 1))
    return float(optimizer.param_groups[0]["lr"])


def _own_steps(task: Task) -> int:
    samples = len(load_data(task.data, task.seed).train)
    size = samples if task.data.batch_size == "full" else task.data.batch_size
    updates = task.stop.epochs * -(-samples // size)
    return min(updates, task.stop.steps or updates)


def _named(plan: Plan, label: str) -> Candidate:
    return next(each for each in plan.candidates if each.label == label)


def _changes(chosen: Candidate, found: Comparison, has_own_init: bool) -> dict[str, Any]:
    """Return the keys of the task that the recommendation asks to be changed."""
    rate = next(each.rate for each in found.compared if each.label == chosen.label)
    changes: dict[str, Any] = {"model.activation": chosen.component if chosen.arguments else chosen.name}
    if has_own_init:
        changes["model.init"] = chosen.initialiser
    return {**changes, "optimizer.lr": float(f"{rate:.3g}")}


def _notes(task: Task, runs: TaskRuns, plan: Plan) -> list[str]:
    notes = []
    if not runs.judges_validation:
        notes.append(
            "There is no validation part, so the training loss is what is compared; --data.validation 0.2 holds samples "
            "out."
        )
    if task.data.validation or task.data.test:
        notes.append("Each seed splits the data anew, so the differences are over splits too.")
    return notes
