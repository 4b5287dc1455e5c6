"""The samples of each update: in turn, drawn with replacement or from a file; and the loss that is recorded of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chainrule.data import load_data
from chainrule.errors import DataError, TaskError
from chainrule.tasks import Task
from chainrule.tensor_files import pack_tensors
from chainrule.training import Run, train
from chainrule.training.batches import Batches
from chainrule.training.devices import placement
from chainrule.training.evaluation import evaluate
from chainrule.training.six_steps import initialise, repeat
from chainrule.training.state import State

Make = Callable[..., Task]

DRAWN: dict[str, Any] = {"sampling": "with_replacement", "batch_size": 5}
RECORDED: dict[str, Any] = {"device": "cpu", "recorded_loss": "training"}


def rows_of(batches: Batches, epochs: int) -> list[list[int]]:
    with placement("cpu", "float64") as place:
        return [batch.inputs.tolist() for epoch in range(epochs) for batch in batches.epoch(epoch, 0, place)]


def drawn(samples: int = 12, size: int = 5, seed: int = 1) -> Batches:
    rows = torch.arange(samples)
    return Batches(rows, rows, size, True, seed, with_replacement=True)


def written(folder: Path, rows: Any, name: str = "rows") -> str:
    path = folder / "order.safetensors"
    path.write_bytes(pack_tensors({name: torch.as_tensor(rows)}))
    return str(path)


def test_draws_with_replacement_fill_every_batch_from_all_samples() -> None:
    batches = drawn()
    found = rows_of(batches, 400)
    assert batches.per_epoch == 3
    assert {len(batch) for batch in found} == {5}  # in turn, the last would have two
    counts = np.bincount(np.ravel(found), minlength=12) / (400 * 15)
    np.testing.assert_allclose(counts, 1 / 12, atol=0.02)  # five standard errors are 0.018
    assert any(len(set(batch)) < 5 for batch in found)
    assert [batches.samples_of(number) for number in range(3)] == [5, 5, 5]


def test_in_turn_every_sample_comes_once_and_the_last_batch_is_smaller() -> None:
    rows = torch.arange(12)
    batches = Batches(rows, rows, 5, True, 1)
    found = rows_of(batches, 1)
    assert sorted(row for batch in found for row in batch) == list(range(12))
    assert [len(batch) for batch in found] == [batches.samples_of(number) for number in range(3)] == [5, 5, 2]


def test_draws_follow_from_seed_and_epoch_and_go_on_from_anywhere() -> None:
    whole = rows_of(drawn(), 3)
    assert rows_of(drawn(), 3) == whole
    assert rows_of(drawn(seed=2), 3) != whole
    assert len({tuple(batch) for batch in whole}) == len(whole)
    with placement("cpu", "float64") as place:
        assert [batch.inputs.tolist() for batch in drawn().epoch(1, 2, place)] == whole[5:6]


def test_draws_of_as_many_samples_as_there_are_is_not_the_whole_part() -> None:
    batches = drawn(size=12)
    assert batches.per_epoch == 1
    assert not batches.is_whole
    assert sorted(rows_of(batches, 1)[0]) != list(range(12))


@pytest.mark.parametrize("keys", [{"data": DRAWN}, {"data": DRAWN, "run": RECORDED}, {"run": RECORDED}])
def test_a_run_that_was_stopped_and_goes_on_is_the_same(
    keys: dict[str, Any],
    small_task: Make,
    interrupted: Callable[[Task, Path, int], Run],
    assert_same_run: Callable[[Run, Run], None],
    tmp_path: Path,
) -> None:
    task = small_task(**keys)
    interrupted(task, tmp_path / "run", 4)
    assert_same_run(train(task, folder=tmp_path / "run", resume=True), train(task))


def test_the_order_of_a_file_is_what_updates_take(small_task: Make, tmp_path: Path) -> None:
    rows = [[0, 0, 1], [5, 2, 3], [7, 7, 7], [1, 2, 3]]
    data = {"order": written(tmp_path, rows), "batch_size": 3}
    task = small_task(data=data, stop={"steps": 4, "epochs": 10})
    with placement("cpu", "float64") as place:
        batches = initialise(task, place, load_data(task.data, task.seed)).batches
        per_epoch = batches.per_epoch
        found = [batch.inputs for epoch in range(4) for batch in batches.epoch(epoch, 0, place)]
    assert per_epoch == 8
    assert len(found) == 4
    for batch, own in zip(found, rows, strict=True):
        assert torch.equal(batch, batches.inputs[own])
    assert train(task).progress.step == 4


def test_an_order_that_does_not_fit_is_refused(small_task: Make, tmp_path: Path) -> None:
    def text(rows: Any, batch_size: int = 2, name: str = "rows", steps: int = 1) -> str:
        data = {"order": written(tmp_path, rows, name), "batch_size": batch_size}
        with pytest.raises((TaskError, DataError)) as caught:
            train(small_task(data=data, stop={"steps": steps}))
        return str(caught.value)

    head = "'order.safetensors' does not say which samples each update takes.\n  where:    data.order\n"
    assert text([[0, 1]], name="row") == f"{head}  found:    the tensors row\n  expected: the tensor rows"
    assert text([0, 1]) == (
        f"{head}  found:    int64 of shape (2,)\n  expected: whole numbers of shape (updates, samples of an update)"
    )
    assert text([[0.0, 1.0]]).startswith(f"{head}  found:    float32 of shape (1, 2)\n")
    samples = len(load_data(small_task().data, 0).train)
    assert text([[0, samples]]) == (
        f"{head}  found:    rows from 0 to {samples}\n"
        f"  expected: rows from 0 to {samples - 1}, those of the training part"
    )
    assert text([[0, 1]], batch_size=3) == (
        "The order of the samples has batches of another size.\n  where:    data.order\n"
        "  found:    2 samples in each update\n  expected: 3, as data.batch_size says\nSay data.batch_size = 2."
    )
    assert text([[0, 1]], steps=2) == (
        "The order of the samples is shorter than the run.\n  where:    data.order\n"
        "  found:    1 update\n  expected: 2, which the run may take\nSay stop.steps = 1."
    )


def test_a_file_that_is_not_there_is_refused(small_task: Make, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        train(small_task(data={"order": str(tmp_path / "none.safetensors")}))
    assert str(caught.value).startswith("The order of the samples cannot be read.\n  where:    data.order\n")


class Looking:
    """Notes the recorded loss of each step, and the loss of the whole training part at that moment."""

    def __init__(self) -> None:
        self.recorded: list[float] = []
        self.whole: list[float] = []

    def step_begins(self, state: State, batch: Any) -> None: ...

    def loss_known(self, state: State, value: torch.Tensor, number: float) -> None:
        inputs, targets = state.batches.inputs, state.batches.targets
        self.recorded.append(number)
        self.whole.append(evaluate(state.model, state.objective, inputs, targets, targets).loss)

    def gradients_known(self, state: State) -> None: ...

    def weights_moved(self, state: State) -> None: ...

    def step_done(self, state: State, loss: float) -> None: ...


def repeated(task: Task) -> tuple[Looking, dict[str, torch.Tensor]]:
    looking = Looking()
    with placement("cpu", "float64") as place, torch.random.fork_rng():
        torch.manual_seed(task.seed)
        state = initialise(task, place, load_data(task.data, task.seed))
        repeat(state, looking)
    return looking, state.model.state_dict()


def test_the_recorded_loss_is_of_the_whole_part_and_moves_no_weight(small_task: Make, noisy: str) -> None:
    model = {"module": f"{noisy}:Noisy"}  # dropout and running statistics: looking must draw and change nothing
    looking, weights = repeated(small_task(model=model, run=RECORDED))
    assert looking.recorded == looking.whole
    plain, same = repeated(small_task(model=model))
    assert plain.recorded != plain.whole
    assert weights.keys() == same.keys()
    assert all(torch.equal(weights[name], same[name]) for name in weights)


def test_the_history_has_the_recorded_loss_and_the_last_one(small_task: Make) -> None:
    run = train(small_task(data=DRAWN, run=RECORDED))
    losses = run.history["loss"].values
    assert len(losses) == run.progress.step + 1
    assert losses[-1] == pytest.approx(run.evaluations["train"].loss, rel=1e-6)


def test_what_does_not_go_together(small_task: Make) -> None:
    head = "The task cannot be trained as it is written.\n"
    penalty = [{"kind": "L2", "strength": 0.1, "modules": "hidden1"}]
    cases = [
        (
            {"data": {**DRAWN, "shuffle": False}},
            "data.shuffle\n  found:    false\n"
            "  expected: true, or nothing: draws with replacement have no order to keep",
        ),
        (
            {"run": RECORDED, "penalty": penalty},
            "run.recorded_loss\n  found:    'training', and penalties\n"
            "  expected: 'batch': penalties are known for the batch of a step only",
        ),
        (
            {"data": {"order": "a.safetensors", "shuffle": False}},
            "data.shuffle\n  found:    a value\n  expected: nothing: data.order says which samples each update takes",
        ),
        (
            {"data": {"order": "a.safetensors", "sampling": "with_replacement"}},
            "data.sampling\n  found:    a value\n  expected: nothing: data.order says which samples each update takes",
        ),
    ]
    for keys, text in cases:
        with pytest.raises(TaskError) as caught:
            small_task(**keys)
        assert str(caught.value) == head + text
