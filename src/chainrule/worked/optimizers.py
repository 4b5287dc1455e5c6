"""The update of a recorded step as lines: which formulas, with which settings and states."""

from collections.abc import Mapping, Sequence
from typing import Any

from sympy import Expr, Symbol

from chainrule.programs.updates import Group, Updates, with_group_updates
from chainrule.shapes import Tensor
from chainrule.trace import Trace, Update
from chainrule.worked.ledger import numbers_of

_ADAM = {"lr": "η", "weight_decay": "λ", "eps": "ε"}
_LETTERS: Mapping[str, Mapping[str, str]] = {
    "SGD": {"lr": "η", "momentum": "μ", "dampening": "τ", "weight_decay": "λ"},
    "Adam": _ADAM,
    "AdamW": _ADAM,
    "RMSprop": {"lr": "η", "alpha": "α", "eps": "ε", "weight_decay": "λ", "momentum": "μ"},
}
_STATES: Mapping[str, Mapping[str, str]] = {
    "SGD": {"momentum_buffer": "u"},
    "Adam": {"exp_avg": "m", "exp_avg_sq": "v"},
    "AdamW": {"exp_avg": "m", "exp_avg_sq": "v"},
    "RMSprop": {"square_avg": "v", "momentum_buffer": "u"},
}
_WITHOUT_FORMULA = ("maximize", "amsgrad", "centered")
_REMEDY = "The lines end at the gradients."


def updates_of(trace: Trace, elements: Mapping[int, Sequence[Expr]]) -> tuple[Updates | None, list[str]]:
    """Return the lines of a step's update, and notes; no lines, and a note why, where there are no formulas.

    Args:
        trace: the recorded step.
        elements: by the id of a value, the symbols of its elements.
    """
    moved = [update for update in trace.updates if update.gradient is not None and update.value in elements]
    if not moved:
        return None, ["The step was recorded without an optimizer, so no parameter is updated."]
    reasons = list(dict.fromkeys(filter(None, map(_reason, moved))))
    if reasons:
        return None, [f"{reason} {_REMEDY}" for reason in reasons]
    times = {_time(trace, update) for update in moved}
    if len(times) > 1:
        found = " and ".join(map(str, sorted(times)))
        return None, [f"The parameters are at different updates ({found}), and t is one number here. {_REMEDY}"]
    notes = [
        f"{name} has a gradient, but no optimizer moved it."
        for name in _left_out(trace, {update.value for update in trace.updates}, elements)
    ]
    groups: dict[tuple[Any, ...], list[Update]] = {}
    for update in moved:
        groups.setdefault((update.optimizer, *_settings(update).items()), []).append(update)
    states: dict[str, float] = {"t": float(times.pop())}
    for update in moved:
        states |= _states(update, elements[update.value])
    made = [
        Group(
            members[0].optimizer if not _is_decoupled(members[0]) else "AdamW",
            _settings(members[0]),
            [element.name for update in members for element in elements[update.value] if isinstance(element, Symbol)],
        )
        for members in groups.values()
    ]
    return with_group_updates(made, states), notes


def _reason(update: Update) -> str:
    if update.optimizer not in _LETTERS:
        known = ", ".join(_LETTERS)
        return f"There are no formulas for the updates of {update.optimizer}, only for {known}."
    asked = [name for name in _WITHOUT_FORMULA if update.hyperparameters.get(name)]
    if asked:
        return f"There are no formulas for {update.optimizer} with {asked[0]}."
    states = _STATES[update.optimizer]
    if any(not isinstance(state, Tensor) for state in update.state_before.values()):
        return f"What {update.optimizer} remembered before the step is not in the trace."
    unknown = [name for name in update.state_before if name not in states and name != "step"]
    return f"There are no formulas for {update.optimizer} that remembers '{unknown[0]}'." if unknown else ""


def _is_decoupled(update: Update) -> bool:
    return update.optimizer == "Adam" and bool(update.hyperparameters.get("decoupled_weight_decay"))


def _settings(update: Update) -> dict[str, float]:
    given: Mapping[str, Any] = update.hyperparameters
    settings = {letter: float(given[name]) for name, letter in _LETTERS[update.optimizer].items() if name in given}
    if "betas" in given:
        settings["β1"], settings["β2"] = (float(beta) for beta in given["betas"])
    if given.get("nesterov"):
        settings["nesterov"] = 1.0
    return settings


def _time(trace: Trace, update: Update) -> int:
    """Return the number of this update, from 1: as the optimizer counts, else as the run does.

    SGD does not count; without a run to ask, a parameter with a momentum buffer is at its second update or later.
    """
    step = update.state_before.get("step")
    if isinstance(step, Tensor):
        return int(step) + 1
    if _STATES[update.optimizer].keys() & {"exp_avg"}:
        return 1
    known = trace.about.get("step")
    if isinstance(known, int):
        return known + 1
    return 2 if update.state_before else 1


def _states(update: Update, elements: Sequence[Expr]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, letter in _STATES[update.optimizer].items():
        state = update.state_before.get(name)
        if isinstance(state, Tensor):
            numbers = numbers_of(state)
            found |= {f"{letter}_{element}": number for element, number in zip(elements, numbers, strict=True)}
    return found


def _left_out(trace: Trace, updated: set[int], elements: Mapping[int, Sequence[Expr]]) -> list[str]:
    return [
        value.name
        for value in trace.values
        if value.kind == "parameter" and value.requires_grad and value.id in elements and value.id not in updated
    ]
