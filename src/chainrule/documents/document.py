"""What is shown: headings, prose, formulas, tables, charts, networks and callouts, in one order for every output.

A report function makes a `Document` from results; a renderer draws it on the terminal or as a page. Neither knows
the other, so five outputs of five subjects are ten functions and not twenty-five, and they cannot disagree.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading inside a document; level 1 is the document's own title, so these start at 2.

    `starts_page` begins a new page where there are pages: on paper.
    """

    text: str
    level: int = 2
    starts_page: bool = False


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph of plain text. Renderers escape it; nothing in it is markup."""

    text: str


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that is already printed, once for people's eyes in text and once in LaTeX."""

    text: str
    latex: str = ""


Cell = str | int | float | bool | Formula | None


@dataclass(frozen=True, slots=True)
class Equality:
    """What something is equal to, form after form, one under another: left = forms[0] = forms[1] = ...

    Where `left` is empty, the first form stands alone, and the others follow from it.
    """

    left: Formula
    forms: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Equalities:
    """Several equalities, aligned with each other; each on one line where there is room for it."""

    equalities: tuple[Equality, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its header, and how its numbers are printed (a format specification such as '.6g')."""

    header: str
    number_format: str = ".6g"


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Rows hold numbers as numbers, so that every renderer prints them its own way.

    `is_roomy` leaves room in its rows to write by hand.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    is_roomy: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """One curve of a chart: x and y of the same length. Points that are not finite leave a gap."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    style: Literal["line", "points", "bars", "dashed"] = "line"


@dataclass(frozen=True, slots=True)
class ColourScale:
    """What the colours of a chart's curves stand for: a number for each curve, in their order, and its name."""

    label: str
    values: tuple[float, ...]
    scale: Literal["linear", "log"] = "linear"


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over two axes. `key` names the file that a renderer writes it to (`plots/<key>.svg`).

    With `colours` a curve's colour says how large a number is, such as the learning rate of a run.
    """

    key: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_scale: Literal["linear", "log"] = "linear"
    y_scale: Literal["linear", "log"] = "linear"
    caption: str = ""
    colours: ColourScale | None = None


@dataclass(frozen=True, slots=True)
class Matrix:
    """A table of numbers drawn as coloured cells, such as a confusion matrix (rows: true, columns: predicted)."""

    key: str
    title: str
    row_label: str
    column_label: str
    row_names: tuple[str, ...]
    column_names: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    number_format: str = ".0f"
    caption: str = ""


@dataclass(frozen=True, slots=True)
class RasterAxis:
    """One side of a raster: what varies, and its value for each row or column.

    `name` is short, for lists, and `label` says more. `scale` says how the values are spaced; where it is "names" each
    has a name instead, and the values are 0, 1, 2, ...
    """

    name: str
    label: str
    values: tuple[float, ...]
    scale: Literal["linear", "log", "names"] = "linear"
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RasterFact:
    """Something that is known of each cell of a raster, shown for the one that is looked at.

    `packed` is base64 of little-endian numbers, row by row from the bottom left: float32, or with `names` uint8, each
    the place of a name.
    """

    label: str
    packed: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RasterMark:
    """A cell of a raster that is pointed out; `sign` is how: a ring for the best, a star for what is recommended."""

    label: str
    row: int
    column: int
    sign: Literal["ring", "star"] = "ring"


@dataclass(frozen=True, slots=True)
class ColourBar:
    """What the colours of a raster stand for.

    `kind` "two-sided" is two sequences of colours that meet in the middle, "sequential" is one. `ticks` are places
    from 0 to 1 and texts; `sides` are the names of the lower and the upper half of a two-sided bar. `failed` is what
    the colour beside the bar stands for, `missing` what grey does; empty where no cell has it.
    """

    label: str
    kind: Literal["two-sided", "sequential"]
    ticks: tuple[tuple[float, str], ...]
    sides: tuple[str, str] = ("", "")
    failed: str = ""
    missing: str = ""


@dataclass(frozen=True, slots=True)
class Raster:
    """A colour for each cell of a grid over two axes: a map.

    `shades` is base64 of one byte a cell, row by row from the bottom left: 0 is missing, 1 failed, and 2 to 255 are
    places on the colour bar from its lower end to its upper one. With `command` a page says which command
    draws the part that is looked at: {x}, {y} and {factor} stand for its middle and how much closer it is.
    """

    key: str
    title: str
    x: RasterAxis
    y: RasterAxis
    shades: str
    colours: ColourBar
    facts: tuple[RasterFact, ...] = ()
    marks: tuple[RasterMark, ...] = ()
    command: str = ""
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """A unit of a drawn network: its name, and the lines written under it (values, adjoints)."""

    name: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """A weight of a drawn network, between two nodes named by (layer, position); `value` sets colour and width."""

    start: tuple[int, int]
    end: tuple[int, int]
    value: float
    label: str = ""


@dataclass(frozen=True, slots=True)
class NetworkDrawing:
    """A network drawn in columns, inputs at the left. Large layers are cut to `shown` nodes, and say so."""

    key: str
    title: str
    layers: tuple[tuple[Node, ...], ...]
    layer_names: tuple[str, ...]
    edges: tuple[Edge, ...]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class GraphNode:
    """A box of a graph.

    Attributes:
        key: unique in the graph; edges name it.
        title: what it is, in bold: "linear".
        subtitle: beside or under it, quiet: "fc1".
        lines: label and text of each line inside it: ("weight", "[2, 2]").
        shape: "op" is a box, "value" a pill, "module" a box with a double rim (something is folded into it).
        value: decides the colour, on the graph's logarithmic scale; None is uncoloured.
        note: what a pointer that rests on it is told.
    """

    key: str
    title: str
    subtitle: str = ""
    lines: tuple[tuple[str, str], ...] = ()
    shape: Literal["op", "value", "module"] = "op"
    value: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class GraphEdge:
    """An arrow between two boxes; `value` decides its colour as that of a box does.

    Edges of one `source_port` leave a box at one place and share one label.
    """

    start: str
    end: str
    label: str = ""
    value: float | None = None
    source_port: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class GraphGroup:
    """A frame around boxes and frames: `members` are keys of nodes and of other groups."""

    key: str
    title: str
    members: tuple[str, ...]
    subtitle: str = ""


@dataclass(frozen=True, slots=True)
class Graph:
    """Boxes and arrows, drawn from top to bottom. Arrows go from boxes that stand earlier to boxes that stand later.

    `scale` names what the colours mean; empty where nothing is coloured.
    """

    key: str
    title: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]
    groups: tuple[GraphGroup, ...] = ()
    scale: str = ""
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing of a list: its mark ("#3"), its title, what goes in and comes out, labelled facts, and an aside.

    `aside` is small print: the line of code that it comes from.
    """

    mark: str
    title: str
    flow: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    aside: str = ""


@dataclass(frozen=True, slots=True)
class Entries:
    """Things one under another, each with the facts about it."""

    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Callout:
    """A remark that must not be overlooked."""

    kind: Literal["good", "note", "warning", "error"]
    text: str


@dataclass(frozen=True, slots=True)
class Fold:
    """Blocks behind a line that opens them; open at first when `is_open`.

    A terminal cannot open anything, so it prints all blocks; with `folds_on_terminal` it prints those of an open fold
    and the line of a closed one.
    """

    summary: str
    blocks: tuple["Block", ...]
    is_open: bool = False
    folds_on_terminal: bool = False


Block = (
    Heading
    | Prose
    | Formula
    | Equality
    | Equalities
    | Table
    | Chart
    | Matrix
    | Raster
    | NetworkDrawing
    | Graph
    | Entries
    | Callout
    | Fold
)


@dataclass(frozen=True, slots=True)
class Document:
    """A title and its blocks."""

    title: str
    blocks: tuple[Block, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the document as JSON-able data; each block carries its kind under the key "kind"."""
        return {"title": self.title, "blocks": [_block_to_dict(block) for block in self.blocks]}

    def to_json(self) -> str:
        """Return the document as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)


def _block_to_dict(block: Block) -> dict[str, Any]:
    data: dict[str, Any] = {"kind": type(block).__name__}
    if isinstance(block, Fold):
        nested = [_block_to_dict(inner) for inner in block.blocks]
        opened = {"is_open": block.is_open, "folds_on_terminal": block.folds_on_terminal}
        return data | {"summary": block.summary, "blocks": nested} | opened
    return data | dataclasses.asdict(block)
