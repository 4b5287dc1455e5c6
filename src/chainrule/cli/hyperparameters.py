"""Hyperparameters as options: --lr, --lr.0, --momentum, --init.scale, --model.activation."""

from collections.abc import Sequence

from chainrule.cli.overrides import WHOLE_KEYS
from chainrule.cli.usage import unknown_option
from chainrule.errors import UnknownNameError, did_you_mean
from chainrule.sweeps.keys import canonical_key
from chainrule.tasks import Task


def is_task_key(key: str) -> bool:
    """Whether a task has a key of that name; keys that only many runs have begin with lr., init. or buffer."""
    table, dot, _ = key.partition(".")
    return key in WHOLE_KEYS or (bool(dot) and table in WHOLE_KEYS)


def canonical_option(key: str, task: Task, options: Sequence[str], command: str) -> str:
    """Return the whole key of an option: "optimizer.lr" of "lr".

    Args:
        key: as it was typed, without dashes.
        task: whose hyperparameters they are.
        options: the other options of the command, which may have been meant.
        command: its name.

    Raises:
        UnknownNameError: nothing has that name; the near misses are listed.
    """
    try:
        return canonical_key(key, task)
    except UnknownNameError:
        if did_you_mean(key, options):
            raise unknown_option(f"--{key}", [f"--{name}" for name in options], command) from None
        raise
