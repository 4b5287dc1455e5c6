"""The short way and the ordinary way give the same numbers; what is not certainly right takes the ordinary way."""

from typing import Any

import pytest
import torch

from chainrule.programs.written_out import written_out_program
from chainrule.task_files import keys_of, override
from chainrule.tasks import load_task
from chainrule.trace import Trace
from chainrule.training.recorded_step import record_step

SHORT: dict[str, dict[str, Any]] = {
    "as it is": {},
    "another rate": {"optimizer.lr": "2"},
    "momentum and decay": {"optimizer.momentum": "0.9", "optimizer.dampening": "0.1", "optimizer.weight_decay": "0.01"},
    "tanh and identity": {"model.activation": "Tanh", "model.output_activation": "Identity"},
    "relu": {"model.activation": "ReLU", "model.output_activation": "LeakyReLU"},
    "mean squared error": {"loss": "MSELoss"},
    "summed squared error": {"loss": '{name = "MSELoss", reduction = "sum"}'},
    "mean of half sums": {"loss.reduction": "mean"},
}


def _recorded(keys: dict[str, Any], step: int) -> tuple[float, list[float], list[float]]:
    trace = record_step(load_task(keys), step, "values")
    assert isinstance(trace, Trace)
    assert trace.loss is not None
    loss = trace.values[trace.loss].data
    assert isinstance(loss, torch.Tensor)
    gradients, after = [], []
    for parameter in trace.parameters:
        if parameter.adjoint is not None:
            assert isinstance(parameter.adjoint, torch.Tensor)
            gradients += parameter.adjoint.reshape(-1).tolist()
            (update,) = [each for each in trace.updates if each.value == parameter.id]
            assert isinstance(update.after, torch.Tensor)
            after += update.after.reshape(-1).tolist()
    return loss.item(), gradients, after


@pytest.mark.parametrize("step", [0, 3])
@pytest.mark.parametrize("example", ["two-two-two", "two-two-two-even", "two-two-two-biased"])
@pytest.mark.parametrize("changes", SHORT.values(), ids=SHORT)
def test_the_numbers_are_those_of_the_recorded_step(example: str, changes: dict[str, Any], step: int) -> None:
    keys = override(keys_of(example)[0], changes)
    program = written_out_program(keys, step)
    assert program is not None
    loss, gradients, after = _recorded(keys, step)
    assert program.quantities["E_total"].value == pytest.approx(loss, rel=1e-13)
    # The recorded parameters stand layer by layer, weights before biases; so do the sorted numbers on both sides.
    ours = [quantity.value for quantity in program.of_kind("gradient")]
    assert sorted(ours) == pytest.approx(sorted(gradients), rel=1e-12, abs=1e-300)
    moved = [program.quantities[program.updated[name]].value for name in program.parameters]
    assert sorted(moved) == pytest.approx(sorted(after), rel=1e-13)


@pytest.mark.parametrize("convention", ["separate", "shared", "fixed"])
def test_bias_conventions(convention: str) -> None:
    keys = override(keys_of("two-two-two-biased")[0], {"model.bias_convention": convention})
    program = written_out_program(keys, 1)
    assert program is not None
    assert program.quantities["E_total"].value == pytest.approx(_recorded(keys, 1)[0], rel=1e-13)
    assert (
        sum(name.startswith("b") for name in program.parameters) == {"separate": 4, "shared": 2, "fixed": 0}[convention]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "Adam"},
        {"optimizer.lr": "-1"},
        {"optimizer.lr": "nan"},
        {"optimizer.lr": "fast"},
        {"optimizer.nesterov": "true", "optimizer.momentum": "0.9"},
        {"loss": "L1Loss"},
        {"loss.reduction": "none"},
        {"run.precision": "float32"},
        {"model.activation": "GELU"},
        {"model.bias": "true"},
        {"model.weights": "[[[1.0, 2.0]], [[1.0]]]"},
        {"data.inputs": "[[0.1, 0.2], [0.3, 0.4]]", "data.targets": "[[0.1, 0.2], [0.3, 0.4]]"},
        {"data.standardise_inputs": "true"},
        {"data.targets": "[1]"},
        {"modle": "1"},
        {"penalty": '[{kind = "L2", strength = 0.1}]'},
        {"schedule": '{name = "StepLR", step_size = 1}'},
    ],
    ids=str,
)
def test_anything_else_takes_the_ordinary_way(changes: dict[str, Any]) -> None:
    assert written_out_program(override(keys_of("two-two-two")[0], changes)) is None


@pytest.mark.parametrize(
    ("step", "stop", "is_known"),
    [
        (-1, {}, False),
        (99, {}, True),
        (100, {}, False),
        (7, {"stop.steps": "7"}, False),
        (6, {"stop.steps": "7"}, True),
        (1, {"stop.target_loss": "0.1"}, False),
    ],
)
def test_a_step_that_the_run_may_not_reach_takes_the_ordinary_way(
    step: int, stop: dict[str, Any], is_known: bool
) -> None:
    program = written_out_program(override(keys_of("two-two-two")[0], stop), step)
    assert (program is not None) == is_known
