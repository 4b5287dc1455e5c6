"""What people call the numbers of a small network: i1, w5, h1, a_h1, o1, a_o1.

A network with one hidden layer has units h1, h2, ...; with several they are h1_1, h1_2, ... (layer, unit). Weights
and biases are counted through the whole network, row by row. Numbers of a module of the user's own are called by
path and place: fc1.weight[0,1].
"""

import re
from dataclasses import dataclass

import torch
from torch import nn

from chainrule.components import SharedBiasLinear
from chainrule.shapes import Tensor

_OWN = re.compile(r"(flatten|hidden\d+|output)(_activation)?")


@dataclass(frozen=True, slots=True)
class UnitNames:
    """The names of a model's scalars.

    Attributes:
        parameters: by parameter path, one name for each entry in the order of the flattened tensor.
        outputs: by module path, one name for each unit.
        inputs: of the input units.
        formulas: by module path, one formula for each unit; empty for modules of the user's own.
    """

    parameters: dict[str, tuple[str, ...]]
    outputs: dict[str, tuple[str, ...]]
    inputs: tuple[str, ...]
    formulas: dict[str, tuple[str, ...]]


def name_units(model: nn.Module, inputs: int, outputs: dict[str, Tensor]) -> UnitNames:
    """Name the scalars of a model.

    Args:
        model: whose parameters are named.
        inputs: how many numbers a sample has.
        outputs: what each module returned, (samples, units), by path.
    """
    is_own = isinstance(model, nn.Sequential) and all(_OWN.fullmatch(path) for path, _ in model.named_children())
    input_names = tuple(f"i{number + 1}" for number in range(inputs))
    if not is_own:
        parameters = {path: _places(path, parameter) for path, parameter in model.named_parameters()}
        named = {path: _places(path, value[0]) for path, value in outputs.items()}
        return UnitNames(parameters, named, input_names, {})
    return _name_layers(model, input_names)


def _places(path: str, value: Tensor) -> tuple[str, ...]:
    if value.dim() == 0:
        return (path,)
    places = torch.cartesian_prod(*(torch.arange(extent) for extent in value.shape)).reshape(-1, value.dim())
    return tuple(f"{path}[{','.join(str(int(each)) for each in place)}]" for place in places)


def _name_layers(model: nn.Module, inputs: tuple[str, ...]) -> UnitNames:
    names = UnitNames({}, {}, inputs, {})
    hidden = sum(1 for path, _ in model.named_children() if re.fullmatch(r"hidden\d+", path))
    counts = {"w": 0, "b": 0}
    below = inputs
    for path, module in model.named_children():
        if isinstance(module, nn.Linear | SharedBiasLinear):
            units = tuple(_unit(path, hidden, number + 1) for number in range(module.out_features))
            weights = _weights(path, module, counts, names)
            biases = _biases(path, module, counts, names)
            names.formulas[path] = tuple(
                " + ".join([f"{w}·{x}" for w, x in zip(row, below, strict=True)] + ([b] if b else []))
                for row, b in zip(weights, biases, strict=True)
            )
            below = names.outputs[path] = units
        elif path.endswith("_activation"):
            below = _activated(path, module, below, names)
    return names


def _unit(path: str, hidden: int, number: int) -> str:
    if path == "output":
        return f"o{number}"
    return f"h{number}" if hidden == 1 else f"h{path.removeprefix('hidden')}_{number}"


def _weights(
    path: str, module: nn.Linear | SharedBiasLinear, counts: dict[str, int], names: UnitNames
) -> list[tuple[str, ...]]:
    rows = []
    for _ in range(module.out_features):
        rows.append(tuple(f"w{counts['w'] + place + 1}" for place in range(module.in_features)))
        counts["w"] += module.in_features
    names.parameters[f"{path}.weight"] = tuple(name for row in rows for name in row)
    return rows


def _biases(
    path: str, module: nn.Linear | SharedBiasLinear, counts: dict[str, int], names: UnitNames
) -> tuple[str, ...]:
    """Name a layer's biases: one name where the layer has one bias, else one for each unit."""
    bias: Tensor | None = module.bias
    if bias is None:
        return ("",) * module.out_features
    is_shared = len(bias) < module.out_features or (not bias.requires_grad and bool((bias == bias[0]).all()))
    if is_shared:
        counts["b"] += 1
        name = f"b{counts['b']}"
        names.parameters[f"{path}.bias"] = (name,) * len(bias)
        return (name,) * module.out_features
    own = tuple(f"b{counts['b'] + place + 1}" for place in range(len(bias)))
    counts["b"] += len(bias)
    names.parameters[f"{path}.bias"] = own
    return own


def _activated(path: str, module: nn.Module, below: tuple[str, ...], names: UnitNames) -> tuple[str, ...]:
    kind = "σ" if isinstance(module, nn.Sigmoid) else type(module).__name__
    units = below[: len(below) // 2] if isinstance(module, nn.GLU) else below
    mixes = isinstance(module, nn.Softmax | nn.LogSoftmax | nn.Softmin | nn.GLU)
    names.formulas[path] = tuple(f"{kind}({', '.join(below) if mixes else unit})" for unit in units)
    names.outputs[path] = tuple(f"a_{unit}" for unit in units)
    return names.outputs[path]
