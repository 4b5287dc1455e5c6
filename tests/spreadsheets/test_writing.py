from typing import Any

import pytest
from hypothesis import given, settings

from chainrule.spreadsheets import formula_text, parse_formula

from .trees import grown, recipes


@settings(max_examples=300, deadline=None)
@given(recipes)
def test_what_is_written_reads_back_as_the_same_tree(recipe: Any) -> None:
    tree = grown(recipe)
    assert parse_formula(formula_text(tree)) == tree


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ("(-2)^2", "-2^2"),
        ("-(2^2)", "-(2^2)"),
        ("((A1)+(B2))*c3", "(A1+B2)*C3"),
        ("(A1*B2)*C3", "A1*B2*C3"),
        ("A1*(B2*C3)", "A1*(B2*C3)"),
        ("A1-(B2+C3)", "A1-(B2+C3)"),
        ("2^(3^2)", "2^(3^2)"),
        ("1E-05 * 100", "1E-05*100"),
        ("My!A1:B2", "'My'!A1:B2"),
        ("$A:B", "$A:B"),
        ("1:$3", "1:$3"),
        ("if(a1;;3)", "IF(A1,,3)"),
        ("{1;-2}", "{1;-2}"),
        ("(1+2)%", "(1+2)%"),
        ("-(1+2)", "-(1+2)"),
    ],
)
def test_only_the_brackets_that_are_needed(formula: str, text: str) -> None:
    assert formula_text(parse_formula(formula)) == text
