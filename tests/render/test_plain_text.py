import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.documents import Column, Table
from chainrule.render.plain_text import is_number_column, print_cell, printable, printable_line, shortened


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\x00b", "a\\x00b"),
        ("a\ud800b", "a\\ud800b"),
        ("a\u202eb", "a\\u202eb"),
        ("two\r\nlines\tand a tab", "two\nlines\tand a tab"),
        ("∂L/∂w · 中", "∂L/∂w · 中"),
    ],
)
def test_printable_spells_out_what_outputs_cannot_carry(text: str, expected: str) -> None:
    assert printable(text) == expected


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.text(st.characters(codec=None)))
def test_printable_text_is_stable_and_encodes(text: str) -> None:
    once = printable(text)
    assert printable(once) == once
    assert once.encode("utf-8").decode("utf-8") == once
    assert len(printable_line(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("cell", "number_format", "expected"),
    [
        (None, ".6g", ""),
        (True, ".6g", "yes"),
        (False, ".3f", "no"),
        (12345678, ".6g", "12345678"),
        (3, ".2f", "3.00"),
        (0.1234567, ".3g", "0.123"),
        (math.nan, ".6g", "nan"),
        (-math.inf, ".2f", "-inf"),
        ("[red]", ".6g", "[red]"),
    ],
)
def test_cells_print_by_kind_and_format(cell: object, number_format: str, expected: str) -> None:
    assert print_cell(cell, number_format) == expected  # type: ignore[arg-type]


def test_a_number_column_holds_numbers_and_missing_values_only() -> None:
    columns = tuple(Column(name) for name in ("numbers", "mixed", "booleans", "missing"))
    table = Table(columns, ((1, 1, True, None), (None, "a", None, None), (0.5, 2, False, None)))
    assert [is_number_column(table, index) for index in range(4)] == [True, False, False, False]


def test_shortened_keeps_to_the_length() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
