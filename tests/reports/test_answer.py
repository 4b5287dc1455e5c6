from chainrule.documents import Callout, Fold, Prose, Table
from chainrule.findings import Finding
from chainrule.queries import Answer, PathStep
from chainrule.reports.answer import answer_document

FINDING = Finding(
    "dead-units", "error", "All is dead.", "op 2: relu", {"op": "relu", "op number": 2, "norm": 0.5}, "Wake it."
)
NOTE = Finding("no-effect", "note", "It has no effect.", "op 1: linear", {}, "")
STEP = PathStep(3, "relu", "act", "net.py:7", "fc1.linear", 2.0, 0.5)


def answer(*findings: Finding, name: str = "", path: tuple[PathStep, ...] = (), limits: tuple[str, ...] = ()) -> Answer:
    return Answer("Is anything wrong?", name, findings, "Five ops were looked at.", path, limits)


def callouts(result: Answer) -> list[tuple[str, str]]:
    return [(block.kind, block.text) for block in answer_document(result).blocks if isinstance(block, Callout)]


def test_a_finding_has_its_claim_its_place_its_numbers_and_what_to_try() -> None:
    document = answer_document(answer(FINDING))
    assert document.title == "Is anything wrong?"
    prose, claim, table, remedy = document.blocks
    assert prose == Prose("Five ops were looked at.")
    assert claim == Callout("error", "All is dead.")
    assert isinstance(table, Table)
    assert table.rows == (("finding", "dead-units"), ("where", "op 2: relu"), ("norm of the gradient", 0.5))
    assert remedy == Prose("What to try: Wake it.")


def test_where_nothing_is_wrong_that_is_said() -> None:
    whole = "Nothing is wrong: all is finite, every parameter has a gradient, and none is tiny or huge."
    assert callouts(answer()) == [("good", whole)]
    assert callouts(answer(name="fc1.weight")) == [("good", "Nothing is wrong with fc1.weight.")]
    only_notes = [("good", "Nothing is wrong; what follows is good to know."), ("note", "It has no effect.")]
    assert callouts(answer(NOTE)) == only_notes


def test_limits_are_notes() -> None:
    assert callouts(answer(FINDING, limits=("Only statistics.",)))[-1] == ("note", "Only statistics.")


def test_the_path_has_a_row_for_each_op() -> None:
    fold = answer_document(answer(FINDING, path=(STEP,))).blocks[-1]
    assert isinstance(fold, Fold)
    (table,) = fold.blocks
    assert isinstance(table, Table)
    assert table.rows == (("relu (net.py:7)", "fc1.linear", 2.0, 0.5, 0.25),)


def test_a_long_path_shows_its_ends_and_says_what_it_leaves_out() -> None:
    fold = answer_document(answer(FINDING, path=(STEP,) * 100)).blocks[-1]
    assert isinstance(fold, Fold)
    (table,) = fold.blocks
    assert isinstance(table, Table)
    assert len(table.rows) == 61
    assert table.rows[30] == ("... 40 more", "", None, None, None)
    assert (fold.summary, fold.is_open) == ("100 ops, from the loss on", False)


def test_an_answer_shows_itself() -> None:
    result = answer(FINDING, path=(STEP,))
    assert result.to_document() == answer_document(result)
    assert "All is dead." in result._repr_html_()
