"""Equal forms in plain text: aligned at "=", broken at signs where they are too wide."""

import pytest

from chainrule.documents import Equalities, Equality, Formula
from chainrule.render.equality_text import equalities_lines, equality_lines


def equality(left: str, *forms: str) -> Equality:
    return Equality(Formula(left), tuple(map(Formula, forms)))


def test_forms_stand_under_each_other() -> None:
    assert equality_lines(equality("∂E/∂w5", "a · b", "2 · 3", "6"), 40) == [
        "∂E/∂w5 = a · b",
        "       = 2 · 3",
        "       = 6",
    ]


def test_without_a_left_side_the_first_form_stands_alone() -> None:
    assert equality_lines(equality("", "a · b", "6"), 40) == ["a · b", "= 6"]


def test_a_wide_form_is_broken_outside_of_brackets_first() -> None:
    lines = equality_lines(equality("y", "(a + b + c) · (d + e + f) · (g + h + i)", "1"), 34)
    assert lines == ["y = (a + b + c) · (d + e + f)", "      · (g + h + i)", "  = 1"]


def test_between_terms_before_between_factors() -> None:
    lines = equality_lines(equality("y", "aaaa · bbbb + cccc · dddd + eeee · ffff"), 34)
    assert lines == ["y = aaaa · bbbb + cccc · dddd", "      + eeee · ffff"]


def test_then_inside_of_brackets() -> None:
    lines = equality_lines(equality("y", "(aaaaaaaa + bbbbbbbb + cccccccc + dddddddd)"), 30)
    assert lines == ["y = (aaaaaaaa + bbbbbbbb", "      + cccccccc + dddddddd)"]


def test_a_long_left_side_stands_on_a_line_of_its_own() -> None:
    lines = equality_lines(equality("a_very_long_name_of_something", "b · c · d · e · f", "1"), 40)
    assert lines == ["a_very_long_name_of_something", "  = b · c · d · e · f", "  = 1"]


@pytest.mark.parametrize("width", [1, 5, 30])
def test_nothing_is_lost_however_narrow_it_is(width: int) -> None:
    form = "(0.6 − 0.01) · 0.6(1 − 0.6) · 0.5"
    shown = " ".join(" ".join(equality_lines(equality("y", form), width)).split())
    assert shown == f"y = {form}"


def test_line_breaks_in_a_name_do_not_break_the_lines() -> None:
    assert equality_lines(equality("a\nb", "1\x1b[31m"), 40) == ["a b = 1\\x1b[31m"]


def test_several_stand_on_a_line_each_where_they_fit() -> None:
    block = Equalities(
        (equality("h1", "a · b", "6"), equality("a_h1", "σ(h1)", "σ(6)", "0.9975"), equality("", "a", "b"))
    )
    assert equalities_lines(block, 60) == ["h1   = a · b = 6", "a_h1 = σ(h1) = σ(6) = 0.9975", "a", "= b"]
    assert equalities_lines(block, 26) == [
        "h1   = a · b = 6",
        "a_h1 = σ(h1)",
        "     = σ(6)",
        "     = 0.9975",
        "a",
        "= b",
    ]
