"""One run's training step, traced: forward, loss, gradient and update as a graph of ATen ops.

The step is written as plain torch, with torch's own autograd (torch.func), and traced in float64 whatever the kernel
will compute with. Tracing goes twice: decompositions write some results in place, and the second time around these
writes have become values too.
"""

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call, functionalize, grad_and_value
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from chainrule.errors import UnknownNameError
from chainrule.lanes.decompositions import decomposition_table
from chainrule.lanes.description import Group, Scheduled, Setting, StepDescription, Varying, followed_and_recorded
from chainrule.lanes.unsupported import Unsupported
from chainrule.lanes.update_rules import UPDATE_RULES, Number, Slots, UpdateRule

_DTYPE = torch.float64


@dataclass(frozen=True, slots=True)
class StepInputs:
    """What a step reads, as tensors of one run, in the order of the traced graph's inputs.

    Attributes:
        states: parameters, then buffers, then what the optimizer remembers ("parameter.slot").
        settings: the hyperparameters that vary, at their nominal values.
        step: its number, from 1.
        moves: factor and offset of every schedule, by "schedule.factor" and "schedule.offset".
        samples: the data of the first samples.
        constants: data that is the same in every step.
        parameters: the names of the network's parameters.
        buffers: of its buffers that are floats.
        counters: its other buffers, which stay as they are.
    """

    states: dict[str, Tensor]
    settings: dict[str, Tensor]
    step: Tensor
    moves: dict[str, Tensor]
    samples: dict[str, Tensor]
    constants: dict[str, Tensor]
    parameters: tuple[str, ...]
    buffers: tuple[str, ...]
    counters: dict[str, Tensor]

    @property
    def flat(self) -> list[Tensor]:
        """Every input once, each with memory of its own."""
        groups = (self.states, self.settings, {"step": self.step}, self.moves, self.samples, self.constants)
        return [tensor.detach().clone() for group in groups for tensor in group.values()]


class _Step(nn.Module):
    """The user's network with the objective around it, so that one functional call swaps every parameter."""

    def __init__(self, description: StepDescription) -> None:
        super().__init__()
        self.network = copy.deepcopy(description.network).to(_DTYPE)
        self.objective = description.objective

    def forward(self, data: Mapping[str, Tensor], settings: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        return followed_and_recorded(self.objective(self.network, data, settings))


def settings_of(description: StepDescription, group: Group) -> dict[str, Setting]:
    """Return the settings of a group, with the optimizer's defaults for what it does not say.

    Raises:
        UnknownNameError: a setting that the optimizer does not have.
    """
    rule = rule_of(description)
    for name in group.settings:
        if name not in rule.defaults:
            raise UnknownNameError.unknown_name(f"setting of {description.optimizer}", name, rule.defaults)
    return {**rule.defaults, **group.settings}


def rule_of(description: StepDescription) -> UpdateRule:
    """Return the optimizer's update rule.

    Raises:
        UnknownNameError: an optimizer that this engine does not have.
    """
    if description.optimizer not in UPDATE_RULES:
        raise UnknownNameError.unknown_name("optimizer of the lanes engine", description.optimizer, UPDATE_RULES)
    return UPDATE_RULES[description.optimizer]


def inputs_of(description: StepDescription) -> StepInputs:
    """Return the inputs of a step: the network's own initial values, and the first samples."""
    network = copy.deepcopy(description.network).to(_DTYPE)
    parameters = {name: value.detach() for name, value in network.named_parameters()}
    buffers = {name: value for name, value in network.named_buffers() if value.is_floating_point()}
    counters = {name: value for name, value in network.named_buffers() if not value.is_floating_point()}
    states = {**parameters, **buffers}
    rule = rule_of(description)
    for group in description.groups:
        settings = _numbers(settings_of(description, group), {**_nominal(description), **_moves(description)})
        for name in group.parameters:
            if name not in parameters:
                raise UnknownNameError.unknown_name("parameter", name, parameters)
            for slot in rule.slots(settings):
                states[f"{name}.{slot}"] = torch.zeros_like(parameters[name])
    rows = torch.arange(description.step_size) % max(description.sample_count, 1)
    return StepInputs(
        states=states,
        settings=_nominal(description),
        step=torch.ones((), dtype=_DTYPE),
        moves=_moves(description),
        samples={name: _as_double(value[rows]) for name, value in description.samples.items()},
        constants={name: _as_double(value) for name, value in description.constants.items()},
        parameters=tuple(parameters),
        buffers=tuple(buffers),
        counters=counters,
    )


def trace_step(description: StepDescription) -> tuple[fx.GraphModule, StepInputs]:
    """Return the graph of one step, whose outputs are every state after it and then the loss.

    Raises:
        Unsupported: the step cannot be traced; PyTorch's own words.
    """
    inputs = inputs_of(description)
    step = _Step(description)
    groups = (inputs.states, inputs.settings, inputs.moves, inputs.samples, inputs.constants)
    names = [tuple(group) for group in groups]

    def flat(*tensors: Tensor) -> list[Tensor]:
        rest = list(tensors)
        states = {name: rest.pop(0) for name in names[0]}
        settings = {name: rest.pop(0) for name in names[1]}
        number = rest.pop(0)
        settings |= {name: rest.pop(0) for name in names[2]}
        data = {name: rest.pop(0) for name in (*names[3], *names[4])}
        new, loss = _one_step(description, step, inputs, states, settings, number, data)
        return [*(new[name] for name in names[0]), loss]

    table = decomposition_table()
    plain_attention = sdpa_kernel(SDPBackend.MATH)
    verbosity = logging.getLogger("torch").level
    try:
        with plain_attention:
            traced = make_fx(functionalize(flat, remove="mutations"), decomposition_table=table)(*inputs.flat)
            if any(_writes(node) for node in traced.graph.nodes):
                traced = make_fx(functionalize(traced, remove="mutations"), decomposition_table=table)(*inputs.flat)
    except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
        raise Unsupported.because(f"PyTorch cannot trace it: {str(error).splitlines()[0]}") from error
    finally:
        logging.getLogger("torch").setLevel(verbosity)
    traced.graph.eliminate_dead_code()
    return traced, inputs


def _one_step(
    description: StepDescription,
    step: _Step,
    inputs: StepInputs,
    states: dict[str, Tensor],
    settings: dict[str, Tensor],
    number: Tensor,
    data: dict[str, Tensor],
) -> tuple[dict[str, Tensor], Tensor]:
    """One step of one run, as a user of torch.func would write it."""
    fixed = {name: states[name] for name in inputs.parameters}
    trained = {name: fixed.pop(name) for group in description.groups for name in group.parameters}

    def loss_of(trained: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, dict[str, Tensor]]]:
        buffers = {name: states[name].clone() for name in inputs.buffers}
        counters = {name: value.clone() for name, value in inputs.counters.items()}
        values = {f"network.{name}": value for name, value in (fixed | trained | buffers | counters).items()}
        followed, recorded = functional_call(step, values, (data, settings))
        return followed, (recorded, buffers)

    gradients, (_, (loss, buffers)) = grad_and_value(loss_of, has_aux=True)(trained)
    new = dict(states) | buffers
    rule = rule_of(description)
    for group in description.groups:
        group_settings = _numbers(settings_of(description, group), settings)
        for name in group.parameters:
            slots: Slots = {slot: states[f"{name}.{slot}"] for slot in rule.slots(group_settings)}
            new[name], slots = rule.update(states[name], gradients[name], slots, group_settings, number)
            new |= {f"{name}.{slot}": value for slot, value in slots.items()}
    return new, loss


def _nominal(description: StepDescription) -> dict[str, Tensor]:
    return {item.name: torch.tensor(item.nominal, dtype=_DTYPE) for item in description.varying}


def _moves(description: StepDescription) -> dict[str, Tensor]:
    found = {}
    for name in description.schedules:
        found[f"{name}.factor"] = torch.ones((), dtype=_DTYPE)
        found[f"{name}.offset"] = torch.zeros((), dtype=_DTYPE)
    return found


def _numbers(settings: Mapping[str, Setting], values: Mapping[str, Tensor]) -> dict[str, Number]:
    return {name: _number(value, values) for name, value in settings.items()}


def _number(setting: Setting, values: Mapping[str, Tensor]) -> Number:
    if isinstance(setting, Scheduled):
        base = _number(setting.base, values)
        return values[f"{setting.name}.factor"] * base + values[f"{setting.name}.offset"]
    return values[setting.name] if isinstance(setting, Varying) else setting


def _as_double(value: Tensor) -> Tensor:
    return value.detach().to(_DTYPE) if value.is_floating_point() else value.detach()


def _writes(node: Any) -> bool:
    return isinstance(node.target, torch._ops.OpOverload) and node.target._schema.is_mutable
