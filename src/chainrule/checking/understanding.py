"""Reading a network from a table: its shape from the names, the rest by what reproduces the columns."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from sympy import Integer, Rational

from chainrule.checking.evidence import Observed, Source
from chainrule.checking.network import TOTAL, DenseLayer, LossConvention, Network, Unit

_UNIT = re.compile(r"(a_)?([hop])(\d+)(?:_(\d+))?")
FITS = 0.02  # what a column's numbers may be off, as a median, from what they are taken to be
_WEIGHT = re.compile(r"w(?:[\d_]+(?:\^\((\d+)\))?|_([iho][\d_]*)_([ho][\d_]*))")
_LEAKS = (0.01, 0.1, 0.2, 0.3, 0.05, 0.001)
_ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu", "softplus", "identity", "softmax")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the names of a table say of its network.

    Attributes:
        inputs: the names of the inputs.
        units: the names of the net inputs of each layer's units.
        weights: the names of the weights, in the order in which they are counted.
        biases: the names of the biases.
        targets: the names of the targets.
    """

    inputs: tuple[str, ...]
    units: tuple[tuple[str, ...], ...]
    weights: tuple[str, ...]
    biases: tuple[str, ...]
    targets: tuple[str, ...]


class NotUnderstoodError(Exception):
    """A table that is not understood; caught where the table is judged.

    Attributes:
        reason: what is missing or does not fit, as a sentence.
        next_step: how to name it.
    """

    def __init__(self, reason: str, next_step: str) -> None:
        super().__init__(reason)
        self.reason, self.next_step = reason, next_step


def natural(name: str) -> tuple[str | int, ...]:
    """Return what to sort a name by: w2 before w10."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name))


def shape_of(names: Iterable[str]) -> Shape:
    """Return the shape of a network from the names of its quantities.

    Raises:
        NotUnderstoodError: no inputs, no outputs, or not as many weights as the units need.
    """
    plain = plain_names(names)
    inputs = tuple(sorted((name for name in plain if re.fullmatch(r"i\d+", name)), key=natural))
    targets = tuple(sorted((name for name in plain if re.fullmatch(r"t\d+", name)), key=natural))
    weights = tuple(sorted((name for name in plain if _WEIGHT.fullmatch(name)), key=_place_of_weight))
    biases = tuple(sorted((name for name in plain if re.fullmatch(r"b[\w]*", name)), key=natural))
    if not inputs:
        raise NotUnderstoodError("No column is named as an input.", "Name the inputs i1, i2, ...")
    if not weights:
        raise NotUnderstoodError("No column is named as a weight.", "Name the weights w1, w2, ...")
    hidden, outputs = _units(plain)
    if not outputs:
        outputs = tuple(f"o{number}" for number in range(1, len(targets) + 1))
    if not outputs:
        raise NotUnderstoodError(
            "No column is named as an output or a target.",
            "Name the outputs o1, o2, ... and a_o1, ..., the targets t1, ...",
        )
    if not targets:
        targets = tuple(f"t{number}" for number in range(1, len(outputs) + 1))
    needed = _needed(inputs, (*hidden, outputs))
    counted = [int(name[1:]) for name in weights if name[1:].isdigit()]
    if len(counted) == len(weights) and max(counted) == needed > len(weights) and min(counted) >= 1:
        weights = tuple(f"w{number}" for number in range(1, needed + 1))  # those between are there without a name
    if not hidden and len(weights) != needed:
        count, rest = divmod(len(weights), len(inputs) + len(outputs))
        if rest == 0 and count > 0:  # one hidden layer without columns of its own
            hidden = (tuple(f"h{number}" for number in range(1, count + 1)),)
            needed = len(weights)
    if len(weights) != needed or (len(counted) == len(weights) and max(counted) - min(counted) >= len(weights)):
        layers = "-".join(str(len(layer)) for layer in (inputs, *hidden, outputs))
        raise NotUnderstoodError(
            f"A {layers} network has {needed} weights, but {len(weights)} are named: {', '.join(weights)}.",
            "Name every weight w1, w2, ..., unit by unit, and every unit h1, h2, ..., o1, o2, ...",
        )
    return Shape(inputs, (*hidden, outputs), weights, biases, targets)


def _place_of_weight(name: str) -> tuple[object, ...]:
    """Return what to sort weights by: the layer, the unit that they lead to (w_i1_h1), the count."""
    match = _WEIGHT.fullmatch(name)
    layer, start, end = match.groups() if match is not None else (None, None, None)
    if start is None or end is None:
        return (int(layer or 0), (), (), natural(name))
    return (0, (end[0] == "o", *natural(end)), natural(start), ())


def plain_names(names: Iterable[str]) -> set[str]:
    """Return the quantities that names speak of, themselves and w5 of ∂E/∂w5."""
    return {part for name in names for part in _inside(name)}


def _inside(name: str) -> Iterator[str]:
    """Yield the quantities that a name speaks of: w5 of ∂E/∂w5 and of w5⁺, o1 of ∂a_o1/∂o1."""
    name = name.removeprefix("−")
    if name.startswith("∂"):
        yield from (part.removeprefix("∂") for part in name.split("/"))
    elif name.startswith("Δ"):
        yield name[1:]
    elif re.match(r"[umv]_w", name):
        yield name[2:].removesuffix("⁺")
    else:
        yield name.removesuffix("⁺")


def _needed(inputs: Sequence[str], layers: Sequence[Sequence[str]]) -> int:
    sizes = [len(inputs), *map(len, layers)]
    return sum(before * after for before, after in pairwise(sizes))


def _units(names: Iterable[str]) -> tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]:
    hidden: dict[int, set[str]] = {}
    outputs: set[str] = set()
    for name in names:
        match = _UNIT.fullmatch(name)
        if match is None:
            continue
        _, letter, first, second = match.groups()
        if letter in "op":
            outputs.add(f"o{first}")
        else:
            hidden.setdefault(int(first) if second else 1, set()).add(f"h{first}_{second}" if second else f"h{first}")
    layers = tuple(tuple(sorted(hidden[layer], key=natural)) for layer in sorted(hidden))
    return layers, tuple(sorted(outputs, key=natural))


# What the numbers and formulas say


@dataclass(frozen=True, slots=True)
class _Wiring:
    """How a layer is connected: the weights and the bias of every unit, and in words."""

    weights: tuple[tuple[str, ...], ...]
    biases: tuple[str | None, ...]
    order: str
    bias: str


def layers_of(shape: Shape, evidence: Source) -> tuple[tuple[DenseLayer, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the layers, by what reproduces the columns; for each, how its weights are counted and its biases shared.

    Raises:
        NotUnderstoodError: no usual activation reproduces a layer's outputs.
    """
    below = shape.inputs
    layers: list[DenseLayer] = []
    orders: list[str] = []
    biases: list[str] = []
    start = 0
    for place, nets in enumerate(shape.units):
        count = len(nets) * len(below)
        weights = shape.weights[start : start + count]
        start += count
        wirings = list(_wirings(weights, nets, below, _biases_for(shape, place), evidence))
        layer, wiring = _best(wirings, nets, below, evidence, is_last=place == len(shape.units) - 1)
        layers.append(layer)
        orders.append(wiring.order)
        biases.append(wiring.bias)
        below = tuple(unit.output for unit in layer.units)
    return tuple(layers), tuple(orders), tuple(biases)


def _biases_for(shape: Shape, place: int) -> dict[str, tuple[str | None, ...]]:
    """Return the ways in which a layer's units may have the biases that are named."""
    nets, names = shape.units[place], shape.biases
    ways: dict[str, tuple[str | None, ...]] = {}
    sizes = [len(layer) for layer in shape.units]
    by_unit = [next((name for name in names if name in (f"b_{net}", f"b{net}")), None) for net in nets]
    if any(by_unit):
        ways["separate"] = tuple(by_unit)
    if len(names) == sum(sizes):
        before = sum(sizes[:place])
        ways.setdefault("separate", tuple(names[before : before + len(nets)]))
    if len(names) == len(sizes):
        ways["shared"] = (names[place],) * len(nets)
    for name in names:
        ways.setdefault(f"shared {name}", (name,) * len(nets))
    for first in range(len(names) - len(nets) + 1):
        ways.setdefault(f"separate from {names[first]}", tuple(names[first : first + len(nets)]))
    ways["none"] = (None,) * len(nets)
    if not names:
        ways = {"none": ways["none"]}
    return ways


def _wirings(
    weights: Sequence[str],
    nets: Sequence[str],
    below: Sequence[str],
    biases: Mapping[str, tuple[str | None, ...]],
    evidence: Source,
) -> Iterator[_Wiring]:
    rows = tuple(tuple(weights[unit * len(below) : (unit + 1) * len(below)]) for unit in range(len(nets)))
    columns = tuple(tuple(weights[unit :: len(nets)]) for unit in range(len(nets)))
    orders = {"unit by unit": rows}
    if len(below) > 1 and len(nets) > 1:
        orders["input by input"] = columns
    for bias, names in biases.items():
        for order, wired in orders.items():
            yield _Wiring(wired, names, order, bias.split(" ")[0])


def _best(
    wirings: Sequence[_Wiring], nets: Sequence[str], below: Sequence[str], evidence: Source, is_last: bool
) -> tuple[DenseLayer, _Wiring]:
    """Return the layer that fits its columns best; of those that fit alike the first, which is the usual one."""
    net_columns = [evidence.observed(net) for net in nets]
    out_columns = [evidence.observed(_output(net)) or evidence.observed("p" + net[1:]) for net in nets]
    has_outputs = any(column is not None for column in out_columns)
    chosen: tuple[tuple[int, bool, float], DenseLayer, _Wiring] | None = None
    # Without columns for the outputs, those of the net inputs may hold the outputs: h1 = σ(w1·i1 + w2·i2).
    modes = (False,) if has_outputs or not any(column is not None for column in net_columns) else (False, True)
    for wiring, is_hidden_net in product(wirings, modes):
        linear = [_misfit_of_net(column, wiring, place, below) for place, column in enumerate(net_columns)]
        outputs = net_columns if is_hidden_net else out_columns
        for activation, slope in _activations(has_outputs or is_hidden_net, is_last):
            if is_hidden_net and activation == "identity":
                continue
            misfits = [] if is_hidden_net else [each for each in linear if each is not None]
            for place, column in enumerate(outputs):
                if column is not None:
                    guess = _activated(column, activation, slope, wiring, nets, place, below, is_hidden_net)
                    misfits.append(column.misfit(guess))
            # One unit that is far off is a slip; all units a little off is another wiring.
            far = sum(misfit > FITS for misfit in misfits)
            rank = (far, wiring.bias == "none", round(sum(misfits), 6))
            if chosen is None or rank < chosen[0]:
                units = _made_units(nets, wiring, below, activation, is_hidden_net, evidence)
                chosen = (rank, DenseLayer(units, activation, slope), wiring)
    if chosen is None:
        raise NotUnderstoodError("A layer has no units.", "Name the units h1, h2, ..., o1, o2, ...")
    return chosen[1], chosen[2]


def _output(net: str) -> str:
    return f"a_{net}"


def _activations(is_seen: bool, is_last: bool) -> Iterator[tuple[str, float]]:
    if not is_seen:
        yield "identity", 0.01
        return
    # Positive numbers do not tell ReLU from the identity; a last layer is more likely to have the latter.
    for name in ("sigmoid", "identity", *_ACTIVATIONS[1:]) if is_last else _ACTIVATIONS:
        if name == "softmax" and not is_last:
            continue
        yield from ((name, slope) for slope in (_LEAKS if name == "leaky_relu" else (0.01,)))


def _sum_of(column: Observed, wiring: _Wiring, place: int, below: Sequence[str]) -> np.ndarray:
    total = np.zeros(())
    for weight, x in zip(wiring.weights[place], below, strict=True):
        total = total + column.value_of(weight) * column.value_of(x)
    bias = wiring.biases[place]
    return total if bias is None else total + column.value_of(bias)


def _misfit_of_net(column: Observed | None, wiring: _Wiring, place: int, below: Sequence[str]) -> float | None:
    return None if column is None else column.misfit(_sum_of(column, wiring, place, below))


def _activated(
    column: Observed,
    activation: str,
    slope: float,
    wiring: _Wiring,
    nets: Sequence[str],
    place: int,
    below: Sequence[str],
    is_hidden_net: bool,
) -> np.ndarray:
    def net(number: int) -> np.ndarray:
        stated = column.value_of(nets[number])
        is_read = nets[number] in column.names if column.is_formula else np.isfinite(stated).any()
        return stated if is_read and not is_hidden_net else _sum_of(column, wiring, number, below)

    if activation != "softmax":
        return activate(activation, net(place), slope)
    with np.errstate(all="ignore"):
        powers = [np.exp(net(number)) for number in range(len(nets))]
        result: np.ndarray = powers[place] / sum(powers)
    return result


def activate(name: str, x: np.ndarray, slope: float = 0.01) -> np.ndarray:
    """Return an activation's numbers."""
    with np.errstate(all="ignore"):
        if name == "sigmoid":
            return np.asarray(1 / (1 + np.exp(-x)))
        if name == "tanh":
            return np.asarray(np.tanh(x))
        if name == "relu":
            return np.asarray(np.maximum(x, 0.0))
        if name == "leaky_relu":
            return np.where(x > 0, x, slope * x)
        if name == "softplus":
            return np.asarray(np.log1p(np.exp(x)))
    return x


def _made_units(
    nets: Sequence[str], wiring: _Wiring, below: Sequence[str], activation: str, is_hidden_net: bool, evidence: Source
) -> tuple[Unit, ...]:
    units = []
    for place, net in enumerate(nets):
        output = _output(net)
        if activation == "softmax":
            output = output if evidence.has(output) else "p" + net[1:]
        if is_hidden_net:
            net, output = f"net_{net}", net
        if activation == "identity":
            output = net
        units.append(Unit(net, output, wiring.weights[place], tuple(below), wiring.biases[place]))
    return tuple(units)


def loss_candidates(outputs: int, activation: str) -> tuple[LossConvention, ...]:
    """Return the losses that people use, the usual first."""
    one, half, share = Integer(1), Rational(1, 2), Rational(1, outputs)
    squares = [
        (half, one),
        (one, one),
        (one, share),
        (share, one),
        (half, share),
        (one, half),
        (share / 2, one),
        (half, half),
    ]
    candidates = [LossConvention("squares", each, total) for each, total in dict.fromkeys(squares)]
    crossed = [LossConvention("cross-entropy", one, one)]
    if activation == "sigmoid":
        candidates += [
            LossConvention("binary cross-entropy", one, one),
            LossConvention("binary cross-entropy", one, share),
        ]
    return tuple([*crossed, *candidates] if activation == "softmax" else candidates)


def loss_misfits(loss: LossConvention, network: Network, evidence: Source) -> list[float]:
    """Return how badly a loss fits each column of losses."""
    misfits = []
    for name, target, output in zip(network.losses, network.targets, network.outputs, strict=True):
        column = evidence.observed(name)
        if column is not None:
            misfits.append(column.misfit(_loss(loss, column, target, output, network)))
    column = evidence.observed(TOTAL)
    if column is not None:
        parts = []
        for name, target, output in zip(network.losses, network.targets, network.outputs, strict=True):
            stated = column.value_of(name)
            is_read = name in column.names if column.is_formula else np.isfinite(stated).any()
            parts.append(stated if is_read else _loss(loss, column, target, output, network))
        misfits.append(column.misfit(np.asarray(float(loss.total) * sum(parts))))
    return misfits


def _loss(loss: LossConvention, column: Observed, target: str, output: str, network: Network) -> np.ndarray:
    t = column.value_of(target)
    a = column.value_of(_stated_output(column, output))
    with np.errstate(all="ignore"):
        if loss.kind == "squares":
            return np.asarray(float(loss.each) * (t - a) ** 2)
        if loss.kind == "cross-entropy":
            return np.asarray(-t * np.log(a))
        return np.asarray(-(t * np.log(a) + (1 - t) * np.log(1 - a)))


def _stated_output(column: Observed, output: str) -> str:
    """Return the name that a formula reads an output by: a_o1 where o1 has no activation and both have columns."""
    return _output(output) if _output(output) in column.names else output


def network_of(shape: Shape, evidence: Source) -> tuple[Network, tuple[str, ...], tuple[str, ...]]:
    """Return the network without its loss and its update, how weights are counted, and how biases are shared."""
    layers, orders, biases = layers_of(shape, evidence)
    count = len(layers[-1].units)
    if len(shape.targets) != count:
        raise NotUnderstoodError(
            f"There are {count} outputs and {len(shape.targets)} targets.",
            "Name the targets t1, t2, ..., one for each output.",
        )
    losses = tuple(f"E{number}" for number in range(1, count + 1))
    return Network(shape.inputs, layers, shape.targets, losses, ()), orders, biases


def trained_names(network: Network, evidence: Source) -> tuple[str, ...]:
    """Return the names of the parameters that the file trains: with a gradient, an update, or numbers that change."""
    found = []
    for name in (*network.weights, *network.biases):
        told = (f"∂E/∂{name}", f"{name}⁺", f"Δ{name}", f"m_{name}", f"u_{name}")
        if any(evidence.has(other) for other in told):
            found.append(name)
        elif evidence.has(name):
            values = evidence.stated[name]
            values = values[np.isfinite(values)]
            if len(values) > 1 and np.ptp(values) > 1e-9 * np.max(np.abs(values)):
                found.append(name)
    weights = [name for name in network.weights if name in found]
    return tuple(found) if weights else (*network.weights, *found)
