"""The names of what can vary: a task's own keys, short names for the common ones, and what a task has no key for.

Keys are used in one spelling: "optimizer.lr" for "lr", "optimizer.betas.0" for "beta1". Beside the dotted keys of a
task there are

    lr.N            the learning rate of weight layer N, counted from 0 at the inputs
    init.scale      a factor of every initial weight matrix; init.scale.N of that of one layer
    init.offset     added to every initial weight matrix, after the factor; init.offset.N to that of one layer
    buffer.NAME     the first value of every element of a buffer of the model that holds floats, such as a number that a
                    module of the user's own reads in its forward pass
"""

import inspect
import re
from collections.abc import Sequence
from typing import Any

from chainrule.errors import Problem, TaskError, UnknownNameError
from chainrule.registry import OPTIMIZERS
from chainrule.tasks import Task, load_task

_SHORT = {"beta1": "optimizer.betas.0", "beta2": "optimizer.betas.1"}
_TABLES = ("data", "model", "loss", "optimizer", "schedule", "penalty", "run")
_WHOLE = ("seed", "loss", "optimizer", "schedule")
LAYER_RATE = re.compile(r"lr\.(\d+)")
INITIAL = re.compile(r"init\.(scale|offset)(?:\.(\d+))?")
BUFFER = re.compile(r"buffer\.(.+)")
_STRENGTH = re.compile(r"penalty\.\d+\.strength")
_ITEM = re.compile(r"optimizer\.(\w+)\.(\d+)")


def canonical_key(key: str, task: Task) -> str:
    """Return the one spelling of a key that can vary.

    Raises:
        UnknownNameError: nothing has that name; says which are near.
        TaskError: what the key says is the same for all runs of a sweep.
    """
    if key == "epochs" or key.partition(".")[0] == "stop":
        raise TaskError(
            what="Every run of a sweep has the same number of updates.",
            where=key,
            next_step="Say how many with steps, and leave the stop rules as they are.",
        )
    if key in _SHORT or key in (arguments := optimizer_arguments(task)):
        return _SHORT.get(key, f"optimizer.{key}")
    if key in _WHOLE or is_beside_the_task(key):
        return key
    table, dot, _ = key.partition(".")
    if dot and table in _TABLES:
        return key
    known = [*arguments, *_SHORT, "seed", "lr.0", "init.scale", "init.offset", "init.offset.0", "penalty.0.strength"]
    raise UnknownNameError.unknown_name("hyperparameter", key, [*known, *_dotted(task)])


def is_beside_the_task(key: str) -> bool:
    """Return whether a key names what a task has no key for: it is put in after the task's own values."""
    return any(form.fullmatch(key) for form in (LAYER_RATE, INITIAL, BUFFER))


def is_initial(key: str) -> bool:
    """Return whether runs that differ in a key alone begin with other weights or buffers."""
    return key == "seed" or bool(INITIAL.fullmatch(key) or BUFFER.fullmatch(key))


def optimizer_arguments(task: Task) -> dict[str, Any]:
    """Return the arguments of a task's optimizer with the values in force: the task's own, or torch's defaults."""
    parameters = inspect.signature(OPTIMIZERS[task.optimizer.name]).parameters
    given = {name: item.default for name, item in parameters.items() if name != "params"}
    return given | task.optimizer.arguments


def is_batched(key: str, values: Sequence[Any]) -> bool:
    """Return whether runs that differ in a key alone can be computed side by side, as one network with other numbers.

    Args:
        key: in its one spelling.
        values: that it takes.
    """
    if key == "seed" or is_beside_the_task(key) or _STRENGTH.fullmatch(key):
        return True
    are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    return key.startswith("optimizer.") and key != "optimizer.name" and are_numbers


def with_values(task: Task, changes: dict[str, Any]) -> Task:
    """Return the task with some of its keys changed; keys that a task does not have are passed over.

    Args:
        task: what is changed.
        changes: new values by key, in its one spelling.

    Raises:
        TaskError: a value cannot be used.
    """
    own: dict[str, Any] = {}
    for key, value in changes.items():
        if is_beside_the_task(key):
            continue
        if item := _ITEM.fullmatch(key):
            whole = f"optimizer.{item[1]}"
            pair = list(own.get(whole, optimizer_arguments(task).get(item[1]) or ()))
            if int(item[2]) >= len(pair):
                problem = Problem(key, repr(value), f"a position below {len(pair)}" if pair else "no such argument")
                raise TaskError(what="The task cannot be trained as it is written.", problems=(problem,))
            pair[int(item[2])] = value
            own[whole] = pair
        else:
            own[key] = value
    return load_task(task, own) if own else task


def _dotted(task: Task) -> list[str]:
    """Return the dotted keys of a task's tables, for near misses."""
    found = []
    for table, spec in task:
        if table in _TABLES and hasattr(type(spec), "model_fields"):
            found += [f"{table}.{name}" for name in type(spec).model_fields]
            found += [f"{table}.{name}" for name in getattr(spec, "arguments", {}) or {} if table != "model"]
    return [key for key in found if not key.endswith(".arguments")]
