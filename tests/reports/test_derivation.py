"""Derivations as people read them: the whole text of two, what is left out of long ones, and their data."""

import io

import pytest
from rich.console import Console
from sympy import Float

from chainrule.documents import Block, Document, Equalities, Equality, Fold, Formula, Table
from chainrule.notation import read_expression
from chainrule.programs import Layer, Program, layered_program
from chainrule.programs.derivation import derive
from chainrule.programs.evaluating import evaluate
from chainrule.programs.written_out import at_step
from chainrule.render.mathml import mathml
from chainrule.render.terminal import print_document
from chainrule.reports.derivation import derivation_document
from chainrule.reports.derivation_data import derivation_dict, worked_example_dict
from chainrule.reports.worked_example import worked_example_document
from chainrule.spreadsheets import Address, parse_spreadsheet_formula, to_expression

TWO = [Layer(2), Layer(2)]
GIVEN = {"i1": 0.05, "i2": 0.10, "t1": 0.01, "t2": 0.99}
GIVEN |= {f"w{number}": weight for number, weight in enumerate([0.15, 0.2, 0.25, 0.3, 0.4, 0.45, 0.5, 0.55], 1)}
PROGRAM = at_step(layered_program(2, TWO, title="two-two-two"), GIVEN)


def printed(document: Document) -> str:
    file = io.StringIO()
    print_document(document, Console(file=file, width=80, highlight=False, color_system=None))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


W5 = """\
∂E/∂w5 = 0.0721571
══════════════════

w5 = 0.4, the weight from a_h1 into o1. It acts on the loss in one way: w5 → o1
→ a_o1 → E_total.

    ∂E/∂w5 = ∂E/∂a_o1 · ∂a_o1/∂o1 · ∂o1/∂w5
           = (a_o1 − t1) · a_o1(1 − a_o1) · a_h1
           = (0.606478 − 0.01) · 0.606478(1 − 0.606478) · 0.506875
           = 0.5964777 · 0.2386625 · 0.5068746
           = 0.0721571

factor      formula          number     comes from
───────────────────────────────────────────────────────────────────
∂E/∂a_o1    a_o1 − t1        0.596478   E1 = ½·(t1 − a_o1)²
∂a_o1/∂o1   a_o1(1 − a_o1)   0.238662   a_o1 = σ(o1): σ′ = σ(1 − σ)
∂o1/∂w5     a_h1             0.506875   o1 = w5·a_h1 + w6·a_h2

The update
──────────

    w5⁺ = w5 − η·∂E/∂w5 = 0.4 − 0.5·0.0721571 = 0.363921

Results are shown with 6 digits. The numbers in a formula have as many, or more
where the result needs them: typed in again, they give it. In full: ∂E/∂w5 =
0.07215707291213626.
"""

W1 = """\
∂E/∂w1 = 0.000188256
════════════════════

w1 = 0.15, the weight from i1 into h1. It acts on the loss in 2 ways; the
gradient is the sum over all of them.

Path through o1
───────────────

    ∂E/∂a_o1 · ∂a_o1/∂o1 · ∂o1/∂a_h1 · ∂a_h1/∂h1 · ∂h1/∂w1
    = (a_o1 − t1) · a_o1(1 − a_o1) · w5 · a_h1(1 − a_h1) · i1
    = (0.606478 − 0.01) · 0.606478(1 − 0.606478) · 0.4
        · 0.506875(1 − 0.506875) · 0.05
    = 0.5964777 · 0.2386625 · 0.4 · 0.2499527 · 0.05
    = 0.00071165

Path through o2
───────────────

    ∂E/∂a_o2 · ∂a_o2/∂o2 · ∂o2/∂a_h1 · ∂a_h1/∂h1 · ∂h1/∂w1
    = (a_o2 − t2) · a_o2(1 − a_o2) · w7 · a_h1(1 − a_h1) · i1
    = (0.630481 − 0.99) · 0.630481(1 − 0.630481) · 0.5
        · 0.506875(1 − 0.506875) · 0.05
    = −0.3595192 · 0.2329748 · 0.5 · 0.2499527 · 0.05
    = −0.000523394

The sum over the paths
──────────────────────

    ∂E/∂w1 = 0.00071165 − 0.000523394
           = 0.000188256

factor      formula          number      comes from
────────────────────────────────────────────────────────────────────
∂E/∂a_o1    a_o1 − t1        0.596478    E1 = ½·(t1 − a_o1)²
∂a_o1/∂o1   a_o1(1 − a_o1)   0.238662    a_o1 = σ(o1): σ′ = σ(1 − σ)
∂o1/∂a_h1   w5               0.4         o1 = w5·a_h1 + w6·a_h2
∂a_h1/∂h1   a_h1(1 − a_h1)   0.249953    a_h1 = σ(h1): σ′ = σ(1 − σ)
∂h1/∂w1     i1               0.05        h1 = w1·i1 + w2·i2
∂E/∂a_o2    a_o2 − t2        −0.359519   E2 = ½·(t2 − a_o2)²
∂a_o2/∂o2   a_o2(1 − a_o2)   0.232975    a_o2 = σ(o2): σ′ = σ(1 − σ)
∂o2/∂a_h1   w7               0.5         o2 = w7·a_h1 + w8·a_h2

The shared factors taken out
────────────────────────────

All paths have the factors behind ∂E/∂a_h1 in common. Backpropagation goes from
the loss to the inputs and computes every adjoint once:

    ∂E/∂a_o1 = a_o1 − t1 = 0.606478 − 0.01 = 0.596478
    ∂E/∂a_o2 = a_o2 − t2 = 0.630481 − 0.99 = −0.359519
    ∂E/∂o1   = ∂E/∂a_o1·a_o1(1 − a_o1)
             = 0.596478·0.606478(1 − 0.606478)
             = 0.142357
    ∂E/∂o2   = ∂E/∂a_o2·a_o2(1 − a_o2)
             = −0.3595192·0.6304808(1 − 0.6304808)
             = −0.0837589

    ∂E/∂a_h1 = ∂E/∂o1 · ∂o1/∂a_h1 + ∂E/∂o2 · ∂o2/∂a_h1
             = ∂E/∂o1 · w5 + ∂E/∂o2 · w7
             = 0.1423569·0.4 + (−0.08375889)·0.5
             = 0.0150633

    ∂E/∂w1 = ∂E/∂a_h1 · ∂a_h1/∂h1 · ∂h1/∂w1
           = ∂E/∂a_h1 · a_h1(1 − a_h1) · i1
           = 0.0150633 · 0.506875(1 − 0.506875) · 0.05
           = 0.0150633 · 0.249953 · 0.05
           = 0.000188256

The update
──────────

    w1⁺ = w1 − η·∂E/∂w1 = 0.15 − 0.5·0.000188256 = 0.149906

Results are shown with 6 digits. The numbers in a formula have as many, or more
where the result needs them: typed in again, they give it. In full: ∂E/∂w1 =
0.0001882556669401121.
"""


@pytest.mark.parametrize(("name", "text"), [("w5", W5), ("w1", W1)])
def test_the_whole_text(name: str, text: str) -> None:
    assert printed(derivation_document(PROGRAM, derive(PROGRAM, name))) == text


def classes(samples: int) -> Program:
    program = layered_program(
        2, [Layer(2, "relu", "separate"), Layer(3, "softmax")], "cross-entropy", samples=samples,
        optimizer="Adam", settings={"η": 0.1, "β1": 0.9, "β2": 0.999, "ε": 1e-8}, title="classes",
    )  # fmt: skip
    numbers = {each.name: 0.1 * place + 0.05 for place, each in enumerate(program.of_kind("input", "parameter"))}
    targets = [each.name for each in program.of_kind("target")]
    return at_step(program, numbers | {name: float(place % 4 == 0) for place, name in enumerate(targets)})


BATCH = classes(4)
PAIR = at_step(layered_program(1, [Layer(2, "relu"), Layer(2, "softmax")], "cross-entropy", samples=2), {
    "i1⁽¹⁾": 0.5, "i1⁽²⁾": -0.7, "t1⁽¹⁾": 1.0, "t2⁽²⁾": 1.0, "w1": 0.3, "w2": -0.4, "w3": 0.2, "w4": 0.1, "w5": -0.6,
})  # fmt: skip
LARGE = classes(24)


def formulas(blocks: tuple[Block, ...]) -> list[Formula]:
    found: list[Formula] = []
    for block in blocks:
        match block:
            case Formula():
                found.append(block)
            case Equality():
                found += [block.left, *block.forms]
            case Equalities():
                found += formulas(block.equalities)
            case Table():
                found += [cell for row in block.rows for cell in row if isinstance(cell, Formula)]
            case Fold():
                found += formulas(block.blocks)
            case _:
                pass
    return found


@pytest.mark.parametrize("program", [PROGRAM, PAIR], ids=["2-2-2", "batch"])
def test_every_formula_has_latex_too_and_a_page_can_set_it(program: Program) -> None:
    document = worked_example_document(program)
    shown = [each for each in formulas(document.blocks) if each.text and not each.text.replace(".", "").isdigit()]
    assert len(shown) > 80
    for formula in shown:
        assert formula.latex or formula.text.removeprefix("−")[0].isdigit(), formula
        mathml(formula.latex)


def test_the_sum_over_the_samples() -> None:
    text = printed(derivation_document(BATCH, derive(BATCH, "w5")))
    assert "It acts on the loss in 4 ways, through 4 samples;" in " ".join(text.split())
    assert "∂E/∂w5 = ∂E/∂o1⁽¹⁾ · ∂o1⁽¹⁾/∂w5 + ∂E/∂o1⁽²⁾ · ∂o1⁽²⁾/∂w5 + ∂E/∂o1⁽³⁾ ·" in " ".join(text.split())
    assert "Sample 4\n────────\n" in text
    assert "in the same way" not in text
    assert "The same holds for ∂E/∂o1⁽²⁾, ∂E/∂o1⁽³⁾, ∂E/∂o1⁽⁴⁾." in text


def test_many_samples_are_counted() -> None:
    text = printed(derivation_document(LARGE, derive(LARGE, "w5")))
    assert "22 other samples in the same way." in text
    five = classes(5)
    assert "3 other samples in the same way." in printed(derivation_document(five, derive(five, "w5")))
    assert "8 others, added up" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_cancellation_is_shown_and_not_asserted() -> None:
    text = printed(derivation_document(classes(1), derive(classes(1), "w5")))
    start = text.index("Why ∂E/∂o1 is p1 − t1")
    shown = [line.strip() for line in text[start : text.index("The update")].splitlines() if line.startswith("    ")]
    assert shown[:5] == [
        "∂E/∂o1 = ∂E/∂p1 · ∂p1/∂o1 + ∂E/∂p2 · ∂p2/∂o1 + ∂E/∂p3 · ∂p3/∂o1",
        "= −t1/p1 · p1(1 − p1) − t2/p2 · (−p1·p2) − t3/p3 · (−p1·p3)",
        "= p1·t2 + p1·t3 − t1(1 − p1)",
        "= p1·t1 + p1·t2 + p1·t3 − t1",
        "= p1 − t1",
    ]


def test_digits_are_those_that_are_asked_for() -> None:
    text = printed(derivation_document(PROGRAM, derive(PROGRAM, "w5"), 12))
    assert "           = 0.0721570729121\n" in text
    assert "Results are shown with 12 digits." in text
    text = printed(derivation_document(PROGRAM, derive(PROGRAM, "w5"), 3))
    assert text.startswith("∂E/∂w5 = 0.0722\n")
    assert text.count("0.07215707291213626") == 1  # in the last sentence


def test_where_a_factor_comes_from_is_set_as_a_formula() -> None:
    document = derivation_document(PROGRAM, derive(PROGRAM, "w5"))
    (table,) = (block for block in document.blocks if isinstance(block, Table))
    sources = [row[3] for row in table.rows]
    assert sources[1:] == [
        Formula("a_o1 = σ(o1): σ′ = σ(1 − σ)", r"a_{o1} = \sigma(o_1):\ \sigma' = \sigma(1 - \sigma)"),
        Formula("o1 = w5·a_h1 + w6·a_h2", r"o_1 = w_5 a_{h1} + w_6 a_{h2}"),
    ]


def test_the_worked_example_goes_from_what_is_given_to_the_loss_after_the_update() -> None:
    text = printed(worked_example_document(PROGRAM))
    headings = [
        "What is given",
        "Forward",
        "Loss",
        "Gradients",
        "The gradients derived",
        "Update",
        "The loss after the",
    ]
    places = [text.index(f"\n{heading}") for heading in headings]
    assert places == sorted(places)
    assert "    σ(x) = 1/(1 + e^(−x))\n" in text
    assert "    h1   = w1·i1 + w2·i2 = 0.15·0.05 + 0.2·0.1 = 0.0275\n" in text
    assert "    E_total = E1 + E2 = 0.177893 + 0.064627 = 0.24252\n" in text
    assert "▸ ∂E/∂w8 = −0.0427692\n" in text
    assert "    w8⁺ = w8 − η·∂E/∂w8 = 0.55 − 0.5·(−0.0427692) = 0.571385\n" in text
    assert "E_total is 0.23549537" in text


def test_the_data_of_a_derivation() -> None:
    data = derivation_dict(PROGRAM, derive(PROGRAM, "w5"))
    assert (data["parameter"], data["gradient"], data["path_count"]) == ("w5", 0.07215707291213626, 1)
    assert data["paths"][0]["through"] == ["a_o1", "o1"]
    assert data["paths"][0]["factors"][1] == {
        "name": "∂a_o1/∂o1",
        "formula": "a_o1(1 − a_o1)",
        "latex": "a_{o1} (1 - a_{o1})",
        "spreadsheet": "B19*(1-B19)",
        "value": 0.23866249254411231,
    }
    assert [each["name"] for each in data["update"]] == ["w5⁺"]
    cells = {each["name"]: each["cell"] for each in data["quantities"]}
    assert (cells["i1"], cells["a_o1"]) == ("B1", "B19")


@pytest.mark.parametrize("program", [PROGRAM, PAIR], ids=["2-2-2", "batch"])
def test_formulas_for_spreadsheets_give_the_numbers_beside_them(program: Program) -> None:
    data = worked_example_dict(program)
    rows = [each["value"] for each in data["quantities"]]

    def number(sheet: str | None, address: Address) -> Float:
        assert (sheet, address.column) == (None, 2)
        return Float(rows[address.row - 1], 17)

    lines = [line for part in data["lines"].values() for line in part]
    paths = [path for each in data["derivations"] for path in each["paths"]]
    lines += [factor for path in paths for factor in path["factors"]]
    assert len(lines) > 50
    for line in {line["spreadsheet"]: line for line in lines}.values():
        expression = to_expression(parse_spreadsheet_formula("=" + line["spreadsheet"]).tree, number)
        assert float(expression) == pytest.approx(line["value"], rel=1e-12, abs=1e-15)
    for each in data["derivations"]:
        total = sum(path["product"] for path in each["paths"])
        assert total == pytest.approx(each["gradient"], rel=1e-12, abs=1e-15)
        assert len(each["paths"]) == each["path_count"]


@pytest.mark.parametrize("program", [PROGRAM, PAIR], ids=["2-2-2", "batch"])
def test_text_and_latex_read_back_give_the_numbers_beside_them(program: Program) -> None:
    data = worked_example_dict(program)
    numbers = {each["name"]: each["value"] for each in data["quantities"]}
    equations = [line for part in data["lines"].values() for line in part]
    equations += [factor for each in data["derivations"] for path in each["paths"] for factor in path["factors"]]
    equations += [
        {**stage, "value": each["sum"]["value"]} for each in data["derivations"] for stage in each["sum"]["stages"]
    ]
    for line in {line["formula"]: line for line in equations}.values():
        for printed_form in (line["formula"], line["latex"]):
            (value,) = evaluate([read_expression(printed_form)], numbers)
            assert float(value) == pytest.approx(line["value"], rel=1e-12, abs=1e-15), printed_form
