"""The workbook of a program: its sheets, its formulas, the names of its cells, and what is refused."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from sympy import Add, Rational

from chainrule.documents.sheets import Area, FormulaCell, NumberCell, Sheet, TextCell, Workbook
from chainrule.errors import ChainruleError
from chainrule.programs import Layer, Program, layered_program, run_program
from chainrule.reports.workbook import RATES, training_workbook
from chainrule.reports.workbook_plan import cell_name, cell_names, number_format
from chainrule.reports.workbook_setup import Losses, setup_sheet

GIVEN = {f"w{n}": (n + 2) / 20 for n in range(1, 9)} | {"i1": 0.05, "i2": 0.10, "t1": 0.01, "t2": 0.99, "η": 0.5}


def two_two_two(optimizer: str = "SGD", settings: dict[str, float] | None = None) -> Program:
    program = layered_program(2, [Layer(2), Layer(2)], optimizer=optimizer, settings=settings, title="two-two-two")
    quantities = {name: replace(q, value=GIVEN.get(name, q.value)) for name, q in program.quantities.items()}
    return replace(program, quantities=quantities)


def sheet_of(workbook: Workbook, name: str) -> Sheet:
    return next(sheet for sheet in workbook.sheets if sheet.name == name)


def first_formulas(sheet: Sheet, place: int = 0) -> dict[str, str]:
    """Return the formula of every column in one row, by the header."""
    headers = {column: cell.text for (row, column), cell in sheet.cells.items() if row == 4}  # type: ignore[union-attr]
    return {headers[column.column]: column.formula_at(place) for column in sheet.columns}


def texts(sheet: Sheet) -> list[str]:
    return [cell.text for cell in sheet.cells.values() if isinstance(cell, TextCell)]


def test_sheets_in_order() -> None:
    names = [sheet.name for sheet in training_workbook(two_two_two(), 3).sheets]
    assert names == ["Setup", "Run", "Learning rates", "Formulas", *(f"Rate {n}" for n in range(1, 7))]
    assert [sheet.name for sheet in training_workbook(two_two_two(), 3, ()).sheets] == ["Setup", "Run", "Formulas"]


def test_the_formulas_of_a_row() -> None:
    run = sheet_of(training_workbook(two_two_two(), 3), "Run")
    first, second = first_formulas(run), first_formulas(run, 1)
    assert list(first)[:12] == ["i1", "i2", "t1", "t2", *(f"w{n}" for n in range(1, 9))]
    assert (first["i1"], first["w1"], second["i1"], second["w1"]) == ("i_1", "w_1", "i_1", "AO6")
    assert (first["h1"], second["h1"]) == ("F6*B6+G6*C6", "F7*B7+G7*C7")
    assert first["a_h1"] == "1/(1+EXP(-N6))"
    assert first["E1"] == "(D6-T6)^2/2"
    assert first["E_total"] == "V6+W6"
    assert first["∂E/∂a_h1"] == "AA6*J6+AB6*L6"
    assert first["∂E/∂w5"] == "AA6*P6"
    assert (first["w1⁺"], second["w1⁺"]) == ("F6-eta*AG6", "F7-eta*AG7")


def test_a_rate_changes_the_learning_rate_alone() -> None:
    workbook = training_workbook(two_two_two(), 3)
    run, rated = (first_formulas(sheet_of(workbook, name)) for name in ("Run", "Rate 4"))
    changed = {name for name in run if run[name] != rated[name]}
    assert changed == {f"w{n}⁺" for n in range(1, 9)}
    assert rated["w8⁺"] == "M6-rate_4*AN6"
    compared = sheet_of(workbook, "Learning rates")
    assert [compared.cells[2, place] for place in range(1, 7)] == [
        NumberCell(rate, compared.cells[2, 1].style) for rate in RATES
    ]
    assert compared.columns[3].formula_at(2) == "'Rate 4'!$X8"
    assert str(workbook.names["rate_4"]) == "'Learning rates'!$E$3"


def test_cached_values_are_those_of_the_program() -> None:
    program = two_two_two()
    workbook = training_workbook(program, 10)
    rows = run_program(program, 10, {"η": np.array([0.5, *RATES])})
    for place, name in enumerate(["Run", *(f"Rate {n}" for n in range(1, 7))]):
        sheet = sheet_of(workbook, name)
        for column, header in zip(sheet.columns, first_formulas(sheet), strict=True):
            expected = np.broadcast_to(rows[header].reshape(11, -1), (11, 7))[:, place]
            assert column.cached == tuple(expected.tolist()), (name, header)


def test_every_given_number_is_a_cell_to_edit_with_a_name() -> None:
    program = two_two_two("Adam", {"η": 0.05, "β1": 0.9, "β2": 0.999, "ε": 1e-8})
    workbook = training_workbook(program, 2, (0.1,))
    setup = sheet_of(workbook, "Setup")
    given = {q.value for q in program.of_kind("input", "target", "parameter", "state", "setting")}
    edited = {place for place, cell in setup.cells.items() if cell.style.role == "edit"}
    assert {setup.cells[place].value for place in edited} == given  # type: ignore[union-attr]
    named = {(area.first_row, area.first_column) for area in workbook.names.values() if area.sheet == "Setup"}
    assert named == edited
    assert {"eta", "beta1", "beta2", "eps", "t", "i_1", "t_2", "w_8", "m_w8", "v_w1", "loss"} <= set(workbook.names)
    assert setup.charts[0].curves[0].y == workbook.names["loss"]


def test_formulas_explains_every_column() -> None:
    workbook = training_workbook(two_two_two(), 3)
    sheet = sheet_of(workbook, "Formulas")
    rows: dict[int, list[str]] = {}
    for (row, _), cell in sheet.cells.items():
        assert isinstance(cell, TextCell)
        rows.setdefault(row, []).append(cell.text)
    by_name = {cells[1]: cells for cells in rows.values() if len(cells) == 6}
    assert set(first_formulas(sheet_of(workbook, "Run"))) <= set(by_name)
    assert by_name["∂E/∂w1"] == [
        "AG",
        "∂E/∂w1",
        "gradient of w1: how fast the loss grows with it",
        "∂E/∂w1 = ∂E/∂h1·i1",
        "chain rule: ∂E/∂h1 · ∂h1/∂w1\n"
        "= (a_o1 − t1) · a_o1(1 − a_o1) · w5 · a_h1(1 − a_h1) · i1"
        " + (a_o2 − t2) · a_o2(1 − a_o2) · w7 · a_h1(1 − a_h1) · i1",
        "AE6*B6",
    ]
    assert by_name["w_1"][2:4] == ["w1: weight from i1 into h1", str(workbook.names["w_1"])]


def test_softmax_shows_what_cancels_and_how_it_is_computed() -> None:
    program = layered_program(2, [Layer(3, "relu"), Layer(2, "softmax")], "cross-entropy")
    shown = texts(sheet_of(training_workbook(program, 1, ()), "Formulas"))
    assert any(
        text.startswith("chain rule: ∂E/∂p1 · ∂p1/∂o1 + ∂E/∂p2") and text.endswith("= p1 − t1") for text in shown
    )
    assert any(text.startswith("softmax; so that nothing overflows, computed as ") for text in shown)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("η", "eta"),
        ("w1", "w_1"),
        ("W1", "W_1"),
        ("E1", "E_1"),
        ("xfd1", "xfd_1"),
        ("b12", "b_12"),
        ("a_h1", "a_h1"),
        ("i1⁽²⁾", "i1_s2"),
        ("t", "t"),
        ("R", "R_"),
        ("c", "c_"),
        ("R1C1", "R1C_1"),
        ("λ", "lambda_"),
        ("true", "true_"),
        ("η_2", "eta_2"),
        ("conv.weight[0,0,1,2]", "conv_weight_0_0_1_2"),
        ("β1", "beta1"),
        ("年齢", "input"),
        ("1st", "_1st"),
    ],
)
def test_names_of_cells(name: str, cell: str) -> None:
    assert cell_name(name, "input") == cell
    # Neither an address nor anything but letters, digits and underscores.
    assert re.fullmatch(r"[A-Za-z_]\w*", cell, re.ASCII)
    assert not re.fullmatch(r"[A-Za-z]{1,3}\d+|[Rr]\d*([Cc]\d*)?|[Cc]\d*", cell)


def test_equal_names_of_cells_get_numbers() -> None:
    quantity = next(two_two_two().of_kind("input"))
    quantities = [replace(quantity, name=name) for name in ("a-b", "a_b", "A b", "年齢", "loss")]
    assert list(cell_names(quantities, ["loss"]).values()) == ["a_b", "a_b_2", "A_b_3", "input", "loss_2"]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([0.5, -0.25], "0.000000"),
        ([1.0, 2.0, 3.0], "General"),
        ([0.0, 0.0], "General"),
        ([1e-6, 2e-7, 0.0], "0.0000E+00"),
        ([1e7, 0.1], "0.0000E+00"),
        ([float("nan"), 0.5], "0.000000"),
        ([float("inf"), float("nan")], "0.000000"),
    ],
)
def test_number_formats(numbers: Sequence[float], expected: str) -> None:
    assert number_format(np.array(numbers)) == expected


def test_setup_says_how_formulas_call_a_cell() -> None:
    assert 'In formulas the cell of "w1" is called "w_1": W1 alone would be the address of a cell.' in texts(
        training_workbook(two_two_two(), 1, ()).sheets[0]
    )


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0.24251985734837728, "0.000000000000000"),
        (0.0, "0.000000000000000"),
        (float("nan"), "0.000000000000000"),
        (2.5, "0.00000000000000"),
        (1234.5, "0.00000000000"),
        (1.5e-9, "0.00000000000000E+00"),
        (2e20, "0.00000000000000E+00"),
    ],
)
def test_setup_shows_all_digits_of_the_loss(number: float, shown: str) -> None:
    program = two_two_two()
    place = Area("Run", 5, 1, 6, 1)
    setup = setup_sheet(program, Losses(1, place, place, place, number, number), ())
    formats = [cell.style.number_format for cell in setup.cells.values() if isinstance(cell, FormulaCell)]
    assert formats == [shown, shown]
    assert setup.widths[2] > len(shown)


def test_several_samples_stand_side_by_side() -> None:
    program = layered_program(2, [Layer(1)], samples=3)
    setup = sheet_of(training_workbook(program, 1, ()), "Setup")
    (row,) = [row for (row, column), cell in setup.cells.items() if column == 0 and getattr(cell, "text", "") == "i2"]
    assert [cell.style.role for (r, _), cell in setup.cells.items() if r == row] == ["label", "text", *["edit"] * 3]
    headers = [setup.cells[row - 2, column] for column in (2, 3, 4)]
    assert [cell.text for cell in headers] == ["sample 1", "sample 2", "sample 3"]  # type: ignore[union-attr]
    chart = setup.charts[0]
    assert row > chart.row + chart.height / 20  # below the chart


REFUSED = [
    (
        lambda: training_workbook(two_two_two(), 0),
        "A workbook has at least one update.\n  where:    --updates\n  found:    0\n  expected: 1 or more",
    ),
    (
        lambda: training_workbook(two_two_two(), 1, (0.1, 0.0)),
        "A learning rate is a finite number above 0.\n"
        "  where:    --rates\n  found:    0\n  expected: numbers such as 0.1,0.5,1",
    ),
    (
        lambda: training_workbook(two_two_two(), 1, (0.5, 0.1, 0.5)),
        "The same learning rate stands there twice, and would give the same curve twice.\n"
        "  where:    --rates\n  found:    0.5\n  expected: each rate once",
    ),
    (
        lambda: training_workbook(two_two_two(), 1, (float("nan"),)),
        "A learning rate is a finite number above 0.\n"
        "  where:    --rates\n  found:    nan\n  expected: numbers such as 0.1,0.5,1",
    ),
    (
        lambda: training_workbook(two_two_two(), 1, (0.1,) * 21),
        "A workbook compares at most 20 learning rates.\n  where: --rates\n  found: 21\n"
        "Write several workbooks, or leave some rates out.",
    ),
    (
        lambda: training_workbook(replace(two_two_two(), updated={}, notes=("Adagrad has no formulas.",)), 1),
        "A workbook trains, and this step has no update with formulas.\n"
        "  where:    two-two-two\n"
        "  expected: a step with one of the optimizers SGD, Adam, AdamW and RMSprop\n"
        "Adagrad has no formulas.",
    ),
    (
        lambda: training_workbook(two_two_two(), 1_048_571, ()),
        "There are more updates than a sheet has rows.\n  where:    --updates\n  found:    1048571\n"
        "  expected: at most 1048570",
    ),
    (
        lambda: training_workbook(two_two_two(), 50_000),
        "The workbook would be too large to be opened with ease.\n"
        "  where:    two-two-two\n"
        "  found:    16450329 formulas: 47 columns, 50001 rows, 7 tables\n"
        "  expected: at most 500000\n"
        "Leave out the comparison of learning rates (--rates none), or take fewer updates (--updates) or fewer samples "
        "in a batch (--data.batch_size).",
    ),
    (
        lambda: training_workbook(two_two_two(), 10_638, ()),
        "The workbook would be too large to be opened with ease.\n"
        "  where:    two-two-two\n"
        "  found:    500033 formulas: 47 columns, 10639 rows, 1 table\n"
        "  expected: at most 500000\n"
        "Take fewer updates (--updates) or fewer samples in a batch (--data.batch_size).",
    ),
]


@pytest.mark.parametrize(("made", "text"), REFUSED, ids=[text.split("\n")[0] for _, text in REFUSED])
def test_what_is_refused(made, text) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ChainruleError) as caught:
        made()
    assert str(caught.value) == text


def test_a_sheet_that_is_too_narrow_or_a_cell_that_is_too_short_is_said() -> None:
    program = two_two_two()
    some = next(program.of_kind("input"))
    wide = {f"i{n}": replace(some, name=f"i{n}") for n in range(16_384)}
    with pytest.raises(ChainruleError) as caught:
        training_workbook(replace(program, quantities={**wide, **program.quantities}), 1, ())
    assert str(caught.value) == (
        "The step has more numbers than a sheet has columns.\n"
        "  where:    two-two-two\n  found:    16430 columns\n  expected: at most 16384\n"
        "Choose a smaller network, or fewer samples in a batch (--data.batch_size)."
    )
    terms = [Rational(1, 10**12 + n) * program.quantities["i1"].symbol ** n for n in range(2, 600)]
    longest = replace(program.by_name["h1"], formula=Add(*terms))
    with pytest.raises(ChainruleError) as caught:
        training_workbook(replace(program, assignments=(longest, *program.assignments[1:])), 1, ())
    assert str(caught.value) == (
        "The formula of h1 is too long for a cell.\n  found:    12452 characters\n  expected: at most 8192\n"
        "Choose a smaller network, or fewer samples in a batch."
    )


def test_texts_of_users_stay_texts() -> None:
    program = two_two_two()
    hostile = "=cmd|' /C calc'!A0"
    quantities = {name: replace(q, meaning=hostile, origin=hostile) for name, q in program.quantities.items()}
    workbook = training_workbook(replace(program, title=hostile, quantities=quantities, notes=(hostile,)), 1, (0.1,))
    for sheet in workbook.sheets:
        formulas = [cell.formula for cell in sheet.cells.values() if isinstance(cell, FormulaCell)]
        formulas += [column.formula_at(0) for column in sheet.columns]
        assert not [formula for formula in formulas if "cmd" in formula]
    assert hostile in texts(workbook.sheets[0])
