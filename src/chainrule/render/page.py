"""A document as one HTML file that loads nothing: style and pictures are inside, and there is no script.

Every string of the document is escaped, and the content security policy forbids what an escape might miss: scripts,
frames, forms, and any address but data. A page with a map has the one script that zooms it, allowed by its digest.
"""

import base64
import re
from html import escape
from itertools import groupby, pairwise
from typing import Final, assert_never

from chainrule.documents import (
    Block,
    Callout,
    Cell,
    Chart,
    Document,
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
    Prose,
    Raster,
    Table,
)
from chainrule.render.charts import Picture, picture_svg
from chainrule.render.equality_text import equality_lines
from chainrule.render.graph_picture import graph_svg
from chainrule.render.mathml import UnknownLatex, mathml
from chainrule.render.page_style import FRAGMENT_STYLE, STYLE_SHEET
from chainrule.render.plain_text import CALLOUT_WORDS, is_number_column, print_row, printable, printable_line
from chainrule.render.raster_page import explorer_html, raster_script, raster_style, script_digest

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
_FEWEST_CONTENTS: Final = 2
_LONGEST_INLINE: Final = 90  # characters of equal forms on one line
# A picture is shown at its own size where there is room, and at 0.62 of it at least: below that, texts are too small
# to read, and its box scrolls instead.
_SMALLEST_SHARE: Final = 0.62
_GRAPH_WIDTH: Final = re.compile(r' width="([\d.]+)"')
_SIZE: Final = re.compile(r' (?:width|height)="([\d.]+)pt"')


def page_html(document: Document) -> str:
    """Return a document as the text of one HTML page, to be saved as UTF-8.

    Raises:
        ShapeError: a series of a chart has not as many positions as values.
    """
    title = _text(printable_line(document.title))
    headings = _contents_headings(document.blocks)
    body = _blocks(document.blocks, headings, maps_can_be_zoomed=True)
    has_map = any(isinstance(block, Raster) for block in document.blocks)
    policy = f"{_POLICY}; script-src {script_digest()}" if has_map else _POLICY
    style = STYLE_SHEET + raster_style() if has_map else STYLE_SHEET
    script = f"<script>{raster_script()}</script>\n" if has_map else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<main class="sheet">
<h1>{title}</h1>
{_contents(document.blocks, headings)}{body}
</main>
{script}</body>
</html>
"""


def fragment_html(document: Document) -> str:
    """Return a document as a piece of HTML for a notebook: it brings its style, which touches nothing around it.

    Raises:
        ShapeError: a series of a chart has not as many positions as values.
    """
    title = f'<p class="title">{_text(printable_line(document.title))}</p>\n' if document.title else ""
    body = _blocks(document.blocks)
    return f'<div class="chainrule-document">\n<style>{FRAGMENT_STYLE}</style>\n{title}{body}\n</div>\n'


def _text(text: str) -> str:
    return escape(printable(text), quote=True)


def _contents_headings(blocks: tuple[Block, ...]) -> dict[int, str]:
    """Return the identifiers of the level-2 headings, by their place among the blocks."""
    places = [place for place, block in enumerate(blocks) if isinstance(block, Heading) and block.level == 2]
    return {place: f"section-{number}" for number, place in enumerate(places, start=1)}


def _contents(blocks: tuple[Block, ...], headings: dict[int, str]) -> str:
    if len(headings) < _FEWEST_CONTENTS:
        return ""
    lines = []
    for place, identifier in headings.items():
        heading = blocks[place]
        if isinstance(heading, Heading):
            lines.append(f'<li><a href="#{identifier}">{_text(heading.text)}</a></li>')
    return '<nav aria-label="Contents">\n<p>Contents</p>\n<ol>\n' + "\n".join(lines) + "\n</ol>\n</nav>\n"


def _blocks(
    blocks: tuple[Block, ...], headings: dict[int, str] | None = None, *, maps_can_be_zoomed: bool = False
) -> str:
    """Draw blocks one under another; charts that follow each other stand in rows, as many in a row as there is room."""
    identifiers = headings or {}
    parts = []
    for are_charts, run in groupby(enumerate(blocks), key=lambda placed: isinstance(placed[1], Chart)):
        drawn = [
            explorer_html(block)
            if maps_can_be_zoomed and isinstance(block, Raster)
            else _block(block, identifiers.get(place, ""))
            for place, block in run
        ]
        is_row = are_charts and len(drawn) > 1
        parts += ['<div class="charts">', *drawn, "</div>"] if is_row else drawn
    return "\n".join(parts)


def _sections(blocks: tuple[Block, ...]) -> str:
    """Draw the blocks of a fold; sections under headings of level 3 stand side by side where there is room."""
    starts = [place for place, block in enumerate(blocks) if isinstance(block, Heading) and block.level == 3]
    if len(starts) < 2:
        return _blocks(blocks)
    sections = [_blocks(blocks[start:end]) for start, end in pairwise([*starts, len(blocks)])]
    drawn = "\n".join(f"<section>\n{section}\n</section>" for section in sections)
    return f'{_blocks(blocks[: starts[0]])}<div class="sections">\n{drawn}\n</div>'


def _block(block: Block, identifier: str = "") -> str:
    match block:
        case Heading():
            level = min(max(block.level, 2), 6)
            anchor = f' id="{identifier}"' if identifier else ""
            anchor += ' class="new-page"' if block.starts_page else ""
            return f"<h{level}{anchor}>{_text(block.text)}</h{level}>"
        case Prose():
            return f"<p>{_text(block.text)}</p>"
        case Formula():
            return _formula(block)
        case Equality():
            return _equalities((block,), 0)
        case Equalities():
            return _equalities(block.equalities, _LONGEST_INLINE)
        case Table():
            return _table(block)
        case Chart() | Matrix() | NetworkDrawing() | Raster():
            return _figure(block)
        case Graph():
            return _graph(block)
        case Entries():
            return '<ol class="entries">\n' + "\n".join(_entry(entry) for entry in block.entries) + "\n</ol>"
        case Callout():
            word = CALLOUT_WORDS[block.kind]
            return f'<div class="callout {block.kind}" role="note"><strong>{word}</strong>{_text(block.text)}</div>'
        case Fold():
            state = " open" if block.is_open else ""
            summary = f"<summary>{_text(block.summary)}</summary>"
            return f"<details{state}>{summary}\n{_sections(block.blocks)}\n</details>"
        case _:
            assert_never(block)


def _formula(formula: Formula) -> str:
    if not formula.latex:
        return f'<div class="formula"><pre tabindex="0">{_text(formula.text)}</pre></div>'
    return _formula_box(_set_formula(formula.latex, formula.text), formula.latex)


def _formula_box(shown: str, latex: str) -> str:
    source = _text(latex)
    return (
        f'<div class="formula" data-latex="{source}">{shown}'
        f"<details><summary>LaTeX</summary><pre>{source}</pre></details></div>"
    )


def _set_formula(latex: str, text: str) -> str:
    """Return a formula as the browser sets it, or its text where that cannot be."""
    try:
        inside = mathml(latex)
    except UnknownLatex:
        return f'<pre tabindex="0">{_text(text)}</pre>'
    return f'<div class="set" tabindex="0"><math display="block">{inside}</math></div>'


def _equalities(equalities: tuple[Equality, ...], longest_inline: int) -> str:
    """Draw equalities; the forms of one stand on one line where its text is at most so long."""
    rows: list[tuple[str, str, str]] = []  # left side, sign, right side
    for equality in equalities:
        left, forms = equality.left, equality.forms
        if left.text and sum(len(form.text) + 3 for form in forms) <= longest_inline:
            rows.append((left.latex, "=", " = ".join(form.latex for form in forms)))
            continue
        signs = ["" if not left.text and place == 0 else "=" for place in range(len(forms))]
        lefts = [left.latex, *[""] * (len(forms) - 1)]
        rows += [(side, sign, form.latex) for side, sign, form in zip(lefts, signs, forms, strict=True)]
    aligned = r" \\ ".join(f"{left} & {sign} {right}".strip() for left, sign, right in rows)
    source = rf"\begin{{aligned}} {aligned} \end{{aligned}}"
    try:
        drawn = "".join(f"<mtr>{''.join(f'<mtd>{mathml(cell)}</mtd>' for cell in row)}</mtr>" for row in rows)
    except UnknownLatex:
        lines = [line for equality in equalities for line in equality_lines(equality, _LONGEST_INLINE)]
        text = "\n".join(lines)
        return _formula_box(f'<pre tabindex="0">{_text(text)}</pre>', source)
    table = f'<mtable class="equality">{drawn}</mtable>'
    return _formula_box(f'<div class="set" tabindex="0"><math display="block">{table}</math></div>', source)


def _entry(entry: Entry) -> str:
    mark = f'<span class="mark">{_text(entry.mark)}</span>' if entry.mark else ""
    flow = f' <span class="flow">{_text(entry.flow)}</span>' if entry.flow else ""
    facts = "".join(f"<div><dt>{_text(label)}</dt><dd>{_text(text)}</dd></div>" for label, text in entry.facts)
    listed = f"<dl>{facts}</dl>" if facts else ""
    aside = f'<code class="aside">{_text(entry.aside)}</code>' if entry.aside else ""
    return f'<li>{mark}<div class="entry"><strong>{_text(entry.title)}</strong>{flow}{listed}{aside}</div></li>'


def _graph(graph: Graph) -> str:
    # No image like other pictures: its texts can be searched, and a pointer that rests on a box is told more.
    svg = graph_svg(graph).replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)
    width = round(float(_GRAPH_WIDTH.findall(svg)[0]))
    style = f'<svg style="--least: {round(_SMALLEST_SHARE * width)}px" '
    caption = f"<figcaption>{_text(graph.caption)}</figcaption>" if graph.caption else ""
    name = _text(printable_line(graph.title))
    box = f'<div class="picture" tabindex="0" role="group" aria-label="{name}">'
    return f"<figure>{box}{svg.replace('<svg ', style, 1)}</div>{caption}</figure>"


def _table(table: Table) -> str:
    classes = [' class="number"' if is_number_column(table, index) else "" for index in range(len(table.columns))]
    head = "".join(
        f'<th scope="col"{kind}>{_text(column.header)}</th>'
        for column, kind in zip(table.columns, classes, strict=True)
    )
    head = f"<thead><tr>{head}</tr></thead>\n" if any(column.header for column in table.columns) else ""
    body = "\n".join(_row(table, row, classes) for row in table.rows)
    empty = "" if table.rows else '<p class="empty">no rows</p>'
    caption = f"<figcaption>{_text(table.caption)}</figcaption>" if table.caption else ""
    name = _text(printable_line(table.caption or "Table"))
    # The box scrolls, so it must be reachable with the keyboard and needs a name of its own.
    kind = "table roomy" if table.is_roomy else "table"
    return (
        f'<figure><div class="{kind}" tabindex="0" role="region" aria-label="{name}">\n<table>\n'
        f"{head}<tbody>\n{body}\n</tbody>\n</table>{empty}</div>{caption}</figure>"
    )


def _row(table: Table, row: tuple[Cell, ...], classes: list[str]) -> str:
    texts = [_cell(cell, text) for cell, text in zip(row, print_row(table, row), strict=True)]
    cells = [
        f'<th scope="row"{kind}>{text}</th>' if index == 0 else f"<td{kind}>{text}</td>"
        for index, (text, kind) in enumerate(zip(texts, classes, strict=True))
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _cell(cell: Cell, text: str) -> str:
    """Return a cell of a table: a formula as the browser sets it, anything else as text."""
    if isinstance(cell, Formula) and cell.latex:
        try:
            return f"<math>{mathml(cell.latex)}</math>"
        except UnknownLatex:
            return escape(text)
    return escape(text)


def _figure(picture: Picture) -> str:
    svg = picture_svg(picture)
    data = base64.b64encode(svg.encode()).decode("ascii")
    width, height = (round(float(points) * 4 / 3) for points in _SIZE.findall(svg)[:2])
    spoken = _text(
        ". ".join(printable_line(part) for part in (picture.title, _spoken(picture), picture.caption) if part)
    )
    caption = f"<figcaption>{_text(picture.caption)}</figcaption>" if picture.caption else ""
    return (
        f'<figure><div class="picture" tabindex="0" role="group" aria-label="{_text(printable_line(picture.title))}">'
        f'<img width="{width}" height="{height}" style="--least: {round(_SMALLEST_SHARE * width)}px" '
        f'alt="{spoken}" src="data:image/svg+xml;base64,{data}">'
        f"</div>{caption}</figure>"
    )


def _spoken(picture: Picture) -> str:
    """Say what kind of picture this is, for readers who do not see it."""
    match picture:
        case Chart():
            names = ", ".join(series.name for series in picture.series[:6])
            more = f" and {len(picture.series) - 6} more" if len(picture.series) > 6 else ""
            return f"Chart of {picture.y_label} against {picture.x_label}: {names}{more}"
        case Matrix():
            size = f"{len(picture.row_names)} by {len(picture.column_names)}"
            return f"Matrix of {size} numbers, {picture.row_label} by {picture.column_label}"
        case Raster():
            size = f"{len(picture.x.values)} by {len(picture.y.values)}"
            return f"Map of {size} runs, {picture.x.label} by {picture.y.label}"
        case NetworkDrawing():
            return f"Network of {'-'.join(str(len(layer)) for layer in picture.layers)} nodes"
        case _:
            assert_never(picture)
