"""A trace as tables: its ops, its values, and the uses of its values.

All three tell a tensor by the same numbers, those of `Statistics` and its norm; a column is empty where there is no
tensor. The columns of an adjoint begin with `adjoint_`, those of a contribution with `contribution_`.

| table | one row for each | columns beside the numbers |
|---|---|---|
| ops | op; the numbers are those of its first output | id, phase, module, module_class, call, op, source, function, |
| | | inputs, outputs, of, name, shape, dtype, missing, opaque |
| values | value | id, kind, name, producer, shape, dtype, requires_grad, uses, missing |
| uses | op taking a value at one place | value, name, op, op_name, phase, module, place, missing |
"""

import importlib
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import polars

from chainrule.errors import MissingExtraError
from chainrule.files import write_atomically
from chainrule.shapes import Tensor
from chainrule.trace.numbers import Missing, Number, Statistics
from chainrule.trace.ops import Op
from chainrule.trace.reduction import statistics_of
from chainrule.trace.step_trace import Trace
from chainrule.trace.values import Use, Value

Column = tuple[str, Any, Callable[[Any], object]]  # its name, its polars type, and what stands in it

_IDS = polars.List(polars.Int64)
_NUMBERS: tuple[Column, ...] = (
    ("count", polars.Int64, lambda number: number.count),
    ("mean", polars.Float64, lambda number: number.mean),
    ("spread", polars.Float64, lambda number: number.spread),
    ("minimum", polars.Float64, lambda number: number.minimum),
    ("maximum", polars.Float64, lambda number: number.maximum),
    ("norm", polars.Float64, lambda number: number.norm),
    ("zeros", polars.Float64, lambda number: number.zeros),
    ("saturated", polars.Float64, lambda number: number.saturated),
    ("not_finite", polars.Int64, lambda number: number.not_finite),
)


def ops_table(trace: Trace) -> polars.DataFrame:
    """Return one row for each op, in the order in which they ran.

    The numbers are those of the op's first output and of its adjoint. `of` is the op whose backward an op is, `source`
    the line of code as "model.py:12", `missing` the reason why there are no numbers.
    """
    values = {op.id: trace.values[op.outputs[0]] if op.outputs else None for op in trace.ops}

    def output(get: Callable[[Value], object]) -> Callable[[Op], object]:
        return lambda op: None if (value := values[op.id]) is None else get(value)

    columns: tuple[Column, ...] = (
        ("id", polars.Int64, lambda op: op.id),
        ("phase", polars.String, lambda op: op.phase),
        ("module", polars.String, lambda op: op.module),
        ("module_class", polars.String, lambda op: op.module_class),
        ("call", polars.Int64, lambda op: op.call),
        ("op", polars.String, lambda op: op.name),
        ("source", polars.String, lambda op: None if op.source is None else str(op.source)),
        ("function", polars.String, lambda op: op.function),
        ("inputs", _IDS, lambda op: [use.value for use in op.inputs]),
        ("outputs", _IDS, lambda op: list(op.outputs)),
        ("of", polars.Int64, lambda op: op.of),
        ("name", polars.String, output(lambda value: value.name)),
        ("shape", _IDS, output(lambda value: list(value.shape))),
        ("dtype", polars.String, output(lambda value: value.dtype)),
        ("opaque", polars.String, lambda op: op.opaque),
    )
    rows = trace.ops
    data: list[Number | None] = [None if (value := values[op.id]) is None else value.data for op in rows]
    adjoints: list[Number | None] = [None if (value := values[op.id]) is None else value.adjoint for op in rows]
    return _table(columns, rows, {"": data, "adjoint_": adjoints})


def values_table(trace: Trace) -> polars.DataFrame:
    """Return one row for each value, with its numbers and those of its adjoint; `uses` are the ops that take it."""
    columns: tuple[Column, ...] = (
        ("id", polars.Int64, lambda value: value.id),
        ("kind", polars.String, lambda value: value.kind),
        ("name", polars.String, lambda value: value.name),
        ("producer", polars.Int64, lambda value: value.producer),
        ("shape", _IDS, lambda value: list(value.shape)),
        ("dtype", polars.String, lambda value: value.dtype),
        ("requires_grad", polars.Boolean, lambda value: value.requires_grad),
        ("uses", _IDS, lambda value: [use.op for use in value.uses]),
    )
    rows = trace.values
    data: list[Number | None] = [value.data for value in rows]
    return _table(columns, rows, {"": data, "adjoint_": [value.adjoint for value in rows]})


def uses_table(trace: Trace) -> polars.DataFrame:
    """Return one row for each use of a value, with the numbers of what it sends back of the value's adjoint.

    `place` is where the value stands among the arguments: "0" is the first, "weight" a keyword, "0.2" the third of a
    list that stands first.
    """
    rows = [use for op in trace.ops for use in op.inputs]

    def of_op(get: Callable[[Op], object]) -> Callable[[Use], object]:
        return lambda use: get(trace.ops[use.op])

    columns: tuple[Column, ...] = (
        ("value", polars.Int64, lambda use: use.value),
        ("name", polars.String, lambda use: trace.values[use.value].name),
        ("op", polars.Int64, lambda use: use.op),
        ("op_name", polars.String, of_op(lambda op: op.name)),
        ("phase", polars.String, of_op(lambda op: op.phase)),
        ("module", polars.String, of_op(lambda op: op.module)),
        ("place", polars.String, lambda use: ".".join(str(part) for part in use.place)),
    )
    return _table(columns, rows, {"contribution_": [use.contribution for use in rows]})


def pandas_table(trace: Trace) -> Any:
    """Return the table of ops as a pandas.DataFrame.

    Raises:
        MissingExtraError: pandas is not installed.
    """
    try:
        pandas = importlib.import_module("pandas")
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            what="pandas is not installed.",
            cause="A table for pandas needs pandas; trace.to_polars() needs nothing more.",
            next_step="Install it with: pip install pandas",
        ) from error
    return pandas.DataFrame(ops_table(trace).to_dict(as_series=False))


def write_parquet(trace: Trace, path: Path) -> None:
    """Write the table of ops as a Parquet file, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    buffer = BytesIO()
    ops_table(trace).write_parquet(buffer)
    write_atomically(path, buffer.getvalue())


def _table(
    columns: tuple[Column, ...], rows: list[Any], numbers: Mapping[str, list[Number | None]]
) -> polars.DataFrame:
    data: dict[str, list[object]] = {name: [_storable(get(row)) for row in rows] for name, _, get in columns}
    schema = {name: kind for name, kind, _ in columns}
    for prefix, tensors in numbers.items():
        described = [_statistics(tensor) for tensor in tensors]
        for name, kind, get in _NUMBERS:
            if prefix and name in {"count", "saturated"}:
                continue  # a value's adjoint has its count, and only activations saturate
            data[prefix + name] = [None if each is None else get(each) for each in described]
            schema[prefix + name] = kind
        data[f"{prefix}missing"] = [tensor.reason if isinstance(tensor, Missing) else None for tensor in tensors]
        schema[f"{prefix}missing"] = polars.String
    return polars.DataFrame(data, schema=schema)


def _storable(cell: object) -> object:
    """Return a cell as a table can hold it: names may have halves of characters in them, which are no Unicode."""
    return cell.encode("utf-8", "replace").decode() if isinstance(cell, str) else cell


def _statistics(number: Number | None) -> Statistics | None:
    if isinstance(number, Tensor):
        return statistics_of(number)
    return number if isinstance(number, Statistics) else None
