"""Every number of the first update and of the path through the weights, against an independent float64 program.

The numbers below are ∂E/∂w1 … ∂E/∂w8 and the activations of the worked example, from plain Python floats.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from chainrule.shapes import Tensor
from chainrule.tasks import Task, load_task
from chainrule.training import split_row, train
from chainrule.training.trajectory import ROWS, Trajectory

Make = Callable[..., Task]

HIDDEN = [0.5068745667645342, 0.5106234010049637]
OUTPUT = [0.606477732206728, 0.6304808354506348]
SLOPES = {
    "two-two-two": [
        0.0001882556669401121,
        0.0003765113338802242,
        0.0002248134625761188,
        0.0004496269251522376,
        0.07215707291213626,
        0.07269074519194478,
        -0.04245525009260471,
        -0.04276924828006376,
    ],
    "two-two-two-even": [
        0.0003169933959102902,
        0.0006339867918205804,
        0.00035177632159073217,
        0.0007035526431814643,
        0.01288081863162825,
        0.012976084910698517,
        0.01540834828177308,
        0.015522308119994766,
    ],
}
WEIGHTS = [0.15, 0.20, 0.25, 0.30, 0.40, 0.45, 0.50, 0.55]

BIASED_SLOPES = [
    0.00043856773447434685,
    0.0008771354689486937,
    0.0004977127352608601,
    0.0009954254705217202,
    0.08216704056423078,
    0.08266762784753326,
    -0.022602540477475067,
    -0.02274024221597822,
]
BIASED_AFTER = [
    0.1497807161327628,
    0.19956143226552567,
    0.24975114363236958,
    0.29950228726473915,
    0.35891647971788465,
    0.4086661860762334,
    0.5113012702387375,
    0.5613701211079891,
]


def flat(tensors: dict[str, Tensor]) -> list[float]:
    return [number for tensor in tensors.values() for number in tensor.reshape(-1).tolist()]


@pytest.mark.parametrize("name", SLOPES)
def test_the_first_update_without_biases(name: str) -> None:
    first = train(load_task(name, {"optimizer.lr": 0.5})).first_update
    assert first is not None
    assert flat(first.before) == WEIGHTS
    assert flat(first.gradients) == pytest.approx(SLOPES[name], rel=1e-13)
    after = [weight - 0.5 * slope for weight, slope in zip(WEIGHTS, SLOPES[name], strict=True)]
    assert flat(first.after) == pytest.approx(after, rel=1e-13)
    assert list(first.outputs) == ["hidden1", "hidden1_activation", "output", "output_activation"]
    assert first.outputs["hidden1_activation"][0].tolist() == pytest.approx(HIDDEN, rel=1e-14)
    assert first.outputs["output_activation"][0].tolist() == pytest.approx(OUTPUT, rel=1e-14)
    assert first.learning_rate == 0.5
    assert first.inputs.tolist() == [[0.05, 0.10]]


def test_the_first_update_with_biases() -> None:
    first = train(load_task("two-two-two-biased")).first_update
    assert first is not None
    assert list(first.gradients) == ["hidden1.weight", "output.weight"]  # the biases are held fixed
    assert flat(first.gradients) == pytest.approx(BIASED_SLOPES, rel=1e-13)
    assert flat(first.after) == pytest.approx(BIASED_AFTER, rel=1e-13)
    assert first.loss == pytest.approx(0.2983711087600027, rel=1e-14)
    deltas = [0.13849856162855698, -0.03809823651655623]
    assert first.adjoints["output"][0].tolist() == pytest.approx(deltas, rel=1e-13)
    of_hidden = [0.03635030639314468, 0.04137032264874471]
    assert first.adjoints["hidden1_activation"][0].tolist() == pytest.approx(of_hidden, rel=1e-13)
    deltas = [0.008771354689486937, 0.009954254705217202]
    assert first.adjoints["hidden1"][0].tolist() == pytest.approx(deltas, rel=1e-13)


def test_shared_biases_gather_the_slopes_of_their_units() -> None:
    first = train(load_task("two-two-two-biased", {"model.bias_convention": "shared"})).first_update
    assert first is not None
    assert first.gradients["hidden1.bias"].item() == pytest.approx(0.018725609394704138, rel=1e-13)
    assert first.gradients["output.bias"].item() == pytest.approx(0.10040032511200075, rel=1e-13)


@pytest.mark.parametrize("optimizer", [{"name": "SGD", "lr": 0.1}, {"name": "LBFGS"}, {"name": "Adam"}])
def test_it_is_the_first_step_of_the_run(small_task: Make, optimizer: dict[str, Any]) -> None:
    run = train(small_task(optimizer=optimizer, stop={"epochs": 9, "steps": 1}))
    assert run.first_update is not None
    assert run.first_update.loss == run.history["loss"].values[0]
    for name, weight in run.first_update.after.items():
        assert torch.equal(weight, run.model.get_parameter(name))


def test_large_networks_and_batches_have_none(small_task: Make) -> None:
    assert train(small_task(model={"layers": [30, 1]})).first_update is None
    assert train(small_task(model={"layers": [30, 1]})).trajectory is None
    assert train(small_task(data={"batch_size": 17})).first_update is None


@pytest.mark.parametrize("name", SLOPES)
def test_the_path_through_the_weights(name: str) -> None:
    """Each row follows from the row before by w ← w − η·∂E/∂w."""
    run = train(load_task(name, {"stop.epochs": 30, "optimizer.lr": 0.5}))
    path = run.trajectory
    assert path is not None
    assert path.steps == list(range(30))
    assert path.weights[0].tolist() == WEIGHTS
    assert path.gradients[0].tolist() == pytest.approx(SLOPES[name], rel=1e-13)
    for row in range(29):
        assert torch.equal(path.weights[row + 1], path.weights[row] - 0.5 * path.gradients[row])
    shaped = split_row(path.gradients[0], run.model)
    assert [tuple(tensor.shape) for tensor in shaped.values()] == [(2, 2), (2, 2)]
    assert shaped["hidden1.weight"][1, 0].item() == path.gradients[0][2].item()


def test_long_runs_keep_every_so_many_steps() -> None:
    run = train(load_task("two-two-two", {"stop.epochs": 1201}))
    assert run.trajectory is not None
    assert run.trajectory.interval == 3
    assert run.trajectory.steps == list(range(0, 1201, 3))
    assert len(run.trajectory.steps) <= ROWS


def test_the_path_comes_back_from_tensors() -> None:
    path = train(load_task("two-two-two", {"stop.epochs": 4})).trajectory
    assert path is not None
    copy, empty = Trajectory(interval=1), Trajectory(interval=1)
    copy.load_tensors(path.to_tensors())
    assert copy.steps == path.steps
    assert torch.equal(torch.stack(copy.weights), torch.stack(path.weights))
    assert torch.equal(torch.stack(copy.gradients), torch.stack(path.gradients))
    copy.load_tensors(empty.to_tensors())
    assert (copy.steps, copy.weights, copy.gradients) == ([], [], [])
