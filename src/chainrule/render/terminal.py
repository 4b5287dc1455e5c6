"""A document on the terminal, with rich: fitted to its width, legible without colours and in ASCII.

Strings of the document are never markup and never reach the terminal with control characters in them.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, assert_never

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table as Grid
from rich.text import Text

from chainrule.documents import (
    Block,
    Callout,
    Cell,
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
    Heading,
    Matrix,
    NetworkDrawing,
    Node,
    Prose,
    Raster,
    Table,
)
from chainrule.render.curves import Curve, curves_of, remarks_on
from chainrule.render.equality_text import equalities_lines, equality_lines
from chainrule.render.network_layout import LABELLED_EDGES_AT_MOST, Gap, cut_layer
from chainrule.render.plain_text import CALLOUT_WORDS, is_number_column, print_row, printable, printable_line
from chainrule.render.raster_picture import label_of
from chainrule.render.raster_text import legend_line, plot_raster
from chainrule.render.text_plot import plot_chart

_WIDEST_TEXT_COLUMN: Final = 40
_NARROWEST_TEXT_COLUMN: Final = 14  # when text is wrapped so that a table fits
_GAP: Final = 3  # between two columns
_CURVES_SUMMARISED_AT_MOST: Final = 6
_LARGEST_EDGES: Final = 8
_ARROWS_AT_MOST: Final = 12
_MARK_WIDTH: Final = 4
_CALLOUT_STYLES: Final = {"good": "bold green", "note": "bold cyan", "warning": "bold yellow", "error": "bold red"}
_CURVE_STYLES: Final = ("cyan", "yellow", "green", "magenta", "blue", "red")
_ASCII: Final = {
    "−": "-", "–": "-", "—": "-", "·": "*", "×": "x", "÷": "/", "→": "->", "←": "<-", "…": "...", "≤": "<=",
    "≥": ">=", "≠": "!=", "≈": "~", "∂": "d", "Σ": "sum ", "∇": "grad ", "√": "sqrt", "∞": "inf", "‖": "||",
    "η": "eta", "α": "alpha", "β": "beta", "δ": "delta", "ε": "epsilon", "λ": "lambda", "μ": "mu", "σ": "sigma",
    "θ": "theta", "π": "pi", "°": "deg ", "⋮": ":", "‘": "'", "’": "'", "“": '"',
    "”": '"', "½": "1/2", "′": "'", "▸": "+",
}  # fmt: skip


_RAISED: Final = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾]+")
_LOWERED: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾", "0123456789+-()")


@dataclass(frozen=True, slots=True)
class _Paper:
    """What is printed on: the encoding, and how many columns are left between the margins."""

    encoding: str
    width: int

    @property
    def is_plain(self) -> bool:
        """Whether the encoding lacks box drawing and braille."""
        return not self.encoding.lower().startswith("utf")

    def text(self, text: str, style: str = "") -> Text:
        """Return literal text that the encoding can carry."""
        return Text(self.encodable(printable(text)), style=style, overflow="fold")

    def line(self, text: str, style: str = "") -> Text:
        """Return literal text on one line, which wraps where it must."""
        return self.text(printable_line(text), style)

    def sign(self, sign: str, plain: str) -> str:
        """Return a sign, or its stand-in in ASCII."""
        return plain if self.is_plain else sign

    def encodable(self, text: str) -> str:
        """Return the text with what the encoding lacks written in ASCII."""
        if not self.is_plain:
            return text
        text = _RAISED.sub(_raised_in_ascii, text)
        return "".join(character if self._has(character) else _in_ascii(character) for character in text)

    def _has(self, character: str) -> bool:
        try:
            character.encode(self.encoding)
        except UnicodeEncodeError:
            return False
        return True


def print_document(document: Document, console: Console | None = None) -> None:
    """Print a document on a console, at the console's width and within its encoding.

    Args:
        document: what to print.
        console: where; standard output when not given.

    Raises:
        ShapeError: a series of a chart has not as many positions as values.
    """
    console = Console(highlight=False) if console is None else console
    paper = _Paper(console.encoding, console.width)
    if document.title:
        title = paper.line(document.title, "bold")
        console.print(title, highlight=False)
        console.print(_underline(title, paper, "═", "="), highlight=False)
    for renderable in _blocks(document.blocks, paper):
        console.print(renderable, highlight=False)


def _raised_in_ascii(match: re.Match[str]) -> str:
    """Write raised digits and signs in ASCII: h1(2), w5+, 10^-5."""
    plain = match.group().translate(_LOWERED)
    return plain if plain[0] in "(+" else f"^{plain}"


def _in_ascii(character: str) -> str:
    return _ASCII.get(character, character.encode("ascii", "backslashreplace").decode("ascii"))


def _underline(text: Text, paper: _Paper, sign: str, plain: str) -> Text:
    return Text(paper.sign(sign, plain) * min(text.cell_len, paper.width))


def _blocks(blocks: Iterable[Block], paper: _Paper) -> Iterator[RenderableType]:
    before: Block | None = None
    for block in blocks:
        # A tree of folds has a line for each, with no line between two that are closed.
        if not (_is_line(block) and before is not None and _is_line(before)):
            yield Text("")
        yield from _block(block, paper)
        before = block


def _is_line(block: Block) -> bool:
    """Whether a block is printed as the line of a closed fold."""
    return isinstance(block, Fold) and block.folds_on_terminal and not block.is_open


def _block(block: Block, paper: _Paper) -> Iterator[RenderableType]:
    match block:
        case Heading():
            text = paper.line(block.text, "bold")
            yield text
            if block.level <= 2:
                yield _underline(text, paper, "─", "-")
        case Prose():
            yield paper.text(block.text)
        case Formula():
            yield Padding(paper.text(block.text), (0, 0, 0, 4), expand=False)
        case Equality() | Equalities():
            width = paper.width - 4
            lines = equality_lines(block, width) if isinstance(block, Equality) else equalities_lines(block, width)
            yield Padding(paper.text("\n".join(lines)), (0, 0, 0, 4), expand=False)
        case Table():
            yield from _table(block, paper)
        case Chart():
            yield from _chart(block, paper)
        case Matrix():
            yield from _matrix(block, paper)
        case Raster():
            yield from _raster(block, paper)
        case NetworkDrawing():
            yield from _network(block, paper)
        case Graph():
            yield from _graph(block, paper)
        case Entries():
            for number, entry in enumerate(block.entries):
                if number and (entry.facts or block.entries[number - 1].facts):
                    yield Text("")
                yield from _entry(entry, paper, has_marks=any(other.mark for other in block.entries))
        case Callout():
            grid = Grid.grid(padding=(0, 2, 0, 0))
            grid.add_column(no_wrap=True)
            grid.add_column(overflow="fold")
            word = f"{CALLOUT_WORDS[block.kind]}:"
            grid.add_row(Text(word, _CALLOUT_STYLES[block.kind]), paper.text(block.text))
            yield grid
        case Fold():
            if _is_line(block):
                yield paper.line(f"{paper.sign('▸', '+')} {block.summary}")
                return
            yield paper.line(f"{paper.sign('▾', '-')} {block.summary}", "bold")
            inner = replace(paper, width=max(paper.width - 2, 1))
            yield Padding(Group(*_blocks(block.blocks, inner)), (0, 0, 0, 2))
        case _:
            assert_never(block)


def _caption(caption: str, paper: _Paper) -> Iterator[RenderableType]:
    if caption:
        yield paper.text(caption, "dim")


# Entries


def _entry(entry: Entry, paper: _Paper, *, has_marks: bool) -> Iterator[RenderableType]:
    mark = paper.line(entry.mark, "dim")
    grid = Grid.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, min_width=_MARK_WIDTH if has_marks else 0)
    grid.add_column(overflow="fold")
    head = paper.line(entry.title, "bold")
    if entry.flow:
        head.append("  ").append_text(paper.line(entry.flow))
    grid.add_row(mark, head)
    inner = Grid.grid(padding=(0, 2, 0, 0))
    inner.add_column(overflow="fold", max_width=max(paper.width // 2 - _MARK_WIDTH, 8))
    inner.add_column(overflow="fold")
    for label, text in entry.facts:
        inner.add_row(paper.line(label, "dim"), paper.text(text))
    if entry.facts:
        grid.add_row("", inner)
    if entry.aside:
        grid.add_row("", paper.line(entry.aside, "dim italic"))
    yield grid


# Graphs


def _graph(graph: Graph, paper: _Paper) -> Iterator[RenderableType]:
    """Print which boxes follow which; the picture itself is for pages."""
    yield paper.line(graph.title, "bold")
    titles = {node.key: f"{node.title} {node.subtitle}".strip() for node in graph.nodes}
    if len(graph.edges) > _ARROWS_AT_MOST:
        yield paper.line(f"{len(graph.nodes)} boxes and {len(graph.edges)} arrows, drawn on a page or as a picture.")
    else:
        for edge in graph.edges:
            label = f" {edge.label}" if edge.label else ""
            yield paper.line(f"{titles.get(edge.start, edge.start)} → {titles.get(edge.end, edge.end)}{label}")
    yield from _caption(graph.caption, paper)


# Tables


def _table(table: Table, paper: _Paper) -> Iterator[RenderableType]:
    cells = [[paper.encodable(text) for text in print_row(table, row)] for row in table.rows]
    fitted = _fitted_widths(table, cells, paper)
    if fitted:
        yield _grid(table, cells, range(len(fitted)), paper, fitted)
    groups = [] if fitted else _column_groups(table, cells, paper)
    for number, group in enumerate(groups):
        if number:
            yield Text("")
        if len(groups) > 1:
            first, last = group[min(1, len(group) - 1)] + 1, group[-1] + 1
            place = f"Columns {first} to {last}" if first < last else f"Column {first}"
            yield Text(f"{place} of {len(table.columns)}:")
        yield _grid(table, cells, group, paper)
    if not table.rows:
        yield Text("(no rows)")
    yield from _caption(table.caption, paper)


def _fitted_widths(table: Table, cells: Sequence[Sequence[str]], paper: _Paper) -> list[int]:
    """Return how wide each column is when text is wrapped so that the table fits; none where it does so or cannot."""
    widths = [_column_width(table, cells, index, paper) for index in range(len(table.columns))]
    texts = [index for index in range(len(widths)) if not is_number_column(table, index)]
    limited = [min(width, _WIDEST_TEXT_COLUMN) for width in widths]
    room = paper.width - _GAP * (len(widths) - 1) if widths else 0
    if sum(limited) <= room or not texts:
        return []
    # The narrow columns of text keep their width; the wide ones share what is left.
    left = room - sum(width for index, width in enumerate(widths) if index not in texts)
    for place, index in enumerate(sorted(texts, key=lambda index: widths[index])):
        share = left // (len(texts) - place)
        if widths[index] > share < _NARROWEST_TEXT_COLUMN:
            return []
        widths[index] = min(widths[index], share)
        left -= widths[index]
    return widths


def _grid(
    table: Table, cells: Sequence[Sequence[str]], group: Sequence[int], paper: _Paper, widths: Sequence[int] = ()
) -> Grid:
    has_header = any(column.header for column in table.columns)
    grid = Grid(
        box=box.ASCII if paper.is_plain else box.SIMPLE_HEAD, pad_edge=False, show_edge=False, show_header=has_header
    )
    widest = _widest_text_column(table, cells, group, paper)
    for index in group:
        grid.add_column(
            paper.line(table.columns[index].header),
            justify="right" if is_number_column(table, index) else "left",
            overflow="fold",
            max_width=widths[index] if widths else widest,
        )
    for row in cells:
        grid.add_row(*(Text(row[index], overflow="fold") for index in group))
    return grid


def _column_groups(table: Table, cells: Sequence[Sequence[str]], paper: _Paper) -> list[list[int]]:
    """Share the columns out into tables that fit the width; each begins with the first column, which names the rows."""
    widths = [
        min(_column_width(table, cells, index, paper), _WIDEST_TEXT_COLUMN) + _GAP
        for index in range(len(table.columns))
    ]
    groups: list[list[int]] = [[0]] if widths else []
    for index in range(1, len(widths)):
        used = sum(widths[other] for other in groups[-1])
        if used + widths[index] > paper.width + _GAP - 1 and len(groups[-1]) > 1:
            groups.append([0])
        groups[-1].append(index)
    return groups


def _column_width(table: Table, cells: Sequence[Sequence[str]], index: int, paper: _Paper) -> int:
    texts = [printable_line(paper.encodable(table.columns[index].header)), *(row[index] for row in cells)]
    return max(cell_len(line) for text in texts for line in (text.splitlines() or [""]))


def _widest_text_column(table: Table, cells: Sequence[Sequence[str]], group: Sequence[int], paper: _Paper) -> int:
    """Return how wide the columns of a group may be: one long column takes what the others leave of the width."""
    widths = [_column_width(table, cells, index, paper) for index in group]
    if sum(width > _WIDEST_TEXT_COLUMN for width in widths) != 1:
        return _WIDEST_TEXT_COLUMN
    others = sum(width + _GAP for width in widths if width <= _WIDEST_TEXT_COLUMN)
    return max(paper.width - others, _WIDEST_TEXT_COLUMN)


def _matrix(matrix: Matrix, paper: _Paper) -> Iterator[RenderableType]:
    yield paper.line(matrix.title, "bold")
    columns = (Column(matrix.row_label), *(Column(name, matrix.number_format) for name in matrix.column_names))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name, *values) for name, values in zip(matrix.row_names, matrix.values, strict=True)
    )
    yield from _table(Table(columns, rows), paper)
    yield paper.line(f"Rows: {matrix.row_label}. Columns: {matrix.column_label}.", "dim")
    yield from _caption(matrix.caption, paper)


# Charts


def _chart(chart: Chart, paper: _Paper) -> Iterator[RenderableType]:
    yield paper.line(chart.title, "bold")
    scales = [f"{name} logarithmic" for name, scale in (("x", chart.x_scale), ("y", chart.y_scale)) if scale == "log"]
    yield paper.line(", ".join([f"{chart.y_label} against {chart.x_label}", *scales]), "dim")
    for spans in plot_chart(chart, paper.width, is_plain=paper.is_plain):
        row = Text(no_wrap=True, overflow="crop")
        for span in spans:
            style = "" if span.curve is None else _CURVE_STYLES[span.curve % len(_CURVE_STYLES)]
            row.append(paper.encodable(span.text), style)
        yield row
    curves = curves_of(chart)
    if len(curves) <= _CURVES_SUMMARISED_AT_MOST:
        for curve in curves:
            if not curve.is_empty and not _is_marker(curve):
                yield paper.line(_summary(curve), "dim")
    for remark in remarks_on(curves):
        yield paper.line(remark)
    yield from _caption(chart.caption, paper)


def _is_marker(curve: Curve) -> bool:
    """Whether it is an upright line at one place: its name says where, and its heights say nothing."""
    return curve.series.style == "dashed" and len(curve.x) == 2 and bool(curve.x[0] == curve.x[1])


def _summary(curve: Curve) -> str:
    values = curve.y[np.isfinite(curve.y)]
    ends = f"first {values[0]:.4g}, last {values[-1]:.4g}, "
    course = ends if curve.series.style in ("line", "dashed") else ""
    return f"{curve.series.name or 'values'}: {course}lowest {values.min():.4g}, highest {values.max():.4g}"


# Maps


def _raster(raster: Raster, paper: _Paper) -> Iterator[RenderableType]:
    yield paper.line(f"{label_of(raster.y)} (up) against {label_of(raster.x)} (right)", "dim")
    for cells in plot_raster(raster, paper.width, is_plain=paper.is_plain):
        row = Text(no_wrap=True, overflow="crop")
        for text, colour in cells:
            row.append(paper.encodable(text), colour)
        yield row
    yield paper.line(legend_line(raster, is_plain=paper.is_plain), "dim")
    yield from _caption(raster.caption, paper)


# Networks


def _network(drawing: NetworkDrawing, paper: _Paper) -> Iterator[RenderableType]:
    yield paper.line(drawing.title, "bold")
    grid = Grid.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        grid.add_column(overflow="fold")
    for layer, nodes in enumerate(drawing.layers):
        name = drawing.layer_names[layer] if layer < len(drawing.layer_names) else f"layer {layer + 1}"
        for slot in cut_layer(len(nodes)):
            if isinstance(slot, Gap):
                grid.add_row("", Text(paper.sign("⋮", ":")), Text(f"{slot.count} more"))
            else:
                node = nodes[slot]
                grid.add_row(paper.line(name), paper.line(node.name, "bold"), paper.line(", ".join(node.lines)))
            name = ""
    yield grid
    edges = drawing.edges
    if len(edges) > LABELLED_EDGES_AT_MOST:
        edges = tuple(sorted(edges, key=_size, reverse=True)[:_LARGEST_EDGES])
        yield Text(f"The {len(edges)} largest of {len(drawing.edges)} weights:")
    yield Columns([_edge(edge, drawing.layers, paper) for edge in edges], equal=True, padding=(0, 3))
    yield from _caption(drawing.caption, paper)


def _edge(edge: Edge, layers: Sequence[Sequence[Node]], paper: _Paper) -> Text:
    start, end = layers[edge.start[0]][edge.start[1]], layers[edge.end[0]][edge.end[1]]
    return paper.line(f"{start.name} → {end.name}  {edge.label or format(edge.value, '.4g')}")


def _size(edge: Edge) -> float:
    return math.inf if math.isnan(edge.value) else abs(edge.value)
