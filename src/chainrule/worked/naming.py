"""What the scalars of a recorded step are called, and what they mean.

In a chain of dense layers: i1, w5, b1, h1, a_h1, o1, a_o1, t1, as `layered_program` has them. Elsewhere by path and
place: conv.weight[0,0,1,2], relu[0,1].
"""

import math
import re
from collections.abc import Sequence
from typing import final

from sympy import Expr, Symbol

from chainrule.ops import is_activation
from chainrule.programs import Kind, sample_name, unit_name
from chainrule.shapes import Tensor
from chainrule.trace import Trace, Value
from chainrule.worked.calls import Call, data_of
from chainrule.worked.layers import Layers, Place
from chainrule.worked.ledger import Ledger, index_of, numbers_of, placed
from chainrule.worked.names import Names, symbol_or

_SHORT = (("dropout", "drop"), ("norm", "norm"))
_PREFIX = re.compile(r"[a-z]+_")


@final
class Namer:
    """Names scalars and enters the given ones into a ledger.

    Args:
        trace: the recorded step.
        ledger: where quantities go.
        layers: the chain of dense layers, None when the network is none.
        names: the user's own.
        loss: the id of the value that is the loss.
    """

    def __init__(self, trace: Trace, ledger: Ledger, layers: Layers | None, names: Names, loss: int) -> None:
        self.trace, self.ledger, self.layers, self.names, self.loss = trace, ledger, layers, names, loss
        self._counts = {"w": 0, "b": 0}
        self._inputs = [value for value in trace.values if value.kind == "input" and value.producer is None]
        self._paths: set[str] = set()
        self.penalties: frozenset[int] = frozenset()  # the values that are added to a loss

    # -- what is given -------------------------------------------------------------------------------------------------

    def enter(self, value: Value) -> list[Expr]:
        """Enter a leaf's elements as quantities, and return their symbols."""
        numbers = numbers_of(data_of(self.trace, value.id))
        if value.kind == "input" and value in self._inputs:
            elements = self._enter_inputs(value, numbers)
        elif value.kind == "target":
            elements = self._enter_targets(value, numbers)
        elif self._enter_layer(value):
            return self.ledger.elements[value.id]
        else:
            elements = self._enter_by_path(value, numbers)
        return self._noted(value, elements)

    def _noted(self, value: Value, elements: list[Expr]) -> list[Expr]:
        self.ledger.elements[value.id] = elements
        for place, element in enumerate(elements):
            if isinstance(element, Symbol):
                self.ledger.recorded.setdefault(element.name, (value.id, place))
        return elements

    def _split(self, value: Value, flat: int) -> tuple[int | None, tuple[int, ...]]:
        """Return the sample of an element, from 1, and its place in the sample."""
        index = index_of(flat, value.shape)
        if self.is_by_sample(value.shape):
            return (None if self.ledger.samples == 1 else index[0] + 1), index[1:]
        return None, index

    def is_by_sample(self, shape: Sequence[int]) -> bool:
        """Return whether the first axis of a tensor counts the samples."""
        return self.has_batch and len(shape) > 0 and shape[0] == self.ledger.samples

    @property
    def has_batch(self) -> bool:
        """Whether the inputs have an axis of samples."""
        return bool(self._inputs) and (len(self._inputs[0].shape) > 1 or self.ledger.samples > 1)

    def _enter_inputs(self, value: Value, numbers: Sequence[float]) -> list[Expr]:
        elements: list[Expr] = []
        is_only = len(self._inputs) == 1
        for flat, number in enumerate(numbers):
            sample, place = self._split(value, flat)
            count = _flat(place, value.shape[-len(place) :] if place else ())
            origin = placed(value.name, index_of(flat, value.shape))
            if is_only and (len(place) <= 1 or self.layers is not None):
                own = self.names.input(count)
                name = symbol_or(own, f"i{count + 1}")
                name = name if self.ledger.is_free(name) or sample is not None else f"i{count + 1}"
                meaning = f"input {count + 1}" + (f", {own}" if own else "")
            else:
                name = placed("i" if is_only else value.name, place)
                meaning = f"input {name}"
            elements.append(self.ledger.give(name, "input", number, meaning, sample, origin))
        return elements

    def _enter_targets(self, value: Value, numbers: Sequence[float]) -> list[Expr]:
        elements: list[Expr] = []
        is_only = sum(other.kind == "target" and other.producer is None for other in self.trace.values) == 1
        for flat, number in enumerate(numbers):
            sample, place = self._split(value, flat)
            count = _flat(place, value.shape[-len(place) :] if place else ())
            origin = placed(value.name, index_of(flat, value.shape))
            name = f"t{count + 1}" if is_only else placed(value.name, place)
            meaning = f"target {count + 1}" if is_only else f"target {name}"
            own = self.names.target(count) or self.names.of_class(count)
            meaning += f", {own}" if own and is_only else ""
            elements.append(self.ledger.give(name, "target", number, meaning, sample, origin))
        return elements

    def _enter_by_path(self, value: Value, numbers: Sequence[float]) -> list[Expr]:
        kind: Kind = "parameter" if value.kind == "parameter" and value.requires_grad else "constant"
        path = self._path(value.name)
        elements: list[Expr] = []
        for flat, number in enumerate(numbers):
            origin = placed(value.name, index_of(flat, value.shape))
            name = placed(path, index_of(flat, value.shape))
            elements.append(self.ledger.give(name, kind, number, f"{value.kind} {origin}", None, origin))
        return elements

    def _enter_layer(self, value: Value) -> bool:
        """Enter the weights and biases of a dense layer, counted through the network row by row: w1, w2, ..., b1.

        Args:
            value: one of them.

        Returns:
            Whether the value is one of a layer.
        """
        if self.layers is None or value.id not in self.layers.owners:
            return False
        call, layer = self.layers.owners[value.id]
        rows, weight = self.ledger.elements.get(call.values("input")[0]), self.trace.values[call.values("weight")[0]]
        if rows is None:
            return False
        units = [self.layers.unit(layer, number) for number in range(weight.shape[0])]
        if weight.id not in self.ledger.elements:
            below = [self._plain(element) for element in rows[: weight.shape[1]]]
            self._enter_counted("w", weight, [f"weight from {x} into {unit}" for unit in units for x in below])
        for other, (owner, _) in self.layers.owners.items():
            if owner is call and other not in self.ledger.elements:
                self._enter_bias(self.trace.values[other], units)
        return value.id in self.ledger.elements

    def _plain(self, element: Expr) -> str:
        return self.ledger.bare.get(element.name, element.name) if isinstance(element, Symbol) else str(element)

    def _enter_bias(self, value: Value, units: Sequence[str]) -> None:
        if value.kind != "parameter":
            return
        numbers = numbers_of(data_of(self.trace, value.id))
        is_shared = len(numbers) < len(units)
        is_one = len(set(numbers)) == 1 and not value.requires_grad and len(units) > 1
        if not is_shared and not is_one:
            self._enter_counted("b", value, [f"bias of {unit}" for unit in units])
            return
        meaning = f"bias of {units[0]} to {units[-1]}"
        if is_shared:
            self._enter_counted("b", value, [meaning] * len(numbers))
            return
        self._counts["b"] += 1
        one = self.ledger.give(f"b{self._counts['b']}", "constant", numbers[0], meaning, None, value.name)
        self._noted(value, [one] * len(numbers))

    def _enter_counted(self, letter: str, value: Value, meanings: Sequence[str]) -> None:
        kind: Kind = "parameter" if value.requires_grad else "constant"
        elements: list[Expr] = []
        for flat, number in enumerate(numbers_of(data_of(self.trace, value.id))):
            self._counts[letter] += 1
            origin = placed(value.name, index_of(flat, value.shape))
            name = f"{letter}{self._counts[letter]}"
            elements.append(self.ledger.give(name, kind, number, meanings[flat], None, origin))
        self._noted(value, elements)

    def enter_constants(self, call: Call, value: Value, word: str, numbers: Tensor) -> list[Expr]:
        """Enter numbers of an op that are no element of a tensor, such as the mask that a dropout drew.

        Args:
            call: the op.
            value: what it makes.
            word: what they are: "mask".
            numbers: one for each element that it makes, or several of each.
        """
        place = self.layers.places.get(value.id) if self.layers is not None else None
        if place is not None and tuple(numbers.shape) == (math.prod(value.shape),):
            names = [(f"{word}_{unit}", sample) for unit, sample in self._sources(value)]
        else:
            path = self._path(f"{call.op.module}.{word}" if call.op.module else word)
            while not self.ledger.is_free(placed(path, index_of(0, numbers.shape))):
                path += "_"
            names = [(placed(path, index_of(flat, numbers.shape)), None) for flat in range(numbers.numel())]
        return [
            self.ledger.give(name, "constant", number, f"{word} of {call.op.name}", sample)
            for (name, sample), number in zip(names, numbers.reshape(-1).tolist(), strict=True)
        ]

    # -- what is computed ----------------------------------------------------------------------------------------------

    def outputs(self, call: Call, value: Value, samples: Sequence[int | None]) -> list[tuple[str, int | None, str]]:
        """Return the bare name, the sample and the meaning of every element that an op makes.

        Args:
            call: the op.
            value: what it makes.
            samples: the sample that each element belongs to, by what it is computed of.
        """
        if value.id == self.loss:
            return [("E_total", None, "the loss")]
        if value.id in self.penalties:
            return [(self._free_name("E_penalty"), None, "what is added to the loss")]
        place = self.layers.places.get(value.id) if self.layers is not None else None
        if place is not None and len(value.shape) <= 2:
            return self._units(call, value, place)
        count = self.ledger.samples
        rest = max(len(samples) // count, 1)
        is_own = self.is_by_sample(value.shape)
        is_own = is_own and (count == 1 or all(own == flat // rest + 1 for flat, own in enumerate(samples)))
        path = self._free_path(value)
        names = []
        for flat, own in enumerate(samples):
            index = index_of(flat, value.shape)
            name = placed(path, index[1:] if is_own else index)
            names.append((name, own if is_own and count > 1 else None, f"element of {value.name}"))
        return names

    def inside(self, value: Value, flat: int, word: str) -> tuple[str, int | None]:
        """Return the bare name and the sample of a step on the way to an element that an op makes: z_h1."""
        if self.layers is not None and value.id in self.layers.places:
            unit, sample = self._sources(value)[flat]
            return self._free_name(f"{word}_{unit}", sample), sample
        index = index_of(flat, value.shape)
        is_own = self.is_by_sample(value.shape)
        sample = index[0] + 1 if is_own and self.ledger.samples > 1 else None
        return placed(f"{self._path(value.name)}.{word}", index[1:] if is_own else index), sample

    def of_group(self, value: Value, word: str, number: int, members: Sequence[Expr], sample: int | None) -> str:
        """Return the bare name of what a group of elements has in common: mean1 of layer 1, mean_h1 of one unit."""
        place = self.layers.places.get(value.id) if self.layers is not None else None
        if place is None:
            return placed(f"{self._path(value.name)}.{word}", (number,))
        units = {_PREFIX.sub("", self._plain(member), count=1) for member in members}
        name = f"{word}_{units.pop()}" if len(units) == 1 else unit_name(word, place.layer + 1)
        return self._free_name(name, sample)

    def part(self, value: Value, word: str, index: tuple[int, ...]) -> str:
        """Return the name of something that an op computes on the way, by its own numbers: attention.score[0,1]."""
        return placed(f"{self._path(value.name)}.{word}", index)

    def _free_path(self, value: Value) -> str:
        path = self._path(value.name)
        while path in self._paths:
            path += "_"
        self._paths.add(path)
        return path

    def _path(self, name: str) -> str:
        """Return a path that can begin a name in a formula: "2.weight" would read as a number, "Conv2d2.weight" not."""
        path = name.replace("#", "").replace(":", ".")
        first = path.partition(".")[0]
        if not first.isdigit():
            return path
        note = self.trace.modules.get(first)
        return f"{note.class_name if note is not None else 'value'}{path}"

    def _units(self, call: Call, value: Value, place: Place) -> list[tuple[str, int | None, str]]:
        assert self.layers is not None  # noqa: S101  # asked before
        names: list[tuple[str, int | None, str]] = []
        if place.stage == 0:
            for flat in range(math.prod(value.shape)):
                sample, index = self._split(value, flat)
                unit = self.layers.unit(place.layer, index[-1])
                names.append((unit, sample, f"net input of {unit}"))
            return names
        for unit, sample in self._sources(value):
            name = self._activated(call, unit, sample)
            meaning = f"output of {unit}" if name.startswith("a_") else f"{call.rule.name} of {unit}"
            names.append((name, sample, meaning))
        return names

    def _sources(self, value: Value) -> list[tuple[str, int | None]]:
        """Return the unit that every element of a layer's activation is of, and its sample."""
        assert self.layers is not None  # noqa: S101  # asked before
        assert value.producer is not None  # noqa: S101  # it has a layer's values before it
        taken = self.trace.ops[value.producer].inputs
        source = next(use.value for use in taken if use.value in self.layers.places)
        width, own = self.trace.values[source].shape[-1], value.shape[-1]
        elements = self.ledger.elements[source]
        return [
            (
                _PREFIX.sub("", self._plain(elements[flat // own * width + flat % own]), count=1),
                self._split(value, flat)[0],
            )
            for flat in range(math.prod(value.shape))
        ]

    def _activated(self, call: Call, unit: str, sample: int | None) -> str:
        word = next((short for long, short in _SHORT if long in call.rule.name), call.rule.name.replace("_", ""))
        name = f"a_{unit}" if is_activation(call.rule.name) else f"{word}_{unit}"
        if self.ledger.is_free(sample_name(name, sample)):
            return name
        return self._free_name(f"{word}_{unit}", sample)

    def _free_name(self, name: str, sample: int | None = None) -> str:
        """Return a name that no quantity has: E_penalty, or E_penalty2."""
        free, count = name, 2
        while not self.ledger.is_free(sample_name(free, sample)):
            free, count = f"{name}{count}", count + 1
        return free


def _flat(place: Sequence[int], shape: Sequence[int]) -> int:
    number = 0
    for index, extent in zip(place, shape, strict=True):
        number = number * extent + index
    return number


def samples_of(trace: Trace) -> int:
    """Return how many samples a step took: the first axis of its first input, 1 for an input without such an axis."""
    inputs = [value for value in trace.values if value.kind == "input" and value.producer is None]
    if not inputs:
        return 1
    shape = inputs[0].shape
    if len(shape) > 1:
        return max(shape[0], 1)
    targets = [value for value in trace.values if value.kind == "target" and value.producer is None]
    is_indices = not inputs[0].dtype.startswith(("float", "bfloat"))
    if is_indices and len(shape) == 1 and any(target.shape[:1] == shape for target in targets):
        return max(shape[0], 1)
    return 1
