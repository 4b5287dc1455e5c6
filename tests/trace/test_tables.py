"""The tables of a trace say what the trace says."""

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import polars
import pytest
import torch

from chainrule.errors import MissingExtraError, OutputError
from chainrule.trace import Missing, Statistics, Trace, read
from chainrule.trace.reduction import statistics_of

from .traces import plain_trace, product_trace

NUMBERS = ("mean", "spread", "minimum", "maximum", "norm", "zeros", "not_finite")


def numbers_of(row: dict[str, Any], prefix: str = "") -> tuple[object, ...]:
    return tuple(repr(row[prefix + name]) for name in NUMBERS)


def numbers(number: object) -> tuple[object, ...]:
    if isinstance(number, torch.Tensor):
        number = statistics_of(number)
    if not isinstance(number, Statistics):
        return ("None",) * len(NUMBERS)
    return tuple(repr(getattr(number, name)) for name in NUMBERS)


def test_one_row_for_each_op() -> None:
    trace = product_trace()
    rows = trace.to_polars().to_dicts()
    assert [row["id"] for row in rows] == [0, 1, 2, 3, 4]
    for row, op in zip(rows, trace.ops, strict=True):
        assert (row["op"], row["phase"], row["module"], row["call"], row["of"], row["opaque"]) == (
            (op.name, op.phase, op.module, op.call, op.of, op.opaque)
        )
        assert row["outputs"] == op.outputs
        assert row["inputs"] == [use.value for use in op.inputs]
        value = trace.values[op.outputs[0]] if op.outputs else None
        assert row["name"] == (value and value.name)
        assert row["shape"] == (value and list(value.shape))
        assert numbers_of(row) == numbers(value and value.data)
        assert numbers_of(row, "adjoint_") == numbers(value and value.adjoint)


def test_a_row_by_hand() -> None:
    row = product_trace().to_polars().row(0, named=True)
    assert row == {
        "id": 0, "phase": "forward", "module": "", "module_class": "Product", "call": 0, "op": "mul",
        "source": "model.py:12", "function": "torch.Tensor.mul", "inputs": [0, 1], "outputs": [3], "of": None,
        "name": "mul", "shape": [1], "dtype": "float32", "opaque": "",
        "count": 1, "mean": 6.0, "spread": 0.0, "minimum": 6.0, "maximum": 6.0, "norm": 6.0, "zeros": 0.0,
        "saturated": None, "not_finite": 0, "missing": None,
        "adjoint_mean": 2.0, "adjoint_spread": 0.0, "adjoint_minimum": 2.0, "adjoint_maximum": 2.0,
        "adjoint_norm": 2.0, "adjoint_zeros": 0.0, "adjoint_not_finite": 0, "adjoint_missing": None,
    }  # fmt: skip


def test_one_row_for_each_value() -> None:
    trace = product_trace()
    rows = trace.values_table().to_dicts()
    for row, value in zip(rows, trace.values, strict=True):
        assert (row["id"], row["kind"], row["name"], row["producer"]) == (
            (value.id, value.kind, value.name, value.producer)
        )
        assert row["uses"] == [use.op for use in value.uses]
        assert numbers_of(row) == numbers(value.data)
        assert numbers_of(row, "adjoint_") == numbers(value.adjoint)
    assert rows[7]["missing"] == "it was overwritten"
    assert rows[7]["adjoint_missing"] == "a hook failed"
    assert rows[6]["saturated"] == 0.5
    assert math.isnan(rows[8]["mean"])
    assert rows[8]["not_finite"] == 3


def test_one_row_for_each_use() -> None:
    trace = product_trace()
    rows = trace.uses_table().to_dicts()
    uses = [use for op in trace.ops for use in op.inputs]
    for row, use in zip(rows, uses, strict=True):
        assert (row["value"], row["op"]) == (use.value, use.op)
        assert (row["name"], row["op_name"]) == (trace.values[use.value].name, trace.ops[use.op].name)
        assert numbers_of(row, "contribution_") == numbers(use.contribution)
    assert [row["place"] for row in rows] == ["0", "1", "0", "other", "0.1", "hidden"]
    assert rows[4]["contribution_mean"] == 2.0
    assert rows[3]["contribution_missing"] == "the target needs no gradient"
    assert isinstance(uses[3].contribution, Missing)


def test_tables_without_rows_have_their_types() -> None:
    empty = Trace([], [], [], None, {}, "values")
    full = product_trace()
    for name in ("to_polars", "values_table", "uses_table"):
        assert getattr(empty, name)().schema == getattr(full, name)().schema
        assert len(getattr(empty, name)()) == 0


def test_kept_statistics_are_taken_as_they_are() -> None:
    trace = plain_trace(torch.tensor([1.0, 2.0]))
    before = trace.values_table()
    number = read(trace.values[0].kept)
    assert isinstance(number, torch.Tensor)
    trace.values[0].kept = statistics_of(number)
    assert trace.values_table().equals(before)


def test_parquet_is_the_table_of_ops(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ops.parquet"
    product_trace().write_parquet(str(path))
    assert polars.read_parquet(path).equals(product_trace().to_polars(), null_equal=True)
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(OutputError, match=r"Cannot write ops\.parquet\."):
        product_trace().write_parquet(path / "ops.parquet")


def test_pandas_gets_the_same_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = ModuleType("pandas")
    stand_in.DataFrame = lambda data: data  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", stand_in)
    assert product_trace().to_pandas() == product_trace().to_polars().to_dict(as_series=False)


def test_without_pandas_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError) as caught:
        product_trace().to_pandas()
    assert str(caught.value) == (
        "pandas is not installed.\n"
        "A table for pandas needs pandas; trace.to_polars() needs nothing more.\n"
        "Install it with: pip install pandas"
    )


def test_names_that_are_no_unicode_do_not_stop_a_table() -> None:
    trace = product_trace()
    trace.values[0].name = "half \ud800"
    assert trace.values_table()["name"][0] == "half ?"
    assert trace.to_polars().height == len(trace.ops)
