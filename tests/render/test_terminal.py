import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from chainrule.documents import (
    Callout,
    Column,
    Document,
    Edge,
    Entries,
    Entry,
    Fold,
    Formula,
    Graph,
    GraphEdge,
    GraphNode,
    Heading,
    Matrix,
    NetworkDrawing,
    Node,
    Prose,
    Table,
)
from chainrule.render.terminal import print_document

HOSTILE = " [red]not red[/red] [/] :smile: \x1b[31m\x07 \ud800 http://x.y"


def printed(document: Document, width: int = 80, encoding: str = "utf-8", *, is_terminal: bool = False) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, newline="\n")
    colours = "truecolor" if is_terminal else None
    console = Console(file=file, width=width, force_terminal=is_terminal, color_system=colours)  # type: ignore[arg-type]
    print_document(document, console)
    file.flush()
    return raw.getvalue().decode(encoding)


def lines_of(document: Document, width: int = 80, encoding: str = "utf-8") -> list[str]:
    return [line.rstrip() for line in printed(document, width, encoding).splitlines()]


def test_a_small_document_reads_like_this() -> None:
    table = Table((Column("name"), Column("value", ".3f"), Column("frozen")), (("w1", 0.15, False), ("w2", None, True)))
    document = Document(
        "Report",
        (
            Heading("The first step"),
            Prose("One paragraph\nof two lines."),
            Heading("Deeper", 3),
            Formula("∂E/∂w = 1\n      = 1"),
            table,
            Callout("warning", "Mind the step."),
            Fold("More", (Prose("Inside."), Fold("Yet more", (Prose("Deep inside."),)))),
        ),
    )
    assert (
        lines_of(document)
        == """Report
══════

The first step
──────────────

One paragraph
of two lines.

Deeper

    ∂E/∂w = 1
          = 1

name   value   frozen
─────────────────────
w1     0.150   no
w2             yes

Warning:  Mind the step.

▾ More

  Inside.

  ▾ Yet more

    Deep inside.""".splitlines()
    )


def test_the_same_document_in_ascii() -> None:
    table = Table((Column("η"), Column("∂L/∂w", ".2f")), (("café", 0.5),))
    document = Document("Σ", (Heading("x → y"), table, Callout("note", "5 °C"), Fold("More", (Prose("−1 ⊕"),))))
    assert (
        lines_of(document, encoding="ascii")
        == r"""sum
====

x -> y
------

eta     | dL/dw
--------+------
caf\xe9 |  0.50

Note:  5 deg C

- More

  -1 \u2295""".splitlines()
    )


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_every_block_fits_the_width_without_control_codes(
    document_with: Callable[[str], Document], width: int, encoding: str
) -> None:
    for text in ("", HOSTILE):
        output = printed(document_with(text), width, encoding)
        assert max(len(line) for line in output.splitlines()) <= width
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f]", output)


def test_strings_are_never_markup(document_with: Callable[[str], Document]) -> None:
    output = printed(document_with(HOSTILE), 500)
    shown = "[red]not red[/red] [/] :smile: \\x1b[31m\\x07 \\ud800 http://x.y"
    assert output.count(shown) > 40


def test_colours_reach_a_terminal_unless_it_wants_none(every_block: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    colour = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert colour.search(printed(every_block, is_terminal=True))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(printed(every_block, is_terminal=True))


def test_callouts_have_words_of_their_own(every_block: Document) -> None:
    lines = lines_of(every_block)
    for line in ("Good:  All is well.", "Note:  A note.", "Warning:  A warning.", "Error:  An error."):
        assert line in lines


def test_a_wide_table_is_shared_out_and_every_number_is_whole() -> None:
    columns = tuple(Column(f"w{number}", ".4f") for number in range(60))
    rows = tuple((float(row), *(row + number / 100 for number in range(1, 60))) for row in range(100))
    output = printed(Document("T", (Table(columns, rows),)))
    assert "Columns 2 to" in output
    assert output.count(" of 60:") == output.count("\n     w0") > 1
    for row in rows:
        for value in row:
            assert re.search(rf"(?<![\d.]){value:.4f}(?![\d.])", output)


def test_a_matrix_is_a_table() -> None:
    matrix = Matrix("k", "Confusion", "true", "predicted", ("cat", "dog"), ("cat", "dog"), ((50.0, 0.0), (2.0, 48.0)))
    assert (
        lines_of(Document("T", (matrix,)))[3:]
        == """Confusion
true   cat   dog
────────────────
cat     50     0
dog      2    48
Rows: true. Columns: predicted.""".splitlines()
    )


def test_the_reference_network_lists_nodes_and_weights(network: NetworkDrawing) -> None:
    assert (
        lines_of(Document("T", (network,)), 60)[3:]
        == """The network
input   i1  a i1
        i2  a i2
hidden  h1  a h1
        h2  a h2
output  o1  a o1
        o2  a o2
i1 → h1 w1   i2 → h1 w2   i1 → h2 w3   i2 → h2 w4
h1 → o1 w5   h2 → o1 w6   h1 → o2 w7   h2 → o2 w8
Caption""".splitlines()
    )


def test_a_large_network_is_cut_and_names_its_largest_weights() -> None:
    layers = (tuple(Node(f"x{place}") for place in range(30)), (Node("y"),))
    edges = tuple(Edge((0, place), (1, 0), -float(place)) for place in range(30))
    lines = lines_of(Document("T", (NetworkDrawing("k", "N", layers, ("in",), edges),)))
    assert "         ⋮    21 more" in lines
    assert "The 8 largest of 30 weights:" in lines
    assert any("x29 → y -29" in line for line in lines)
    assert not any("x21 → y" in line for line in lines)


def test_one_long_column_takes_the_width_that_the_others_leave() -> None:
    text = "word " * 18
    table = Table((Column(""), Column("")), (("what", text.strip()),))
    assert lines_of(Document("T", (table,)), 110)[3:] == [f"what   {text.strip()}"]
    assert max(len(line) for line in lines_of(Document("T", (table,)), 60)) <= 60


def test_a_table_without_headers_has_no_head() -> None:
    table = Table((Column(""), Column("")), (("a", 1), ("b", 2)))
    assert lines_of(Document("T", (table,)), 80)[3:] == ["a   1", "b   2"]


def test_a_document_without_a_title_begins_with_its_blocks() -> None:
    assert lines_of(Document("", (Prose("Only this."),)), 80) == ["", "Only this."]


def test_a_closed_fold_that_folds_on_the_terminal_is_a_line_and_several_stand_close() -> None:
    inside = (Prose("Inside."),)
    folds = (
        Fold("layers.0", inside, folds_on_terminal=True),
        Fold("layers.1", inside, folds_on_terminal=True),
        Fold("layers.2", inside, is_open=True, folds_on_terminal=True),
    )
    assert (
        lines_of(Document("T", folds))[3:]
        == """▸ layers.0
▸ layers.1

▾ layers.2

  Inside.""".splitlines()
    )
    assert lines_of(Document("T", folds), encoding="ascii")[3:5] == ["+ layers.0", "+ layers.1"]


def test_entries_are_a_line_each_with_their_facts_under_it() -> None:
    entries = Entries(
        (
            Entry("#0", "linear", "input [1, 2] → h [1, 2]", (("value", "[1, 2]"), ("adjoint", "[3, 4]")), "net.py:3"),
            Entry("#12", "relu"),
            Entry("#13", "add"),
        )
    )
    assert (
        lines_of(Document("T", (entries,)))[3:]
        == """#0    linear  input [1, 2] → h [1, 2]
      value    [1, 2]
      adjoint  [3, 4]
      net.py:3

#12   relu
#13   add""".splitlines()
    )
    without_marks = Entries((Entry("", "fc1.weight", "[2, 2]", (("value", "1"),)),))
    assert lines_of(Document("T", (without_marks,)))[3:] == ["  fc1.weight  [2, 2]", "  value  1"]


def test_a_small_graph_lists_its_arrows_and_a_large_one_counts_them(graph: Graph) -> None:
    assert (
        lines_of(Document("T", (graph,)))[3:]
        == """The graph
input → linear fc1 [4, 2]
linear fc1 → layers Sequential [4, 3]
linear fc1 → layers Sequential [4, 5]
layers Sequential → add [4, 2]
input → add [4, 2]
Caption""".splitlines()
    )
    nodes = tuple(GraphNode(str(number), "box") for number in range(20))
    edges = tuple(GraphEdge(str(number), str(number + 1)) for number in range(19))
    large = lines_of(Document("T", (Graph("k", "Large", nodes, edges),)))
    assert large[3:] == ["Large", "20 boxes and 19 arrows, drawn on a page or as a picture."]


def test_standard_output_is_where_it_goes_when_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    print_document(Document("", (Prose("Only this."),)))
    assert capsys.readouterr().out == "\nOnly this.\n"


def test_text_is_wrapped_so_that_all_columns_of_numbers_stand_side_by_side() -> None:
    columns = (Column("output y"), *(Column(name, ".8g") for name in ("adjoint", "derivative", "product")))
    row = ("transformer_layers.0.0.linear[10, 1]", -1.2345678e-05, -1.2345678e-05, -1.2345678e-05)
    lines = lines_of(Document("", (Table(columns, (row,)),)))
    assert not any(line.startswith("Column") for line in lines)
    assert max(len(line) for line in lines) <= 80
    (numbers,) = (line for line in lines if "e-05" in line)
    assert numbers.split()[-3:] == ["-1.2345678e-05"] * 3
    narrow = lines_of(Document("", (Table(columns, (row,)),)), 56)
    assert any(line.startswith("Column 2 of 4") for line in narrow)


def test_raised_signs_in_ascii() -> None:
    document = Document("", (Formula("(h1⁽²⁾)² + w5⁺ + 4·10⁻¹² + ½·x"),))
    assert lines_of(document, encoding="ascii")[-1].strip() == "(h1(2))^2 + w5+ + 4*10^-12 + 1/2*x"
