"""Documents that the renderers are tried on."""

import math
from collections.abc import Callable

import pytest

from chainrule.documents import (
    Callout,
    Chart,
    Column,
    Document,
    Edge,
    Entries,
    Entry,
    Equalities,
    Equality,
    Fold,
    Formula,
    Graph,
    GraphEdge,
    GraphGroup,
    GraphNode,
    Heading,
    Matrix,
    NetworkDrawing,
    Node,
    Prose,
    Series,
    Table,
)


def two_two_two(text: str = "") -> NetworkDrawing:
    """Return the 2-2-2 network; `text` is put after each of its strings."""
    names = (("i1", "i2"), ("h1", "h2"), ("o1", "o2"))
    layers = tuple(tuple(Node(name + text, (f"a {name}" + text,)) for name in layer) for layer in names)
    places = [(layer, start, end) for layer in (0, 1) for end in (0, 1) for start in (0, 1)]
    edges = tuple(
        Edge((layer, start), (layer + 1, end), (-1) ** number * number / 10, f"w{number}{text}")
        for number, (layer, start, end) in enumerate(places, start=1)
    )
    layer_names = tuple(name + text for name in ("input", "hidden", "output"))
    return NetworkDrawing("network", "The network" + text, layers, layer_names, edges, "Caption" + text)


def small_graph(text: str = "") -> Graph:
    """Return a graph with every kind of box, a frame and an arrow past it; `text` is put after each of its strings."""
    nodes = (
        GraphNode("input" + text, "input" + text, shape="value", note="[4, 2]" + text),
        GraphNode("a" + text, "linear" + text, "fc1" + text, (("weight" + text, "[2, 2]" + text),), value=0.5),
        GraphNode("b" + text, "layers" + text, "Sequential" + text, (("", "9 ops" + text),), "module", value=0.0),
        GraphNode("c" + text, "add" + text, value=math.inf),
    )
    edges = (
        GraphEdge("input" + text, "a" + text, "[4, 2]" + text, note="nothing" + text),
        GraphEdge("a" + text, "b" + text, "[4, 3]" + text, 0.25, 0, "norm 0.25" + text),
        GraphEdge("a" + text, "b" + text, "[4, 5]" + text, math.nan, 1),
        GraphEdge("b" + text, "c" + text, "[4, 2]" + text, 2.0),
        GraphEdge("input" + text, "c" + text, "[4, 2]" + text, 0.0),
    )
    group = GraphGroup("g" + text, "block" + text, ("a" + text, "b" + text), "Block" + text)
    return Graph("graph", "The graph" + text, nodes, edges, (group,), "Colour: norm" + text, "Caption" + text)


def every_block_with(text: str) -> Document:
    """Return a document of every kind of block; `text` is put after each of its strings."""
    steps = tuple(float(step) for step in range(5))
    chart = Chart(
        "loss",
        "The loss" + text,
        "epoch" + text,
        "loss" + text,
        (
            Series("training" + text, steps, (4.0, 3.0, 2.0, 1.0, 0.5)),
            Series("validation" + text, steps, (4.0, 3.5, math.nan, 2.0, 1.5), "dashed"),
            Series("best" + text, (4.0,), (0.5,), "points"),
            Series("bars" + text, (1.0, 2.0), (0.5, 0.7), "bars"),
        ),
        caption="Caption" + text,
    )
    matrix = Matrix(
        "confusion",
        "Confusion" + text,
        "true" + text,
        "predicted" + text,
        ("cat" + text, "dog" + text),
        ("cat" + text, "dog" + text),
        ((50.0, 0.0), (2.0, 48.0)),
        caption="Caption" + text,
    )
    table = Table(
        (Column("name" + text), Column("value" + text, ".3f"), Column("frozen" + text)),
        (("w1" + text, 0.15, False), ("w2" + text, None, True)),
        "Caption" + text,
    )
    wide = Table(tuple(Column(f"w{number}", ".4f") for number in range(60)), ((0.125,) * 60,) * 100, "Wide" + text)
    return Document(
        "Report" + text,
        (
            Heading("First" + text),
            Prose("A paragraph." + text),
            Formula("∂E/∂w = 1" + text, "\\partial E \\unknown" + text),
            Formula("w₁", "w_1"),
            Equality(
                Formula("∂E/∂w" + text, "\\partial E \\unknown" + text),
                (Formula("1 + 1" + text, "1 + 1" + text), Formula("2", "2")),
            ),
            Equality(Formula("", ""), (Formula("a", "a"), Formula("b", "b"))),
            Equalities((Equality(Formula("y", "y"), (Formula("1 + 1", "1 + 1"), Formula("2", "2"))),)),
            Heading("Deeper" + text, 3),
            table,
            Heading("Second" + text),
            chart,
            matrix,
            two_two_two(text),
            small_graph(text),
            Entries(
                (
                    Entry("#0", "linear" + text, "a → b" + text, (("value" + text, "1\n2" + text),), "net.py:3" + text),
                    Entry("", "add" + text),
                )
            ),
            Callout("good", "All is well." + text),
            Callout("note", "A note." + text),
            Callout("warning", "A warning." + text),
            Callout("error", "An error." + text),
            Fold("Closed" + text, (Prose("Behind the fold." + text), wide, Fold("Inner" + text, (matrix,)))),
            Table((Column("name"),), ((Formula("w1", "w_1"),), (Formula("w" + text, "\\unknown"),)), is_roomy=True),
            Fold("Open" + text, (Formula("x" + text),), is_open=True),
            Fold("Line" + text, (Prose("Not on the terminal." + text),), folds_on_terminal=True),
        ),
    )


@pytest.fixture
def every_block() -> Document:
    return every_block_with("")


@pytest.fixture
def document_with() -> Callable[[str], Document]:
    return every_block_with


@pytest.fixture
def network() -> NetworkDrawing:
    return two_two_two()


@pytest.fixture
def graph() -> Graph:
    return small_graph()
