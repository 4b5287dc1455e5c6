"""Slips of formulas with other functions, and what they do to a training, in workbooks written for each test."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from xlsxwriter import Workbook

from chainrule.checking import SheetCheck, check_file
from chainrule.programs import Layer, layered_program, run_program

ROWS = 6
RATE = 0.5
START = {"t1": 0.2, "t2": 0.8, "i1": 0.35, "i2": -0.6}
START |= {"w1": 0.15, "w2": 0.2, "w3": 0.25, "w4": 0.3, "w5": 0.4, "w6": 0.45, "w7": 0.5, "w8": 0.55}
NETS = {"h1": "w1*i1+w2*i2", "h2": "w3*i1+w4*i2", "o1": "w5*a_h1+w6*a_h2", "o2": "w7*a_h1+w8*a_h2"}
ORDER = [*START, "h1", "a_h1", "h2", "a_h2", "o1", "o2", "a_o1", "a_o2", "E_total", "δ_o1", "δ_o2", "δ_h1", "δ_h2"]
ORDER += [f"∂E/∂w{number}" for number in range(1, 9)]


def network(hidden: str, outputs: Mapping[str, str], loss: str, slope: str, errors: Sequence[str]) -> dict[str, str]:
    """Return the formulas of a 2-2-2 network with a column for each δ; {a} is an output, {z} its net input."""
    formulas = dict(NETS) | dict(outputs) | {"E_total": loss, "δ_o1": errors[0], "δ_o2": errors[1]}
    for unit in ("h1", "h2"):
        formulas[f"a_{unit}"] = hidden.format(z=unit)
    formulas["δ_h1"] = "(δ_o1*w5+δ_o2*w7)*" + slope.format(a="a_h1")
    formulas["δ_h2"] = "(δ_o1*w6+δ_o2*w8)*" + slope.format(a="a_h2")
    for number, (delta, source) in enumerate(
        [
            ("h1", "i1"),
            ("h1", "i2"),
            ("h2", "i1"),
            ("h2", "i2"),
            *((o, h) for o in ("o1", "o2") for h in ("a_h1", "a_h2")),
        ]
    ):
        formulas[f"∂E/∂w{number + 1}"] = f"δ_{delta}*{source}"
    return formulas


SIGMOID = "1/(1+EXP(-{z}))"
SQUARED = "0.5*(t1-a_o1)^2+0.5*(t2-a_o2)^2"
OUTPUTS = {"a_o1": SIGMOID.format(z="o1"), "a_o2": SIGMOID.format(z="o2")}
ERRORS = ["(a_o1-t1)*a_o1*(1-a_o1)", "(a_o2-t2)*a_o2*(1-a_o2)"]
SIGMOIDS = network(SIGMOID, OUTPUTS, SQUARED, "{a}*(1-{a})", ERRORS)
TANH = network("TANH({z})", OUTPUTS, SQUARED, "(1-{a}^2)", ERRORS)
SOFTMAX = network(
    SIGMOID,
    {"a_o1": "EXP(o1)/(EXP(o1)+EXP(o2))", "a_o2": "EXP(o2)/(EXP(o1)+EXP(o2))"},
    "-(t1*LN(a_o1)+t2*LN(a_o2))",
    "{a}*(1-{a})",
    ["a_o1-t1", "a_o2-t2"],
)


def cell(name: str, row: int) -> str:
    place = ORDER.index(name)
    return ("" if place < 26 else chr(ord("A") + place // 26 - 1)) + chr(ord("A") + place % 26) + str(row)


def checked(path: Path, formulas: Mapping[str, str]) -> SheetCheck:
    """Write a workbook, the rate in B1, headers in row 3, and check it."""
    book = Workbook(str(path))
    page = book.add_worksheet("training")
    page.write_row("A1", ["η", RATE])
    page.write_row("A3", ORDER)
    for row in range(4, 4 + ROWS):
        for name in ORDER:
            if name in formulas:
                text = formulas[name]
                for other in sorted(ORDER, key=len, reverse=True):
                    text = text.replace(other, f"«{ORDER.index(other)}»")
                for place, other in enumerate(ORDER):
                    text = text.replace(f"«{place}»", cell(other, row))
                page.write_formula(cell(name, row), "=" + text)
            elif name[0] == "w" and row > 4:
                page.write_formula(cell(name, row), f"={cell(name, row - 1)}-$B$1*{cell(f'∂E/∂{name}', row - 1)}")
            else:
                page.write(cell(name, row), START[name])
    book.close()
    (sheet,) = check_file(path).sheets
    return sheet


@pytest.mark.parametrize("formulas", [SIGMOIDS, TANH, SOFTMAX], ids=["sigmoid", "tanh", "softmax"])
def test_right_tables_with_columns_of_deltas_are_right(tmp_path: Path, formulas: Mapping[str, str]) -> None:
    sheet = checked(tmp_path / "right.xlsx", formulas)
    assert (sheet.verdict, sheet.wrong) == ("right", ())


def test_what_belongs_in_a_hidden_delta_has_the_slope_behind_every_path(tmp_path: Path) -> None:
    wrong = SIGMOIDS | {"δ_h2": "(δ_o1*w6+δ_o2*w8)*h2*(1-h2)"}
    (column,) = checked(tmp_path / "wrong.xlsx", wrong).wrong
    assert column.quantity == "∂E/∂h2"
    assert column.expected_formula == "=(V4*J4+W4*L4)*P4*(1-P4)"
    assert column.slip == "pre-activation for activation: h2·(1 − h2) stands where a_h2·(1 − a_h2) belongs"


def test_a_wrong_delta_moves_the_loss_through_the_gradients_that_read_it(tmp_path: Path) -> None:
    sheet = checked(tmp_path / "wrong.xlsx", SIGMOIDS | {"δ_h2": "(δ_o1*w6+δ_o2*w8)*h2*(1-h2)"})
    program = layered_program(2, [Layer(2), Layer(2)])
    weights = dict(START)
    for _ in range(ROWS - 1):  # the same training, with h2·(1 − h2) in the gradients of w3 and w4
        step = {name: float(values[0]) for name, values in run_program(program, 0, {**weights, "η": RATE}).items()}
        ratio = step["h2"] * (1 - step["h2"]) / (step["a_h2"] * (1 - step["a_h2"]))
        for number in range(1, 9):
            weights[f"w{number}"] -= RATE * step[f"∂E/∂w{number}"] * (ratio if number in (3, 4) else 1)
    found = float(run_program(program, 0, {**weights, "η": RATE})["E_total"][0])
    right = float(run_program(program, ROWS - 1, {**START, "η": RATE})["E_total"][-1])
    assert sheet.effect is not None
    assert found != pytest.approx(right, rel=1e-6)
    assert sheet.effect.right == pytest.approx(right, rel=1e-13)
    assert sheet.effect.wrong == pytest.approx(found, rel=1e-13)


def test_the_slope_of_tanh_from_the_net_input_has_its_own_name(tmp_path: Path) -> None:
    (column,) = checked(tmp_path / "wrong.xlsx", TANH | {"δ_h1": "(δ_o1*w5+δ_o2*w7)*(1-h1^2)"}).wrong
    assert column.slip == (
        "derivative of another function: (1 − h1²) (1 − z² for 1 − tanh² z) stands where (1 − a_h1²) belongs"
    )


@pytest.mark.parametrize(
    ("factor", "words"),
    [("*a_o1*(1-a_o1)", "a_o1·(1 − a_o1)"), ("*(1-a_o1^2)", "(1 − a_o1²)")],
    ids=["sigmoid", "tanh"],
)
def test_a_slope_behind_softmax_and_cross_entropy_is_an_extra_factor(tmp_path: Path, factor: str, words: str) -> None:
    (column,) = checked(tmp_path / "wrong.xlsx", SOFTMAX | {"δ_o1": "(a_o1-t1)" + factor}).wrong
    assert column.slip == f"extra factor: {words} does not belong there"


def test_a_slope_that_stands_twice_stands_once_too_often(tmp_path: Path) -> None:
    (column,) = checked(tmp_path / "wrong.xlsx", SIGMOIDS | {"δ_o1": ERRORS[0] + "*a_o1*(1-a_o1)"}).wrong
    assert column.slip == "extra factor: a_o1·(1 − a_o1) stands there once too often"
