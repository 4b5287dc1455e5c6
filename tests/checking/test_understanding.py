"""Reading a network from what a file says: activations that some numbers do not tell apart."""

from pathlib import Path

import numpy as np
import pytest

from chainrule.checking import check_file
from chainrule.checking.evidence import Observed, free_numbers

HIDDEN = {"tanh": ("tanh(h1)", "(1-a_h1^2)"), "relu": ("max(0, h1)", "if(h1 > 0, 1, 0)")}


@pytest.mark.parametrize("hidden", HIDDEN)
def test_one_identity_output_is_the_identity(tmp_path: Path, hidden: str) -> None:
    made, slope = HIDDEN[hidden]
    path = tmp_path / "formulas.txt"
    path.write_text(
        f"h1 = w1*i1\na_h1 = {made}\no1 = w2*a_h1\na_o1 = o1\nE = 0.5*(a_o1-t1)^2\n"
        f"dE/dw2 = (a_o1-t1)*a_h1\ndE/dw1 = (a_o1-t1)*w2*{slope}*i1\n",
        encoding="utf-8",
    )
    (sheet,) = check_file(path).sheets
    assert [layer["activation"] for layer in sheet.network["layers"]] == [hidden, "identity"]
    assert {column.quantity: column.is_right for column in sheet.columns if not column.is_right} == {}
    assert sheet.verdict == "right"


@pytest.mark.parametrize("name", ["o1", "o2", "h1", "a_h1", "i1", "t1", "z3"])
def test_free_numbers_have_both_signs(name: str) -> None:
    numbers = free_numbers(name)
    assert np.any(numbers > 0)
    assert np.any(numbers < 0)


def test_formulas_agree_where_both_are_undefined_but_not_by_that_alone() -> None:
    numbers = np.array([1.0, 2.0, np.nan])

    def misfit(stated: np.ndarray, guess: np.ndarray) -> float:
        return Observed(stated, lambda name: stated, frozenset(), is_formula=True).misfit(guess)

    assert misfit(numbers, numbers.copy()) == 0.0
    assert misfit(numbers, np.array([1.0, 2.0, 3.0])) == 1.0
    assert misfit(numbers, np.array([1.0, np.nan, np.nan])) == 1.0
    assert misfit(np.full(3, np.nan), np.full(3, np.nan)) == 1.0
