"""The optimizer's settings of many runs: which differ, and which a schedule moves from step to step."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from chainrule.components import build_schedule
from chainrule.lanes.update_rules import UPDATE_RULES
from chainrule.sweeps.keys import optimizer_arguments
from chainrule.sweeps.outcome import Numbers
from chainrule.sweeps.problem import Problem
from chainrule.sweeps.results import Rows

_OF_TORCH = {"foreach", "fused", "capturable", "differentiable"}  # how torch computes, not what
_ALMOST = 1e-15
_PROBES = np.array([1.0, 0.0, 0.3, 1e-3])  # learning rates at which a scheduler is asked what it makes of them
_LINE = 1e-12  # relative


@dataclass(frozen=True, slots=True, eq=False)
class GroupSettings:
    """The settings of the parameters of one weight layer, or of all of them.

    Attributes:
        parameters: their names.
        fixed: settings in which all runs agree, under torch's names, with `beta1` and `beta2` for `betas`.
        varying: setting → the key of the column that holds it.
    """

    parameters: tuple[str, ...]
    fixed: dict[str, Any]
    varying: dict[str, str]


def settings_problem(problem: Problem) -> str:
    """Return why the updates of these runs cannot be computed side by side; nothing when they can."""
    name = rule_name(problem)
    if problem.base.needs_closure:
        return f"{name} computes the loss several times for one update, as often as each run needs."
    if name not in UPDATE_RULES:
        return f"{name} has no update rule for many runs at once; {', '.join(UPDATE_RULES)} have one."
    schedule = problem.base.schedule
    if schedule is not None and isinstance(schedule.scheduler, ReduceLROnPlateau):
        return "ReduceLROnPlateau moves the learning rate of each run by the losses of that run."
    arguments = optimizer_arguments(problem.task)
    known = {*UPDATE_RULES[name].defaults, *UPDATE_RULES[name].pairs, *_OF_TORCH, "decoupled_weight_decay"}
    for argument, value in arguments.items():
        if argument not in known and value:
            return f"{name} has no update rule for many runs at once with {argument} = {value!r}."
    momentum = problem.columns.get("optimizer.momentum")
    if arguments.get("dampening") and momentum is not None and (momentum == 0).any():
        return "Without momentum torch dampens nothing, so runs with and without it have different update rules."
    return ""


def rule_name(problem: Problem) -> str:
    """Return under which name `UPDATE_RULES` has the task's optimizer."""
    name = problem.task.optimizer.name
    return "AdamW" if name == "Adam" and optimizer_arguments(problem.task).get("decoupled_weight_decay") else name


def group_settings(problem: Problem) -> list[GroupSettings]:
    """Return the settings of each group of parameters: one for each weight layer if their rates differ, else one."""
    rule = UPDATE_RULES[rule_name(problem)]
    fixed: dict[str, Any] = {}
    varying: dict[str, str] = {}
    for name, value in optimizer_arguments(problem.task).items():
        if name not in rule.defaults and name not in rule.pairs:
            continue  # refused above where it would change a number
        for setting, part in zip(rule.pairs.get(name, (name,)), value if name in rule.pairs else (value,), strict=True):
            fixed[setting] = float(part) if isinstance(part, torch.Tensor) else part
    for key in problem.columns:
        table, _, argument = key.partition(".")
        if table == "optimizer":
            name, _, place = argument.partition(".")
            varying[rule.pairs[name][int(place)] if place else name] = key
    fixed = {name: value for name, value in fixed.items() if name not in varying and value is not None}
    rates = {key for key in problem.columns if key.startswith("lr.")}
    if not rates:
        return [GroupSettings(tuple(problem.trained), fixed, varying)]
    groups = []
    for number, names in enumerate(problem.layers):
        own = {"lr": f"lr.{number}"} if f"lr.{number}" in rates else {}
        kept = {name: value for name, value in fixed.items() if name not in own}
        groups.append(GroupSettings(names, kept, varying | own))
    return groups


def scheduled(problem: Problem, rows: Rows) -> list[dict[str, Numbers]]:
    """Return, for each group of parameters, the settings that the schedule moves: setting → (steps, runs).

    torch's own scheduler is stepped as training steps it, on an optimizer that trains nothing.
    """
    groups = group_settings(problem)
    if problem.base.schedule is None or problem.task.schedule is None:
        return [{} for _ in groups]
    found = []
    for group in groups:
        key = group.varying.get("lr")
        rates = chosen(problem.columns, key, rows) if key else np.full(len(rows), float(group.fixed["lr"]))
        found.append(_moved(problem, group, rates))
    return found


def _moved(problem: Problem, group: GroupSettings, rates: Numbers) -> dict[str, Numbers]:
    distinct, places = np.unique(rates, return_inverse=True)
    first = float(distinct[-1]) or 1.0
    # Most schedules multiply: two rates tell whether this one does, and then one of them tells all.
    pair = np.array([first, first / 2])
    trial = _stepped(problem, group, pair)
    proportional = set(trial) == {"lr"} and np.allclose(
        trial["lr"][:, 0] * 0.5, trial["lr"][:, 1], rtol=_ALMOST * 4, atol=0.0
    )
    if proportional:
        return {"lr": trial["lr"][:, :1] / first * rates[None]}
    table = _stepped(problem, group, distinct)
    return {name: values[:, places] for name, values in table.items()}


def schedule_lines(problem: Problem) -> list[dict[str, Numbers]] | str:
    """Return what a schedule does to each group of parameters: setting → (steps, 2), factor and offset of its base.

    A learning rate that differs between runs is moved to rate · factor + offset; any other setting that moves has the
    same value in all runs, which is factor · (the group's own rate) for the rate, and the factor for the others.
    torch's own scheduler is asked at a few rates, the same for every sweep, so that a run is moved alike in all.

    Returns:
        One mapping for each group; or a sentence, when the moved rate is no such line.
    """
    groups = group_settings(problem)
    if problem.base.schedule is None or problem.task.schedule is None:
        return [{} for _ in groups]
    found = []
    for group in groups:
        own: dict[str, Numbers] = {}
        table = _stepped(problem, group, _PROBES if "lr" in group.varying else np.array([float(group.fixed["lr"])]))
        for name, values in table.items():
            offset = values[:, 1] if "lr" in group.varying and name == "lr" else np.zeros(problem.steps)
            factor = values[:, 0] - offset
            if name == "lr" and "lr" not in group.varying:
                factor = factor / (float(group.fixed["lr"]) or 1.0)
            own[name] = np.stack([factor, offset], axis=-1)
            if "lr" not in group.varying:
                continue
            line = factor[:, None] * _PROBES + offset[:, None] if name == "lr" else factor[:, None]
            if not np.allclose(line, values, rtol=_LINE, atol=0.0):
                kind = type(problem.base.schedule.scheduler).__name__
                return f"{kind} moves the learning rate of each run in a way of its own."
        found.append(own)
    return found


def _stepped(problem: Problem, group: GroupSettings, rates: Numbers) -> dict[str, Numbers]:
    """Return every setting that moves, (steps, rates)."""
    kind: Any = type(problem.base.optimizer)
    template = {key: value for key, value in problem.base.optimizer.param_groups[0].items() if key != "params"}
    template.pop("initial_lr", None)
    settings = optimizer_arguments(problem.task)
    made_up = [{"params": [nn.Parameter(torch.zeros(1, 1))], **settings, "lr": float(rate)} for rate in rates]
    optimizer = kind(made_up, lr=float(rates[0]))
    spec, batches = problem.task.schedule, problem.base.batches
    assert spec is not None  # noqa: S101 - scheduled() asks only then
    moves = problem.base.total_steps
    schedule = build_schedule(spec, optimizer, moves if spec.per != "epoch" else -(-moves // batches.per_epoch))
    rows: list[list[dict[str, float]]] = []
    for step in range(problem.steps):
        rows.append([_settings_of(each) for each in optimizer.param_groups])
        optimizer.step()
        is_last = (step + 1) % batches.per_epoch == 0
        if schedule.per == "batch" or is_last:
            schedule.scheduler.step()
    names = rows[0][0]
    table = {name: np.array([[each[name] for each in row] for row in rows]) for name in names}
    rule = UPDATE_RULES[rule_name(problem)]
    return {
        name: values
        for name, values in table.items()
        if name in rule.defaults and (name == "lr" or not np.all(values == values[:1]))
    }


def _settings_of(group: dict[str, Any]) -> dict[str, float]:
    found = {}
    for name, value in group.items():
        if name == "betas":
            found["beta1"], found["beta2"] = (float(each) for each in value)
        elif isinstance(value, float | int) and not isinstance(value, bool):
            found[name] = float(value)
    return found


def chosen(columns: dict[str, NDArray[Any]], key: str, rows: Rows) -> Numbers:
    """Return a column of some runs as float64."""
    return columns[key][rows].astype(np.float64)
