"""One run's training step as a function without memory, for engines that compute many runs side by side."""

import copy
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad_and_value

from chainrule.lanes.update_rules import UPDATE_RULES
from chainrule.penalties import AttachedPenalties, attach_penalties
from chainrule.shapes import Tensor
from chainrule.sweeps.problem import Problem, varying_strengths
from chainrule.sweeps.results import Rows
from chainrule.sweeps.settings import GroupSettings, chosen, group_settings, rule_name
from chainrule.tasks import PenaltySpec
from chainrule.training.evaluation import evaluating

States: TypeAlias = dict[str, Tensor]
Settings: TypeAlias = dict[str, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class BatchedStep:
    """The step of one run of a group; `torch.func.vmap` makes it the step of many.

    Attributes:
        problem: the group.
        model: a copy of its model, with the penalties on it.
        penalties: they.
        groups: the optimizer's settings.
        slots: what the optimizer remembers of each trained parameter, by "parameter.slot".
    """

    problem: Problem
    model: nn.Module
    penalties: AttachedPenalties | None
    groups: list[GroupSettings]
    slots: tuple[str, ...]

    def loss(self, states: States, settings: Settings, inputs: Tensor, targets: Tensor) -> tuple[Tensor, States]:
        """Return the loss with its penalties, and the buffers that the forward pass has changed."""
        buffers = {name: states[name].clone() for name, _ in self.model.named_buffers()}
        prediction = functional_call(self.model, {**states, **buffers}, (inputs,))
        whole: Tensor = self.problem.base.objective(prediction, targets)
        if self.penalties is not None:
            strengths = varying_strengths(self.problem.columns)
            for number, term in enumerate(self.penalties.values().values()):
                whole = whole + (term * settings[strengths[number]] if number in strengths else term)
        return whole, buffers

    def gradients(
        self, states: States, settings: Settings, inputs: Tensor, targets: Tensor
    ) -> tuple[States, Tensor, States]:
        """Return ∂loss/∂w of every trained parameter, the loss, and the changed buffers."""
        trained = {name: states[name] for name in self.problem.trained}
        fixed = {name: value for name, value in states.items() if name not in trained}

        def of_trained(own: States) -> tuple[Tensor, States]:
            return self.loss({**fixed, **own}, settings, inputs, targets)

        gradients, (value, buffers) = grad_and_value(of_trained, has_aux=True)(trained)
        return gradients, value, buffers

    def loss_of_part(self, states: States, inputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss over a whole part in evaluation mode, as `training.sharing` has it."""
        with evaluating(self.model):
            prediction = functional_call(self.model, states, (inputs,))
            value: Tensor = self.problem.base.objective(prediction, targets)
        return value

    def __call__(
        self, states: States, slots: States, settings: Settings, number: Tensor, inputs: Tensor, targets: Tensor
    ) -> tuple[States, States, Tensor]:
        """Return states and slots after one step, and its loss.

        Args:
            states: parameters and buffers.
            slots: what the optimizer remembers.
            settings: hyperparameters that differ between runs or steps, by "group.setting" or the penalty's key.
            number: of the step, from 1.
            inputs: of the batch.
            targets: of the batch.
        """
        gradients, value, buffers = self.gradients(states, settings, inputs, targets)
        rule = UPDATE_RULES[rule_name(self.problem)]
        new = {**states, **buffers}
        remembered: States = {}
        for index, group in enumerate(self.groups):
            own: dict[str, Any] = {**rule.defaults, **group.fixed}
            own |= {name: settings[f"{index}.{name}"] for name in own if f"{index}.{name}" in settings}
            for name in group.parameters:
                mine = {slot: slots[f"{name}.{slot}"] for slot in rule.slots(own)}
                moved, mine = rule.update(states[name], gradients[name], mine, own, number)
                new[name] = moved.to(states[name].dtype)
                remembered |= {f"{name}.{slot}": each.to(slots[f"{name}.{slot}"].dtype) for slot, each in mine.items()}
        return new, remembered, value


def make_step(problem: Problem, moved: list[dict[str, Any]]) -> BatchedStep:
    """Return the step of a group.

    Args:
        problem: the group.
        moved: for each group of parameters, the settings that the schedule moves.
    """
    groups = group_settings(problem)
    rule = UPDATE_RULES[rule_name(problem)]
    slots = []
    for group, tables in zip(groups, moved, strict=True):
        in_force: dict[str, Any] = {**rule.defaults, **group.fixed}
        in_force |= dict.fromkeys([*group.varying, *tables], torch.ones(()))
        slots += [f"{name}.{slot}" for name in group.parameters for slot in rule.slots(in_force)]
    return replace(looking_step(problem), groups=groups, slots=tuple(slots))


def looking_step(problem: Problem) -> BatchedStep:
    """Return the step of a group without its update, for losses and gradients alone."""
    model = copy.deepcopy(problem.base.model)
    specs = penalties_of(problem)
    return BatchedStep(problem, model, attach_penalties(model, specs) if specs else None, [], ())


def penalties_of(problem: Problem) -> list[PenaltySpec]:
    """Return the penalties of a group; those whose strength differs between runs have strength 1."""
    varying = varying_strengths(problem.columns)
    specs = enumerate(problem.task.penalty)
    return [spec.model_copy(update={"strength": 1.0}) if number in varying else spec for number, spec in specs]


def settings_of_step(step: BatchedStep, rows: Rows, moved: list[dict[str, Any]], number: int) -> Settings:
    """Return the hyperparameters of a step, one number for each run: by "group.setting", or the penalty's key.

    Args:
        step: of the group.
        rows: which of its runs.
        moved: for each group of parameters, the settings that the schedule moves: (steps, runs).
        number: of the step, from 0.
    """
    columns = step.problem.columns
    found: dict[str, Any] = {}
    for index, group in enumerate(step.groups):
        for name, key in group.varying.items():
            found[f"{index}.{name}"] = chosen(columns, key, rows)
        for name, table in moved[index].items():
            found[f"{index}.{name}"] = np.broadcast_to(table[number], (len(rows),)).copy()
    for key in varying_strengths(columns).values():
        found[key] = chosen(columns, key, rows)
    device = step.problem.place.device
    return {name: torch.from_numpy(values).to(device) for name, values in found.items()}
