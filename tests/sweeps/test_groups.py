"""Keys that can vary in one spelling, and points that can be computed side by side."""

from typing import Literal

import numpy as np
import pytest

from chainrule.errors import ChainruleError
from chainrule.sweeps import grid, parse_axis, run_points
from chainrule.sweeps.groups import groups_of
from chainrule.sweeps.keys import canonical_key, with_values
from chainrule.tasks import load_task


@pytest.mark.parametrize(
    ("key", "canonical"),
    [
        ("lr", "optimizer.lr"), ("optimizer.lr", "optimizer.lr"), ("weight_decay", "optimizer.weight_decay"),
        ("beta2", "optimizer.betas.1"), ("lr.0", "lr.0"), ("init.offset.1", "init.offset.1"), ("seed", "seed"),
        ("buffer.a.b", "buffer.a.b"),
        ("model.activation", "model.activation"), ("penalty.0.strength", "penalty.0.strength"), ("loss", "loss"),
    ],
)  # fmt: skip
def test_keys_have_one_spelling(key: str, canonical: str) -> None:
    task = load_task("iris")
    assert canonical_key(key, task) == canonical
    assert canonical_key(canonical, task) == canonical


@pytest.mark.parametrize(
    ("key", "near"), [("weigth_decay", "weight_decay"), ("lr0", "lr"), ("batch_size", "data.batch_size")]
)
def test_an_unknown_key_names_a_near_one(key: str, near: str) -> None:
    with pytest.raises(ChainruleError) as caught:
        canonical_key(key, load_task("iris"))
    assert str(caught.value).startswith(f"There is no hyperparameter '{key}'.\n")
    assert near in caught.value.expected.removeprefix("one of ").split(", ")


def test_a_pair_is_changed_in_its_place() -> None:
    task = load_task("iris")
    assert with_values(task, {"optimizer.betas.0": 0.5}).optimizer.arguments["betas"] == [0.5, 0.999]
    both = with_values(task, {"optimizer.betas.1": 0.9, "optimizer.betas.0": 0.5, "lr.0": 3.0})
    assert both.optimizer.arguments["betas"] == [0.5, 0.9]
    assert with_values(task, {"init.scale": 2.0}) == task


@pytest.mark.parametrize("engine", ["loop", "vmap", "lanes"])
def test_a_buffer_varies_from_run_to_run(engine: Literal["loop", "vmap", "lanes"]) -> None:
    task = load_task("fractal-initialisation", {"data.samples": 20})
    values = [0.0, 0.5, -2.0]
    points = [{"buffer.step_offset": value, "lr": 0.5} for value in values]
    found = run_points(task, points, steps=6, engine=engine).losses
    assert found is not None
    for value, losses in zip(values, found, strict=True):
        alone = load_task(task, {"model.arguments.step_offset": value, "optimizer.lr": 0.5})
        expected = run_points(alone, [{"seed": 0}], steps=6, engine="loop").losses
        assert expected is not None
        np.testing.assert_allclose(losses, expected[0], rtol=1e-13)


@pytest.mark.parametrize(
    ("task", "name", "text"),
    [
        ("fractal-initialisation", "step_ofset", "one of passes, step_offset\nDid you mean 'step_offset'?"),
        ("iris", "step_offset", "a model that has one"),
    ],
)
def test_a_buffer_that_the_model_does_not_have(task: str, name: str, text: str) -> None:
    with pytest.raises(ChainruleError) as caught:
        run_points(load_task(task), [{f"buffer.{name}": 1.0}], steps=2)
    assert str(caught.value) == (
        f"There is no buffer of floats in the model '{name}'.\n  where:    buffer.{name}\n  found:    {name}\n"
        f"  expected: {text}"
    )


def test_groups_partition_the_points() -> None:
    points = grid(parse_axis("lr", ".1,.2"), parse_axis("model.activation", "ReLU,Tanh"), parse_axis("seed", "0,1,2"))
    groups = groups_of(load_task("iris"), points)
    assert sorted(np.concatenate([group.rows for group in groups]).tolist()) == list(range(len(points)))
    assert [group.task.model.activation.name for group in groups] == ["ReLU", "Tanh"]  # type: ignore[union-attr]
    for group in groups:
        for run, row in enumerate(group.rows.tolist()):
            assert group.columns["optimizer.lr"][run] == points[row]["lr"]
            assert group.columns["seed"][run] == points[row]["seed"]
    as_list = groups_of(load_task("iris"), list(points))
    assert [group.rows.tolist() for group in as_list] == [group.rows.tolist() for group in groups]


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"seed": 0.5}, "A point cannot be run.\nseed\n  found:    0.5\n  expected: a whole number"),
        ({"init.scale": "a"}, "A point cannot be run.\ninit.scale\n  found:    'a'\n  expected: a number"),
        ({"lr": 0.1, "optimizer.lr": 0.2}, "The points say twice what 'optimizer.lr' is.\n  found: lr, optimizer.lr"),
        (
            {"optimizer.betas.2": 0.5},
            "The task cannot be trained as it is written.\noptimizer.betas.2\n  found:    0.5\n"
            "  expected: a position below 2",
        ),
    ],
)
def test_values_that_cannot_be_used_are_refused(point: dict[str, object], message: str) -> None:
    with pytest.raises(ChainruleError) as caught:
        groups_of(load_task("iris"), [point])
    assert str(caught.value) == message
