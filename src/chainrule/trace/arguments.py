"""What an op was called with, as JSON and back. Nothing that JSON cannot say is ever executed to bring it back.

None, truth values, whole numbers, finite numbers, text and lists stand as they are. Everything else stands as an object
with one key that says what it is: {"value": 7} is where value 7 stood, {"tuple": [...]}, {"slice": [0, null, 2]},
{"dtype": "float32"}. What has no such form stands there as text, {"unstorable": "<function gelu>"}.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Any, final

import torch

from chainrule.shapes import Tensor
from chainrule.trace.blocks import damaged
from chainrule.trace.ops import ValueRef

_DEEPEST = 30  # levels of tuples in tuples; the reader of JSON gives up at 200 levels of its own
_LONGEST = 500  # letters of the text of something that cannot be stored

_DTYPES = {str(part).removeprefix("torch."): part for part in vars(torch).values() if isinstance(part, torch.dtype)}
_LAYOUTS = {str(part).removeprefix("torch."): part for part in vars(torch).values() if isinstance(part, torch.layout)}
_FORMATS = {
    str(part).removeprefix("torch."): part for part in vars(torch).values() if isinstance(part, torch.memory_format)
}


@dataclass(frozen=True, slots=True)
class Unstorable:
    """Stands in a loaded trace where something stood that a file cannot hold; `text` is how Python showed it."""

    text: str

    def __repr__(self) -> str:
        return self.text


@final
class ArgumentWriter:
    """Turns arguments into what JSON can hold.

    Args:
        number: returns the form of a tensor.
    """

    def __init__(self, form_of_tensor: Callable[[Tensor], object]) -> None:
        self._form_of_tensor = form_of_tensor

    def form(self, part: object, depth: int = 0) -> Any:
        """Return the JSON form of anything."""
        if part is None or isinstance(part, bool):
            return part
        if isinstance(part, str):
            return str.__str__(part)
        if isinstance(part, int):
            return int(part) if abs(part) < 1 << 512 else _unstorable(part)
        if isinstance(part, float):
            return float(part) if math.isfinite(part) else {"float": str(float(part))}
        if isinstance(part, complex):
            return {"complex": [str(part.real), str(part.imag)]}
        if depth >= _DEEPEST:
            return _unstorable(part)
        if isinstance(part, tuple | list | Mapping | slice):
            return self._nested(part, depth + 1)
        return self._single(part)

    def _nested(self, part: tuple[Any, ...] | list[Any] | Mapping[Any, Any] | slice, depth: int) -> Any:
        if isinstance(part, slice):
            return {"slice": [self.form(end, depth) for end in (part.start, part.stop, part.step)]}
        if isinstance(part, Mapping):
            return {"dict": [[self.form(key, depth), self.form(each, depth)] for key, each in part.items()]}
        parts = [self.form(each, depth) for each in part]
        if isinstance(part, torch.Size):
            return {"size": parts}
        return {"tuple": parts} if isinstance(part, tuple) else parts

    def _single(self, part: object) -> Any:
        if isinstance(part, ValueRef):
            return {"value": part.value}
        if isinstance(part, Tensor):
            return self._form_of_tensor(part)
        if isinstance(part, EllipsisType):
            return {"ellipsis": None}
        if isinstance(part, torch.dtype | torch.layout | torch.memory_format):
            return {type(part).__name__: str(part).removeprefix("torch.")}
        if isinstance(part, torch.device):
            return {"device": str(part)}
        return _unstorable(part)


def _unstorable(part: object) -> dict[str, str]:
    if isinstance(part, Unstorable):
        return {"unstorable": part.text}
    try:
        text = repr(part)
    except Exception:  # the user's own __repr__ may fail, and a trace must be saved all the same
        text = f"<{type(part).__qualname__}>"
    # Addresses differ from run to run and say nothing.
    return {"unstorable": re.sub(r" at 0x[0-9a-fA-F]+", "", text)[:_LONGEST]}


@final
class ArgumentReader:
    """Turns what JSON held back into arguments.

    Args:
        values: how many values the trace has.
        tensor: returns the tensor of its number.
    """

    def __init__(self, values: int, tensor: Callable[[int], object]) -> None:
        self._values = values
        self._tensor = tensor

    def part(self, form: Any) -> Any:
        """Return what had this form.

        Raises:
            TraceFileError: it is no form of anything.
        """
        if isinstance(form, list):
            return [self.part(each) for each in form]
        if not isinstance(form, dict):
            return form
        if len(form) != 1:
            raise _unknown(form)
        ((kind, inner),) = form.items()
        read = _FORMS.get(kind)
        if read is None:
            raise _unknown(form)
        try:
            return read(self, inner)
        except (TypeError, ValueError, KeyError, RuntimeError, OverflowError) as error:
            raise _unknown(form) from error

    def value(self, inner: Any) -> ValueRef:
        """Return the reference to a value."""
        if type(inner) is not int or not 0 <= inner < self._values:
            raise ValueError
        return ValueRef(inner)

    def tensor(self, inner: Any) -> object:
        """Return the tensor of a number."""
        if type(inner) is not int:
            raise ValueError
        return self._tensor(inner)

    def parts(self, inner: Any) -> list[Any]:
        """Return the parts of something nested."""
        if not isinstance(inner, list):
            raise TypeError
        return [self.part(each) for each in inner]

    def mapping(self, inner: Any) -> dict[Any, Any]:
        """Return the dictionary of pairs."""
        pairs = self.parts(inner)
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise ValueError
        return {key: part for key, part in pairs}  # noqa: C416  # dict() would take other pairs too


def _slice(reader: ArgumentReader, inner: Any) -> slice:
    start, stop, step = reader.parts(inner)
    return slice(start, stop, step)


def _size(reader: ArgumentReader, inner: Any) -> torch.Size:
    sizes = reader.parts(inner)
    if not all(type(size) is int and -(2**63) <= size < 2**63 for size in sizes):
        raise ValueError
    return torch.Size(sizes)


def _text(inner: Any) -> str:
    if not isinstance(inner, str):
        raise TypeError
    return inner


def _complex(inner: Any) -> complex:
    real, imaginary = inner
    return complex(float(_text(real)), float(_text(imaginary)))


_FORMS: dict[str, Callable[[ArgumentReader, Any], Any]] = {
    "value": ArgumentReader.value,
    "tensor": ArgumentReader.tensor,
    "tuple": lambda reader, inner: tuple(reader.parts(inner)),
    "dict": ArgumentReader.mapping,
    "slice": _slice,
    "size": _size,
    "ellipsis": lambda _, inner: ...,
    "float": lambda _, inner: float(_text(inner)),
    "complex": lambda _, inner: _complex(inner),
    "dtype": lambda _, inner: _DTYPES[_text(inner)],
    "layout": lambda _, inner: _LAYOUTS[_text(inner)],
    "memory_format": lambda _, inner: _FORMATS[_text(inner)],
    "device": lambda _, inner: torch.device(_text(inner)),
    "unstorable": lambda _, inner: Unstorable(_text(inner)),
}


def _unknown(form: dict[Any, Any]) -> Exception:
    return damaged(f"an argument {_short(form)}", "one of " + ", ".join(f'{{"{kind}": ...}}' for kind in _FORMS))


def _short(form: object) -> str:
    text = repr(form)
    return text if len(text) <= 60 else text[:57] + "..."
