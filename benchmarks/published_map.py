"""Six maps of trainability: the author's own code and chainrule, on the same weights, data and draws.

The published map ("The boundary of neural network trainability is fractal", arXiv:2402.06184) was computed by a
notebook, which is not part of chainrule: say where it lies. Its cells with the network, the training, the measure and
the image are run as they are; only the sizes are set, as its own first cell has them. JAX is needed for it.

    python benchmarks/published_map.py --peer NOTEBOOK [--resolution 64] [--steps 500] [--conditions tanh,relu]
                                       [--scan] [--phases] [--freeze FILE]

For each condition it prints

    away       the share of pixels of equal phase, among those whose eight neighbours in the author's map all have the
               phase of the pixel itself; how many these are
    clear      the same among those that are so in both maps
    all        the same over all pixels
    measure    of the relative differences of the convergence measure over calm pixels the median, the share below
               1e-6, and the largest; and how many pixels are calm: those where initial weights that are larger, or
               smaller, by a relative 1e-12 move chainrule's own measure by less than a relative 1e-9. Elsewhere
               training is chaotic, and no two programs agree

The phase is the author's: converged when the mean of the last 20 losses is below the first. His code means to put 1e6
where a loss is not finite, but multiplies by zero there, so that the measure of such a run is NaN. It counts as
diverged, and the measure is compared with what his formula gives with 1e6 in place.

--scan runs the author's training step inside jax.lax.scan, 16 pixels at a time, which is faster; it first shows by how
much the measures then differ from those of his own loop, on a map of 16 × 16. --phases leaves out which
pixels are calm, which costs two more maps of chainrule's. --freeze writes the numbers of the author's code to a .npz
file.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from numpy.typing import NDArray

from chainrule.sweeps import Want, run_points
from chainrule.task_files import keys_of
from chainrule.tasks import load_task
from chainrule.tensor_files import pack_tensors

Numbers = NDArray[np.float64]

CONDITIONS: dict[str, dict[str, Any]] = {
    "tanh": {},
    "relu": {"nonlinearity": "relu"},
    "identity": {"nonlinearity": "identity"},
    "single": {"dataset_param_multiple": "single_datapoint"},
    "minibatch": {"minibatch_size": 16},
    "initialisation": {"phase_space": "paraminit_vs_lr"},
}
"""What each condition sets otherwise than the first, under the notebook's own names."""
USUAL = {
    "width": 16, "depth": 2, "dataset_param_multiple": 1.0, "minibatch_size": None, "target_dim": 1,
    "nonlinearity": "tanh", "phase_space": "lr_vs_lr", "readout": "loss", "default_resolution": 512,
}  # fmt: skip
CELLS = ("def net(theta, X)", "def convergence_measure(v, max_val", "def gen_img(")
WINDOW = (-3, 6, -3, 6)
CAP, LATE = 1e6, 20
PIXELS_OF_A_SCAN = 16


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """What the author's code was given and what it found.

    Attributes:
        points: (pixels, 2): the hyperparameters of x and of y, row after row of the image.
        measure: (pixels,), as his code has it.
        losses: (pixels, steps).
        weights: W0 (inputs, hidden) and W1 (hidden, outputs).
        inputs: (samples, 16).
        targets: (samples, 1).
        rows: (steps, 16), the samples of each minibatch; None in full batch.
        seconds: of the processor.
    """

    points: Numbers
    measure: Numbers
    losses: Numbers
    weights: list[Numbers]
    inputs: Numbers
    targets: Numbers
    rows: NDArray[np.int64] | None
    seconds: float


def notebook_namespace(notebook: Path, condition: str, steps: int) -> dict[str, Any]:
    """Run the cells of the notebook that compute a map, and return their names."""
    jax.config.update("jax_enable_x64", True)
    if not hasattr(jax, "tree_map"):
        jax.tree_map = jax.tree.map  # its name before JAX 0.6
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    texts = ["".join(cell["source"]) for cell in cells]
    space: dict[str, Any] = {"jax": jax, "jnp": jnp, "np": np, "opt_steps": steps} | USUAL | CONDITIONS[condition]
    for start in CELLS:
        (text,) = [text for text in texts if start in text]
        exec(compile(text, f"{notebook.name}: {start}", "exec"), space)  # noqa: S102 - the author's code, as it is
    return space


def run_author(notebook: Path, condition: str, resolution: int, steps: int, scan: bool) -> Published:
    """Compute a map with the author's code and keep what it was computed from."""
    space = notebook_namespace(notebook, condition, steps)
    found: dict[str, Any] = {"losses": []}
    train, measured = space["train"], space["convergence_measure_vmap"]

    def keeping_losses(losses: Any) -> Any:
        found["losses"].append(np.asarray(losses))
        return measured(losses)

    def keeping_arguments(theta: Any, points: Any, inputs: Any, targets: Any, number: int) -> Any:
        if "theta" not in found:  # his training calls itself by name for the parts of a large map
            found.update(theta=theta, points=points, inputs=inputs, targets=targets)
        by = scanned(space) if scan else train
        return by(theta, points, inputs, targets, number)

    space["convergence_measure_vmap"] = keeping_losses
    space["train"] = keeping_arguments
    begun = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = np.asarray(space["gen_img"](WINDOW, resolution))
    seconds = time.process_time() - begun
    rows = None
    if space["minibatch_size"] is not None:
        keys = jax.random.split(jax.random.PRNGKey(42), steps)
        shape = (space["minibatch_size"],)
        draws = [jax.random.randint(key, shape, 0, found["inputs"].shape[0]) for key in keys]
        rows = np.asarray(jnp.stack(draws), np.int64)
    return Published(
        points=np.asarray(found["points"], np.float64),
        measure=image.reshape(-1),
        losses=np.concatenate(found["losses"]),
        weights=[np.asarray(weight) for weight in found["theta"]],
        inputs=np.asarray(found["inputs"]),
        targets=np.asarray(found["targets"]),
        rows=rows,
        seconds=seconds,
    )


def scanned(space: dict[str, Any]) -> Callable[..., Any]:
    """Return the author's training with his own step inside a scan, a few pixels at a time."""

    def train(theta: Any, points: Any, inputs: Any, targets: Any, steps: int) -> Any:
        keys = jax.random.split(jax.random.PRNGKey(42), steps)

        def one_run(point: Any) -> Any:
            def step(theta: Any, key: Any) -> tuple[Any, Any]:
                new, value = space["train_step"](key, theta, point, inputs, targets)
                return new, value

            return jax.lax.scan(step, theta, keys)[1]

        some = jax.jit(jax.vmap(one_run))
        parts = [
            np.asarray(some(points[first : first + PIXELS_OF_A_SCAN]))
            for first in range(0, len(points), PIXELS_OF_A_SCAN)
        ]
        return space["convergence_measure_vmap"](jnp.asarray(np.concatenate(parts)))

    return train


def run_chainrule(condition: str, author: Published, steps: int, scale: float = 1.0) -> tuple[Numbers, str, float]:
    """Compute the same map with chainrule: the measure of each pixel, the engine, and seconds of the processor."""
    name = f"fractal-{condition}"
    sides = [keys_of(name)[0]["map"][side].partition("=")[0] for side in ("x", "y")]
    with tempfile.TemporaryDirectory() as folder:
        changes: dict[str, Any] = {"stop.steps": steps, "stop.epochs": steps}
        files: dict[str, dict[str, NDArray[Any]]] = {
            "data.source": {"inputs": author.inputs, "targets": author.targets},
            "model.initial": {"hidden_weight": author.weights[0].T, "output_weight": author.weights[1].T},
        }
        if author.rows is not None:
            files["data.order"] = {"rows": author.rows}
            changes["data.sampling"] = "in_turn"
        if condition == "initialisation":  # a buffer of the module: the file has the parameters alone
            changes["model.arguments.step_offset"] = 0.0
        for key, arrays in files.items():
            path = Path(folder) / f"{key}.safetensors"
            tensors = {each: torch.from_numpy(np.array(value)) for each, value in arrays.items()}
            path.write_bytes(pack_tensors(tensors))
            changes[key] = str(path)
        keys = keys_of(name)[0]
        del keys["data"]["samples"], keys["data"]["features"]
        task = load_task(keys, changes)
        points = [dict(zip(sides, point, strict=True)) for point in author.points.tolist()]
        if scale != 1.0:
            points = [point | {"init.scale": scale} for point in points]
        begun = time.process_time()
        outcome = run_points(task, points, want=Want(losses=False, measure="convergence"))
        seconds = time.process_time() - begun
    assert outcome.measure is not None
    return outcome.measure, outcome.engine, seconds


def meant_measure(losses: Numbers) -> Numbers:
    """Return the author's measure with 1e6 where a loss is not finite: (pixels,) of (pixels, steps)."""
    with np.errstate(all="ignore"):
        values = np.where(np.isfinite(losses), losses, CAP)
        values = np.minimum(values / values[:, :1], CAP)
        has_converged = values[:, -LATE:].mean(axis=1) < 1
        return np.asarray(np.where(has_converged, -values.sum(axis=1), (1 / values).sum(axis=1)))


def is_away(has_converged: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which pixels of an image have eight neighbours (fewer at its sides) of their own phase."""
    padded = np.pad(has_converged, 1, mode="edge")
    side = len(has_converged)
    shifted = [padded[row : row + side, column : column + side] for row in range(3) for column in range(3)]
    return np.asarray(np.all([each == has_converged for each in shifted], axis=0))


def compare(condition: str, author: Published, resolution: int, steps: int, *, is_of_phases: bool) -> str:
    """Compute the map again with chainrule and return the line that says how the two agree."""
    ours, engine, seconds = run_chainrule(condition, author, steps)
    shape = (resolution, resolution)
    theirs = author.measure.reshape(shape) < 0  # NaN is not
    mine = ours.reshape(shape) < 0
    is_equal = theirs == mine
    away = is_away(theirs)
    clear = away & is_away(mine)
    lost = int(np.isnan(author.measure).sum())
    parts = [
        f"{condition:15s} away {is_equal[away].mean():9.4%} of {away.sum():6d}",
        f"clear {is_equal[clear].mean():9.4%} of {clear.sum():6d}",
        f"all {is_equal.mean():9.4%} of {is_equal.size}",
        "" if is_of_phases else of_measures(condition, author, steps, ours),
        f"converged {theirs.mean():.3f}",
        f"NaN {lost}",
        f"author {author.seconds:.0f} s, {engine} {seconds:.1f} s",
    ]
    return "   ".join(filter(None, parts))


def of_measures(condition: str, author: Published, steps: int, ours: Numbers) -> str:
    """Return how far the measures are apart where training is not chaotic."""
    moved = [run_chainrule(condition, author, steps, scale)[0] for scale in (1 + 1e-12, 1 - 1e-12)]
    calm = np.max([np.abs(each / ours - 1) for each in moved], axis=0) < 1e-9
    difference = np.abs(ours / meant_measure(author.losses) - 1)[calm]
    return (
        f"measure {np.median(difference):.0e}, {(difference < 1e-6).mean():.3%} below 1e-6, {difference.max():.0e} over"
        f" {calm.sum():6d} calm"
    )


def show_scan(notebook: Path, conditions: list[str], steps: int) -> None:
    """Print how far the author's step inside a scan is from his own loop."""
    for condition in conditions:
        own = run_author(notebook, condition, 16, steps, scan=False)
        other = run_author(notebook, condition, 16, steps, scan=True)
        same = np.array_equal(own.measure, other.measure, equal_nan=True)
        with np.errstate(all="ignore"):
            worst = np.nanmax(np.abs(other.measure / own.measure - 1))
        phases = (own.measure < 0) == (other.measure < 0)
        words = f"measures differ by {worst:.1e} at most, phases equal {phases.mean():.4%}"
        words = "the same bit for bit" if same else words
        print(f"scan beside the author's loop, {condition}, 16 × 16, {steps} steps: {words}", flush=True)


def freeze(file: Path, found: dict[str, Published], resolution: int, steps: int) -> None:
    """Write the numbers of the author's code, in float64; what is as in the first condition is not written again."""
    arrays: dict[str, Any] = {"resolution": np.array(resolution), "steps": np.array(steps)}
    for condition, author in found.items():
        own: dict[str, NDArray[Any]] = {
            "points": author.points,
            "measure": author.measure,
            "meant": meant_measure(author.losses),
            "inputs": author.inputs,
            "targets": author.targets,
            "hidden_weight": author.weights[0].T,
            "output_weight": author.weights[1].T,
        }
        if author.rows is not None:
            own["rows"] = author.rows
        first = next(iter(found))
        arrays |= {
            f"{condition}.{name}": value
            for name, value in own.items()
            if condition == first or not np.array_equal(value, arrays.get(f"{first}.{name}", ()), equal_nan=True)
        }
    np.savez_compressed(file, **arrays)


def main() -> None:
    """Read the command line and print a line for each condition."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--conditions", default=",".join(CONDITIONS))
    parser.add_argument("--scan", action="store_true")
    parser.add_argument("--phases", action="store_true")
    parser.add_argument("--freeze", type=Path)
    given = parser.parse_args()
    conditions = given.conditions.split(",")
    versions = ", ".join(f"{name} {version(name)}" for name in ("jax", "torch", "llvmlite", "numpy"))
    size = f"{given.resolution} × {given.resolution} pixels, {given.steps} steps"
    print(f"{size}; {versions}; Python {sys.version.split()[0]}")
    if given.scan:
        show_scan(given.peer, conditions, given.steps)
    found = {}
    for condition in conditions:
        author = run_author(given.peer, condition, given.resolution, given.steps, given.scan)
        found[condition] = author
        print(compare(condition, author, given.resolution, given.steps, is_of_phases=given.phases), flush=True)
    if given.freeze is not None:
        freeze(given.freeze, found, given.resolution, given.steps)


if __name__ == "__main__":
    main()
