"""What is right: the numbers of every quantity of a row, from the row's own inputs and weights."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from chainrule.checking.network import TOTAL, Network, network_program
from chainrule.programs import Evaluator, Program, derivative_name, sample_name, with_gradients
from chainrule.programs.gradients import LOSS
from chainrule.programs.layered import assembled


class Row(dict[str, np.ndarray]):
    """The numbers of a row; derivatives such as ∂a_o1/∂o1 are computed when they are first asked for."""

    def __init__(self, truth: "Truth", numbers: Mapping[str, np.ndarray]) -> None:
        super().__init__(numbers)
        self._truth = truth

    def __missing__(self, name: str) -> np.ndarray:
        value = self._truth.derived(name, self)
        self[name] = value
        return value


class Truth:
    """A network's program, computed.

    Attributes:
        network: the network.
        program: its program.
        given: the names of what a row must be given: inputs, targets, parameters, settings, states.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.program: Program = network_program(network)
        self._evaluator = Evaluator(self.program)
        computed = self.program.by_name
        self.given = tuple(name for name in self.program.quantities if name not in computed)
        self._lines: dict[str, Evaluator] = {}
        self._derivatives: dict[str, Evaluator] = {}
        self.aliases = dict(self._aliases())
        units = [unit for layer in network.layers for unit in layer.units]
        self._nets = self._all_samples(unit.net for unit in units)
        self._outputs = self._all_samples(unit.output for unit in units)
        self._parameters = frozenset((*network.weights, *network.biases))
        self.losses = self._all_samples(network.losses)

    def numbers(self, given: Mapping[str, np.ndarray]) -> Row:
        """Return the numbers of a row, or of many at once, from what is given."""
        return Row(self, self._evaluator(given))

    def knows(self, name: str) -> bool:
        """Return whether a name is one of a quantity of this network."""
        if name in self.program.quantities or name in self.aliases:
            return True
        if name.startswith("−"):
            return self.knows(name[1:])
        above, below = _parts(name)
        if name.startswith("Δ"):
            return name[1:] in self.program.updated
        quantities = self.program.quantities
        return bool(below) and self._plain(above) in quantities and self._plain(below) in quantities

    def evaluate(self, name: str, numbers: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return one line of the program from numbers of what it reads, whatever they are."""
        if name not in self._lines:
            self._lines[name] = Evaluator(self._line_program(name))
        result: np.ndarray = self._lines[name](numbers)[name]
        return result

    def _line_program(self, name: str) -> Program:
        line = self.program.by_name[name]
        read = {symbol.name for symbol in line.computed.free_symbols} | {name}
        return replace(
            self.program,
            quantities={key: value for key, value in self.program.quantities.items() if key in read},
            assignments=(line,),
            updated={},
        )

    def derived(self, name: str, row: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the numbers of what has no line in the program: another name, a change Δw5, a derivative ∂a/∂b.

        Raises:
            KeyError: there is no such quantity.
        """
        if name in self.aliases:
            aliased: np.ndarray = row[self.aliases[name]]
            return aliased
        if name.startswith("−"):
            return -np.asarray(row[name[1:]])
        if name.startswith("Δ"):
            return np.asarray(row[self.program.updated[name[1:]]] - row[name[1:]])
        above, below = _parts(name)
        if not below or not self.knows(name):
            raise KeyError(name)
        above, below = self._plain(above), self._plain(below)
        if above == below:
            return np.ones_like(row[below])
        if name not in self._derivatives:
            self._derivatives[name] = Evaluator(self.derivative_program(name))
        forward = {key: row[key] for key in self.program.quantities if key in row}
        result = self._derivatives[name](forward)
        wanted = derivative_name(LOSS, below)
        return result.get(wanted, np.zeros_like(row[below]))

    def derivative_program(self, name: str) -> Program:
        """Return ∂above/∂below as a program over the forward pass: that of `above` as a loss, for `below`.

        Raises:
            KeyError: there is no such derivative.
        """
        if not self.knows(name):
            raise KeyError(name)
        above, below = (self._plain(part) for part in _parts(name))
        forward = []
        for line in self.program.assignments:
            if line.step not in ("forward", "loss"):
                continue
            forward.append(line)
            if line.name == above:
                break
        lines = with_gradients(forward, above, [below]) if above in self.program.by_name else ()
        return replace(assembled("", self.program.quantities, lines, None), loss=above)

    def is_activation(self, name: str) -> bool:
        """Return whether a name is that of a unit's output, behind its activation."""
        return name in self._outputs and name not in self._nets

    def is_net(self, name: str) -> bool:
        """Return whether a name is that of a unit's net input."""
        return name in self._nets

    def is_parameter(self, name: str) -> bool:
        """Return whether a name is that of a weight or a bias, trained or not."""
        return name in self._parameters

    def is_setting(self, name: str) -> bool:
        """Return whether a name is that of a setting of the optimizer: η."""
        return name in self.program.quantities and self.program.quantities[name].kind == "setting"

    def with_targets(
        self, given: dict[str, np.ndarray], random: np.random.Generator, count: int
    ) -> dict[str, np.ndarray]:
        """Return numbers whose targets can be targets: probabilities that add up to 1, where the loss needs them."""
        names = [name for name in given if self.program.quantities[name].kind == "target"]
        if self.network.loss.kind == "cross-entropy" and names:
            shares = random.dirichlet(np.ones(len(names)), count).T
            return given | dict(zip(names, shares, strict=True))
        if self.network.loss.kind == "binary cross-entropy":
            return given | {name: random.uniform(0.1, 0.9, count) for name in names}
        return given

    def _all_samples(self, names: Iterable[str]) -> frozenset[str]:
        marks = [None] if self.network.samples == 1 else range(1, self.network.samples + 1)
        return frozenset(sample_name(name, mark) for name in names for mark in marks)

    def _plain(self, name: str) -> str:
        name = TOTAL if name == LOSS else name
        return self.aliases.get(name, name)

    def _aliases(self) -> Iterator[tuple[str, str]]:
        """Yield other names of quantities: a_o1 where o1 has no activation, or for the softmax p1; E_total for E1."""
        for layer in self.network.layers:
            for unit in layer.units:
                for name in (f"a_{unit.net}", "p" + unit.net[1:], unit.net):
                    if name not in self.program.quantities:
                        yield name, unit.output
                        yield derivative_name(LOSS, name), derivative_name(LOSS, unit.output)
        yield "E", TOTAL


def _parts(name: str) -> tuple[str, str]:
    """Return E1 and w5 of "∂E1/∂w5"; nothing for other names."""
    above, slash, below = name.partition("/")
    if not slash or not above.startswith("∂") or not below.startswith("∂"):
        return "", ""
    return above[1:], below[1:]
