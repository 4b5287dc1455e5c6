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
    Fold,
    Formula,
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
            Formula("∂E/∂w = 1" + text, "\\partial E" + text),
            Heading("Deeper" + text, 3),
            table,
            Heading("Second" + text),
            chart,
            matrix,
            two_two_two(text),
            Callout("good", "All is well." + text),
            Callout("note", "A note." + text),
            Callout("warning", "A warning." + text),
            Callout("error", "An error." + text),
            Fold("Closed" + text, (Prose("Behind the fold." + text), wide, Fold("Inner" + text, (matrix,)))),
            Fold("Open" + text, (Formula("x" + text),), is_open=True),
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
