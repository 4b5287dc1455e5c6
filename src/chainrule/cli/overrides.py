"""Keys of a task on the command line: `--optimizer.lr .1` or `--seed 3`, taken out before the options are read."""

from collections.abc import Collection, Sequence

from chainrule.errors import TaskError

# Keys of a task that have no dot, tables among them. --device and --precision are short for keys with a dot.
WHOLE_KEYS = (
    "name",
    "description",
    "seed",
    "data",
    "model",
    "loss",
    "optimizer",
    "schedule",
    "penalty",
    "stop",
    "run",
    "map",
)
SWEEP_OPTIONS = ("steps", "engine", "scale", "output", "resume", "json", "quiet", "help")
"""The options of `chainrule sweep`; every other name is a hyperparameter."""
MAP_OPTIONS = (
    "x",
    "y",
    "resolution",
    "measure",
    "zoom",
    "steps",
    "engine",
    "scale",
    "output",
    "resume",
    "json",
    "quiet",
    "help",
)
"""The options of `chainrule map`; every other name is a hyperparameter."""
SHORT = {"device": "run.device", "precision": "run.precision", "epochs": "stop.epochs", "lr": "optimizer.lr"}


def split_overrides(tokens: Sequence[str], options: Collection[str] | None = None) -> tuple[list[str], dict[str, str]]:
    """Return the tokens that are not overrides, and the overrides by dotted key.

    Args:
        tokens: the command line.
        options: of a command that takes any name as a key but its own options: their names.

    Raises:
        TaskError: an override has no value.
    """
    rest: list[str] = []
    changes: dict[str, str] = {}
    remaining = list(tokens)
    while remaining:
        token = remaining.pop(0)
        name, equals, value = token.removeprefix("--").partition("=")
        if not token.startswith("--") or not (_is_override(name) if options is None else name not in options):
            rest.append(token)
            continue
        if not equals:
            if not remaining or remaining[0].startswith("--"):
                raise TaskError(
                    what=f"The option --{name} has no value.",
                    found=remaining[0] if remaining else "nothing after it",
                    expected=f"--{name} VALUE, such as --optimizer.lr 0.1",
                )
            value = remaining.pop(0)
        changes[SHORT.get(name, name)] = value
    return rest, changes


def _is_override(name: str) -> bool:
    return "." in name or name in WHOLE_KEYS or name in SHORT
