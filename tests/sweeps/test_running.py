"""Whole sweeps: tiles, interruptions, folders that go on, what is wanted of each run, and what is refused."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chainrule.errors import ChainruleError, CheckpointError, TaskError
from chainrule.sweeps import Axis, Outcome, Status, Want, grid, parse_axis, run_points, running, tiles
from chainrule.sweeps.results import measured
from chainrule.sweeps.vmap_engine import VmapEngine
from chainrule.tasks import Task, load_task
from chainrule.training import train

EVERYTHING = Want(measure="convergence", parameters=True, gradients=True)


@pytest.fixture
def small() -> Task:
    return load_task("xor", {"run.precision": "float64", "stop": {"epochs": 6}})


@pytest.fixture
def few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "_SECONDS", 1e-6)
    monkeypatch.setattr("chainrule.sweeps.vmap_engine._MOST", 4)


def arrays(outcome: Outcome) -> dict[str, Any]:
    found = {"final": outcome.final_loss, "diverged": outcome.diverged, "steps": outcome.steps_run}
    found |= {"losses": outcome.losses, "measure": outcome.measure, "norms": outcome.gradient_norms}
    return {name: values for name, values in (found | (outcome.parameters or {})).items() if values is not None}


def same_bits(one: Outcome, other: Outcome) -> bool:
    first, second = arrays(one), arrays(other)
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name], equal_nan=first[name].dtype.kind == "f") for name in first
    )


class Heard:
    def __init__(self) -> None:
        self.told: list[Status] = []

    def tell(self, status: Status) -> None:
        self.told.append(status)


def interrupted_at(number: int, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    """Let the computation of a tile end with an error."""
    compute, calls = tiles.compute_tile, 0

    def until(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            raise error
        return compute(*arguments)

    monkeypatch.setattr(running, "compute_tile", until)


@pytest.mark.parametrize("engine", ["loop", "vmap"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_what_was_ended_goes_on_to_the_same_bits(
    small: Task, engine: Any, error: type[BaseException], few_at_once: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    points = grid(parse_axis("lr", "log:1e-3:1:5"), parse_axis("seed", "0,1"))
    whole = run_points(small, points, engine=engine, want=EVERYTHING)
    with monkeypatch.context() as patched:
        interrupted_at(3, patched, error)
        if error is KeyboardInterrupt:
            first = run_points(small, points, engine=engine, want=EVERYTHING, folder=tmp_path)
            assert first.was_interrupted
            done = first.is_done
            assert 0 < done.sum() < len(points)
            assert np.array_equal(first.final_loss[done], whole.final_loss[done])
            assert np.isnan(first.final_loss[~done]).all()
            assert not first.diverged[~done].any()
        else:
            with pytest.raises(error):
                run_points(small, points, engine=engine, want=EVERYTHING, folder=tmp_path)
    heard = Heard()
    again = run_points(small, points, engine=engine, want=EVERYTHING, folder=tmp_path, progress=heard)
    assert same_bits(again, whole)
    assert not again.was_interrupted
    assert again.why == "It computed the parts that were there already."
    assert [each.runs_done for each in heard.told] == sorted(each.runs_done for each in heard.told)
    assert heard.told[-1].runs_done == heard.told[-1].runs == len(points)


@pytest.mark.parametrize("axis", [("model.activation", "Tanh,ReLU,Sigmoid"), ("data.batch_size", "1,2,3")])
def test_points_that_differ_in_what_is_built_are_as_if_alone(small: Task, axis: tuple[str, str]) -> None:
    structural = parse_axis(*axis)
    points = grid(parse_axis("lr", ".01,.1"), structural)
    together = run_points(small, points, steps=5, engine="vmap")
    for place, value in enumerate(structural.values):
        alone = run_points(
            load_task(small, {structural.key: value}), [{"lr": 0.01}, {"lr": 0.1}], steps=5, engine="loop"
        )
        assert together.losses is not None
        np.testing.assert_allclose(together.losses[place :: len(structural)], alone.losses, rtol=1e-12)


@pytest.mark.parametrize("points", [[{}], [{}, {}], [{"model.activation": "Tanh"}] * 3])
def test_points_that_say_nothing_are_runs_of_the_task(small: Task, points: list[dict[str, Any]]) -> None:
    expected = run_points(small, [{"lr": 0.05}], steps=3)
    found = run_points(small, points, steps=3)
    assert len(found) == len(points)
    assert all(np.array_equal(each, expected.losses[0]) for each in found.losses)  # type: ignore[index, union-attr]


def test_high_rates_are_no_reason_not_to_trust_an_engine(small: Task) -> None:
    task = load_task(small, {"optimizer": {"name": "SGD", "lr": 0.1}})
    assert run_points(task, grid(parse_axis("lr", "log:1e3:1e6:8")), steps=6, engine="vmap").engine == "vmap"


def test_results_do_not_depend_on_chunks(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    points = grid(parse_axis("lr", "log:1e-3:1:7"))
    whole = run_points(small, points, engine="vmap", want=EVERYTHING)
    monkeypatch.setattr("chainrule.sweeps.vmap_engine._MOST", 3)
    cut = run_points(small, points, engine="vmap", want=EVERYTHING)
    for name, values in arrays(whole).items():
        np.testing.assert_allclose(arrays(cut)[name], values, rtol=1e-12, atol=1e-15)


def test_lanes_have_the_same_bits_in_any_tiles(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    points = grid(parse_axis("lr", "log:1e-3:1:70"), parse_axis("init.scale", ".5,1"))
    whole = run_points(small, points, engine="lanes", want=EVERYTHING)
    monkeypatch.setattr(tiles, "_SECONDS", 1e-6)
    monkeypatch.setattr(tiles, "_BLOCK", 1)
    cut = run_points(small, grid(*points.axes), engine="lanes", want=Want(measure="convergence"))
    assert np.array_equal(cut.losses, whole.losses)  # type: ignore[arg-type]  # both are wanted
    assert np.array_equal(cut.measure, whole.measure)  # type: ignore[arg-type]
    loop = run_points(small, list(points)[::20], engine="loop", want=EVERYTHING)
    np.testing.assert_allclose(loop.measure, whole.measure[::20], rtol=1e-12)  # type: ignore[index]
    np.testing.assert_allclose(loop.gradient_norms, whole.gradient_norms[::20], rtol=1e-9)  # type: ignore[index]


def test_gradient_norms_are_those_of_the_plain_gradient() -> None:
    task = load_task("two-two-two", {"stop.epochs": 1})
    outcome = run_points(task, [{"lr": 0.5}], want=Want(gradients=True, parameters=True))
    x, target = (torch.tensor([row], dtype=torch.float64) for row in ([0.05, 0.1], [0.01, 0.99]))
    weights = [torch.tensor(rows, dtype=torch.float64, requires_grad=True) for rows in task.model.weights or []]
    assert outcome.parameters is not None
    for column in (0, 1):
        hidden = torch.sigmoid(x @ weights[0].T)
        loss = 0.5 * (target - torch.sigmoid(hidden @ weights[1].T)).square().sum()
        gradients = torch.autograd.grad(loss, weights)
        norm = torch.cat([each.flatten() for each in gradients]).norm().item()
        assert outcome.gradient_norms is not None
        assert outcome.gradient_norms[0, column] == pytest.approx(norm, rel=1e-12)
        if column:
            found = outcome.parameters["output.weight"][0]
            np.testing.assert_allclose(found, weights[1].detach().numpy(), rtol=1e-14)
        weights = [(w - 0.5 * g).detach().requires_grad_() for w, g in zip(weights, gradients, strict=True)]


def test_the_test_part_is_looked_at_as_training_does() -> None:
    task = load_task("iris", {"stop": {"epochs": 2}, "run.precision": "float64", "run.device": "cpu"})
    outcome = run_points(task, [{"seed": 0}, {"seed": 1}], want=Want(test=True), engine="vmap")
    for seed in (0, 1):
        evaluation = train(load_task(task, {"seed": seed})).evaluations["test"]
        assert outcome.metric_name == evaluation.metric_name == "accuracy"
        assert outcome.test_loss is not None
        assert outcome.test_metric is not None
        assert outcome.test_loss[seed] == pytest.approx(evaluation.loss, rel=1e-12)
        assert outcome.test_metric[seed] == evaluation.metric


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("lowest_loss", [1.0, 2.0, np.inf]),
        ("final_loss", [1.0, 8.0, np.nan]),
        ("steps_to:2", [2.0, 0.0, 4.0]),
        # −Σ v where the last losses are below the first, else Σ 1/v; v = loss / first loss, 1e6 where it is not finite
        ("convergence", [-(1 + 0.75 + 0.5 + 0.25), 1 + 1 / 2 + 1 / 3 + 1 / 4, 1 + 2 + 3e-6 + 3e-6 - 2 + 0.0]),
    ],
)
def test_measures_of_losses(measure: str, expected: list[float]) -> None:
    losses = np.array([[4, 3, 2, 1], [2, 4, 6, 8], [3, np.nan, np.inf, np.nan]], np.float64)
    if measure != "convergence":
        losses[2, 0] = np.inf if measure == "lowest_loss" else 3.0
        np.testing.assert_array_equal(measured(measure, losses), expected)
        return
    # The last run: v = 1, then 1e6/3 three times, of which the mean is above 1.
    np.testing.assert_allclose(measured(measure, losses), [*expected[:2], 1 + 3 * 3e-6], rtol=1e-15)


def raised(call: Callable[[], object]) -> str:
    with pytest.raises(ChainruleError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("target", ["nan", "inf", "-inf", "x", ""])
def test_a_target_is_a_finite_number(small: Task, target: str) -> None:
    assert raised(lambda: run_points(small, [{"lr": 0.1}], want=Want(measure=f"steps_to:{target}"))) == (
        f"The target of a measure is no finite number.\n  found:    steps_to:{target}\n  expected: steps_to:0.01"
    )


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_rate_beyond_the_precision_diverges_after_one_update(optimizer: str) -> None:
    task = load_task("xor", {"run.precision": "float32", "optimizer": {"name": optimizer, "lr": 1e39}})
    for engine in ("loop", "vmap"):
        outcome = run_points(task, [{"lr": 1e39}, {"lr": 0.1}], steps=4, engine=engine)  # type: ignore[arg-type]
        assert (engine, outcome.steps_run.tolist()) == (engine, [1, 4])
    run = train(task)
    assert (run.progress.step, run.progress.stopped) == (1, "the loss is no longer finite")


def test_another_sweep_is_refused(small: Task, tmp_path: Path) -> None:
    points = [{"lr": 0.1}, {"lr": 0.2}]
    run_points(small, points, steps=2, folder=tmp_path)
    others: list[tuple[str, Callable[[], object]]] = [
        ("points", lambda: run_points(small, [{"lr": 0.1}, {"lr": 0.3}], steps=2, folder=tmp_path)),
        ("number of updates", lambda: run_points(small, points, steps=3, folder=tmp_path)),
        ("engine", lambda: run_points(small, points, steps=2, folder=tmp_path, engine="loop")),
        ("what is wanted", lambda: run_points(small, points, steps=2, folder=tmp_path, want=Want(gradients=True))),
        ("task", lambda: run_points(load_task(small, {"seed": 1}), points, steps=2, folder=tmp_path)),
    ]
    for name, call in others:
        with pytest.raises(CheckpointError) as caught:
            call()
        assert str(caught.value) == (
            "The folder holds the parts of another sweep.\n"
            f"  where:    {tmp_path}\n"
            f"  found:    changed: {name}\n"
            "  expected: the sweep that was begun here, with nothing changed\n"
            "Choose another folder, or delete this one."
        )


def test_a_damaged_part_is_computed_again(small: Task, tmp_path: Path) -> None:
    points = [{"lr": 0.1}, {"lr": 0.2}]
    whole = run_points(small, points, steps=2, folder=tmp_path)
    (part,) = (tmp_path / "parts").iterdir()
    part.write_bytes(part.read_bytes()[:-3])
    again = run_points(small, points, steps=2, folder=tmp_path)
    assert same_bits(again, whole)
    assert "The part 00000-000000.safetensors was damaged, and was computed again." in again.notes


@pytest.mark.parametrize("place", [-1, -9, -40])
def test_a_part_with_one_changed_byte_is_computed_again(small: Task, place: int, tmp_path: Path) -> None:
    points = [{"lr": 0.1}, {"lr": 0.2}]
    whole = run_points(small, points, steps=2, folder=tmp_path)
    (part,) = (tmp_path / "parts").iterdir()
    written = part.read_bytes()
    changed = bytearray(written)
    changed[place] ^= 1
    part.write_bytes(changed)
    again = run_points(small, points, steps=2, folder=tmp_path)
    assert same_bits(again, whole)
    assert "The part 00000-000000.safetensors was damaged, and was computed again." in again.notes
    assert part.read_bytes() == written
    assert run_points(small, points, steps=2, folder=tmp_path).notes == ()


@pytest.mark.parametrize(("text", "reason"), [("{{{", "Expecting property name enclosed in double quotes: line 1 "
                                               "column 2 (char 1)"), ("[1, 2]", "no table of digests")])  # fmt: skip
def test_a_folder_that_does_not_say_of_which_sweep_it_is(small: Task, text: str, reason: str, tmp_path: Path) -> None:
    points = [{"lr": 0.1}, {"lr": 0.2}]
    whole = run_points(small, points, steps=2, folder=tmp_path)
    (tmp_path / "sweep.json").write_text(text)
    assert raised(lambda: run_points(small, points, steps=2, folder=tmp_path)) == (
        "The folder does not say of which sweep its parts are.\n"
        f"  where:    {tmp_path / 'sweep.json'}\n"
        f"  found:    it cannot be read: {reason}\n"
        "  expected: the file as it was written\n"
        "A disk, a copy or an editor changed it: chainrule itself writes it whole or not at all.\n"
        "Delete this file and start the sweep again: the parts that belong to it are kept."
    )
    (tmp_path / "sweep.json").unlink()
    again = run_points(small, points, steps=2, folder=tmp_path)
    assert same_bits(again, whole)
    assert again.why == "It computed the parts that were there already."


def test_stop_rules_are_passed_over_and_it_is_said(small: Task) -> None:
    task = load_task(small, {"stop": {"epochs": 4, "target_loss": 10.0}})
    outcome = run_points(task, [{"lr": 0.1}])
    assert outcome.steps_run.tolist() == [4]
    assert outcome.notes == (
        "Every run takes the same number of updates; stop.target_loss = 10 of the task would end some sooner.",
    )


def test_what_cannot_be_run_is_refused(small: Task) -> None:
    assert raised(lambda: run_points(small, [])) == (
        "There is nothing to run.\n  found:    no points\n  expected: at least one"
    )
    assert raised(lambda: run_points(small, [{"lr": 0.1}, {"seed": 1}])) == (
        "All points of a sweep have the same keys.\n  where:    point 1\n  found:    seed\n  expected: lr"
    )
    assert raised(lambda: run_points(small, [{"lr": 0.1}], want=Want(test=True))) == (
        "There is no test part to look at.\n"
        "  where:    data.test\n"
        "  found:    0\n"
        "  expected: the share of the samples that is held out\n"
        "Say for example data.test = 0.2."
    )
    assert raised(lambda: run_points(small, [{"stop.epochs": 3}])) == (
        "Every run of a sweep has the same number of updates.\n"
        "  where: stop.epochs\n"
        "Say how many with steps, and leave the stop rules as they are."
    )
    assert raised(lambda: run_points(small, [{"lr.2": 3.0}])) == (
        "The model has no weight layer 2.\n"
        "  where:    lr.2\n"
        "  found:    2\n"
        "  expected: one of 0 (hidden1.weight, hidden1.bias); 1 (output.weight, output.bias)"
    )
    assert raised(lambda: run_points(small, [{"lr": -1.0}])).startswith("The task cannot be trained as it is written.")
    assert raised(lambda: run_points(small, [{"learning_rate": 0.1}])).startswith(
        "There is no hyperparameter 'learning_rate'.\n  found:    learning_rate\n  expected: one of amsgrad, beta1, "
    )
    layers = [{"model.layers": [4, 1]}, {"model.layers": [5, 1]}]
    with pytest.raises(TaskError, match=r"The parameters of these runs have no common shape"):
        run_points(small, layers, steps=2, want=Want(parameters=True))
    assert run_points(small, layers, steps=2).losses is not None
    batches = grid(Axis("data.batch_size", (1, 2)))
    assert raised(lambda: run_points(small, batches)) == (
        "The runs of a sweep would have different numbers of updates.\n"
        "  found:    12, 24\n"
        "  expected: one number for all\n"
        "Say how many with steps."
    )


def test_generators_and_threads_are_left_as_they_were(small: Task) -> None:
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    for engine in ("loop", "vmap"):
        run_points(small, [{"lr": 0.1, "seed": 3}], steps=2, engine=engine, want=EVERYTHING)  # type: ignore[arg-type]
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_an_engine_that_computes_otherwise_is_not_trusted(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    train = VmapEngine.train

    def wrong(self: VmapEngine, *arguments: Any) -> Any:
        trained = train(self, *arguments)
        trained.losses[:, 1] *= 1.001  # type: ignore[index]
        return trained

    monkeypatch.setattr(VmapEngine, "train", wrong)
    text = raised(lambda: run_points(small, [{"lr": 0.1}, {"lr": 0.2}], steps=3, engine="vmap"))
    assert text.startswith("The vmap engine cannot compute this sweep.\n  found: engine vmap\nIts loss of step 1 is ")


KILLED = """
import sys
from pathlib import Path
from chainrule.sweeps import grid, parse_axis, run_points, tiles
from chainrule.tasks import load_task
tiles._SECONDS = 0.05
task = load_task("xor", {"run.precision": "float64", "stop": {"epochs": 60}})
run_points(task, grid(parse_axis("lr", "log:1e-3:1:60")), engine="loop", folder=Path(sys.argv[1]))
"""


@pytest.mark.long
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT", "SIGTERM"])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_a_killed_sweep_goes_on_to_the_same_bits(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    while len(list((tmp_path / "parts").glob("*.safetensors"))) < 3 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(getattr(signal, name))
    process.wait()
    found = list((tmp_path / "parts").glob("*.safetensors"))
    monkeypatch.setattr(tiles, "_SECONDS", 0.05)
    task = load_task("xor", {"run.precision": "float64", "stop": {"epochs": 60}})
    points = grid(parse_axis("lr", "log:1e-3:1:60"))
    again = run_points(task, points, engine="loop", folder=tmp_path)
    assert 3 <= len(found) < len(list((tmp_path / "parts").glob("*.safetensors")))
    assert same_bits(again, run_points(task, points, engine="loop"))
    assert json.loads((tmp_path / "sweep.json").read_text())["engine"] == "loop"
