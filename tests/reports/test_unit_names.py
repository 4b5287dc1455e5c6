from typing import Any

import pytest

from chainrule.reports.network import module_outputs
from chainrule.reports.unit_names import UnitNames, name_units
from chainrule.tasks import load_task
from chainrule.training import train

BIASES = [
    {"bias": False},
    {"bias": True},
    {"bias": True, "bias_convention": "shared"},
    {"bias": True, "bias_convention": "fixed"},
    {"bias": [True, False, True]},
]


def names_of(layers: list[int], **model: Any) -> UnitNames:
    data = {"inputs": [[0.1, 0.2], [0.3, 0.4]], "targets": [[0.5] * layers[-1], [0.6] * layers[-1]]}
    task = {
        "name": "named",
        "data": data,
        "model": {"layers": layers, "activation": "Tanh", **model},
        "loss": {"name": "MSELoss"},
        "optimizer": {"name": "SGD", "lr": 0.1},
        "stop": {"epochs": 1},
    }
    run = train(load_task(task))
    inputs = run.state.batches.inputs
    return name_units(run.model, 2, module_outputs(run.model, inputs))


@pytest.mark.parametrize("model", BIASES, ids=str)
@pytest.mark.parametrize("layers", [[4, 3, 1], [1, 1, 2]], ids=str)
def test_no_two_parameters_share_a_name(layers: list[int], model: dict[str, Any]) -> None:
    names = names_of(layers, **model)
    each = [name for names_of_one in names.parameters.values() for name in dict.fromkeys(names_of_one)]
    assert len(set(each)) == len(each)
    units = [*names.inputs, *(unit for units in names.outputs.values() for unit in units)]
    assert len(set(units)) == len(units)


@pytest.mark.parametrize("model", BIASES, ids=str)
def test_a_formula_names_only_what_there_is(model: dict[str, Any]) -> None:
    names = names_of([4, 3, 1], **model)
    known = {
        *names.inputs,
        *(name for group in (names.parameters, names.outputs) for row in group.values() for name in row),
    }
    for path, formulas in names.formulas.items():
        for formula in formulas:
            used = formula.removeprefix("Tanh(").removesuffix(")").replace("·", " ").replace("+", " ").split()
            assert set(used) <= known, path


def test_separate_biases_are_counted_through_the_network() -> None:
    names = names_of([4, 1])
    assert names.parameters["hidden1.bias"] == ("b1", "b2", "b3", "b4")
    assert names.parameters["output.bias"] == ("b5",)


def test_a_shared_bias_has_one_name_a_layer() -> None:
    names = names_of([2, 2], bias_convention="shared")
    assert names.formulas["hidden1"] == ("w1·i1 + w2·i2 + b1", "w3·i1 + w4·i2 + b1")
    assert names.formulas["output"] == ("w5·a_h1 + w6·a_h2 + b2", "w7·a_h1 + w8·a_h2 + b2")


def test_units_of_several_hidden_layers_are_numbered_by_layer_and_unit() -> None:
    names = names_of([2, 3, 1])
    assert names.outputs["hidden1"] == ("h1_1", "h1_2")
    assert names.outputs["hidden2_activation"] == ("a_h2_1", "a_h2_2", "a_h2_3")
    assert names.outputs["output"] == ("o1",)
