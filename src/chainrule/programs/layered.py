"""The program of a network of dense layers, from its sizes alone: no torch is needed.

It equals the program that is made of a recorded step of the same network; a test holds that. It serves where torch
would take longer to import than the work takes: checking a workbook.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sympy import Add, Expr, Integer, Max, Mul, Piecewise, Rational, Symbol, exp, log, tanh

from chainrule.errors import UnknownNameError, did_you_mean
from chainrule.formulas import Sigmoid, Softplus
from chainrule.programs.gradients import with_gradients
from chainrule.programs.naming import latex_name, sample_name, unit_name
from chainrule.programs.program import Assignment, Kind, Program, Quantity, Step, symbol_of
from chainrule.programs.updates import Updates, with_updates

Bias = Literal["none", "separate", "shared", "fixed"]
LossForm = Literal["half", "sum", "mean", "half mean", "cross-entropy"]

_ZERO, _ONE = Integer(0), Integer(1)


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation of one number: its value, and its derivative from its input and its output."""

    value: Callable[[Expr], Expr]
    slope: Callable[[Expr, Expr], Expr]


ACTIVATIONS: Mapping[str, Activation] = {
    "sigmoid": Activation(Sigmoid, lambda x, a: a * (1 - a)),
    "tanh": Activation(tanh, lambda x, a: 1 - a**2),
    "relu": Activation(lambda x: Max(x, 0), lambda x, a: Piecewise((_ONE, x > 0), (_ZERO, True))),
    "leaky_relu": Activation(
        lambda x: Piecewise((x, x > 0), (x / 100, True)),
        lambda x, a: Piecewise((_ONE, x > 0), (Rational(1, 100), True)),
    ),
    "softplus": Activation(Softplus, lambda x, a: Sigmoid(x)),
}
PASSES = ("identity", "softmax")  # no line of their own, or part of the loss


@dataclass(frozen=True, slots=True)
class Layer:
    """A dense layer: how many units, their activation, and its biases."""

    units: int
    activation: str = "sigmoid"
    bias: Bias = "none"


def layered_program(
    inputs: int,
    layers: Sequence[Layer],
    loss: LossForm = "half",
    *,
    samples: int = 1,
    optimizer: str = "SGD",
    settings: Mapping[str, float] | None = None,
    title: str = "network",
) -> Program:
    """Return the program of one training step of a dense network. All values are 0 until numbers are given.

    Names: inputs i1, i2; units h1, h2 of one hidden layer, h1_1 (layer, unit) of several, o1, o2 of the output layer;
    their activations a_h1; weights w1, w2, ... and biases b1, b2, ... counted through the network row by row; targets
    t1, t2; losses E1, E2, E_total.

    Args:
        inputs: how many numbers a sample has.
        layers: from the first hidden layer to the output.
        loss: "half": E = Σ ½(t − a)²; "sum": Σ (t − a)²; "mean": the mean of (t − a)² over samples and outputs;
            "half mean": the mean over samples of Σ ½(t − a)²; "cross-entropy": the mean over samples of −Σ t·ln p
            with p = softmax(o).
        samples: how many, all in one step.
        optimizer: "SGD", "Adam", "AdamW" or "RMSprop".
        settings: of the optimizer, by the names of the formulas; η = 0.5 when not given.
        title: of the program.

    Raises:
        UnknownNameError: no such activation or optimizer.
    """
    for layer in layers:
        if layer.activation not in ACTIVATIONS and layer.activation not in PASSES:
            known = [*ACTIVATIONS, *PASSES]
            raise UnknownNameError(
                what=f"There is no activation '{layer.activation}' here.",
                found=layer.activation,
                expected="one of " + ", ".join(known),
                next_step=did_you_mean(layer.activation, known),
            )
    writer = _Writer(inputs, layers, samples)
    for sample in range(1, samples + 1):
        writer.forward(None if samples == 1 else sample)
    writer.losses(loss)
    parameters = [quantity.name for quantity in writer.quantities.values() if quantity.kind == "parameter"]
    gradients = with_gradients(writer.assignments, "E_total", parameters, writer.constant_sums)
    updates = with_updates(optimizer, settings or {"η": 0.5}, {}, parameters)
    return assembled(title, writer.quantities, (*writer.assignments, *gradients), updates)


def assembled(
    title: str, quantities: Mapping[str, Quantity], assignments: Sequence[Assignment], updates: Updates | None
) -> Program:
    """Return a program of its parts: quantities of gradients and updates are added; values are those given, or 0."""
    everything = dict(quantities)
    kinds: dict[Step, Kind] = {"forward": "forward", "loss": "loss", "gradients": "adjoint", "update": "updated"}
    if updates is not None:
        everything |= {quantity.name: quantity for quantity in (*updates.settings, *updates.states)}
        assignments = (*assignments, *updates.assignments)
    trained = {f"∂E/∂{name}" for name, quantity in quantities.items() if quantity.kind == "parameter"}
    for line in assignments:
        if line.name not in everything:
            kind: Kind = "gradient" if line.name in trained else kinds[line.step]
            everything[line.name] = Quantity(line.name, latex_name(line.name), kind, 0.0, line.words)
    return Program(title, everything, tuple(assignments), "E_total", dict(updates.updated) if updates else {})


class _Writer:
    def __init__(self, inputs: int, layers: Sequence[Layer], samples: int) -> None:
        self.inputs, self.layers, self.samples = inputs, layers, samples
        self.quantities: dict[str, Quantity] = {}
        self.assignments: list[Assignment] = []
        self.constant_sums: list[tuple[Expr, Expr]] = []
        self.outputs: list[list[Symbol]] = []  # by sample
        self.targets: list[list[Symbol]] = []
        marks = [None] if samples == 1 else list(range(1, samples + 1))
        for mark in marks:
            for number in range(1, inputs + 1):
                self._given(f"i{number}", "input", f"input {number}", mark)
        for mark in marks:
            names = [f"t{number}" for number in range(1, layers[-1].units + 1)]
            self.targets.append([self._given(name, "target", f"target {name[1:]}", mark) for name in names])
        self.weights, self.biases = self._parameters()

    def _given(self, name: str, kind: Kind, meaning: str, sample: int | None = None) -> Symbol:
        name = sample_name(name, sample)
        self.quantities[name] = Quantity(name, latex_name(name), kind, 0.0, meaning, sample)
        return symbol_of(name)

    def _unit(self, layer: int, number: int) -> str:
        if layer == len(self.layers) - 1:
            return unit_name("o", number)
        return unit_name("h", number, None if len(self.layers) == 2 else layer + 1)

    def _parameters(self) -> tuple[list[list[list[Symbol]]], list[list[Symbol | None]]]:
        weights, biases, counts, below = [], [], {"w": 0, "b": 0}, [f"i{n}" for n in range(1, self.inputs + 1)]

        def counted(letter: str, meaning: str, kind: Kind = "parameter") -> Symbol:
            counts[letter] += 1
            return self._given(f"{letter}{counts[letter]}", kind, meaning)

        for place, layer in enumerate(self.layers):
            units = [self._unit(place, number) for number in range(1, layer.units + 1)]
            weights.append([[counted("w", f"weight from {x} into {unit}") for x in below] for unit in units])
            if layer.bias == "none":
                own: list[Symbol | None] = [None] * layer.units
            elif layer.bias == "separate":
                own = [counted("b", f"bias of {unit}") for unit in units]
            else:
                kind: Kind = "constant" if layer.bias == "fixed" else "parameter"
                own = [counted("b", f"bias of {units[0]} to {units[-1]}", kind)] * layer.units
            biases.append(own)
            below = [f"a_{unit}" for unit in units]
        return weights, biases

    def _line(self, name: str, sample: int | None, line: Assignment, meaning: str) -> Symbol:
        kind: Kind = "loss" if line.step == "loss" else "forward"
        self.quantities[name] = Quantity(name, latex_name(name), kind, 0.0, meaning, sample)
        self.assignments.append(line)
        return symbol_of(name)

    def forward(self, sample: int | None) -> None:
        """Write the forward pass of one sample."""
        below = [symbol_of(sample_name(f"i{number}", sample)) for number in range(1, self.inputs + 1)]
        for place, layer in enumerate(self.layers):
            units = [self._unit(place, number) for number in range(1, layer.units + 1)]
            nets = []
            for unit, row, bias in zip(units, self.weights[place], self.biases[place], strict=True):
                products = [Mul(weight, x) for weight, x in zip(row, below, strict=True)]
                formula = Add(*products, *([] if bias is None else [bias]))
                partials = dict(zip((weight.name for weight in row), below, strict=True))
                partials |= dict(zip((x.name for x in below), row, strict=True))
                partials |= {} if bias is None else {bias.name: _ONE}
                name = sample_name(unit, sample)
                nets.append(
                    self._line(
                        name, sample, Assignment(name, formula, "forward", "linear", partials), f"net input of {unit}"
                    )
                )
            if layer.activation in PASSES:
                below = nets
                continue
            rule, below = ACTIVATIONS[layer.activation], []
            for unit, net in zip(units, nets, strict=True):
                name = sample_name(f"a_{unit}", sample)
                slope = rule.slope(net, symbol_of(name))
                line = Assignment(name, rule.value(net), "forward", layer.activation, {net.name: slope})
                below.append(self._line(name, sample, line, f"output of {unit}"))
        self.outputs.append(below)

    def losses(self, loss: LossForm) -> None:
        """Write the loss."""
        parts, count = [], 0
        for sample, (outputs, targets) in enumerate(zip(self.outputs, self.targets, strict=True), 1):
            mark = None if self.samples == 1 else sample
            logarithms: list[Expr] = []
            if loss == "cross-entropy":
                outputs, logarithms = self._softmax(outputs, mark)
                self.constant_sums.append((Add(*targets), _ONE))
            for number, (output, target) in enumerate(zip(outputs, targets, strict=True), 1):
                name, count = sample_name(f"E{number}", mark), count + 1
                if loss == "cross-entropy":
                    formula, slope, words = -target * log(output), -target / output, "cross-entropy"
                else:
                    half = Rational(1, 2) if "half" in loss else _ONE
                    formula, slope = half * (target - output) ** 2, -2 * half * (target - output)
                    words = "half squared error" if "half" in loss else "squared error"
                stable = -target * logarithms[number - 1] if logarithms else None
                line = Assignment(name, formula, "loss", words, {output.name: slope}, stable=stable)
                parts.append(self._line(name, mark, line, f"loss of output {number}"))
        divisor = {"half": 1, "sum": 1, "mean": count}.get(loss, self.samples)
        formula = Add(*parts) / divisor
        partials = {part.name: Rational(1, divisor) for part in parts}
        words = "sum" if divisor == 1 else "mean"
        self._line("E_total", None, Assignment("E_total", formula, "loss", words, partials), "the loss")

    def _softmax(self, outputs: Sequence[Symbol], sample: int | None) -> tuple[list[Symbol], list[Expr]]:
        """Write p = softmax(o), and return the p and ln p in the form that does not overflow."""
        names = [sample_name(f"p{number}", sample) for number in range(1, len(outputs) + 1)]
        symbols = [symbol_of(name) for name in names]
        largest = Max(*outputs, evaluate=False) if len(outputs) > 1 else outputs[0]
        shifted = [output - largest for output in outputs]  # e^710 would overflow; the largest cancels
        total = Add(*map(exp, shifted))
        for number, name in enumerate(names):
            own = symbols[number]
            partials = {
                output.name: own * (1 - own) if place == number else -own * symbols[place]
                for place, output in enumerate(outputs)
            }
            formula = exp(outputs[number]) / Add(*map(exp, outputs))
            line = Assignment(name, formula, "loss", "softmax", partials, stable=exp(shifted[number]) / total)
            self._line(name, sample, line, f"probability of class {number + 1}")
        return symbols, [each - log(total) for each in shifted]
