"""The sheet Formulas of a workbook: what each column holds, its formula as text, and where a gradient comes from."""

from collections.abc import Iterator, Mapping
from typing import Final

from chainrule.documents.sheets import Area, Page, Sheet, SheetCell, Style, TextCell
from chainrule.programs import Assignment, Program, Quantity, derivative_name, paths_to, program_text
from chainrule.programs.printing import factors_text
from chainrule.reports.workbook_plan import FIRST_ROW, PlannedColumn
from chainrule.reports.workbook_run import Tables

FORMULAS: Final = "Formulas"
_HEADERS: Final = ("column", "name", "meaning", "formula", "where it comes from", f"in the cell (row {FIRST_ROW + 1})")
_WIDTHS: Final = (9.0, 13.0, 36.0, 38.0, 62.0, 34.0)
_HEADER_ROW: Final = 3
_MOST_PATHS: Final = 4  # more are not written out
_LOSS: Final = "E"  # in the names of derivatives


def formulas_sheet(tables: Tables, places: Mapping[str, Area]) -> Sheet:
    """Return the sheet.

    Args:
        tables: whose columns are explained.
        places: the cells of Setup, by quantity.
    """
    cells: dict[tuple[int, int], SheetCell] = {
        (0, 0): TextCell("What each column holds", Style("title")),
        (1, 0): TextCell(
            "The columns of Run, and of the sheets of the learning rates, from left to right. η stands for the "
            "learning rate of the sheet.",
            Style("note"),
            (1, len(_HEADERS)),
        ),
    }
    cells |= {(_HEADER_ROW, place): TextCell(header, Style("header")) for place, header in enumerate(_HEADERS)}
    heights = {0: 28.0}
    row = _HEADER_ROW + 1
    for column in tables.columns:
        texts = _texts(tables, column)
        row = _write(cells, heights, row, texts, column.group.tint)
    row += 1
    cells[row, 0] = TextCell("Names of the cells of Setup", Style("heading"))
    for place in range(1, len(_HEADERS)):
        cells[row, place] = TextCell("", Style("heading"))
    row += 1
    for quantity, name in _named(tables):
        texts = ("", name, f"{quantity.name}: {quantity.meaning}", str(places[quantity.name]), "", "")
        row = _write(cells, heights, row, texts, 0)
    return Sheet(
        FORMULAS,
        cells,
        (),
        dict(enumerate(_WIDTHS)),
        heights,
        frozen=(_HEADER_ROW + 1, 2),
        page=Page(1, (_HEADER_ROW, _HEADER_ROW)),
    )


def _write(
    cells: dict[tuple[int, int], SheetCell], heights: dict[int, float], row: int, texts: tuple[str, ...], tint: int
) -> int:
    for place, text in enumerate(texts):
        style = Style("label", tint=tint) if place < 2 and tint else Style("label" if place == 1 else "text")
        cells[row, place] = TextCell(text, style)
    lines = max(
        sum(-(-max(len(line), 1) // int(width)) for line in text.split("\n"))
        for text, width in zip(texts, _WIDTHS, strict=True)
    )
    heights[row] = min(15.0 * lines + 2.0, 400.0)
    return row + 1


def _named(tables: Tables) -> Iterator[tuple[Quantity, str]]:
    return ((tables.program.quantities[name], cell) for name, cell in tables.names.items())


def _texts(tables: Tables, column: PlannedColumn) -> tuple[str, ...]:
    program, quantity = tables.program, column.quantity
    line = program.by_name.get(quantity.name)
    cell = tables.firsts.get(quantity.name, tables.formula(quantity.name)).replace("{row}", str(FIRST_ROW + 1))
    if line is None:
        formula, source = "", "Setup"
        if quantity.name in program.updated:
            source = f"Setup in row {FIRST_ROW + 1}; below, {program.updated[quantity.name]} of the row above"
    else:
        formula, source = f"{quantity.name} = {program_text(line.formula)}", derivation(program, line)
    return column.letters, quantity.name, meaning_of(quantity), formula, source, cell


def meaning_of(quantity: Quantity) -> str:
    """Return what a quantity is, in words."""
    below = quantity.name.removeprefix(derivative_name(_LOSS, ""))
    if quantity.kind == "gradient":
        return f"gradient of {below}: how fast the loss grows with it"
    if quantity.kind == "adjoint":
        return f"how fast the loss grows with {below}"
    if quantity.kind == "updated" and quantity.meaning in ("", "update"):
        return f"{quantity.name.removesuffix('⁺')} after the update"
    is_of_sample = quantity.sample is not None and "sample" not in quantity.meaning
    return quantity.meaning + (f", sample {quantity.sample}" if is_of_sample else "")


def derivation(program: Program, line: Assignment) -> str:
    """Return where a line comes from: the chain rule in symbols, then each path's factors, then what cancels."""
    if line.step != "gradients":
        if line.stable is None:
            return line.words
        return f"{line.words}; so that nothing overflows, computed as {program_text(line.stable)}"
    name = line.name.removeprefix(derivative_name(_LOSS, ""))
    products = [
        f"{derivative_name(_LOSS, term.through)} · {derivative_name(term.through, name)}" for term in line.terms
    ]
    steps = [" + ".join(products)] if products else []
    if line.stages:
        steps += [program_text(stage) for stage in line.stages]
    else:
        paths = paths_to(program, name, _MOST_PATHS + 1)
        if 0 < len(paths) <= _MOST_PATHS:
            steps.append(" + ".join(factors_text(tuple(f.expression for f in path.factors)) for path in paths))
    return "chain rule: " + "\n= ".join(steps) if steps else "the loss does not depend on it"
