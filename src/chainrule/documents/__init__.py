"""What is shown, before anything draws it."""

from chainrule.documents.document import (
    Block,
    Callout,
    Cell,
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

__all__ = [
    "Block",
    "Callout",
    "Cell",
    "Chart",
    "Column",
    "Document",
    "Edge",
    "Fold",
    "Formula",
    "Heading",
    "Matrix",
    "NetworkDrawing",
    "Node",
    "Prose",
    "Series",
    "Table",
]
