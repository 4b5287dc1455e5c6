"""Recorded arguments by torch's names. The ops are written as the recorder writes them."""

from typing import Any

import pytest

from chainrule.ops import argument_name, bind, rule_of
from chainrule.trace import Op, ValueRef

A, B, C = ValueRef(0), ValueRef(1), ValueRef(2)
ENDS = [10.0, 11.0, 12.0]


def recorded(name: str, *arguments: Any, function: str = "", **keywords: Any) -> Op:
    return Op(0, name, "forward", "", "", 0, None, function, arguments, keywords)


def bound(op: Op) -> dict[str, Any]:
    return bind(op, lambda value: ENDS[value])


ROWS = [
    (recorded("linear", A, B), {"input": 10.0, "weight": 11.0, "bias": None}),
    (recorded("linear", A, B, bias=C), {"input": 10.0, "weight": 11.0, "bias": 12.0}),
    (recorded("add", A, B, alpha=2), {"input": 10.0, "other": 11.0, "alpha": 2}),
    (recorded("iadd", A, 3), {"input": 10.0, "other": 3, "alpha": 1}),
    (recorded("rsub", A, 1.0), {"input": 10.0, "other": 1.0, "alpha": 1}),
    (recorded("sum", A, 1, True), {"input": 10.0, "dim": 1, "keepdim": True, "dtype": None}),
    (recorded("sum", A, axis=1, keepdims=True), {"input": 10.0, "dim": 1, "keepdim": True, "dtype": None}),
    (recorded("view", A, 2, 3), {"input": 10.0, "shape": (2, 3)}),
    (recorded("view", A, (2, 3)), {"input": 10.0, "shape": (2, 3)}),
    (recorded("permute", A, dims=(1, 0)), {"input": 10.0, "dims": (1, 0)}),
    (recorded("flip", A, [0]), {"input": 10.0, "dims": (0,)}),
    (recorded("max", A), {"input": 10.0, "dim": None, "keepdim": False, "dtype": None}),
    (recorded("max", A, 1), {"input": 10.0, "dim": 1, "keepdim": False, "dtype": None}),
    (recorded("max", A, B), {"input": 10.0, "other": 11.0}),
    (recorded("min", A, other=B), {"input": 10.0, "other": 11.0}),
    (recorded("cat", [A, B], 1), {"tensors": [10.0, 11.0], "dim": 1}),
    (recorded("einsum", "ij,jk", A, B), {"equation": "ij,jk", "operands": (10.0, 11.0)}),
    (recorded("einsum", "ij,jk", [A, B]), {"equation": "ij,jk", "operands": (10.0, 11.0)}),
    (recorded("getitem", A, (0, slice(None))), {"input": 10.0, "index": (0, slice(None))}),
    (recorded("setitem", A, B, C), {"input": 10.0, "index": 11.0, "value": 12.0}),
    (
        recorded("norm", A, ord=1, function="torch.linalg.norm"),
        {"input": 10.0, "ord": 1, "dim": None, "keepdim": False, "dtype": None},
    ),
    (
        recorded("to", A, "cpu", non_blocking=True),
        {"input": 10.0, "settings": ("cpu",), "more": {"non_blocking": True}},
    ),
    (
        recorded("embedding", A, B, function="torch.embedding"),
        {"weight": 10.0, "indices": 11.0, "padding_idx": -1, "scale_grad_by_freq": False, "sparse": False},
    ),
    (recorded("relu", A, inplace=True), {"input": 10.0, "inplace": True}),
    # No rule: the names of torch's own signatures, and where there are none either, the places.
    (recorded("cdist", A, B, function="torch.functional.cdist", p=1.0), {"x1": 10.0, "x2": 11.0, "p": 1.0}),
    (recorded("mine", A, 2, scale=B), {"input": 10.0, "argument 1": 2, "scale": 11.0}),
]


@pytest.mark.parametrize(("op", "expected"), ROWS, ids=lambda part: part.name if isinstance(part, Op) else "")
def test_arguments_by_name(op: Op, expected: dict[str, Any]) -> None:
    found = bound(op)
    assert {name: value for name, value in found.items() if name != "compute_mode"} == expected


@pytest.mark.parametrize(
    ("op", "place", "name"),
    [
        (recorded("linear", A, B, C), (2,), "bias"),
        (recorded("linear", A, weight=B), ("weight",), "weight"),
        (recorded("masked_fill", A, B, 0.0), (1,), "mask"),
        (recorded("cat", [A, B]), (0, 1), "tensors[1]"),
        (recorded("einsum", "i,i", A, B), (2,), "operands[1]"),
        (recorded("einsum", "i,i", [A, B]), (1, 1), "operands[1]"),
        (recorded("getitem", A, (0, B)), (1, 1), "index[1]"),
        (recorded("max", A, B), (1,), "other"),
        (recorded("sum", A, axis=1), (0,), "input"),
        (recorded("mine", A, scale=B), ("scale",), "scale"),
        (recorded("mine", A, [A, B]), (1, 1), "argument 1[1]"),
        (recorded("chunk", A, 2), ("self",), "self"),
    ],
)
def test_name_of_a_place(op: Op, place: tuple[int | str, ...], name: str) -> None:
    assert argument_name(op, place) == name


@pytest.mark.parametrize(
    ("op", "name"),
    [
        (recorded("max", A), "max"),
        (recorded("max", A, B), "maximum"),
        (recorded("where", A), "nonzero"),
        (recorded("where", A, B, C), "where"),
        (recorded("norm", A, function="torch.linalg.norm"), "linalg_norm"),
        (recorded("embedding", A, B, function="torch.embedding"), "torch.embedding"),
        (recorded("embedding", A, B, function="torch.nn.functional.embedding"), "embedding"),
        (recorded("unfold", A, 2, function="torch.nn.functional.unfold"), "im2col"),
        (recorded("unfold", A, 0, 2, 1, function="torch.Tensor.unfold"), "unfold"),
    ],
)
def test_names_that_stand_for_several_ops(op: Op, name: str) -> None:
    rule = rule_of(op)
    assert rule is not None
    assert rule.name == name
