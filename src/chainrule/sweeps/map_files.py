"""A map as a file of NumPy's (.npz), from which it is read again whole. Nothing in it is pickled.

x, y            the values of the axes; texts where they are no numbers
measure, final_loss, diverged, steps_run, is_done, and convergence where it is known
                [row, column], a row for each value of y; NaN where a run was not made, or where a measure is
                steps_to:TARGET and the target was not reached
metadata        a JSON text: the axes, the measure, the task as TOML, the engine, versions
"""

import io
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from chainrule import __version__
from chainrule.errors import TraceFileError
from chainrule.files import write_atomically
from chainrule.sweeps.axes import Axis
from chainrule.sweeps.map_result import Map, MapPlan
from chainrule.tasks import load_task, task_toml

FORMAT: Final = 1
_ARRAYS: Final = ("measure", "final_loss", "diverged", "steps_run", "is_done")


def write_map(found: Map, path: str | Path) -> None:
    """Write a map as an .npz file.

    Raises:
        OutputError: the file cannot be written.
    """
    arrays: dict[str, NDArray[Any]] = {name: getattr(found, name) for name in _ARRAYS}
    if found.convergence is not None and found.plan.measure != "convergence":
        arrays["convergence"] = found.convergence
    metadata = {
        "format": FORMAT,
        "chainrule": __version__,
        "torch": torch.__version__,
        "task": task_toml(found.task),
        "plan": plan_to_dict(found.plan),
        "has_convergence": found.convergence is not None,
        "steps": found.steps,
        "metric_name": found.metric_name,
        "engine": found.engine,
        "why": found.why,
        "notes": list(found.notes),
        "seconds": found.seconds,
    }
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        allow_pickle=False,
        x=np.array(found.plan.x.values),
        y=np.array(found.plan.y.values),
        metadata=np.array(json.dumps(metadata)),
        **arrays,
    )
    write_atomically(Path(path), stream.getvalue())


def read_map(path: str | Path) -> Map:
    """Read a map from the .npz file that `write_map`, or `chainrule map -o FILE.npz`, wrote.

    Raises:
        TraceFileError: it is no such file, or not all of it.
        TaskError: the task in it cannot be trained here.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            metadata = json.loads(str(file["metadata"]))
            plan = plan_from_dict(metadata["plan"])
            arrays = {name: file[name] for name in _ARRAYS}
            convergence = None
            if metadata["has_convergence"]:
                convergence = file["convergence"] if "convergence" in file else arrays["measure"]
            for name, values in arrays.items():
                if values.shape != plan.shape:
                    raise ValueError(f"'{name}' is {values.shape}, and the axes say {plan.shape}")
            keys = tomllib.loads(metadata["task"])
            about = {name: metadata[name] for name in ("steps", "metric_name", "engine", "why", "seconds")}
            notes = tuple(metadata["notes"])
    except (OSError, ValueError, KeyError, TypeError, BadZipFile, EOFError) as error:
        raise TraceFileError(
            what=f"{path} cannot be read as a map.",
            found=f"{type(error).__name__}: {error}",
            expected="the .npz file that `chainrule map -o FILE.npz` wrote",
        ) from None
    return Map(task=load_task(keys), plan=plan, convergence=convergence, notes=notes, **arrays, **about)


def plan_to_dict(plan: MapPlan) -> dict[str, Any]:
    """Return what a map is of as JSON-able data."""
    return {
        "x": _axis_to_dict(plan.x),
        "y": _axis_to_dict(plan.y),
        "fixed": dict(plan.fixed),
        "measure": plan.measure,
        "steps": plan.steps,
        "engine": plan.engine,
    }


def plan_from_dict(data: Mapping[str, Any]) -> MapPlan:
    """Return the plan that `plan_to_dict` made data of.

    Raises:
        KeyError: something is missing.
        TypeError: something is of another kind.
    """
    x, y = (Axis(data[side]["key"], tuple(data[side]["values"]), data[side]["scale"]) for side in ("x", "y"))
    return MapPlan(x, y, dict(data["fixed"]), data["measure"], data["steps"], data["engine"])


def _axis_to_dict(axis: Axis) -> dict[str, Any]:
    return {"key": axis.key, "values": list(axis.values), "scale": axis.scale}
