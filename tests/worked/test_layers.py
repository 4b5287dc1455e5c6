"""A network that chainrule builds from a task has, line for line, the program of `layered_program`."""

from typing import Any

import pytest

from chainrule.programs import Layer, Program, layered_program
from chainrule.tasks import Task, load_task
from chainrule.training.recorded_step import record_step
from chainrule.worked import program_of

TWO = {"data.inputs": [[0.05, 0.1], [0.4, 0.3]], "data.targets": [[0.01, 0.99], [0.5, 0.2]]}
THREE = {"data.inputs": [[0.05, 0.1], [0.4, 0.3], [0.2, 0.8]], "data.targets": [[0.01, 0.9], [0.5, 0.2], [0.3, 0.4]]}

Layers = list[Layer]
CASES: dict[str, tuple[dict[str, Any], Layers, dict[str, Any]]] = {
    "no biases": ({}, [Layer(2), Layer(2)], {}),
    "separate biases": (
        {"model.bias": True},
        [Layer(2, "sigmoid", "separate"), Layer(2, "sigmoid", "separate")],
        {},
    ),
    "shared biases": (
        {"model.bias": True, "model.bias_convention": "shared"},
        [Layer(2, "sigmoid", "shared"), Layer(2, "sigmoid", "shared")],
        {},
    ),
    "fixed biases": (
        {"model.bias": True, "model.bias_convention": "fixed", "model.biases": [0.35, 0.6]},
        [Layer(2, "sigmoid", "fixed"), Layer(2, "sigmoid", "fixed")],
        {},
    ),
    "two samples": (TWO, [Layer(2), Layer(2)], {"samples": 2}),
    "the mean over three samples": (
        {**THREE, "loss.reduction": "mean"},
        [Layer(2), Layer(2)],
        {"samples": 3, "loss": "half mean"},
    ),
    "MSE": ({**TWO, "loss": "MSELoss"}, [Layer(2), Layer(2)], {"samples": 2, "loss": "mean"}),
    "the sum of squares": (
        {"loss": {"name": "MSELoss", "reduction": "sum"}},
        [Layer(2), Layer(2)],
        {"loss": "sum"},
    ),
    "four layers": (
        {**TWO, "model.layers": [3, 2, 4, 2], "model.weights": None, "model.activation": "Tanh", "model.bias": True},
        [*(Layer(size, "tanh", "separate") for size in (3, 2, 4)), Layer(2, "sigmoid", "separate")],
        {"samples": 2},
    ),
    "ReLU, leaky ReLU, softplus": (
        {
            "model.layers": [4, 3, 3, 2],
            "model.weights": None,
            "model.activation": ["ReLU", "LeakyReLU", "Softplus"],
            "model.bias": True,
            "model.output_activation": "Identity",
        },
        [
            Layer(4, "relu", "separate"),
            Layer(3, "leaky_relu", "separate"),
            Layer(3, "softplus", "separate"),
            Layer(2, "identity", "separate"),
        ],
        {},
    ),
    "softmax and cross-entropy": (
        {
            "data.inputs": [[0.05, 0.1, 0.7], [0.4, 0.3, 0.1], [0.2, 0.2, 0.6]],
            "data.targets": ["b", "c", "a"],
            "data.kind": "classification",
            "model.layers": [4, 3],
            "model.weights": None,
            "model.activation": "ReLU",
            "model.output_activation": "Identity",
            "model.bias": True,
            "loss": "CrossEntropyLoss",
            "optimizer": {"name": "Adam", "lr": 0.01},
        },
        [Layer(4, "relu", "separate"), Layer(3, "softmax", "separate")],
        {
            "samples": 3,
            "loss": "cross-entropy",
            "optimizer": "Adam",
            "settings": {"η": 0.01, "λ": 0.0, "ε": 1e-8, "β1": 0.9, "β2": 0.999},
        },
    ),
    "momentum": (
        {"optimizer": {"name": "SGD", "lr": 0.5, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}},
        [Layer(2), Layer(2)],
        {"settings": {"η": 0.5, "μ": 0.9, "λ": 0.01, "nesterov": 1.0}},
    ),
}


def task_of(changes: dict[str, Any]) -> Task:
    keys = {key: value for key, value in changes.items() if value is not None}
    if "model.weights" in changes:
        plain = load_task("two-two-two").model_dump(exclude_none=True)
        plain["model"].pop("weights")
        return load_task(plain, keys)
    return load_task("two-two-two", keys)


def said(program: Program) -> list[tuple[object, ...]]:
    """Everything of a program but its numbers and where they stand in the model."""
    adjoints = ("adjoint", "gradient")
    quantities = [
        (each.name, each.latex, each.kind, each.meaning, each.kind in adjoints or each.sample)
        for each in program.quantities.values()
    ]
    return [*quantities, *program.assignments, program.loss, dict(program.updated)]


@pytest.mark.parametrize("case", CASES)
def test_a_task_of_layers_has_the_layered_program(case: str) -> None:
    changes, layers, more = CASES[case]
    found = program_of(record_step(task_of(changes)))
    inputs = sum(quantity.kind == "input" for quantity in found.quantities.values()) // more.get("samples", 1)
    wanted = layered_program(inputs, layers, **more)
    for one, other in zip(said(found), said(wanted), strict=True):
        assert one == other
    assert found.title == "two-two-two"
