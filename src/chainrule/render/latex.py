r"""A document as one LaTeX file that pdflatex compiles with nothing but base LaTeX and amsmath.

Charts and graphs are left out, and a line says so; the page has them. A network is drawn with LaTeX's own picture
environment.
"""

from collections.abc import Iterator, Sequence
from typing import assert_never

from chainrule.documents import (
    Block,
    Callout,
    Cell,
    Chart,
    Document,
    Entries,
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
from chainrule.render.latex_picture import network_picture
from chainrule.render.latex_text import aligned, display, latex_text
from chainrule.render.plain_text import CALLOUT_WORDS, is_number_column, print_row, printable_line

_PREAMBLE = r"""\documentclass[11pt,a4paper]{article}
\usepackage[utf8]{inputenc}
\usepackage{amsmath}
\setlength{\oddsidemargin}{0pt}
\setlength{\textwidth}{6.27in}
\setlength{\topmargin}{-0.6in}
\setlength{\textheight}{9.9in}
\setlength{\parindent}{0pt}
\setlength{\parskip}{6pt plus 2pt}
\allowdisplaybreaks
\pagestyle{plain}
"""
_HEADINGS = {2: "section*", 3: "subsection*"}
_ROWS = 40  # of a table, before it is continued on what may be the next page
_SIZES = ((88, r"\small"), (105, r"\footnotesize"), (130, r"\scriptsize"))  # widths in characters


def document_latex(document: Document) -> str:
    """Return a document as the text of a LaTeX file, to be saved as UTF-8."""
    title = latex_text(printable_line(document.title))
    body = "\n\n".join(_blocks(document.blocks))
    heading = rf"{{\LARGE\bfseries {title}\par}}" + "\n\\medskip"
    return f"{_PREAMBLE}\\begin{{document}}\n{heading}\n\n{body}\n\\end{{document}}\n"


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        yield from _block(block)
        if isinstance(block, Prose) and isinstance(following, Table | Equality | Equalities):
            yield r"\nopagebreak"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Heading():
            if block.starts_page:
                yield r"\clearpage"
            yield rf"\{_HEADINGS.get(block.level, 'paragraph*')}{{{latex_text(printable_line(block.text))}}}"
        case Prose():
            yield latex_text(block.text)
        case Formula():
            yield display(block.latex) if block.latex else rf"\begin{{quote}}{latex_text(block.text)}\end{{quote}}"
        case Equality():
            yield aligned([(block.left.latex, [form.latex for form in block.forms])])
        case Equalities():
            rows = [(each.left.latex, [form.latex for form in each.forms]) for each in block.equalities]
            yield aligned(rows, are_short_inline=True)
        case Table():
            yield from _table(block)
        case NetworkDrawing():
            yield "\\begin{center}\n" + network_picture(block) + "\n\\end{center}"
            yield from _caption(block.caption)
        case Chart() | Graph() | Matrix() | Raster():
            yield rf"\emph{{{latex_text(block.title)}: a picture, which the page shows and this sheet leaves out.}}"
        case Entries():
            yield from _entries(block)
        case Callout():
            yield rf"\fbox{{\parbox{{6in}}{{\textbf{{{CALLOUT_WORDS[block.kind]}:}} {latex_text(block.text)}}}}}"
        case Fold():
            yield rf"\paragraph*{{{latex_text(printable_line(block.summary))}}}\leavevmode"
            yield from _blocks(block.blocks)
        case _:
            assert_never(block)


def _caption(caption: str) -> Iterator[str]:
    if caption:
        yield rf"{{\small\itshape {latex_text(caption)}\par}}"


def _table(table: Table) -> Iterator[str]:
    yield from _caption(table.caption)
    rows = [print_row(table, row) for row in table.rows]
    shown = [
        [_cell(cell, text) for cell, text in zip(*pair, strict=True)] for pair in zip(table.rows, rows, strict=True)
    ]
    is_tall = any(r"\frac" in cell for row in shown for cell in row)
    stretch = 1.9 if table.is_roomy else 1.6 if is_tall else 1
    height = rf"\renewcommand{{\arraystretch}}{{{stretch}}}" if stretch > 1 else ""
    headers = [column.header for column in table.columns]
    widths = [max(map(len, [header, *column])) + 3 for header, *column in zip(headers, *rows, strict=True)]
    for columns in _side_by_side(widths):
        alignment = "".join("r" if is_number_column(table, column) else "l" for column in columns)
        width = sum(widths[column] for column in columns)
        size = next((size for widest, size in _SIZES if width <= widest), r"\tiny")
        most = int(_ROWS / stretch)
        for first in range(0, max(len(rows), 1), most):
            lines = [" & ".join(rf"\textbf{{{latex_text(headers[column])}}}" for column in columns)]
            lines += [" & ".join(row[column] for column in columns) for row in shown[first : first + most]]
            body = " \\\\\n".join([lines[0] + r" \\ \hline", *lines[1:]]).replace(r"\hline \\", r"\hline")
            yield f"{{{size}{height}\n\\begin{{tabular}}{{{alignment}}}\n{body}\n\\end{{tabular}}\\par}}"


def _cell(cell: Cell, text: str) -> str:
    return f"${cell.latex}$" if isinstance(cell, Formula) and cell.latex else latex_text(text)


def _side_by_side(widths: Sequence[int]) -> list[list[int]]:
    """Return the columns in groups that fit the page one under another, each with the first column again."""
    groups, used = [[0]], widths[0]
    for column in range(1, len(widths)):
        if used + widths[column] > _SIZES[-1][0]:
            groups.append([0])
            used = widths[0]
        groups[-1].append(column)
        used += widths[column]
    return groups


def _entries(block: Entries) -> Iterator[str]:
    for entry in block.entries:
        lines = [rf"\textbf{{{latex_text(f'{entry.mark} {entry.title}'.strip())}}} {latex_text(entry.flow)}".strip()]
        lines += [rf"\quad {latex_text(label)}: {latex_text(text)}" for label, text in entry.facts]
        lines += [rf"\quad {{\small {latex_text(entry.aside)}}}"] if entry.aside else []
        yield " \\\\\n".join(lines)
