from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.spreadsheets import (
    Address,
    FormulaError,
    Number,
    Unread,
    formula_text,
    parse_formula,
    parse_spreadsheet_formula,
)
from chainrule.spreadsheets.patterns import Patterns, copied_formula, copied_text, moved

from .trees import grown, recipes


@pytest.mark.parametrize(
    ("text", "rows", "columns", "copy"),
    [
        ("A1*$A1*A$1*$A$1", 2, 1, "B3*$A3*B$1*$A$1"),
        ('"A1"&A1', 1, 0, '"A1"&A2'),
        ("'A1'!A1 + Sheet1!A1", 1, 1, "'A1'!B2 + Sheet1!B2"),
        ("SUM(A:B,$A:$B)", 5, 1, "SUM(B:C,$A:$B)"),
        ("SUM(1:$2)", 3, 0, "SUM(4:$2)"),
        ("LOG10(A1)*1E5", 1, 0, "LOG10(A2)*1E5"),
        ("A1_b+x.A1+A1", 1, 0, "A1_b+x.A1+A2"),
        ("SUM(B2:A1)", -1, 0, "SUM(B1:#REF!)"),
        ("XFE1+A9999999", 1, 0, "XFE1+A9999999"),
    ],
)
def test_a_copy_reads_the_cells_beside_its_own(text: str, rows: int, columns: int, copy: str) -> None:
    assert copied_text(text, Address(5, 5), Address(5 + rows, 5 + columns)) == copy


@settings(max_examples=200, deadline=None)
@given(recipes, st.integers(-50, 50), st.integers(-50, 50))
def test_moving_the_tree_is_moving_the_text(recipe: Any, rows: int, columns: int) -> None:
    text = formula_text(grown(recipe))
    here, there = Address(1000, 1000), Address(1000 + rows, 1000 + columns)
    copy = copied_text(text, here, there)
    try:
        expected = parse_formula(copy)
    except FormulaError:
        assert "#REF!" in copy  # half of a range lies off the sheet
        return
    assert moved(parse_formula(text), rows, columns) == expected


@settings(max_examples=200, deadline=None)
@given(recipes, st.integers(-50, 50), st.integers(-50, 50))
def test_copies_have_one_key_and_are_parsed_once(recipe: Any, rows: int, columns: int) -> None:
    text = formula_text(grown(recipe))
    here, there = Address(1000, 1000), Address(1000 + rows, 1000 + columns)
    copy = copied_text(text, here, there)
    if "#REF!" in copy and "#REF!" not in text:
        return
    patterns = Patterns({})
    first, second = patterns.formula(text, here), patterns.formula(copy, there)
    assert first.pattern is second.pattern
    assert second.tree == parse_formula(copy)


def test_formulas_that_are_no_copies_have_different_keys() -> None:
    patterns = Patterns({})
    at = Address(2, 2)
    keys = [
        patterns.formula(text, at).pattern.key for text in ("A1", "$A1", "A$1", "A2", "S!A1", '"A1"', "A1+1", "A:A")
    ]
    assert len(set(keys)) == len(keys)
    assert patterns.formula("A1*$C2+SUM(A:$B)", at).pattern.key == "R[-1]C[-1]*R[0]C3+SUM(C[-1]:C2)"


def test_a_formula_knows_its_text_and_its_tree() -> None:
    formula = parse_spreadsheet_formula("= A1 * 2", Address(1, 2))
    copy = copied_formula(formula, Address(3, 2))
    assert (formula.text, copy.text, copy.at) == (" A1 * 2", " A3 * 2", Address(3, 2))
    assert copy.tree == parse_formula("A3*2")
    assert copy == copied_formula(formula, Address(3, 2)) != formula


def test_what_cannot_be_read_has_a_tree_that_says_so() -> None:
    formula = Patterns({}).formula("[1]S!A1", Address(1, 1))
    assert formula.tree == Unread("[1]S!A1", "A formula cannot be read: it reads a table or another workbook.")


def test_defined_names_are_replaced() -> None:
    formula = Patterns({"RATE": Number(0.5)}).formula("-SUM(Rate,w)%*rate", Address(1, 1))
    assert formula.tree == parse_formula("-SUM(0.5,w)%*0.5")
