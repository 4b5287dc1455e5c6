"""Tables of workbooks: what is understood, what is wrong, and what is said of it."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from openpyxl import load_workbook
from xlsxwriter import Workbook

from chainrule.checking import Checked, SheetCheck, check_file
from chainrule.errors import UnknownNameError
from chainrule.programs import Layer, layered_program, run_program

START = {"t1": 0.01, "t2": 0.99, "i1": 0.05, "i2": 0.1}
START |= {"w1": 0.15, "w2": 0.2, "w3": 0.25, "w4": 0.3, "w5": 0.4, "w6": 0.45, "w7": 0.5, "w8": 0.55}
FORWARD = "t1 t2 i1 i2 w1 w2 w3 w4 h1 a_h1 h2 a_h2 w5 w6 w7 w8 o1 a_o1 o2 a_o2 E1 E2 E_total"
COLUMNS = [*FORWARD.split(), *(f"∂E/∂w{number}" for number in range(1, 9))]
CELLS = {
    name: chr(ord("A") + place) if place < 26 else f"A{chr(ord('A') + place - 26)}"
    for place, name in enumerate(COLUMNS)
}
ERROR_1, ERROR_2 = "(a_o1-t1)*a_o1*(1-a_o1)", "(a_o2-t2)*a_o2*(1-a_o2)"
FORMULAS = {
    "h1": "w1*i1+w2*i2",
    "h2": "w3*i1+w4*i2",
    "o1": "w5*a_h1+w6*a_h2",
    "o2": "w7*a_h1+w8*a_h2",
    **{f"a_{unit}": f"1/(1+EXP(-{unit}))" for unit in ("h1", "h2", "o1", "o2")},
    "E1": "0.5*(t1-a_o1)^2",
    "E2": "0.5*(t2-a_o2)^2",
    "E_total": "E1+E2",
    "∂E/∂w1": f"({ERROR_1}*w5+{ERROR_2}*w7)*a_h1*(1-a_h1)*i1",
    "∂E/∂w2": f"({ERROR_1}*w5+{ERROR_2}*w7)*a_h1*(1-a_h1)*i2",
    "∂E/∂w3": f"({ERROR_1}*w6+{ERROR_2}*w8)*a_h2*(1-a_h2)*i1",
    "∂E/∂w4": f"({ERROR_1}*w6+{ERROR_2}*w8)*a_h2*(1-a_h2)*i2",
    "∂E/∂w5": f"{ERROR_1}*a_h1",
    "∂E/∂w6": f"{ERROR_1}*a_h2",
    "∂E/∂w7": f"{ERROR_2}*a_h1",
    "∂E/∂w8": f"{ERROR_2}*a_h2",
}
TOP, ROWS = 4, 6  # header in row 4, data from row 5


def in_cells(formula: str, row: int) -> str:
    for name in sorted((name for name in CELLS if "∂" not in name), key=len, reverse=True):
        formula = formula.replace(name, f"{CELLS[name]}{row}") if name in formula else formula
    return formula


def build(
    path: Path,
    changes: Mapping[str, str] | None = None,
    start: Mapping[str, float] | None = None,
    header: Callable[[str], str] = lambda name: name,
    updates: Mapping[str, str] | None = None,
    rate: float = 0.5,
    label: str = "η =",
    numbers: Mapping[tuple[str, int], float] | None = None,
) -> Path:
    """Write the 2-2-2 workbook, the rate in B1; `changes` are formulas over names, `numbers` are typed over them."""
    formulas = {**FORMULAS, **(changes or {})}
    begun = {**START, **(start or {})}
    book = Workbook(str(path))
    page = book.add_worksheet("training")
    page.write("A1", label)
    page.write("B1", rate)
    for column, name in enumerate(COLUMNS):
        page.write(TOP - 1, column, header(name))
        for number in range(ROWS):
            row = TOP + 1 + number
            if numbers and (name, number) in numbers:
                page.write(row - 1, column, numbers[name, number])
            elif name in formulas:
                page.write_formula(row - 1, column, "=" + spelled(formulas[name], row))
            elif name[0] == "w" and number:
                gradient = CELLS[f"∂E/∂{name}"]
                text = (updates or {}).get(name, f"{{w}}-$B$1*{gradient}{{row}}")
                page.write_formula(
                    row - 1,
                    column,
                    "=" + text.format(w=f"{CELLS[name]}{row - 1}", row=row - 1, first=f"${CELLS[name]}${TOP + 1}"),
                )
            else:
                page.write(row - 1, column, begun[name])
    book.close()
    return path


def spelled(formula: str, row: int) -> str:
    """Return a formula over names with the cells of a row."""
    return re.sub(
        r"(a_)?[hotiwE]\d(@1)?",
        lambda found: f"{CELLS[found[0].removesuffix('@1')]}{row + (found[2] is not None)}",
        formula,
    )


def only(checked: Checked) -> SheetCheck:
    assert len(checked.sheets) == 1
    return checked.sheets[0]


def test_a_right_workbook_is_right_and_says_what_was_understood(tmp_path: Path) -> None:
    checked = check_file(build(tmp_path / "right.xlsx"))
    sheet = only(checked)
    assert checked.verdict == "right"
    assert {column.quantity for column in sheet.columns} == set(COLUMNS) - {"t1", "t2", "i1", "i2"}
    assert all(column.is_right for column in sheet.columns)
    assert sheet.rows == ROWS
    assert sheet.network["inputs"] == 2
    assert sheet.network["layers"] == [{"units": 2, "activation": "sigmoid"}] * 2
    assert sheet.network["units"] == {
        "h1": "w1·i1 + w2·i2",
        "h2": "w3·i1 + w4·i2",
        "o1": "w5·a_h1 + w6·a_h2",
        "o2": "w7·a_h1 + w8·a_h2",
    }
    assert sheet.conventions == {
        "loss": "½Σ(t − a)²",
        "weights are counted": "unit by unit",
        "biases": "none",
        "update": "SGD, all weights at once",
        "learning rate": 0.5,
        "learning rate from": "cell B1",
    }


def test_a_wrong_gradient_is_described(tmp_path: Path) -> None:
    slip = FORMULAS["∂E/∂w3"].replace("a_h2*(1-a_h2)", "a_h1*(1-a_h1)")
    sheet = only(check_file(build(tmp_path / "wrong.xlsx", {"∂E/∂w3": slip})))
    (column,) = sheet.wrong
    assert sheet.verdict == "wrong"
    assert column.quantity == "∂E/∂w3"
    assert (column.first_wrong_cell, column.wrong_cells, column.cells) == ("Z5", ROWS, ROWS)
    assert column.slip == "wrong unit's activation: a_h1·(1 − a_h1) stands where a_h2·(1 − a_h2) belongs"
    assert column.found_formula == "=((R5-A5)*R5*(1-R5)*N5+(T5-B5)*T5*(1-T5)*P5)*J5*(1-J5)*C5"
    assert column.expected_formula == "=((R5-A5)*R5*(1-R5)*N5+(T5-B5)*T5*(1-T5)*P5)*L5*(1-L5)*C5"
    assert column.expected_in_names == (
        "((a_o1 − t1)·a_o1·(1 − a_o1)·w6 + (a_o2 − t2)·a_o2·(1 − a_o2)·w8)·a_h2·(1 − a_h2)·i1"
    )
    # The reference of the 2-2-2 exercise without biases, computed apart from this project.
    assert column.expected == pytest.approx(0.0002248134625761188, rel=1e-13)
    assert column.relative_error == pytest.approx(2.6e-4, rel=0.02)


def test_the_effect_is_the_difference_of_two_trainings(tmp_path: Path) -> None:
    sheet = only(check_file(build(tmp_path / "wrong.xlsx", {"∂E/∂w5": FORMULAS["∂E/∂w5"].replace("a_h1", "a_h2")})))
    program = layered_program(2, [Layer(2), Layer(2)])
    right = run_program(program, ROWS - 1, {**START, "η": 0.5})["E_total"]
    assert sheet.effect is not None
    assert sheet.effect.updates == ROWS - 1
    assert sheet.effect.right == pytest.approx(right[-1], rel=1e-14)
    weights = dict(START)
    for _ in range(ROWS - 1):  # the same training, with the wrong gradient of w5
        step = run_program(program, 0, {**weights, "η": 0.5})
        gradients = {f"w{n}": float(step[f"∂E/∂w{n}"][0]) for n in range(1, 9)}
        gradients["w5"] = gradients["w5"] / float(step["a_h1"][0]) * float(step["a_h2"][0])
        weights |= {name: weights[name] - 0.5 * gradient for name, gradient in gradients.items()}
    wrong = run_program(program, 0, {**weights, "η": 0.5})["E_total"][0]
    assert sheet.effect.wrong == pytest.approx(wrong, rel=1e-13)


def test_a_slip_that_equal_targets_hide_is_found(tmp_path: Path) -> None:
    slip = FORMULAS["∂E/∂w7"].replace("t2", "t1")
    sheet = only(check_file(build(tmp_path / "hidden.xlsx", {"∂E/∂w7": slip}, {"t1": 0.5, "t2": 0.5})))
    (column,) = sheet.wrong
    assert column.found == column.expected
    assert column.relative_error == 0.0
    assert column.slip == "wrong target: t1 stands where t2 belongs"
    assert column.remarks == (
        "No number shows it, because t1 = t2 in this file: only the formula does. With other numbers it gives another "
        "result.",
    )


def test_updates_of_a_wrong_gradient_are_right(tmp_path: Path) -> None:
    sheet = only(check_file(build(tmp_path / "wrong.xlsx", {"∂E/∂w5": "2*" + FORMULAS["∂E/∂w5"]})))
    assert [column.quantity for column in sheet.wrong] == ["∂E/∂w5"]
    assert sheet.wrong[0].slip_kinds == ("mean against sum",)
    assert sheet.remarks == (
        "The updates are right: each subtracts η times the gradient that stands in the row above.",
    )


def test_a_wrong_net_input_is_blamed_alone(tmp_path: Path) -> None:
    sheet = only(check_file(build(tmp_path / "wrong.xlsx", {"h2": "w3*i1+w2*i2"})))
    assert [column.quantity for column in sheet.wrong] == ["h2"]
    assert sheet.wrong[0].slip == "wrong weight: w2 stands where w4 belongs"


def test_two_slips_in_one_formula_are_both_named(tmp_path: Path) -> None:
    slip = f"{ERROR_1}*w6*h2*(1-h2)*i1+{ERROR_2}*w8*h2*(1-h2)*i2"
    (column,) = only(check_file(build(tmp_path / "wrong.xlsx", {"∂E/∂w3": slip}))).wrong
    assert column.slip == (
        "pre-activation for activation: h2·(1 − h2) stands where a_h2·(1 − a_h2) belongs; "
        "and wrong input: i2 stands where i1 belongs in the path through o2"
    )


def test_a_formula_of_no_known_slip_is_wrong_and_said_to_be_none_of_them(tmp_path: Path) -> None:
    (column,) = only(check_file(build(tmp_path / "wrong.xlsx", {"∂E/∂w5": "SQRT(a_o1)+EXP(w2)*t1*w7"}))).wrong
    assert column.slip == "none of the usual slips"
    assert column.slip_kinds == ()
    assert column.expected_formula == "=(R5-A5)*R5*(1-R5)*J5"


UPDATES = {
    "another weight's gradient": "{w}-$B$1*X{row}",
    "wrong sign": "{w}+$B$1*Z{row}",
    "missing factor": "{w}-Z{row}",
    "another row": "{first}-$B$1*Z{row}",
}


@pytest.mark.parametrize("kind", UPDATES)
def test_slips_of_an_update(tmp_path: Path, kind: str) -> None:
    (column,) = only(check_file(build(tmp_path / "wrong.xlsx", updates={"w3": UPDATES[kind]}))).wrong
    assert column.quantity == "w3"
    assert column.slip_kinds == (kind,)


def test_weights_of_the_row_below_in_a_hidden_gradient(tmp_path: Path) -> None:
    slip = FORMULAS["∂E/∂w1"].replace("w5", "w5@1").replace("w7", "w7@1")
    (column,) = only(check_file(build(tmp_path / "wrong.xlsx", {"∂E/∂w1": slip}))).wrong
    assert column.slip == ("updated weights in a gradient: w5⁺, w7⁺ stand where w5, w7, from before the update, belong")


SPELLINGS = {
    "capitals": lambda name: name.replace("w", "W"),
    "out": lambda name: name.replace("a_", "out_"),
    "delta": lambda name: name.replace("∂E/∂", "δE_total/δ"),
    "short": lambda name: name.replace("∂E/∂", "E∂"),
    "ascii": lambda name: name.replace("∂E/∂", "dE/d").replace("E_total", "Etotal"),
    "x": lambda name: name.replace("i1", "x1").replace("i2", "x2"),
    "with formula": lambda name: f"{name} = {FORMULAS[name]}" if name in ("h1", "E1", "E_total") else name,
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spellings(tmp_path: Path, spelling: str) -> None:
    checked = check_file(build(tmp_path / "right.xlsx", header=SPELLINGS[spelling]))
    assert checked.verdict == "right"
    assert len(only(checked).columns) == len(COLUMNS) - 4


LOSSES = {
    "Σ(t − a)²": ({"E1": "(t1-a_o1)^2", "E2": "(t2-a_o2)^2"}, 2),
    "the mean of (t − a)²": ({"E1": "(t1-a_o1)^2", "E2": "(t2-a_o2)^2", "E_total": "(E1+E2)/2"}, 1),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_conventions_of_the_loss_are_named_and_not_called_wrong(tmp_path: Path, loss: str) -> None:
    formulas, factor = LOSSES[loss]
    gradients = {name: f"{factor}*({formula})" for name, formula in FORMULAS.items() if name.startswith("∂")}
    checked = check_file(build(tmp_path / "right.xlsx", {**formulas, **gradients}))
    assert checked.verdict == "right"
    assert only(checked).conventions["loss"] == loss


def test_gradients_of_another_loss_than_the_files_own_are_wrong(tmp_path: Path) -> None:
    sheet = only(check_file(build(tmp_path / "wrong.xlsx", {"E1": "(t1-a_o1)^2", "E2": "(t2-a_o2)^2"})))
    assert [column.quantity for column in sheet.wrong] == [f"∂E/∂w{number}" for number in range(1, 9)]
    assert {column.slip_kinds for column in sheet.wrong} == {("mean against sum",)}


def test_a_number_typed_over_a_formula(tmp_path: Path) -> None:
    (column,) = only(check_file(build(tmp_path / "wrong.xlsx", numbers={("∂E/∂w6", 3): 0.0726}))).wrong
    assert (column.first_wrong_cell, column.wrong_cells) == ("AC8", 1)
    assert column.slip == "copied number: 0.0726 was typed where a number is computed in the other rows"


def test_a_rate_without_a_name_and_one_in_the_formulas(tmp_path: Path) -> None:
    unnamed = only(check_file(build(tmp_path / "unnamed.xlsx", label="speed of learning, sort of")))
    assert unnamed.verdict == "right"
    assert unnamed.conventions["learning rate from"] == "cell B1, which has no name"
    updates = {f"w{number}": f"{{w}}-0.5*{CELLS[f'∂E/∂w{number}']}{{row}}" for number in range(1, 9)}
    written = only(check_file(build(tmp_path / "written.xlsx", updates=updates)))
    assert written.verdict == "right"
    assert written.conventions["learning rate"] == 0.5


def test_an_activation_that_is_none_is_not_understood(tmp_path: Path) -> None:
    changes = {f"a_{unit}": f"SIN({unit})+{unit}^3" for unit in ("h1", "h2", "o1", "o2")}
    sheet = only(check_file(build(tmp_path / "odd.xlsx", changes)))
    assert sheet.verdict == "not understood"
    assert sheet.reason == (
        "No usual activation makes a_h1, a_h2 of h1, h2. Known are sigmoid, tanh, ReLU, leaky ReLU, softplus, softmax "
        "and the identity."
    )


def test_every_activation_with_the_same_slip_is_wrong(tmp_path: Path) -> None:
    sheet = only(check_file(build(tmp_path / "wrong.xlsx", {"a_h1": "1/(1+EXP(h1))", "a_h2": "1/(1+EXP(h2))"})))
    assert [column.quantity for column in sheet.wrong] == ["a_h1", "a_h2"]
    assert sheet.wrong[0].slip == "wrong sign: exp(h1) stands where exp(−h1) belongs"


def test_a_sheet_without_a_table(tmp_path: Path) -> None:
    book = Workbook(str(tmp_path / "none.xlsx"))
    book.add_worksheet("shopping").write("A1", "milk")
    book.close()
    checked = check_file(tmp_path / "none.xlsx")
    assert checked.verdict == "not understood"
    assert checked.sheets == ()
    assert checked.notes == ("Sheet 'shopping': no table of a training was found in it.",)
    assert checked.next_step.startswith("Write one row of headers above the numbers, such as: t1 t2 i1 i2 w1")


def test_too_few_weights_are_not_understood(tmp_path: Path) -> None:
    checked = check_file(build(tmp_path / "few.xlsx", header=lambda name: "note" if name.endswith("w8") else name))
    sheet = only(checked)
    assert sheet.verdict == "not understood"
    assert sheet.reason == (
        "A 2-2-2 network has 8 weights, but 7 are named: w1, w2, w3, w4, w5, w6, w7. Name every weight w1, w2, ..., "
        "unit by unit, and every unit h1, h2, ..., o1, o2, ..."
    )
    assert sheet.unread == ("note (P4)", "note (AE4)")


def test_an_unknown_sheet_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        check_file(build(tmp_path / "right.xlsx"), "trainig")
    assert str(caught.value) == (
        "There is no sheet 'trainig'.\n"
        f"  where:    {tmp_path / 'right.xlsx'}\n"
        "  found:    trainig\n"
        "  expected: one of training\n"
        "Did you mean 'training'?"
    )


def test_pasted_loss_curves_are_compared_with_trainings_at_their_rates(tmp_path: Path) -> None:
    path = build(tmp_path / "curves.xlsx")
    program = layered_program(2, [Layer(2), Layer(2)])
    book = load_workbook(path)
    page = book.create_sheet("curves")
    for column, rate in enumerate((0.1, 2.0), 1):
        losses = run_program(program, 4, {**START, "η": rate})["E_total"]
        page.cell(1, column, f"η = {rate}")
        for row, loss in enumerate(losses, 2):
            page.cell(row, column, float(loss) + (0.001 if rate == 2.0 and row == 4 else 0.0))
    book.save(path)
    checked = check_file(path)
    assert checked.verdict == "right"
    assert [note for note in checked.notes if "curves" in note] == [
        "Sheet 'curves', η = 0.1 (5 losses from A2 on): right.",
        "Sheet 'curves', η = 2.0 (5 losses from B2 on): differs from the right losses from B4 on, by up to 1.0e-03.",
    ]


def test_the_json_has_the_promised_keys(tmp_path: Path) -> None:
    data = check_file(build(tmp_path / "wrong.xlsx", {"E2": "0.5*(t1-a_o2)^2"})).to_dict()
    assert data["verdict"] == "wrong"
    (sheet,) = data["sheets"]
    assert {"name", "network", "conventions", "rows", "columns"} <= set(sheet)
    wrong = next(column for column in sheet["columns"] if not column["ok"])
    assert set(wrong) >= {"header", "quantity", "ok", "first_wrong_cell", "found", "expected", "relative_error", "slip"}
    assert (wrong["quantity"], wrong["first_wrong_cell"], wrong["slip"]) == (
        "E2",
        "V5",
        "wrong target: t1 stands where t2 belongs",
    )
