"""The six conditions of the published map: chainrule's maps are those of the author's code.

`published_map.npz` holds numbers alone: what the author's notebook (github.com/Sohl-Dickstein/fractal at commit
1074e4ed16e2762e9253707b9bf63352734f31c6) was given and found, at 24 × 24 pixels and 60 steps, unchanged but for these
sizes, with JAX 0.10.2 in float64. Written by

    python benchmarks/published_map.py --peer NOTEBOOK --resolution 24 --steps 60 \\
        --freeze tests/sweeps/published_map.npz
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from chainrule.sweeps import Want, run_points
from chainrule.sweeps.maps import usual_axes
from chainrule.task_files import keys_of
from chainrule.tasks import Task, load_task
from chainrule.tensor_files import pack_tensors

CONDITIONS = ("tanh", "relu", "identity", "single", "minibatch", "initialisation")
NUDGE, CALM = 1e-12, 1e-9
# Of the measure on calm pixels. The initialisation adds its offset k times, the author once and once again.
AGREEMENT = dict.fromkeys(CONDITIONS, 1e-9) | {"initialisation": 1e-6}

with np.load(Path(__file__).parent / "published_map.npz") as file:
    FROZEN = dict(file)


def author(condition: str, name: str) -> NDArray[Any]:
    """Return what the author's code was given or found; what is as in the first condition is there once."""
    own = f"{condition}.{name}"
    return FROZEN[own if own in FROZEN else f"tanh.{name}"]


def side() -> int:
    return int(FROZEN["resolution"])


def task_of(condition: str, folder: Path) -> Task:
    """Return the built-in task with the weights, the data and the draws of the author."""
    keys = keys_of(f"fractal-{condition}")[0]
    keys["data"] = {"inputs": author(condition, "inputs"), "targets": author(condition, "targets")}
    weights = {name: torch.from_numpy(author(condition, name)) for name in ("hidden_weight", "output_weight")}
    (folder / "weights.safetensors").write_bytes(pack_tensors(weights))
    keys["model"]["initial"] = str(folder / "weights.safetensors")
    if condition == "minibatch":
        rows = torch.from_numpy(author(condition, "rows"))
        (folder / "rows.safetensors").write_bytes(pack_tensors({"rows": rows}))
        keys["data"] |= {"order": str(folder / "rows.safetensors"), "batch_size": 16}
    return load_task(keys, {"stop.steps": int(FROZEN["steps"])})


def points_of(task: Task, condition: str) -> list[dict[str, float]]:
    assert task.map is not None
    keys = [each.partition("=")[0] for each in (task.map.x, task.map.y)]
    return [dict(zip(keys, point, strict=True)) for point in author(condition, "points").tolist()]


def is_away(phase: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pixels have neighbours of their own phase alone."""
    padded = np.pad(phase, 1, mode="edge")
    rows, columns = phase.shape
    return np.all([padded[i : i + rows, j : j + columns] == phase for i in range(3) for j in range(3)], axis=0)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_phase_and_measure_are_those_of_the_authors_code(condition: str, tmp_path: Path) -> None:
    task = task_of(condition, tmp_path)
    points = points_of(task, condition)
    nudged = [point | {"init.scale": scale} for scale in (1.0, 1.0 + NUDGE) for point in points]
    outcome = run_points(task, nudged, want=Want(losses=False, measure="convergence"))
    assert outcome.measure is not None
    assert outcome.engine == "lanes"
    ours, moved = np.split(outcome.measure, 2)
    theirs = author(condition, "measure") < 0  # NaN where a loss was not finite, which is not below 0
    away = is_away(theirs.reshape(side(), side())).ravel()
    assert away.sum() > 0.7 * len(theirs)
    assert np.array_equal((ours < 0)[away], theirs[away])
    assert ((ours < 0) == theirs).mean() > 0.99
    calm = np.abs(moved / ours - 1) < CALM
    assert calm.mean() > 0.7
    np.testing.assert_allclose(ours[calm], author(condition, "meant")[calm], rtol=AGREEMENT[condition])


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_axes_of_the_task_are_those_of_the_author(condition: str) -> None:
    x, y = usual_axes(load_task(f"fractal-{condition}"), side())
    points = author(condition, "points").reshape(side(), side(), 2)
    np.testing.assert_allclose(np.array(x.values), points[0, :, 0], rtol=1e-14)
    np.testing.assert_allclose(np.array(y.values), points[:, 0, 1], rtol=1e-14)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_sizes_of_the_task_are_those_of_the_author(condition: str) -> None:
    task = load_task(f"fractal-{condition}")
    samples, features = author(condition, "inputs").shape
    assert (task.data.samples, task.data.features, task.data.source) == (samples, features, "gaussian")
    assert (task.data.batch_size, task.run.precision, task.stop.steps) == (
        16 if condition == "minibatch" else "full",
        "float64",
        500,
    )


def test_the_frozen_numbers_have_both_phases_and_losses_that_are_not_finite() -> None:
    for condition in CONDITIONS:
        share = (author(condition, "measure") < 0).mean()
        assert 0.2 < share < 0.8
    assert np.isnan(author("single", "measure")).any()
    assert np.isfinite(author("single", "meant")).all()
