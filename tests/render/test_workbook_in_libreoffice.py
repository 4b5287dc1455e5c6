"""Workbooks that LibreOffice calculates anew, against the same trainings in PyTorch in float64.

One test holds everything, because LibreOffice takes seconds to start and each worker would start its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from chainrule.documents.sheets import Area, Workbook, column_letters
from chainrule.programs import Layer, Program, layered_program
from chainrule.render.xlsx import workbook_bytes
from chainrule.reports.workbook import RATES, training_workbook
from chainrule.tasks import load_task
from chainrule.training import train
from chainrule.training.worked_example import worked_example

from .libreoffice import Cells, falsified, recalculated, with_number

UPDATES = 100
SHORT = 20  # updates of the networks that are there for their formulas
TOLERANCE = 1e-12
WEIGHTS = [[[0.15, 0.20], [0.25, 0.30]], [[0.40, 0.45], [0.50, 0.55]]]
Loss = Callable[[Tensor, Tensor], Tensor]
Optimizer = Callable[[Sequence[Tensor]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Network:
    """One network, as a program and for PyTorch."""

    program: Program
    activations: tuple[Callable[[Tensor], Tensor], ...]
    loss: Loss
    optimizer: Callable[..., torch.optim.Optimizer]

    def trained(self, changes: Mapping[str, float], updates: int = UPDATES) -> dict[str, np.ndarray]:
        """Return loss, parameters and gradients before each update and after the last, by PyTorch."""
        values = {name: quantity.value for name, quantity in self.program.quantities.items()} | dict(changes)
        inputs, targets = self._samples(values, "input"), self._samples(values, "target")
        layers, names = self._layers(values, inputs.shape[1], targets.shape[1])
        tensors = [tensor for layer in layers for tensor in layer if tensor is not None]
        optimizer = self.optimizer(tensors, lr=values["η"])
        rows: dict[str, list[float]] = {}
        for _ in range(updates + 1):
            outputs = inputs
            for (weight, bias), activation in zip(layers, self.activations, strict=True):
                outputs = activation(nn.functional.linear(outputs, weight, bias))
            loss = self.loss(outputs, targets)
            optimizer.zero_grad()
            loss.backward()
            row = {"E_total": loss.item()}
            for name, tensor, place in names:
                row[name] = tensor.detach().flatten()[place].item()
                assert tensor.grad is not None
                row[f"∂E/∂{name}"] = tensor.grad.flatten()[place].item()
            for name, number in row.items():
                rows.setdefault(name, []).append(number)
            optimizer.step()
        return {name: np.array(numbers) for name, numbers in rows.items()}

    def _samples(self, values: Mapping[str, float], kind: str) -> Tensor:
        by_sample: dict[int | None, list[float]] = {}
        for quantity in self.program.quantities.values():
            if quantity.kind == kind:
                by_sample.setdefault(quantity.sample, []).append(values[quantity.name])
        return torch.tensor(list(by_sample.values()), dtype=torch.float64)

    def _layers(self, values: Mapping[str, float], inputs: int, outputs: int):  # type: ignore[no-untyped-def]
        """Return (weight, bias) of each layer, and for each parameter its name, its tensor and its place there."""
        sizes = [inputs, *self._hidden(), outputs]
        weights, biases = ([n for n in self.program.parameters if n[0] == letter] for letter in "wb")
        layers, names = [], []
        for below, above in pairwise(sizes):
            own, weights = weights[: below * above], weights[below * above :]
            weight = torch.tensor([values[name] for name in own], dtype=torch.float64).reshape(above, below)
            weight.requires_grad_()
            names += [(name, weight, place) for place, name in enumerate(own)]
            bias = None
            if biases:
                mine, biases = biases[:above], biases[above:]
                bias = torch.tensor([values[name] for name in mine], dtype=torch.float64, requires_grad=True)
                names += [(name, bias, place) for place, name in enumerate(mine)]
            layers.append((weight, bias))
        return layers, names

    def _hidden(self) -> list[int]:
        first = 1 if self.program.samples > 1 else None
        units = [q.name for q in self.program.quantities.values() if q.kind == "forward" and q.sample == first]
        nets = [name.split("⁽")[0] for name in units if name.startswith("h")]
        layers = [name.partition("_")[0] if "_" in name else "h" for name in nets]
        return [layers.count(layer) for layer in dict.fromkeys(layers)]


def valued(program: Program, numbers: Mapping[str, float]) -> Program:
    quantities = {n: replace(q, value=numbers.get(n, q.value)) for n, q in program.quantities.items()}
    return replace(program, quantities=quantities)


def drawn(program: Program, seed: int, classes: Sequence[int] = ()) -> Program:
    """Return a program with parameters, inputs and targets drawn from [-1, 1]; classes make one-hot targets."""
    generator = np.random.default_rng(seed)
    wanted = [q for q in program.quantities.values() if q.kind in ("parameter", "input", "target")]
    numbers = dict(zip([q.name for q in wanted], generator.uniform(-1, 1, len(wanted)).tolist(), strict=True))
    for sample, right in enumerate(classes, 1):
        own = [q.name for q in program.of_kind("target") if q.sample in (sample, None)]
        numbers |= {name: float(place == right) for place, name in enumerate(own)}
    return valued(program, numbers)


def two_two_two() -> Network:
    flat = [weight for layer in WEIGHTS for row in layer for weight in row]
    numbers = {f"w{place}": weight for place, weight in enumerate(flat, 1)}
    program = layered_program(2, [Layer(2), Layer(2)], title="two-two-two")
    program = valued(program, numbers | {"i1": 0.05, "i2": 0.10, "t1": 0.01, "t2": 0.99, "η": 0.5})
    return Network(program, (torch.sigmoid, torch.sigmoid), half_squares, torch.optim.SGD)


def half_squares(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().sum() / 2


def identity(values: Tensor) -> Tensor:
    return values


def classifier(samples: int, optimizer: str, seed: int, **others: float) -> Network:
    """A 3-4-3 network with ReLU, softmax, cross-entropy and biases."""
    greek = {"lr": "η", "weight_decay": "λ"}
    settings = {"η": 0.05, "β1": 0.9, "β2": 0.999, "ε": 1e-8} | {greek[name]: value for name, value in others.items()}
    layers = [Layer(4, "relu", "separate"), Layer(3, "softmax", "separate")]
    program = layered_program(3, layers, "cross-entropy", samples=samples, optimizer=optimizer, settings=settings)
    made = partial(getattr(torch.optim, optimizer), **others)
    program = drawn(program, seed, [sample % 3 for sample in range(samples)])
    return Network(program, (torch.relu, identity), nn.functional.cross_entropy, made)


def squares(optimizer: str, settings: Mapping[str, float], made: Callable[..., torch.optim.Optimizer]) -> Network:
    """A 2-3-2-1 network with leaky ReLU and tanh on three samples, with the mean of squared errors."""
    layers = [Layer(3, "leaky_relu", "separate"), Layer(2, "tanh", "separate"), Layer(1, "identity", "separate")]
    program = layered_program(2, layers, "mean", samples=3, optimizer=optimizer, settings=settings, title=optimizer)
    leaky = partial(nn.functional.leaky_relu, negative_slope=0.01)
    return Network(drawn(program, 7), (leaky, torch.tanh, identity), nn.functional.mse_loss, made)


NETWORKS: Mapping[str, Callable[[], Network]] = {
    "two-two-two": two_two_two,
    "Adam": lambda: classifier(2, "Adam", 1),
    "one sample": lambda: classifier(1, "Adam", 2),
    "AdamW": lambda: classifier(2, "AdamW", 3, weight_decay=0.1),
    "momentum": lambda: squares("SGD", {"η": 0.05, "μ": 0.9}, partial(torch.optim.SGD, momentum=0.9)),
    "RMSprop": lambda: squares("RMSprop", {"η": 0.01, "α": 0.99, "ε": 1e-8}, torch.optim.RMSprop),
}
LONG = ("two-two-two", "Adam")
# What a reader types into cells of Setup before everything is calculated again.
TYPED: Mapping[str, Mapping[str, float]] = {
    "two-two-two": {"η": 1.75, "w1": -0.4, "t1": 0.3, "i2": 0.7},
    "Adam": {"η": 0.2, "w5": 0.9, "b2": -0.3},
}
TYPED_RATE = (4, 3.0)  # the fourth rate becomes 3


# A 3-4-3 network whose step is recorded, with the weights that its seed draws.
RECORDED = {
    "data": {
        "inputs": [[0.2, -0.7, 1.1], [0.9, 0.4, -0.3], [-0.5, 0.6, 0.8]],
        "targets": [2, 0, 1],
        "kind": "classification",
    },
    "model": {"layers": [4, 3]},
    "loss": {"name": "CrossEntropyLoss"},
    "optimizer": {"name": "Adam", "lr": 0.05},
    "stop": {"epochs": UPDATES},
    "run": {"precision": "float64", "device": "cpu"},
    "seed": 5,
}


@dataclass(frozen=True)
class Calculated:
    """A workbook as LibreOffice computed it from false cached values."""

    network: Network
    workbook: Workbook
    updates: int
    sheets: Mapping[str, Cells]

    def column(self, sheet: str, name: str) -> np.ndarray:
        """Return the numbers of one quantity on one sheet, found by the header."""
        cells = self.sheets[sheet]
        letters = {cells.get(f"{column_letters(place)}5"): column_letters(place) for place in range(400)}[name]
        return self.numbers(sheet, letters)

    def numbers(self, sheet: str, letters: str) -> np.ndarray:
        """Return the numbers of one column."""
        found = [self.sheets[sheet][f"{letters}{row}"] for row in range(6, 6 + self.updates + 1)]
        return np.array(found, dtype=np.float64)  # the text of an error is no number

    def farthest(self, sheet: str, expected: Mapping[str, np.ndarray]) -> float:
        """Return the largest relative difference of a sheet's losses, weights and gradients from others.

        A weight or gradient may pass through 0, so it is measured against the largest of its column.
        """
        worst = 0.0
        for name, numbers in expected.items():
            differences = np.abs(self.column(sheet, name) - numbers)
            scale = np.abs(numbers) if name == "E_total" else np.abs(numbers).max()
            # Both 0 all along, as the gradients of a dead unit are, is no difference.
            worst = max(worst, float(np.max(differences / np.where(scale == 0, 1e-300, scale))))
        return worst


def calculated(folder: Path) -> tuple[Mapping[str, Calculated], Calculated]:
    """Return all workbooks, and that of the recorded task, calculated in one start of LibreOffice."""
    made: dict[str, tuple[Network, Workbook, int]] = {}
    for name, network_of in NETWORKS.items():
        network = network_of()
        updates = UPDATES if name in LONG else SHORT
        workbook = training_workbook(network.program, updates, RATES if name == "two-two-two" else ())
        data = workbook_bytes(workbook)
        made[name] = network, workbook, updates
        (folder / f"{name}.xlsx").write_bytes(falsified(data))
        if name in TYPED:
            made[f"{name} typed"] = made[name]
            (folder / f"{name} typed.xlsx").write_bytes(falsified(typed(data, name, workbook)))
    program = worked_example(load_task(RECORDED))
    made["recorded"] = classifier(1, "Adam", 0), training_workbook(program, UPDATES, ()), UPDATES
    (folder / "recorded.xlsx").write_bytes(falsified(workbook_bytes(made["recorded"][1])))
    results = recalculated([folder / f"{name}.xlsx" for name in made], folder)
    found = {name: Calculated(*made[name], sheets) for name, sheets in zip(made, results, strict=True)}
    return found, found.pop("recorded")


def typed(data: bytes, name: str, workbook: Workbook) -> bytes:
    for quantity, number in TYPED[name].items():
        data = with_number(data, "Setup", setup_address(workbook, quantity), number)
    if name == "two-two-two":
        data = with_number(data, "Learning rates", f"{column_letters(TYPED_RATE[0])}3", TYPED_RATE[1])
    return data


def setup_address(workbook: Workbook, quantity: str) -> str:
    """Return the cell of Setup that a reader finds by the name beside it."""
    setup = workbook.sheets[0]
    (row,) = [
        row for (row, column), cell in setup.cells.items() if column == 0 and getattr(cell, "text", 0) == quantity
    ]
    assert Area("Setup", row, 2, row, 2) in workbook.names.values()
    return f"C{row + 1}"


def test_workbooks_train_as_pytorch_does(tmp_path: Path) -> None:
    found, recorded = calculated(tmp_path)
    losses = np.array(train(load_task(RECORDED)).history["loss"].values)
    differences = {"recorded": recorded.farthest("Run", {"E_total": losses})}
    for name in NETWORKS:
        own = found[name]
        differences[name] = own.farthest("Run", own.network.trained({}, own.updates))
    for name, changes in TYPED.items():
        own = found[f"{name} typed"]
        expected = own.network.trained(changes)
        differences[f"{name} typed"] = own.farthest("Run", expected)
        assert found[name].farthest("Run", expected) > 0.01  # typing changed the numbers
    for place, rate in enumerate(RATES, 1):
        own = found["two-two-two"]
        expected = own.network.trained({"η": rate})
        differences[f"rate {rate}"] = own.farthest(f"Rate {place}", expected)
        assert np.allclose(own.numbers("Learning rates", column_letters(place)), expected["E_total"], TOLERANCE, 0)
        assert own.sheets["Learning rates"][f"{column_letters(place)}5"] == f"η = {rate:g}"
        own = found["two-two-two typed"]
        rate = TYPED_RATE[1] if place == TYPED_RATE[0] else rate
        expected = own.network.trained({**TYPED["two-two-two"], "η": rate})
        differences[f"rate {rate} typed"] = own.farthest(f"Rate {place}", expected)
    assert {name: worst for name, worst in differences.items() if not worst < TOLERANCE} == {}
    for name, own in found.items():
        assert errors_in(own) == [], name
        if name in NETWORKS:
            assert wrongly_cached(own) == [], name


def errors_in(found: Calculated) -> list[str]:
    texts = [text for cells in found.sheets.values() for text in cells.values() if isinstance(text, str)]
    return [text for text in texts if text.startswith(("#", "Err:"))]


def wrongly_cached(found: Calculated) -> list[str]:
    """Return the columns whose cached values, which viewers show that do not calculate, are not those computed."""
    wrong = []
    for sheet in found.workbook.sheets:
        for column in sheet.columns:
            cached = np.array(column.cached)
            numbers = found.numbers(sheet.name, column_letters(column.column))
            if not np.allclose(numbers, cached, rtol=0, atol=TOLERANCE * np.abs(cached).max()):
                wrong.append(f"{sheet.name} {column_letters(column.column)}")
    return wrong
