"""Every error of chainrule, and how it reads.

    ChainruleError
    ├── TaskError              a task (a TOML file, a Task, an override) that cannot be trained
    ├── DataError              data that cannot be read or used
    ├── ShapeError             tensors that PyTorch would broadcast or refuse
    ├── UserModuleError        the user's own module failed; carries the user's traceback
    ├── CheckpointError        a checkpoint that is truncated, of another task or of another version
    ├── TraceFileError         a file that does not hold a trace, or not all of it
    ├── OutputError            a file that cannot be written
    ├── DeviceError            a device or precision that this machine does not have
    ├── ClusterError           a Ray cluster that cannot be used
    ├── UnknownNameError       a name that is not in a list of known names
    └── MissingExtraError      an optional library that is not installed

An error says what is wrong, where, what was found, what was expected, the likely cause and the next step, in that
order; parts that are empty are left out.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

ErrorKind = TypeVar("ErrorKind", bound="ChainruleError")


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the known names that are spelled most like `name`, the nearest first."""
    by_folded = {_folded(candidate): candidate for candidate in known}
    close = difflib.get_close_matches(_folded(name), list(by_folded), n=count + 5, cutoff=0.6)
    # Letters in another order are the commonest slip, and difflib would rather have 'Adamax' than 'Adam' for 'Adma'.
    close.sort(key=lambda folded: sorted(folded) != sorted(_folded(name)))
    return [by_folded[folded] for folded in close[:count]]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the sentence "Did you mean 'x'?" for the nearest known name, or nothing when none is near."""
    close = nearest(name, known, count=1)
    return f"Did you mean '{close[0]}'?" if close else ""


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")


@dataclass(eq=False)
class ChainruleError(Exception):
    """What is wrong, and what to do next.

    Attributes:
        what: one sentence that says what is wrong.
        where: the file, key, line or module.
        found: what was there.
        expected: what would have been right.
        cause: the likely cause, as a sentence.
        next_step: what to do or to type next, as a sentence.
    """

    what: str
    where: str = ""
    found: str = ""
    expected: str = ""
    cause: str = ""
    next_step: str = ""

    def __str__(self) -> str:
        labelled = (("where", self.where), ("found", self.found), ("expected", self.expected))
        width = max((len(label) for label, text in labelled if text), default=0) + 1
        lines = [self.what]
        lines += [f"  {label + ':':<{width}} {text}" for label, text in labelled if text]
        lines += [sentence for sentence in (self.cause, self.next_step) if sentence]
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions pickle by positional arguments; ours are keywords and must survive worker processes.
        return _rebuild, (type(self), {field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def unknown_name(cls: type[ErrorKind], kind: str, name: str, known: Iterable[str], where: str = "") -> ErrorKind:
        """Return the error for a name that is not among the known ones, with the nearest of them."""
        names = sorted(known, key=str.lower)
        return cls(
            what=f"There is no {kind} '{name}'.",
            where=where,
            found=name,
            expected="one of " + ", ".join(names),
            next_step=did_you_mean(name, names),
        )


def _rebuild(kind: type[ChainruleError], values: dict[str, Any]) -> ChainruleError:
    return kind(**values)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a task: at which key, what stands there, what may stand there."""

    key: str
    found: str
    expected: str
    next_step: str = ""

    def __str__(self) -> str:
        lines = [self.key, f"  found:    {self.found}", f"  expected: {self.expected}"]
        return "\n".join([*lines, f"  {self.next_step}"] if self.next_step else lines)


@dataclass(eq=False)
class TaskError(ChainruleError):
    """A task that cannot be trained as it is written; `problems` holds everything that was found wrong, at once."""

    problems: tuple[Problem, ...] = ()

    def __str__(self) -> str:
        return "\n".join([ChainruleError.__str__(self), *(str(problem) for problem in self.problems)])


class DataError(ChainruleError):
    """Data that cannot be read or cannot be used for the task."""


class ShapeError(ChainruleError):
    """Tensors whose shapes do not fit; PyTorch would broadcast them, or fail with less to go by."""


class UserModuleError(ChainruleError):
    """The user's own module failed to import, to build or to run; `cause` holds the user's own traceback."""


class CheckpointError(ChainruleError):
    """A checkpoint that cannot be used: truncated, of another task, or of another version."""


class TraceFileError(ChainruleError):
    """A file that cannot be read as a trace: of something else, damaged, or of another version."""


class OutputError(ChainruleError):
    """A file or folder that cannot be written."""


class DeviceError(ChainruleError):
    """A device or precision that this machine does not have."""


class ClusterError(ChainruleError):
    """A Ray cluster that cannot be used, or a machine of it."""


class UnknownNameError(ChainruleError):
    """A name that is not in the list of known names."""


class MissingExtraError(ChainruleError):
    """An optional library that is not installed."""
