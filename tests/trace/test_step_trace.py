"""A trace's short text, and its values by name."""

import subprocess
import sys

import pytest
import torch

from chainrule.errors import UnknownNameError
from chainrule.trace import Missing, ModuleNote, Statistics, Trace

from .traces import plain_trace, product_trace


def test_repr_is_one_line() -> None:
    trace = product_trace()
    assert repr(trace) == str(trace) == "Trace(Product, 5 ops, 9 values, loss 1)"
    trace.values[5].kept = torch.tensor([[0.24252]])
    assert repr(trace) == "Trace(Product, 5 ops, 9 values, loss 0.2425)"
    trace.values[5].kept = Statistics(1, 0.24252, 0.0, 0.24252, 0.24252, 0.0)
    assert repr(trace) == "Trace(Product, 5 ops, 9 values, loss 0.2425)"
    trace.values[5].kept = Missing("it was overwritten")
    assert repr(trace) == "Trace(Product, 5 ops, 9 values, its loss is missing)"
    trace.values[5].kept = torch.tensor(float("nan"))
    assert repr(trace) == "Trace(Product, 5 ops, 9 values, loss nan)"
    assert repr(Trace([], [], [], None, {}, "values")) == "Trace(nothing, 0 ops, 0 values, no loss)"


def test_a_value_by_name_id_or_module() -> None:
    trace = product_trace()
    for name in ("mul", 3, "%3", "", trace.values[3]):
        assert trace.value(name) is trace.values[3]
    assert trace.parameters == [trace.values[0]]
    assert [op.id for op in trace.ops_in("loss")] == [1, 2]
    assert plain_trace(torch.ones(1)).value("v0").shape == (1,)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("%9", "The trace has no value %9.\n  found:    %9\n  expected: %0 to %8"),
        (-1, "The trace has no value %-1.\n  found:    %-1\n  expected: %0 to %8"),
        (
            "squar",
            "The trace has no value 'squar'.\n  found:    squar\n  expected: one of square\n"
            "All names stand in its table of values: trace.values_table().",
        ),
    ],
)
def test_a_value_that_is_not_there(name: str | int, message: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        product_trace().value(name)
    assert str(caught.value) == message


def test_a_module_that_returned_several_values_is_no_name_of_one() -> None:
    trace = product_trace()
    trace.modules["pair"] = ModuleNote("Pair", True, (3, 4))
    with pytest.raises(UnknownNameError, match="The trace has no value 'pair'"):
        trace.value("pair")


def test_a_trace_waits_for_no_library_of_files_and_tables() -> None:
    program = "import sys, chainrule.trace; print(*({'polars', 'pydantic', 'safetensors'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == ""


def test_history_is_there_when_it_is_used() -> None:
    program = "from chainrule.trace import *; print(History.__name__, Curve.__name__, EPOCH)"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown == "History Curve epoch/\n"
