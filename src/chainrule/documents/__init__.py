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
from chainrule.documents.shown import Shown

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
    "Shown",
    "Table",
]
