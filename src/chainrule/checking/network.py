"""The network that a file is about, as far as it was understood, and the program of its training step.

It is written in the names of the file: where w3 leads from i2 into h1, the program says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sympy import Add, Expr, Integer, Max, Mul, Piecewise, Rational, Symbol, exp, log

from chainrule.programs import Assignment, Program, Quantity, latex_name, sample_name, with_gradients, with_updates
from chainrule.programs.layered import ACTIVATIONS, Activation, assembled
from chainrule.programs.program import Kind, symbol_of

LossKind = Literal["squares", "cross-entropy", "binary cross-entropy"]
TOTAL = "E_total"
_HALF, _ONE = Rational(1, 2), Integer(1)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: net = Σ weights·inputs + bias, output = activation(net).

    Attributes:
        net: the name of its net input, "h1".
        output: the name of its output, "a_h1"; the same as `net` where the activation is the identity.
        weights: the names of its weights, in the order of `inputs`.
        inputs: the names of what they are multiplied by.
        bias: the name of its bias, or None.
    """

    net: str
    output: str
    weights: tuple[str, ...]
    inputs: tuple[str, ...]
    bias: str | None = None


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """Units with one activation; `slope` is that of a leaky ReLU below 0."""

    units: tuple[Unit, ...]
    activation: str = "sigmoid"
    slope: float = 0.01


@dataclass(frozen=True, slots=True)
class LossConvention:
    """The loss: E1 = each·(t1 − a_o1)² or a cross-entropy, E_total = total·(E1 + E2)."""

    kind: LossKind = "squares"
    each: Rational = _HALF
    total: Rational = _ONE


@dataclass(frozen=True, slots=True)
class Network:
    """A dense network, its loss and its optimizer.

    Attributes:
        inputs: the names of the inputs.
        layers: from the first hidden layer to the output.
        targets: the names of the targets, one for each output.
        losses: the names of the losses, one for each output.
        loss: the convention.
        trained: the names of the parameters that are trained.
        optimizer: "SGD", or another that `with_updates` knows.
        settings: of the optimizer, by name.
        samples: how many samples one update takes.
    """

    inputs: tuple[str, ...]
    layers: tuple[DenseLayer, ...]
    targets: tuple[str, ...]
    losses: tuple[str, ...]
    trained: tuple[str, ...]
    loss: LossConvention = field(default_factory=LossConvention)
    optimizer: str = "SGD"
    settings: Mapping[str, float] = field(default_factory=lambda: {"η": 0.5})
    samples: int = 1

    @property
    def shape(self) -> tuple[int, ...]:
        """How many inputs, hidden units and outputs: (2, 2, 2)."""
        return (len(self.inputs), *(len(layer.units) for layer in self.layers))

    @property
    def loss_words(self) -> str:
        """The loss as a formula: "½Σ(t − a)²"."""
        if self.loss.kind != "squares":
            return "−Σ t·ln p" if self.loss.kind == "cross-entropy" else "−Σ (t·ln a + (1 − t)·ln(1 − a))"
        count = len(self.targets)
        factor = self.loss.each * self.loss.total
        if count > 1 and factor == Rational(1, count) and factor != Rational(1, 2):
            return "the mean of (t − a)²"
        if count == 2 and self.loss.total == Rational(1, 2) and self.loss.each == 1:
            return "the mean of (t − a)²"
        return {Integer(1): "Σ(t − a)²", Rational(1, 2): "½Σ(t − a)²"}.get(factor, f"{factor}·Σ(t − a)²")

    @property
    def weights(self) -> tuple[str, ...]:
        """The names of all weights, unit by unit."""
        return tuple(name for layer in self.layers for unit in layer.units for name in unit.weights)

    @property
    def biases(self) -> tuple[str, ...]:
        """The names of all biases, each once."""
        names = [unit.bias for layer in self.layers for unit in layer.units if unit.bias is not None]
        return tuple(dict.fromkeys(names))

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs of the last layer."""
        return tuple(unit.output for unit in self.layers[-1].units)


def activation_of(layer: DenseLayer) -> Activation | None:
    """Return a layer's activation; None for identity and softmax, which have no line of their own."""
    if layer.activation != "leaky_relu":
        return ACTIVATIONS.get(layer.activation)
    leak = Rational(str(layer.slope))
    return Activation(
        lambda x: Piecewise((x, x > 0), (leak * x, True)),
        lambda x, a: Piecewise((Integer(1), x > 0), (leak, True)),
    )


def network_program(network: Network) -> Program:
    """Return the program of one training step of a network, in its names. All values are 0.

    Raises:
        ChainruleError: there are no formulas for its optimizer.
    """
    writer = _Writer(network)
    marks = [None] if network.samples == 1 else list(range(1, network.samples + 1))
    for mark in marks:
        writer.forward(mark)
    writer.total()
    gradients = with_gradients(writer.lines, TOTAL, network.trained, writer.constant_sums)
    updates = with_updates(network.optimizer, network.settings, {}, network.trained)
    return assembled("the network", writer.quantities, (*writer.lines, *gradients), updates)


class _Writer:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.quantities: dict[str, Quantity] = {}
        self.lines: list[Assignment] = []
        self.parts: list[Symbol] = []
        self.constant_sums: list[tuple[Expr, Expr]] = []
        for name in (*network.weights, *network.biases):
            self._given(name, "parameter" if name in network.trained else "constant")

    def _given(self, name: str, kind: Kind, sample: int | None = None) -> Symbol:
        name = sample_name(name, sample)
        self.quantities[name] = Quantity(name, latex_name(name), kind, 0.0, "", sample)
        return symbol_of(name)

    def _write(self, line: Assignment, sample: int | None) -> Symbol:
        kind: Kind = "loss" if line.step == "loss" else "forward"
        self.quantities[line.name] = Quantity(line.name, latex_name(line.name), kind, 0.0, line.words, sample)
        self.lines.append(line)
        return symbol_of(line.name)

    def forward(self, sample: int | None) -> None:
        """Write forward pass and losses of one sample."""
        for name in self.network.inputs:
            self._given(name, "input", sample)
        targets = [self._given(name, "target", sample) for name in self.network.targets]
        for layer in self.network.layers:
            for unit in layer.units:
                self._net(unit, sample)
            rule = activation_of(layer)
            for unit in layer.units:
                if rule is None:
                    break
                net, name = symbol_of(sample_name(unit.net, sample)), sample_name(unit.output, sample)
                partials = {net.name: rule.slope(net, symbol_of(name))}
                self._write(Assignment(name, rule.value(net), "forward", layer.activation, partials), sample)
        last = self.network.layers[-1]
        outputs = [symbol_of(sample_name(unit.output, sample)) for unit in last.units]
        logarithms = self._softmax(last, sample) if last.activation == "softmax" else [log(a) for a in outputs]
        if last.activation == "softmax":
            self.constant_sums.append((Add(*targets), Integer(1)))
        for name, target, output, logarithm in zip(self.network.losses, targets, outputs, logarithms, strict=True):
            formula, slope, stable = _loss(self.network.loss, target, output, logarithm)
            words = self.network.loss.kind
            line = Assignment(sample_name(name, sample), formula, "loss", words, {output.name: slope}, stable=stable)
            self.parts.append(self._write(line, sample))

    def _net(self, unit: Unit, sample: int | None) -> None:
        weights = [symbol_of(name) for name in unit.weights]
        below = [symbol_of(sample_name(name, sample)) for name in unit.inputs]
        bias = [] if unit.bias is None else [symbol_of(unit.bias)]
        formula = Add(*(Mul(w, x) for w, x in zip(weights, below, strict=True)), *bias)
        partials = {w.name: x for w, x in zip(weights, below, strict=True)}
        partials |= {x.name: w for w, x in zip(weights, below, strict=True)}
        partials |= {b.name: Integer(1) for b in bias}
        self._write(Assignment(sample_name(unit.net, sample), formula, "forward", "linear", partials), sample)

    def _softmax(self, layer: DenseLayer, sample: int | None) -> list[Expr]:
        """Write p = softmax(o), and return ln p in the form that does not overflow."""
        nets = [symbol_of(sample_name(unit.net, sample)) for unit in layer.units]
        own = [symbol_of(sample_name(unit.output, sample)) for unit in layer.units]
        shifted = [net - (Max(*nets, evaluate=False) if len(nets) > 1 else nets[0]) for net in nets]
        total = Add(*map(exp, shifted))
        for number, p in enumerate(own):
            partials = {net.name: p * (1 - p) if place == number else -p * own[place] for place, net in enumerate(nets)}
            formula = exp(nets[number]) / Add(*map(exp, nets))
            stable = exp(shifted[number]) / total
            self._write(Assignment(p.name, formula, "loss", "softmax", partials, stable=stable), sample)
        return [each - log(total) for each in shifted]

    def total(self) -> None:
        """Write the loss of all outputs and samples."""
        factor = self.network.loss.total / self.network.samples
        partials = {part.name: factor for part in self.parts}
        self._write(Assignment(TOTAL, factor * Add(*self.parts), "loss", "sum", partials), None)


def _loss(loss: LossConvention, target: Symbol, output: Symbol, logarithm: Expr) -> tuple[Expr, Expr, Expr | None]:
    """Return the loss of one output, its derivative by the output, and the form that does not overflow."""
    if loss.kind == "squares":
        return loss.each * (target - output) ** 2, -2 * loss.each * (target - output), None
    if loss.kind == "cross-entropy":
        is_stable = logarithm == log(output)
        return -target * log(output), -target / output, None if is_stable else -target * logarithm
    formula = -(target * log(output) + (1 - target) * log(1 - output))
    return formula, (output - target) / (output * (1 - output)), None
