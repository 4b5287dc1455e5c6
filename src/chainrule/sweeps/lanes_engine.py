"""Runs in the lanes of the processor's vectors: a group as `chainrule.lanes` takes it."""

import copy
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from chainrule.components import Objective, generators_kept
from chainrule.errors import ChainruleError, UserModuleError
from chainrule.lanes import (
    Group,
    Kernel,
    Measure,
    Runs,
    Scheduled,
    Setting,
    StepDescription,
    Unsupported,
    Varying,
    compile_runs,
    final_loss,
)
from chainrule.penalties import attach_penalties
from chainrule.shapes import Tensor
from chainrule.sweeps.batched_step import penalties_of
from chainrule.sweeps.batches_of_runs import row_numbers, training_parts, whole_of
from chainrule.sweeps.outcome import EngineName, Numbers, Want
from chainrule.sweeps.problem import Problem, initial_tensors, varying_strengths
from chainrule.sweeps.results import Refusal, Rows, Tell, Trained, finite_steps, measure_named, needs_states
from chainrule.sweeps.settings import chosen, group_settings, rule_name, schedule_lines, settings_problem
from chainrule.training.sharing import loss_of_part

# Near which the kernel is checked against the plain loop: values at which rounding is not blown up.
_NOMINAL = {
    "lr": 0.01, "momentum": 0.5, "dampening": 0.1, "weight_decay": 0.01, "beta1": 0.9, "beta2": 0.99, "alpha": 0.9,
    "eps": 1e-8,
}  # fmt: skip
_STRENGTH = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class LanesEngine:
    """A compiled training of a group.

    Attributes:
        problem: the group.
        kernel: the training.
        has_measure: whether it has a measure beside the last loss.
        is_padded: whether the last batch of an epoch is filled up with a sample that does not count.
        lines: what the schedule does to each group of parameters, in each step; see `schedule_lines`.
        threads: that compute; the numbers do not depend on them.
    """

    problem: Problem
    kernel: Kernel = field(repr=False)  # its graph is long, and every node of it names others
    has_measure: bool
    is_padded: bool
    lines: list[dict[str, Numbers]]
    threads: int = field(default_factory=lambda: os.cpu_count() or 1)

    @property
    def name(self) -> EngineName:
        """Which engine it is."""
        return "lanes"

    def on(self, problem: Problem) -> "LanesEngine":
        """Return the engine for other values or another number of steps of the same group."""
        lines = self.lines
        if problem.steps > self.problem.steps and any(lines):
            longer = schedule_lines(problem)
            lines = lines if isinstance(longer, str) else longer
        return replace(self, problem=problem, lines=lines)

    def train(self, rows: Rows, want: Want, tell: Tell) -> Trained:
        """Train some runs of the group; see `Engine`."""
        problem = self.problem
        keeps_states = needs_states(want)
        samples, order = _samples_and_order(problem, rows, self.is_padded)
        kernel = replace(self.kernel, description=replace(self.kernel.description, samples=samples))
        runs = Runs(
            count=len(rows),
            initial={
                name: value.double().numpy()
                for name, value in initial_tensors(problem, rows).items()
                if value.is_floating_point()
            },
            settings={item.name: chosen(problem.columns, item.name, rows) for item in kernel.description.varying},
            seeds=problem.seeds[rows],
            order=order,
            schedules=_schedules(self.lines, problem.steps),
            keeps_losses=want.losses,
            keeps_states=keeps_states,
        )
        found = kernel.run(runs, problem.steps, threads=self.threads, progress=lambda done: tell(done / len(rows)))
        numbers = np.asarray(found.measure, np.float64)
        last, measure = (numbers[1], numbers[0]) if self.has_measure else (numbers, None)
        losses = None if found.losses is None else found.losses.astype(np.float64)
        steps_run = np.where(found.lost_at >= 0, found.lost_at, problem.steps).astype(np.int64)
        return Trained(
            losses=losses,
            final_loss=last,
            measure=measure,
            steps_run=finite_steps(losses) if losses is not None else steps_run,
            states=_states(problem, found.states, rows) if keeps_states and found.states is not None else None,
        )


def prepare_lanes(problem: Problem, want: Want) -> LanesEngine | Refusal:
    """Return the engine for a group, or why it cannot compute it.

    Args:
        problem: the group.
        want: what is to be known of the runs.
    """
    if problem.place.autocast:
        return Refusal("lanes", "bfloat16 autocast runs one by one.")
    if problem.task.run.device not in ("auto", "cpu"):
        return Refusal("lanes", f"It computes on the CPU, and the task says run.device = {problem.task.run.device!r}.")
    if reason := settings_problem(problem) or _padding_problem(problem) or _recording_problem(problem):
        return Refusal("lanes", reason)
    lines = schedule_lines(problem)
    if isinstance(lines, str):
        return Refusal("lanes", lines)
    measure = _with_last_loss(measure_named(want.measure)) if want.measure else final_loss()
    try:
        kernel = compile_runs(_description(problem, lines), measure=measure)
    except UserModuleError:
        raise
    except Unsupported as error:
        return Refusal("lanes", error.cause or f"{error.what} {error.where}: {error.found}, not {error.expected}.")
    except ChainruleError as error:
        return Refusal("lanes", error.what)
    return LanesEngine(problem, kernel, want.measure is not None, _is_padded(problem), lines)


def _description(problem: Problem, lines: list[dict[str, Numbers]]) -> StepDescription:
    batches = problem.base.batches
    own = _has_own_order(problem)
    has_batches = not batches.is_whole or own
    samples, _ = _samples_and_order(problem, np.arange(1), _is_padded(problem))
    strengths = {number: Varying(key, _STRENGTH) for number, key in varying_strengths(problem.columns).items()}
    groups = []
    for place, (group, moved) in enumerate(zip(group_settings(problem), lines, strict=True)):
        varying = {name: Varying(key, _NOMINAL.get(name, 0.1)) for name, key in group.varying.items()}
        settings: dict[str, Setting] = {name: value for name, value in group.fixed.items() if value is not None}
        settings |= varying
        for name in moved:
            base = (varying.get("lr") or float(group.fixed["lr"]) or 1.0) if name == "lr" else 1.0
            settings[name] = Scheduled(f"{place}.{name}", base)
        groups.append(Group(group.parameters, settings))
    return StepDescription(
        network=problem.base.model,
        objective=_Loss(
            problem.base.objective, penalties_of(problem), strengths, _is_padded(problem), problem.records_training
        ),
        optimizer=rule_name(problem),
        groups=tuple(groups),
        samples=samples,
        constants=_whole(problem) if problem.records_training else {},
        batch_size=min(batches.size, batches.samples) if has_batches else None,
        order="own" if own else "shared",
        objective_settings=tuple(strengths.values()),
        precision="float64" if problem.place.dtype == torch.float64 else "float32",
    )


@dataclass(frozen=True, slots=True)
class _Loss:
    """The loss of a step as `lanes` takes it, with its penalties.

    Attributes:
        objective: of the task.
        penalties: on the activations.
        strengths: of those penalties whose strength differs between runs.
        is_padded: samples carry a number `counts`, 1, or 0 for one that fills a batch up.
        records_training: the loss that is recorded is that of the whole training part, which the data hold as
            `all_inputs` and `all_targets`.
    """

    objective: Objective
    penalties: list[Any]
    strengths: Mapping[int, Varying]
    is_padded: bool
    records_training: bool = False

    def __call__(
        self, network: nn.Module, data: Mapping[str, Tensor], settings: Mapping[str, Tensor]
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return the loss of a network on the data of a step, and the loss that is recorded where it is another."""
        value = self._of_step(network, data, settings)
        if not self.records_training:
            return value
        return value, loss_of_part(network, self.objective, data["all_inputs"], data["all_targets"])

    def _of_step(self, network: nn.Module, data: Mapping[str, Tensor], settings: Mapping[str, Tensor]) -> Tensor:
        if not self.penalties or not torch.is_grad_enabled():  # they are collected while gradients are
            return self._of_data(network(data["inputs"]), data)
        with attach_penalties(network, self.penalties) as attached:
            whole = self._of_data(network(data["inputs"]), data)
            for number, term in enumerate(attached.values().values()):
                varying = self.strengths.get(number)
                whole = whole + (term * settings[varying.name] if varying is not None else term)
        return whole

    def _of_data(self, prediction: Tensor, data: Mapping[str, Tensor]) -> Tensor:
        if not self.is_padded:
            return self.objective(prediction, data["targets"])
        return _counted(self.objective, prediction, data["targets"], data["counts"])


def _counted(objective: Objective, prediction: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
    """Return the loss over the samples that count: Σₙ cₙ ℓₙ, divided by Σₙ cₙ unless the loss is a sum."""
    module: Any = objective.module
    if objective.name == "HalfSumOfSquares":
        each = 0.5 * (targets - prediction).square().sum(dim=1)
    else:
        each = _each_sample(objective, prediction, targets)
        if each.dim() > 1:
            each = each.flatten(1)
            each = each.mean(dim=1) if objective.reduction == "mean" else each.sum(dim=1)
    total = (each * counts).sum()
    return total if module.reduction == "sum" else total / counts.sum()


def _each_sample(objective: Objective, prediction: Tensor, targets: Tensor) -> Tensor:
    """Return the terms of a loss before they become one number: (samples,) or (samples, outputs)."""
    module: Any = copy.copy(objective.module)
    module.reduction = "none"
    terms: Tensor
    if objective.name == "GaussianNLLLoss":
        mean, logarithm = prediction.chunk(2, dim=1)
        terms = module(mean, targets, logarithm.exp())
    else:
        terms = module(prediction, targets)
    return terms


def _is_padded(problem: Problem) -> bool:
    batches = problem.base.batches
    return not batches.is_whole and batches.samples_of(batches.per_epoch - 1) != batches.size


def _padding_problem(problem: Problem) -> str:
    """Return why the last batch of an epoch, smaller than the others, cannot be filled up; nothing when it can."""
    if not _is_padded(problem):
        return ""
    batches = problem.base.batches
    smaller = f"The last batch of an epoch has {batches.samples % batches.size} samples instead of {batches.size}"
    module = problem.base.objective.module
    if problem.task.penalty:
        return f"{smaller}, and penalties count every sample."
    if getattr(module, "weight", None) is not None or getattr(module, "ignore_index", -1) >= 0:
        return f"{smaller}, and the loss counts some samples more than others."
    if _mixes_samples(problem):
        return f"{smaller}, and the model computes a sample from others of its batch."
    return ""


def _mixes_samples(problem: Problem) -> bool:
    """Return whether a model's output for a sample depends on the other samples of the batch."""
    model, inputs = problem.base.model, problem.base.batches.inputs[:4].clone()
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    with torch.no_grad(), generators_kept():
        before = model(inputs)[:-1]
        inputs[-1] = inputs[0] if inputs.dtype.is_floating_point is False else inputs[-1] * 2 + 1
        after = model(inputs)[:-1]
    for name, value in model.named_buffers():
        value.data.copy_(buffers[name])
    return not torch.equal(before, after)


def _schedules(lines: list[dict[str, Numbers]], steps: int) -> dict[str, Numbers]:
    """Return the schedules under the names that `_description` gives them, for the first steps."""
    return {f"{place}.{name}": table[:steps] for place, own in enumerate(lines) for name, table in own.items()}


def _samples_and_order(
    problem: Problem, rows: Rows, is_padded: bool
) -> tuple[dict[str, Tensor], NDArray[np.int64] | None]:
    """Return the samples of some runs, the parts of their seeds one after the other, and which of them a step takes."""
    seeds, places = np.unique(problem.seeds[rows], return_inverse=True)
    parts = training_parts(problem, seeds.tolist())
    inputs, targets = parts.inputs.detach().cpu(), parts.targets.detach().cpu()
    if parts.part_of is not None:
        inputs, targets = inputs.flatten(0, 1), targets.flatten(0, 1)
    samples = {"inputs": inputs, "targets": targets}
    if is_padded:  # one sample more, which does not count
        samples = {name: torch.cat([value, value[:1]]) for name, value in samples.items()}
        counts = torch.ones(len(inputs) + 1, dtype=inputs.dtype)
        counts[-1] = 0.0
        samples["counts"] = counts
    batches = problem.base.batches
    own = _has_own_order(problem)
    if batches.is_whole and not own:
        return samples, None
    size = min(batches.size, batches.samples)
    order = np.full((len(seeds), problem.steps, size), len(inputs), np.int64)
    for step, numbers in enumerate(islice(row_numbers(problem, seeds.tolist()), problem.steps)):
        order[:, step, : numbers.shape[1]] = numbers.numpy()
    if parts.part_of is not None:
        is_sample = order < len(inputs)
        order += np.where(is_sample, np.arange(len(seeds), dtype=np.int64)[:, None, None] * batches.samples, 0)
    return samples, order[places] if own else order[0]


def _has_own_order(problem: Problem) -> bool:
    """Return whether runs take other samples than runs of another seed."""
    batches = problem.base.batches
    differ = problem.has_parts or (not batches.is_whole and batches.shuffle)
    return differ and len(np.unique(problem.seeds)) > 1


def _whole(problem: Problem) -> dict[str, Tensor]:
    """Return the training part that all runs have."""
    whole = whole_of(problem, np.arange(1))
    return {"all_inputs": whole.inputs.detach().cpu(), "all_targets": whole.targets.detach().cpu()}


def _recording_problem(problem: Problem) -> str:
    """Return why the loss of the whole training part cannot be recorded; nothing when it can."""
    if problem.records_training and problem.has_parts and len(np.unique(problem.seeds)) > 1:
        return "The loss of the whole training part is recorded, and runs of different seeds have different parts."
    return ""


def _states(problem: Problem, found: Mapping[str, NDArray[Any]], rows: Rows) -> dict[str, Tensor]:
    """Return parameters and buffers; buffers that are whole numbers stay as they were."""
    own = dict(problem.base.model.named_parameters()) | dict(problem.base.model.named_buffers())
    states = {}
    for name, value in own.items():
        if name in found:
            states[name] = torch.from_numpy(found[name]).to(value.dtype)
        else:
            states[name] = value.detach().expand(len(rows), *value.shape).clone()
    return states


def _with_last_loss(measure: Measure) -> Measure:
    """Return a measure whose result is two rows: the measure, and the last loss."""
    last = final_loss()
    own = {f"own_{name}": value for name, value in last.slots.items()}

    def update(writer: Any, slots: dict[str, Any], loss: Any, moment: Any) -> dict[str, Any]:
        remembered = {name.removeprefix("own_"): slots[name] for name in own}
        now = last.update(writer, remembered, loss, moment)
        mine = measure.update(writer, {name: slots[name] for name in measure.slots}, loss, moment)
        return mine | {f"own_{name}": value for name, value in now.items()}

    def finish(numbers: Mapping[str, Numbers], total: int) -> Numbers:
        remembered = {name.removeprefix("own_"): numbers[name] for name in own}
        return np.stack([measure.finish(numbers, total), last.finish(remembered, total)])

    return Measure({**measure.slots, **own}, update, finish)
