"""Networks that are a chain of dense layers: which layer every value belongs to, and what its units are called.

Any module is one whose way from its input to its output leads through `linear` ops with parameters as weights, and
between them through ops that take one value and keep its units: activations, dropout, normalisation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chainrule.programs import unit_name
from chainrule.trace import Trace, Value
from chainrule.worked.calls import Call, floats_of

_INPUT = -1


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands in the chain.

    Attributes:
        layer: counted from 0; −1 for the input.
        stage: how many ops since the layer's `linear`; 0 is its net input.
    """

    layer: int
    stage: int = 0


@dataclass(slots=True)
class Layers:
    """The chain.

    Attributes:
        places: of the values on the way, by id; moved values have the place of what they were moved from.
        owners: the `linear` that takes each weight and bias, and its layer, by the parameter's id.
        sizes: how many units each layer has.
    """

    places: dict[int, Place] = field(default_factory=dict)
    owners: dict[int, tuple[Call, int]] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)

    def unit(self, layer: int, number: int) -> str:
        """Return the name of a unit's net input, both counted from 0: "h1", "h2_1" with several hidden layers, "o1"."""
        if layer == len(self.sizes) - 1:
            return unit_name("o", number + 1)
        return unit_name("h", number + 1, None if len(self.sizes) == 2 else layer + 1)


def layers_of(trace: Trace, calls: Sequence[Call]) -> Layers | None:
    """Return the chain of dense layers that a recorded network is, or None when it is something else.

    Args:
        trace: the recorded step.
        calls: its ops on which the loss depends, in order.
    """
    inputs = [value for value in trace.values if value.kind == "input" and value.producer is None]
    outputs = trace.modules[""].outputs if "" in trace.modules else ()
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) < 1:
        return None
    layers = Layers(places={inputs[0].id: Place(_INPUT)})
    for call in _on_the_way(calls, outputs[0]):
        if not _follow(trace, call, layers):
            return None
    last = layers.places.get(outputs[0])
    return layers if last is not None and last.layer >= 0 else None


def _on_the_way(calls: Sequence[Call], output: int) -> list[Call]:
    needed, found = {output}, []
    for call in reversed(calls):
        if needed & set(call.op.outputs):
            found.append(call)
            needed |= {use.value for use in call.op.inputs}
    return found[::-1]


def _follow(trace: Trace, call: Call, layers: Layers) -> bool:
    """Note where an op's outputs stand; return False when the network is no chain."""
    op = call.op
    taken = list(floats_of(trace, tuple(use.value for use in op.inputs)))
    standing = {layers.places[value.id] for value in taken if value.id in layers.places}
    if not standing:
        return all(_is_parameter_or_made_of_it(trace, value) for value in taken)
    if len(standing) > 1 or (not op.gradients_on and call.rule.move is None):
        return False
    (place,) = standing
    made = [trace.values[output] for output in op.outputs]
    if call.rule.move is not None:
        layers.places |= {value.id: place for value in made}
        return not call.rule.cuts
    if call.rule.name == "linear":
        return _layer(trace, call, place, made[0], layers)
    units = trace.values[taken[0].id].shape
    same = [value for value in made if value.shape == units or (call.rule.name == "glu" and len(value.shape) == 2)]
    if place.layer == _INPUT or len(same) != len(made):
        return False
    layers.places |= {value.id: Place(place.layer, place.stage + 1) for value in made}
    return True


def _layer(trace: Trace, call: Call, place: Place, made: Value, layers: Layers) -> bool:
    (weight,) = call.values("weight")
    (rows,) = call.values("input")
    is_plain = trace.values[weight].kind == "parameter" and len(trace.values[weight].shape) == 2
    if rows not in layers.places or not is_plain or len(made.shape) > 2 or place.layer + 1 != len(layers.sizes):
        return False
    for argument in ("weight", "bias"):
        for number in call.values(argument):
            layers.owners.setdefault(_leaf(trace, number), (call, place.layer + 1))
    layers.sizes.append(made.shape[-1])
    layers.places[made.id] = Place(place.layer + 1)
    return True


def _leaf(trace: Trace, number: int) -> int:
    """Return the parameter that a bias is, or was moved from: a shared bias is spread over the units."""
    producer = trace.values[number].producer
    while producer is not None and trace.ops[producer].inputs:
        number = trace.ops[producer].inputs[0].value
        producer = trace.values[number].producer
    return number


def _is_parameter_or_made_of_it(trace: Trace, value: Value) -> bool:
    return value.kind == "parameter" or value.producer is not None
