"""Files of formulas: each equation against the network that they tell."""

from pathlib import Path

import pytest

from chainrule.checking import SheetCheck, check_file
from chainrule.errors import ChainruleError

FORWARD = """
h1 = w1*i1 + w2*i2
h2 = w3*i1 + w4*i2
a_h1 = 1/(1 + exp(-h1))
a_h2 = 1/(1 + exp(-h2))
o1 = w5*a_h1 + w6*a_h2
o2 = w7*a_h1 + w8*a_h2
a_o1 = σ(o1)
a_o2 = σ(o2)
E1 = ½ * (t1 - a_o1)²
E2 = ½ * (t2 - a_o2)²
E_total = E1 + E2
"""
ONE, TWO = "(a_o1 - t1) * a_o1 * (1 - a_o1)", "(a_o2 - t2) * a_o2 * (1 - a_o2)"


def checked(folder: Path, text: str, name: str = "formulas.txt") -> SheetCheck:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    (sheet,) = check_file(path).sheets
    return sheet


def test_a_right_derivation(tmp_path: Path) -> None:
    text = FORWARD + f"dE/dw5 = {ONE} * a_h1\n∂E/∂w1 = ({ONE} * w5 + {TWO} * w7) * a_h1 * (1 - a_h1) * i1\n"
    sheet = checked(tmp_path, text + "w5_new = w5 - η * ∂E/∂w5\n")
    assert sheet.verdict == "right"
    assert [column.quantity for column in sheet.columns[-3:]] == ["∂E/∂w5", "∂E/∂w1", "w5⁺"]
    assert sheet.conventions["loss"] == "½Σ(t − a)²"


SLIPS = {
    f"dE/dw8 = {TWO.replace('t2', 't1')} * a_h2": "wrong target: t1 stands where t2 belongs",
    f"dE/dw5 = {ONE} * a_h2": "wrong unit's activation: a_h2 stands where a_h1 belongs",
    "dE/dw5 = (t1 - a_o1) * a_o1 * (1 - a_o1) * a_h1": "wrong sign: (t1 − a_o1) stands where (a_o1 − t1) belongs",
    f"dE/dw1 = {ONE} * w5 * a_h1 * (1 - a_h1) * i1": "missing path: the path through o2 is left out",
    "dE/dw5 = a_o1 - t1 * a_o1 * (1 - a_o1) * a_h1": "missing brackets: meant is (a_o1 − t1)·a_o1·(1 − a_o1)·a_h1",
    "dE1/dw5 = ∂E1/∂a_o1 + ∂a_o1/∂o1 + ∂o1/∂w5": (
        "wrong operator: + stands where · belongs: along a path, derivatives are multiplied"
    ),
}


@pytest.mark.parametrize("equation", SLIPS)
def test_slips_are_named(tmp_path: Path, equation: str) -> None:
    sheet = checked(tmp_path, FORWARD + equation)
    (wrong,) = sheet.wrong
    assert sheet.verdict == "wrong"
    assert wrong.first_wrong_cell == "line 13"
    assert wrong.slip == SLIPS[equation]
    assert wrong.slip_kinds == (SLIPS[equation].split(":")[0],)


def test_latex_and_another_network(tmp_path: Path) -> None:
    text = r"""
h_1 = w_1 i_1 + b_1
a_{h1} = \tanh(h_1)
o_1 = w_2 a_{h1} + b_2
E = (t_1 - o_1)^2
\frac{\partial E}{\partial w_2} = 2 (o_1 - t_1) a_{h1}
\frac{\partial E}{\partial w_1} = 2 (o_1 - t_1) w_2 (1 - h_1^2) i_1
"""
    sheet = checked(tmp_path, text, "formulas.tex")
    (wrong,) = sheet.wrong
    assert sheet.network["layers"] == [{"units": 1, "activation": "tanh"}, {"units": 1, "activation": "identity"}]
    assert wrong.quantity == "∂E/∂w1"
    assert wrong.slip == (
        "derivative of another function: (1 − h1²) (1 − z² for 1 − tanh² z) stands where (1 − a_h1²) belongs"
    )
    assert wrong.expected_formula == "∂E/∂w1 = 2·(o1 − t1)·w2·(1 − a_h1²)·i1"


def test_one_equation_alone_is_taken_for_the_2_2_2_network_and_that_is_said(tmp_path: Path) -> None:
    sheet = checked(tmp_path, f"dE/dw5 = {ONE} * a_h1")
    assert sheet.verdict == "right"
    assert sheet.remarks == (
        "The names do not tell the whole network; it is taken as the 2-2-2 network with w1, w2 into h1.",
        "No equation says the activation; sigmoid is what fits most of the equations.",
    )


def test_what_only_the_guess_of_the_network_makes_wrong_is_not_called_wrong(tmp_path: Path) -> None:
    sheet = checked(tmp_path, f"dE/dw1 = {ONE} * w5 * a_h1 * (1 - a_h1) * i1")
    assert sheet.verdict == "not understood"
    assert sheet.columns[0].is_right is None
    assert sheet.columns[0].reason == (
        "It is right for a 2-2-1 network; in the 2-2-2 network it is wrong (missing path: the path through o2 is "
        "left out). Write the forward pass too, such as o1 = w5*a_h1 + w6*a_h2."
    )


TOLD = f"""
h1 = w1*i1 + w2*i2
a_h1 = sigmoid(h1)
dE/dw5 = {ONE} * a_h1
dE/dw6 = {ONE} * a_h2
dE/dw7 = {TWO} * a_h1
dE/dw1 = ({ONE} * w5 + {TWO} * w7) * a_h1 * (1 - a_h1) * i1
"""


def test_a_missing_path_is_wrong_where_the_other_equations_tell_of_the_second_output(tmp_path: Path) -> None:
    sheet = checked(tmp_path, TOLD + f"dE/dw3 = {ONE} * w6 * a_h2 * (1 - a_h2) * i1")
    (wrong,) = sheet.wrong
    assert sheet.verdict == "wrong"
    assert (wrong.quantity, wrong.first_wrong_cell) == ("∂E/∂w3", "line 8")
    assert wrong.slip == "missing path: the path through o2 is left out"
    assert all(column.is_right for column in sheet.columns[:-1])


def test_one_other_equation_with_the_second_output_is_enough(tmp_path: Path) -> None:
    sheet = checked(tmp_path, f"dE/dw7 = {TWO} * a_h1\ndE/dw1 = {ONE} * w5 * a_h1 * (1 - a_h1) * i1")
    assert [column.is_right for column in sheet.columns] == [True, False]


OTHER_NETWORKS = {
    f"dE/dw1 = {ONE} * w3 * a_h1 * (1 - a_h1) * i1": "1-2-1",
    f"dE/dw7 = {ONE} * a_h1": "2-3-1",
    f"dE/dw2 = {ONE} * a_h1": "1-1-1",
    "dE/dw3 = (o1 - t1) * a_h1": "1-2-1",
}


@pytest.mark.parametrize("equation", OTHER_NETWORKS)
def test_a_lone_equation_that_is_right_in_another_network_is_not_called_wrong(tmp_path: Path, equation: str) -> None:
    sheet = checked(tmp_path, equation)
    (column,) = sheet.columns
    assert sheet.verdict == "not understood"
    assert column.is_right is None
    assert column.reason.startswith(f"It is right for a {OTHER_NETWORKS[equation]} network; in the 2-2-2 network")


def test_a_lone_equation_that_is_right_in_no_network_is_wrong(tmp_path: Path) -> None:
    sheet = checked(tmp_path, f"dE/dw5 = -({ONE}) * a_h1")
    assert sheet.verdict == "wrong"
    assert sheet.columns[0].slip_kinds == ("wrong sign",)


def test_an_undecided_equation_keeps_a_file_from_being_called_right(tmp_path: Path) -> None:
    sheet = checked(tmp_path, f"dE/dw5 = {ONE} * a_h1\ndE/dw1 = {ONE} * w5 * a_h1 * (1 - a_h1) * i1")
    assert sheet.verdict == "not understood"
    assert sheet.reason == "The file does not tell the whole network, so it stays open whether ∂E/∂w1 is right."


def test_a_number_at_the_end_of_a_line_is_not_judged(tmp_path: Path) -> None:
    assert checked(tmp_path, f"dE/dw5 = {ONE} * a_h1 = 0.0821670407").verdict == "right"


@pytest.mark.parametrize("left", ["w5", "w5+", "w5_new"])
def test_updates_are_judged_however_the_new_weight_is_written(tmp_path: Path, left: str) -> None:
    gradient = f"\ndE/dw5 = {ONE} * a_h1\n"
    right, wrong = (checked(tmp_path, f"{left} = w5 - eta*dE/d{name}{gradient}") for name in ("w5", "w6"))
    assert [(column.quantity, column.is_right) for column in right.columns] == [("w5⁺", True), ("∂E/∂w5", True)]
    assert wrong.wrong[0].slip == "another weight's gradient: ∂E/∂w6 stands where ∂E/∂w5 belongs"


def test_no_hidden_identity_is_guessed_to_excuse_a_slip(tmp_path: Path) -> None:
    net, missing = (checked(tmp_path, f"dE/dw5 = {ONE}{factor}") for factor in (" * h1", ""))
    assert net.wrong[0].slip == "pre-activation for activation: h1 stands where a_h1 belongs"
    assert missing.wrong[0].slip == "missing factor: a_h1 is left out"


def test_linear_hidden_units_that_the_file_tells_of_stay_linear(tmp_path: Path) -> None:
    text = "h1 = w1*i1\no1 = w2*h1\na_o1 = sigmoid(o1)\nE = 0.5*(t1 - a_o1)^2\n"
    sheet = checked(tmp_path, f"{text}dE/dw2 = {ONE} * h1\ndE/dw1 = {ONE} * w2 * i1")
    assert sheet.verdict == "right"
    assert [layer["activation"] for layer in sheet.network["layers"]] == ["identity", "sigmoid"]


def test_an_equation_that_says_nothing_is_not_right(tmp_path: Path) -> None:
    (column,) = checked(tmp_path, "dE/dw5 = dE/dw5").columns
    assert (column.is_right, column.reason) == (None, "It says only that ∂E/∂w5 is ∂E/∂w5.")


def test_two_names_read_as_one_quantity_are_not_understood(tmp_path: Path) -> None:
    text = "h1 = w1*i1 + w2*i2\nh2 = w3*i1 + w4*i2\nz1 = w5*tanh(h1) + w6*tanh(h2)\n"
    assert checked(tmp_path, text).reason == (
        "z1 on line 3 and h1 on line 1 are both read as h1. "
        "Name the net inputs h1, h2, ... of hidden units and o1, o2, ... of outputs."
    )


def test_the_remark_says_which_activation_is_not_told(tmp_path: Path) -> None:
    sheet = checked(tmp_path, f"h1 = w1*i1 + w2*i2\na_h1 = sigmoid(h1)\ndE/dw8 = {TWO} * a_h2")
    assert sheet.remarks[-1] == (
        "No equation says the activation of the outputs; sigmoid is what fits most of the equations."
    )


def test_an_unreadable_equation_is_shown_with_its_place(tmp_path: Path) -> None:
    sheet = checked(tmp_path, "dE/dw5 = (a_o1 - t1 * a_h1")
    assert sheet.reason == "Line 1 cannot be read, at character 10: This bracket is not closed."


def test_names_of_no_network_are_not_understood(tmp_path: Path) -> None:
    sheet = checked(tmp_path, "dE/dw9 = (a_o3 - t3) * a_h1")
    assert sheet.verdict == "not understood"
    assert sheet.reason == "No column is named as an input. Name the inputs i1, i2, ..."


def test_a_file_without_equations(tmp_path: Path) -> None:
    sheet = checked(tmp_path, "Dear diary\n")
    assert sheet.verdict == "not understood"
    assert sheet.reason == (
        "There is no equation in it. Write one a line, such as dE/dw5 = (a_o1 - t1) * a_o1 * (1 - a_o1) * a_h1."
    )


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "formulas.pdf"
    path.write_bytes(b"%PDF")
    with pytest.raises(ChainruleError) as caught:
        check_file(path)
    assert str(caught.value) == (
        "chainrule cannot check a .pdf.\n"
        f"  where:    {path}\n"
        "  expected: a workbook (.xlsx, .csv), or a file of formulas (.txt, .md, .tex)\n"
        "Save a spreadsheet of another program as .xlsx."
    )


def test_raised_and_lowered_signs_are_read_in_a_file_too(tmp_path: Path) -> None:
    file = tmp_path / "derivation.txt"
    file.write_text(
        "h₁ = w₁·i₁ + w₂·i₂\n"
        "a_h₁ = σ(h₁)\n"
        "∂E/∂w₈ = (a_o₂ − t₂)·a_o₂·(1 − a_o₂)·a_h₂\n"
        "∂E/∂w₁ = ((a_o₁ − t₁)·a_o₁·(1 − a_o₁)·w₅ + (a_o₂ − t₂)·a_o₂·(1 − a_o₂)·w₇)·a_h₁·(1 − a_h₁)·i₁\n"
        "w₅⁺ = w₅ − η·∂E/∂w₅\n",
        encoding="utf-8",
    )
    assert check_file(file).verdict == "right"
