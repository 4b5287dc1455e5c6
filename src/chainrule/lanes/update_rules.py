"""Optimizers as functions without memory: (parameter, gradient, slots, settings, step) → (parameter, slots).

One record each. The formulas, and the order of their operations, are those of torch.optim's loops over single tensors
(torch/optim/sgd.py, adam.py, adamw.py, rmsprop.py), but that Adam multiplies with the inverse of a root. A setting is a
Python number, or a tensor of one number when it varies between runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

Number: TypeAlias = float | int | bool | Tensor
Settings: TypeAlias = Mapping[str, Number]
Slots: TypeAlias = dict[str, Tensor]
Update: TypeAlias = Callable[[Tensor, Tensor, Slots, Settings, Tensor], tuple[Tensor, Slots]]


@dataclass(frozen=True, slots=True)
class UpdateRule:
    """How one optimizer of torch updates a parameter.

    Attributes:
        defaults: the settings that it knows, with torch's values.
        slots: which tensors, shaped like the parameter and 0 at first, it keeps under these settings.
        update: one step of one parameter.
        pairs: torch's argument → the settings that it is made of.
    """

    defaults: Mapping[str, float | bool]
    slots: Callable[[Settings], tuple[str, ...]]
    update: Update
    pairs: Mapping[str, tuple[str, str]]


def _is_on(setting: Number) -> bool:
    """A setting that varies is always in force."""
    return isinstance(setting, Tensor) or bool(setting)


def _decayed(parameter: Tensor, gradient: Tensor, settings: Settings) -> Tensor:
    gradient = -gradient if settings["maximize"] else gradient
    return gradient + parameter * settings["weight_decay"] if _is_on(settings["weight_decay"]) else gradient


def _sgd(parameter: Tensor, gradient: Tensor, slots: Slots, settings: Settings, step: Tensor) -> tuple[Tensor, Slots]:
    direction = _decayed(parameter, gradient, settings)
    if _is_on(settings["momentum"]):
        buffer = slots["momentum_buffer"] * settings["momentum"]
        if _is_on(settings["dampening"]):  # the first step is not dampened
            buffer = torch.where(step == 1, direction, buffer + direction * (1 - settings["dampening"]))
        else:
            buffer = buffer + direction
        slots = {"momentum_buffer": buffer}
        direction = direction + buffer * settings["momentum"] if settings["nesterov"] else buffer
    return parameter - direction * settings["lr"], slots


def _moments(gradient: Tensor, slots: Slots, settings: Settings) -> tuple[Tensor, Tensor]:
    first, second = slots["exp_avg"], slots["exp_avg_sq"]
    first = first + (gradient - first) * (1 - settings["beta1"])
    return first, second * settings["beta2"] + gradient * gradient * (1 - settings["beta2"])


def _adam(parameter: Tensor, gradient: Tensor, slots: Slots, settings: Settings, step: Tensor) -> tuple[Tensor, Slots]:
    return _adam_step(parameter, _decayed(parameter, gradient, settings), slots, settings, step)


def _adamw(parameter: Tensor, gradient: Tensor, slots: Slots, settings: Settings, step: Tensor) -> tuple[Tensor, Slots]:
    gradient = -gradient if settings["maximize"] else gradient
    if _is_on(settings["weight_decay"]):
        parameter = parameter * (1 - settings["lr"] * settings["weight_decay"])
    return _adam_step(parameter, gradient, slots, settings, step)


def _adam_step(
    parameter: Tensor, gradient: Tensor, slots: Slots, settings: Settings, step: Tensor
) -> tuple[Tensor, Slots]:
    first, second = _moments(gradient, slots, settings)
    new = {"exp_avg": first, "exp_avg_sq": second}
    if settings["amsgrad"]:
        second = torch.maximum(slots["max_exp_avg_sq"], second)
        new["max_exp_avg_sq"] = second
    over_root = 1 / torch.sqrt(1 - settings["beta2"] ** step)  # one division for all elements
    size = settings["lr"] / (1 - settings["beta1"] ** step)
    return parameter - size * first / (second.sqrt() * over_root + settings["eps"]), new


def _rmsprop(
    parameter: Tensor, gradient: Tensor, slots: Slots, settings: Settings, step: Tensor
) -> tuple[Tensor, Slots]:
    gradient = _decayed(parameter, gradient, settings)
    alpha = settings["alpha"]
    square = slots["square_avg"] * alpha + gradient * gradient * (1 - alpha)
    new = {"square_avg": square}
    if settings["centered"]:
        average = slots["grad_avg"] + (gradient - slots["grad_avg"]) * (1 - alpha)
        new["grad_avg"] = average
        scale = (square - average * average).sqrt() + settings["eps"]
    else:
        scale = square.sqrt() + settings["eps"]
    direction = gradient / scale
    if _is_on(settings["momentum"]):
        direction = slots["momentum_buffer"] * settings["momentum"] + direction
        new["momentum_buffer"] = direction
    return parameter - direction * settings["lr"], new


def _adam_slots(settings: Settings) -> tuple[str, ...]:
    return ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if settings["amsgrad"] else []))


def _sgd_slots(settings: Settings) -> tuple[str, ...]:
    return ("momentum_buffer",) if _is_on(settings["momentum"]) else ()


def _rmsprop_slots(settings: Settings) -> tuple[str, ...]:
    centered = ("grad_avg",) if settings["centered"] else ()
    return ("square_avg", *centered, *_sgd_slots(settings))


_BETAS = {"betas": ("beta1", "beta2")}
_ADAM = {
    "lr": 1e-3,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "weight_decay": 0.0,
    "amsgrad": False,
    "maximize": False,
}

UPDATE_RULES: dict[str, UpdateRule] = {
    "SGD": UpdateRule(
        defaults={
            "lr": 1e-3,
            "momentum": 0.0,
            "dampening": 0.0,
            "weight_decay": 0.0,
            "nesterov": False,
            "maximize": False,
        },
        slots=_sgd_slots,
        update=_sgd,
        pairs={},
    ),
    "Adam": UpdateRule(defaults=_ADAM, slots=_adam_slots, update=_adam, pairs=_BETAS),
    "AdamW": UpdateRule(defaults=_ADAM | {"weight_decay": 1e-2}, slots=_adam_slots, update=_adamw, pairs=_BETAS),
    "RMSprop": UpdateRule(
        defaults={
            "lr": 1e-2,
            "alpha": 0.99,
            "eps": 1e-8,
            "weight_decay": 0.0,
            "momentum": 0.0,
            "centered": False,
            "maximize": False,
        },
        slots=_rmsprop_slots,
        update=_rmsprop,
        pairs={},
    ),
}
