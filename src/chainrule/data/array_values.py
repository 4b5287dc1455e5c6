"""Whatever Python calls an array, as a NumPy array of numbers or of words, or refused with the index that is wrong."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.data.wording import count_of
from chainrule.errors import DataError
from chainrule.shapes import Tensor


def read_numbers(values: Any, name: str) -> NDArray[Any]:
    """Read booleans, integers or floats, all finite, in their own type.

    Args:
        values: nested lists, a NumPy array, a tensor or a data frame.
        name: "inputs" or "targets", for messages.

    Raises:
        DataError: ragged, empty, not numbers, or not finite.
    """
    array = _to_array(values, name)
    if array.dtype.kind == "O":
        raise _first_other_than_number(array, name)
    _require_rows(array, name)
    _require_finite(array, name)
    return array


def read_labels(values: Any, name: str) -> NDArray[Any]:
    """Read as `read_numbers` does, or words: an object array of Python strings.

    Raises:
        DataError: ragged, empty, not finite, or neither numbers throughout nor words throughout.
    """
    array = _to_array(values, name)
    _require_rows(array, name)
    if array.dtype.kind != "O":
        _require_finite(array, name)
        return array
    is_words = isinstance(array.flat[0], str)
    for index, value in np.ndenumerate(array):
        if value is None:
            raise _missing(name, index)
        if isinstance(value, str) != is_words or not isinstance(value, (str, int, float)):
            raise DataError(
                what=f"data.{name} mixes words and other values.",
                where=place(name, index),
                found=repr(value),
                expected="words throughout, or numbers throughout",
            )
    return array


def place(name: str, index: Sequence[int]) -> str:
    """Write the index of a value as Python does: data.inputs[3][1]."""
    return f"data.{name}" + "".join(f"[{position}]" for position in index)


def _to_array(values: Any, name: str) -> NDArray[Any]:
    """Return an array of kind b, i, u or f, or an object array that holds something else than numbers."""
    if isinstance(values, Tensor):
        tensor = values.detach().cpu()
        # NumPy has no bfloat16; float64 holds each of its numbers exactly.
        values = (tensor.double() if tensor.is_floating_point() else tensor).numpy()
    try:
        array: NDArray[Any] = np.array(values)
        if array.dtype.kind in "OU":
            # A list that mixes numbers and words becomes words throughout; as objects, each is still what it was.
            array = np.array(values, dtype=object)
            array = array.astype(np.float64) if array.size and all(_is_number(value) for value in array.flat) else array
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise _unreadable(values, name, error) from None
    if array.dtype.kind in "biuf" or (array.dtype.kind == "O" and array.size):
        return array
    if array.size == 0:
        _require_rows(array, name)
    raise DataError(
        what=f"data.{name} holds values that are not numbers.",
        where=f"data.{name}",
        found=f"values of type {array.dtype.name}",
        expected="booleans, integers or floats",
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating, np.bool_))


def _unreadable(values: Any, name: str, error: Exception) -> DataError:
    """Find the first row whose shape is another than that of row 0."""
    if isinstance(values, Sequence) and values:
        first = _shape_of(values[0])
        for row, value in enumerate(values):
            if (shape := _shape_of(value)) != first or shape is None:
                return DataError(
                    what=f"The rows of data.{name} differ in their length.",
                    where=place(name, (row,)),
                    found=_describe(shape),
                    expected="rows of one length" if first is None else f"{_describe(first)}, as in row 0",
                )
    return DataError(
        what=f"data.{name} cannot be read as an array.",
        where=f"data.{name}",
        found=type(values).__name__,
        expected="a list of rows, a NumPy array, a tensor or a data frame",
        cause=f"NumPy says: {error}",
    )


def _shape_of(value: Any) -> tuple[int, ...] | None:
    try:
        return tuple(np.shape(value))
    except ValueError:
        return None


def _describe(shape: tuple[int, ...] | None) -> str:
    if shape is None:
        return "a row that is itself uneven"
    if len(shape) > 1:
        return f"values of shape {shape}"
    return count_of(shape[0], "value") if shape else "a single value"


def _first_other_than_number(values: NDArray[Any], name: str) -> DataError:
    index, value = next((index, value) for index, value in np.ndenumerate(values) if not _is_number(value))
    if value is None:
        return _missing(name, index)
    return DataError(
        what=f"data.{name} holds a value that is not a number.",
        where=place(name, index),
        found=repr(value),
        expected="a number",
        next_step="Rows with words can be read from a CSV or Parquet file, where data.categories says what becomes of "
        "them."
        if isinstance(value, str)
        else "",
    )


def _missing(name: str, index: Sequence[int]) -> DataError:
    return DataError(
        what=f"A value is missing in data.{name}.",
        where=place(name, index),
        found="None",
        expected="a value",
        next_step="Leave the row out, or put in a value: data.missing is for files.",
    )


def _require_rows(values: NDArray[Any], name: str) -> None:
    if values.ndim and values.size:
        return
    raise DataError(
        what=f"data.{name} is empty." if values.ndim else f"data.{name} is a single value.",
        where=f"data.{name}",
        found=f"shape {values.shape}" if values.ndim else str(values),
        expected="at least one row",
    )


def _require_finite(values: NDArray[Any], name: str) -> None:
    if values.dtype.kind != "f":
        return
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong) == 0:
        return
    index = tuple(int(position) for position in wrong[0])
    raise DataError(
        what=f"data.{name} holds a number that is not finite.",
        where=place(name, index),
        found=f"{values[index]}, the first of {len(wrong)}" if len(wrong) > 1 else str(values[index]),
        expected="a finite number",
        next_step="Leave the row out, or put in a value: data.missing is for files.",
    )
