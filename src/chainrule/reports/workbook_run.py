"""The tables of a workbook: one row per update, every number of the step in a column of its own, as a live formula."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chainrule.documents.sheets import (
    Area,
    FilledColumn,
    FormulaCell,
    NumberCell,
    Page,
    Sheet,
    SheetCell,
    Style,
    TextCell,
    column_letters,
)
from chainrule.programs import Assignment, Program, program_spreadsheet
from chainrule.reports.workbook_plan import FIRST_ROW, STEP_COLUMN, PlannedColumn, learning_rates, value_style

_BAND_ROW, _HEADER_ROW = FIRST_ROW - 2, FIRST_ROW - 1
_COLUMNS_A_PAGE = 18
_NARROWEST = 11.5  # characters: -0.000000 and its margins


@dataclass(frozen=True, slots=True)
class Tables:
    """What the tables of one workbook have in common.

    Attributes:
        program: whose step a row holds.
        columns: as they are planned.
        names: of the cells on Setup, by quantity.
        formulas: of each column, with {row} and {above}, and {η} for a learning rate.
        firsts: the formulas of the first row, where they are others.
        rates: the names of the learning rates.
    """

    program: Program
    columns: tuple[PlannedColumn, ...]
    names: Mapping[str, str]
    formulas: Mapping[str, str]
    firsts: Mapping[str, str]
    rates: tuple[str, ...]

    def formula(self, name: str, rate: str | None = None) -> str:
        """Return the formula of a column; with the name of a cell, that holds the learning rate of all parameters."""
        formula = self.formulas[name]
        for own in self.rates:
            formula = formula.replace(f"{{{own}}}", self.names[own] if rate is None else rate)
        return formula

    def area(self, sheet: str, name: str, rows: int) -> Area:
        """Return the cells that hold a quantity's numbers in one of the tables."""
        place = next(column.place for column in self.columns if column.quantity.name == name)
        return Area(sheet, FIRST_ROW, place, FIRST_ROW + rows - 1, place)

    def steps(self, sheet: str, rows: int) -> Area:
        """Return the cells that hold the number of updates."""
        return Area(sheet, FIRST_ROW, STEP_COLUMN, FIRST_ROW + rows - 1, STEP_COLUMN)


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands above a table: its title, a hint, and cells beside the hint (a label and what it labels)."""

    title: str
    hint: str
    beside: tuple[SheetCell, ...] = ()


def plan_tables(program: Program, columns: tuple[PlannedColumn, ...], names: Mapping[str, str]) -> Tables:
    """Return the formulas of all columns.

    Raises:
        ChainruleError: a formula has no form in a spreadsheet.
    """
    letters = {column.quantity.name: column.letters for column in columns}
    cells = {name: f"{letter}{{row}}" for name, letter in letters.items()}
    cells |= {name: cell for name, cell in names.items() if name not in letters}
    rates = learning_rates(program)
    cells |= {rate: f"{{{rate}}}" for rate in rates}
    formulas = {line.name: _formula(line, cells) for line in program.assignments}
    firsts: dict[str, str] = {}
    for column in columns:
        name = column.quantity.name
        if name in program.updated:
            formulas[name] = f"{letters[program.updated[name]]}{{above}}"
            firsts[name] = names[name]
        elif name not in formulas:
            formulas[name] = names[name]
    return Tables(program, columns, names, formulas, firsts, rates)


def _formula(line: Assignment, cells: Mapping[str, str]) -> str:
    used = {symbol.name: cells[symbol.name] for symbol in line.computed.free_symbols}
    return program_spreadsheet(line.computed, used)


def table_sheet(
    name: str, tables: Tables, rate: str | None, numbers: Mapping[str, np.ndarray], heading: Heading
) -> Sheet:
    """Return one table as a sheet.

    Args:
        name: of the sheet.
        tables: what all tables have in common.
        rate: the name of the cell that holds this table's learning rate; None for the rates of Setup.
        numbers: what every column computes, by quantity, (updates + 1,) each.
        heading: what stands above the table.
    """
    rows = len(numbers[tables.program.loss])
    cells: dict[tuple[int, int], SheetCell] = {
        (0, 1): TextCell(heading.title, Style("title")),
        (1, 1): TextCell(heading.hint, Style("note"), (1, min(12, len(tables.columns)))),
        (_HEADER_ROW, STEP_COLUMN): TextCell("update", Style("header")),
    }
    cells |= {(2, place): cell for place, cell in enumerate(heading.beside)}
    cells |= {(FIRST_ROW + row, STEP_COLUMN): NumberCell(float(row), Style("label")) for row in range(rows)}
    cells |= dict(_headers(tables.columns))
    filled = []
    for column in tables.columns:
        quantity = column.quantity
        values = np.broadcast_to(numbers[quantity.name], (rows,))
        first = tables.firsts.get(quantity.name)
        filled.append(
            FilledColumn(
                column.place,
                FIRST_ROW,
                tables.formula(quantity.name, rate),
                tuple(values.tolist()),
                _column_style(column, values, tables.program.loss),
                first,
            )
        )
    widths = {column.place: max(_NARROWEST, len(column.quantity.name) + 2.0) for column in tables.columns}
    return Sheet(
        name,
        cells,
        tuple(filled),
        {STEP_COLUMN: 9.0, **widths},
        {0: 28.0, 1: 32.0, _HEADER_ROW: 20.0},
        frozen=(FIRST_ROW, STEP_COLUMN + 1),
        page=Page(-(-len(tables.columns) // _COLUMNS_A_PAGE), (_BAND_ROW, _HEADER_ROW), (STEP_COLUMN, STEP_COLUMN)),
    )


def _column_style(column: PlannedColumn, values: np.ndarray, loss: str) -> Style:
    if column.quantity.kind in ("input", "target", "constant"):
        return Style("value")  # as they were typed
    return value_style(values, column.quantity.name == loss)


def _headers(columns: Sequence[PlannedColumn]) -> Iterator[tuple[tuple[int, int], SheetCell]]:
    before = None
    for column in columns:
        title = column.group.title if column.group is not before else ""
        yield (_BAND_ROW, column.place), TextCell(title, Style("band", tint=column.group.tint))
        yield (_HEADER_ROW, column.place), TextCell(column.quantity.name, Style("header", tint=column.group.tint))
        before = column.group


def rate_cells(label: str, rate: str, value: float) -> tuple[SheetCell, ...]:
    """Return the cells above a table that say which learning rate it has."""
    return TextCell(label, Style("label")), FormulaCell(rate, value, Style("result"))


def row_address(area: Area, row: str = "{row}") -> str:
    """Return the address of one cell of a column of an area, relative in its row: 'Rate 1'!X{row}."""
    sheet = str(area).rpartition("!")[0]
    return f"{sheet}!${column_letters(area.first_column)}{row}"
