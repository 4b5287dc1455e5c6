"""Random formulas: recipes, from which tests grow trees.

Strategies must not build the trees: the types are checked at one element drawn at random, which Hypothesis forbids in
a strategy.
"""

from typing import Any

from hypothesis import strategies as st

from chainrule.spreadsheets import (
    Array,
    Binary,
    Boolean,
    Call,
    DefinedName,
    ErrorLiteral,
    ErrorValue,
    Missing,
    Node,
    Number,
    RangeReference,
    Reference,
    Text,
    Unary,
)

SHEETS = [None, "Sheet1", "My sheet", "0.1", "it's", "Größe", "A1"]
OPERATORS = ["+", "-", "*", "/", "^", "&", "=", "<>", "<", ">", "<=", ">="]

numbers = st.tuples(st.just("number"), st.floats(min_value=0, max_value=1e300, allow_nan=False))
constants = st.one_of(
    numbers,
    st.tuples(st.just("text"), st.text(max_size=6)),
    st.tuples(st.just("boolean"), st.booleans()),
    st.tuples(st.just("error"), st.sampled_from(["#REF!", "#DIV/0!", "#N/A", "#NAME?"])),
)
elements = st.one_of(constants, st.tuples(st.just("number"), st.floats(min_value=-1e300, max_value=-1e-300)))
corners = st.tuples(st.integers(1, 1_048_576), st.integers(1, 16_384), st.booleans(), st.booleans())
arrays = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(elements, min_size=width, max_size=width), min_size=1, max_size=3)
)
leaves = st.one_of(
    constants,
    st.tuples(st.just("cell"), st.sampled_from(SHEETS), corners),
    st.tuples(st.just("range"), st.sampled_from(SHEETS), corners, corners),
    st.tuples(st.just("array"), arrays),
    st.tuples(st.just("name"), st.sampled_from(["rate", "η", "w_1"])),
)
recipes: st.SearchStrategy[Any] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("unary"), st.sampled_from(["-", "+", "%"]), inner),
        st.tuples(st.just("binary"), st.sampled_from(OPERATORS), inner, inner),
        st.tuples(
            st.just("call"),
            st.sampled_from(["SUM", "IF", "EXP", "LOG10", "ERF.PRECISE"]),
            st.lists(st.one_of(inner, st.just(("missing",))), max_size=3),
        ),
    ),
    max_leaves=12,
)


def grown(recipe: Any) -> Node:
    """Return the tree of a recipe."""
    match recipe:
        case ("number", value):
            return Number(value)
        case ("text", value):
            return Text(value)
        case ("boolean", value):
            return Boolean(value)
        case ("error", value):
            return ErrorLiteral(ErrorValue(value))
        case ("missing",):
            return Missing()
        case ("name", value):
            return DefinedName(value)
        case ("cell", sheet, corner):
            return Reference(sheet, *corner)
        case ("range", sheet, first, last):
            return RangeReference(Reference(sheet, *first), Reference(None, *last))
        case ("array", rows):
            return Array(tuple(tuple(grown(element) for element in row) for row in rows))
        case ("unary", sign, inner):
            return Unary(sign, grown(inner))
        case ("binary", sign, left, right):
            return Binary(sign, grown(left), grown(right))
        case ("call", name, arguments):
            # F() has no argument; one that is left out needs a comma beside it.
            given = [] if arguments == [("missing",)] else arguments
            return Call(name, tuple(grown(argument) for argument in given))
    raise AssertionError(recipe)
