"""Exercise sheets: the blanks and the key are of the same program, and the sheet tells no answers."""

import pytest

from chainrule.documents import Document, Formula, Heading, NetworkDrawing, Table
from chainrule.errors import ChainruleError
from chainrule.programs import Layer, layered_program, program_text
from chainrule.programs.printing import number_text
from chainrule.programs.written_out import at_step
from chainrule.reports.exercise import exercise_dict, exercise_document

GIVEN = {"i1": 0.05, "i2": 0.10, "t1": 0.01, "t2": 0.99}
GIVEN |= {f"w{number}": 0.05 * number + 0.1 for number in range(1, 9)}
PROGRAM = at_step(layered_program(2, [Layer(2), Layer(2)], title="two-two-two"), GIVEN)


def parts(document: Document) -> tuple[list[Table], Table]:
    """Return the tables with blanks, and that of the key."""
    start = next(
        place for place, block in enumerate(document.blocks) if isinstance(block, Heading) and block.starts_page
    )
    blanks = [block for block in document.blocks[:start] if isinstance(block, Table)][1:]
    (key,) = [block for block in document.blocks[start:] if isinstance(block, Table)]
    return blanks, key


@pytest.mark.parametrize("name", [None, "w5", "w1"])
def test_there_is_an_answer_to_every_blank_and_it_is_the_programs(name: str | None) -> None:
    blanks, key = parts(exercise_document(PROGRAM, name, 8))
    asked = [(row[0], row[1]) for table in blanks for row in table.rows]
    assert asked == [(row[0], row[1]) for row in key.rows]
    assert len(asked) > 10
    for _, asked_for, formula, number in key.rows:
        assert isinstance(asked_for, Formula)
        assert isinstance(formula, Formula)
        assert isinstance(number, Formula)
        line = PROGRAM.by_name[asked_for.text]
        assert formula.text == program_text(line.formula)
        assert number.text == number_text(PROGRAM.quantities[line.name].value, 8)


def test_of_all_parameters_every_line_is_asked_for_in_order() -> None:
    blanks, _ = parts(exercise_document(PROGRAM))
    names = [row[1].text for table in blanks for row in table.rows if isinstance(row[1], Formula)]
    assert names == [line.name for line in PROGRAM.assignments]
    assert all(set(str(cell)) == {"_"} for table in blanks for row in table.rows for cell in row[2:])


def test_of_one_parameter_what_it_needs_and_no_more() -> None:
    names = [task["name"] for task in exercise_dict(PROGRAM, "w5")["tasks"]]
    assert names == [
        "h1", "h2", "a_h1", "a_h2", "o1", "o2", "a_o1", "a_o2", "E1", "E2", "E_total",
        "∂E/∂a_o1", "∂E/∂o1", "∂E/∂w5", "w5⁺",
    ]  # fmt: skip


def test_the_drawing_shows_what_is_given_and_no_answers() -> None:
    drawing = next(block for block in exercise_document(PROGRAM).blocks if isinstance(block, NetworkDrawing))
    assert [node.lines for node in drawing.layers[0]] == [("0.05",), ("0.1",)]
    assert {node.lines for layer in drawing.layers[1:] for node in layer} == {()}
    assert [edge.label for edge in drawing.edges][:2] == ["w1 0.15", "w2 0.2"]


def test_the_data_hold_the_answers() -> None:
    data = exercise_dict(PROGRAM)
    assert [each["name"] for each in data["given"]] == [*GIVEN, "η"]
    assert data["tasks"][0] == {
        "number": 1, "step": "forward", "name": "h1", "formula": "w1·i1 + w2·i2", "latex": "w_1 i_1 + w_2 i_2",
        "value": PROGRAM.quantities["h1"].value,
    }  # fmt: skip
    after = at_step(layered_program(2, [Layer(2), Layer(2)]), GIVEN, 1).quantities["E_total"].value
    assert data["loss_after"] == after


def test_too_large_a_network_is_refused() -> None:
    large = layered_program(4, [Layer(9), Layer(9)])
    with pytest.raises(ChainruleError) as raised:
        exercise_document(large)
    assert str(raised.value) == (
        "The network is too large for an exercise sheet.\n"
        "  found:    316 numbers to compute\n"
        "  expected: at most 200\n"
        "Name one parameter, or take fewer samples in a batch."
    )
