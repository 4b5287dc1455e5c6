"""A program as a workbook that trains: change a number, and every update, loss and gradient is computed again.

Sheets: Setup (what can be changed, and the curve of the loss), Run (one row per update), Learning rates (one curve
per rate), one sheet per rate like Run, and Formulas (what each column means and where it comes from).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from chainrule.documents.sheets import (
    LONGEST_FORMULA,
    MOST_COLUMNS,
    MOST_ROWS,
    Area,
    Curve,
    FilledColumn,
    FormulaCell,
    NumberCell,
    Page,
    Sheet,
    SheetCell,
    SheetChart,
    Style,
    TextCell,
    Workbook,
    column_letters,
)
from chainrule.errors import ChainruleError
from chainrule.programs import Program, run_program
from chainrule.reports.workbook_formulas import formulas_sheet
from chainrule.reports.workbook_plan import (
    FIRST_ROW,
    cell_names,
    given_quantities,
    learning_rates,
    plan_columns,
    value_style,
)
from chainrule.reports.workbook_run import Heading, Tables, plan_tables, rate_cells, row_address, table_sheet
from chainrule.reports.workbook_setup import Losses, setup_places, setup_sheet

RATES: Final = (0.1, 0.2, 0.5, 0.8, 1.0, 2.0)
UPDATES: Final = 100
RUN: Final = "Run"
LEARNING_RATES: Final = "Learning rates"
MOST_RATES: Final = 20
MOST_FORMULAS: Final = 500_000
_LOSS_NAME: Final = "loss"


def training_workbook(program: Program, updates: int = UPDATES, rates: Sequence[float] = RATES) -> Workbook:
    """Return the workbook of a program.

    Args:
        program: one training step, with an optimizer's lines.
        updates: how many; the tables have one row more, for the network before the first.
        rates: learning rates to compare; none leaves that sheet out.

    Raises:
        ChainruleError: there is no optimizer, a number is of no use, or spreadsheets are too small for it.
    """
    _check(program, updates, rates)
    columns = plan_columns(program)
    _check_size(program, len(columns), updates, len(rates))
    places = setup_places(program)
    names = cell_names(given_quantities(program), [_LOSS_NAME, *(f"rate_{n}" for n in range(1, len(rates) + 1))])
    tables = plan_tables(program, columns, names)
    _check_formulas(tables, FIRST_ROW + updates + 1)
    rows = updates + 1
    numbers = _numbers(program, tables, updates, rates)
    run = _run_sheet(tables, numbers[0])
    loss = tables.area(RUN, program.loss, rows)
    header = Area(RUN, loss.first_row - 1, loss.first_column, loss.first_row - 1, loss.first_column)
    values = numbers[0][program.loss]
    losses = Losses(updates, tables.steps(RUN, rows), loss, header, float(values[0]), float(values[-1]))
    sheets = [setup_sheet(program, losses, _how_to_use(program, names, len(rates))), run]
    named = {names[name]: area for name, area in places.items()} | {_LOSS_NAME: loss}
    compared: list[Sheet] = []
    if rates:
        compared, rate_names = _compared(tables, rates, numbers[1:])
        sheets += compared[:1]
        named |= rate_names
    return Workbook(program.title, (*sheets, formulas_sheet(tables, places), *compared[1:]), named)


def _how_to_use(program: Program, names: Mapping[str, str], rates: int) -> tuple[str, ...]:
    first = next((name for name in program.parameters if names[name] != name), "")
    lines = [
        "Change any number in a yellow cell. Everything else is computed from these cells by formulas, at once.",
        "Run: one row per update, from row 0, the network before the first update. The weights of a row are the new "
        "weights of the row above it.",
        "Learning rates: the same training at other learning rates; these rates are yellow cells, too. Each rate has "
        "a sheet with all its numbers."
        if rates
        else "Loss and gradients of the last row are those after the last update.",
        "Formulas: what each column means, its formula, and how the chain rule gives the gradients.",
    ]
    if first:
        lines.append(
            f'In formulas the cell of "{first}" is called "{names[first]}": {first.upper()} alone would be the address '
            "of a cell."
        )
    return tuple(lines)


def _run_sheet(tables: Tables, numbers: Mapping[str, np.ndarray]) -> Sheet:
    heading = Heading(
        f"{tables.program.title}: one row per update",
        "Row 0 is the network before the first update. All numbers are formulas; the yellow cells of Setup are where "
        "they begin, and Formulas says what each column is. Every update takes the same samples and settings.",
        tuple(
            cell
            for rate in tables.rates
            for cell in rate_cells(f"{rate} =", tables.names[rate], float(numbers[rate][0]))
        ),
    )
    return table_sheet(RUN, tables, None, numbers, heading)


def _numbers(program: Program, tables: Tables, updates: int, rates: Sequence[float]) -> list[Mapping[str, np.ndarray]]:
    """Return the numbers of all trainings, those of Setup's own learning rate first."""
    own = {name: np.array([program.quantities[name].value, *rates]) for name in tables.rates}
    numbers = run_program(program, updates, own)
    shape = updates + 1, len(rates) + 1  # what no rate changes comes back once for all
    shaped = {name: np.broadcast_to(values.reshape(updates + 1, -1), shape) for name, values in numbers.items()}
    return [{name: values[:, place] for name, values in shaped.items()} for place in range(len(rates) + 1)]


def _compared(
    tables: Tables, rates: Sequence[float], numbers: Sequence[Mapping[str, np.ndarray]]
) -> tuple[list[Sheet], Mapping[str, Area]]:
    """Return the sheet with a curve per rate, a sheet per rate, and the names of the rates' cells."""
    program = tables.program
    rows = len(numbers[0][program.loss])
    updates = rows - 1
    cells: dict[tuple[int, int], SheetCell] = {
        (0, 0): TextCell(f"{program.title}: one training per learning rate", Style("title")),
        (1, 0): TextCell(
            f"The loss {program.loss} after each update. Change the rates in the yellow cells; all trainings begin "
            "with the weights of Setup.",
            Style("note"),
            (1, max(8, len(rates) + 1)),
        ),
        (2, 0): TextCell("learning rate η", Style("label")),
        (3, 0): TextCell(f"after {updates} update{'s' * (updates != 1)}", Style("label")),
        (FIRST_ROW - 1, 0): TextCell("update", Style("header")),
    }
    cells |= {(FIRST_ROW + row, 0): NumberCell(float(row), Style("label")) for row in range(rows)}
    columns, curves, sheets, named = [], [], [], {}
    steps = Area(LEARNING_RATES, FIRST_ROW, 0, FIRST_ROW + updates, 0)
    for place, rate in enumerate(rates, 1):
        sheet, name = f"Rate {place}", f"rate_{place}"
        named[name] = Area(LEARNING_RATES, 2, place, 2, place)
        own = numbers[place - 1]
        sheets.append(_rate_sheet(sheet, tables, name, own))
        losses = own[program.loss]
        style = value_style(losses)
        letters = column_letters(place)
        cells[2, place] = NumberCell(rate, Style("edit"))
        cells[3, place] = FormulaCell(
            f"{letters}{FIRST_ROW + rows}", float(losses[-1]), Style("result", style.number_format)
        )
        cells[FIRST_ROW - 1, place] = FormulaCell(f'"η = "&{letters}3', f"η = {rate:g}", Style("header"))
        formula = row_address(tables.area(sheet, program.loss, rows))
        columns.append(FilledColumn(place, FIRST_ROW, formula, tuple(losses.tolist()), style))
        header = Area(LEARNING_RATES, FIRST_ROW - 1, place, FIRST_ROW - 1, place)
        curves.append(Curve(header, steps, Area(LEARNING_RATES, FIRST_ROW, place, FIRST_ROW + updates, place)))
    chart = SheetChart(
        2, len(rates) + 2, 760, 460, "Loss over the updates, by learning rate", "update", program.loss, tuple(curves)
    )
    widths = {0: 19.0, **dict.fromkeys(range(1, len(rates) + 1), 12.5)}
    page = Page(1, (FIRST_ROW - 1, FIRST_ROW - 1))
    heights = {0: 28.0, 1: 32.0, FIRST_ROW - 1: 20.0}
    together = Sheet(
        LEARNING_RATES, cells, tuple(columns), widths, heights, (chart,), frozen=(FIRST_ROW, 1), page=page, tint=5
    )
    return [together, *sheets], named


def _rate_sheet(name: str, tables: Tables, rate: str, numbers: Mapping[str, np.ndarray]) -> Sheet:
    value = float(numbers[tables.rates[0]][0])
    heading = Heading(
        f"{tables.program.title}: one row per update",
        f"The same as Run, with a learning rate of its own: it stands on the sheet '{LEARNING_RATES}'.",
        rate_cells("η =", rate, value),
    )
    return table_sheet(name, tables, rate, numbers, heading)


def check_rates(rates: Sequence[float]) -> None:
    """Refuse learning rates that cannot be compared; none at all are right.

    Raises:
        ChainruleError: one is not finite or not above 0, one stands there twice, or there are too many.
    """
    wrong = [rate for rate in rates if not (math.isfinite(rate) and rate > 0)]
    if wrong:
        raise ChainruleError(
            what="A learning rate is a finite number above 0.",
            where="--rates",
            found=f"{wrong[0]:g}",
            expected="numbers such as 0.1,0.5,1",
        )
    if len(rates) > MOST_RATES:
        raise ChainruleError(
            what=f"A workbook compares at most {MOST_RATES} learning rates.",
            where="--rates",
            found=str(len(rates)),
            next_step="Write several workbooks, or leave some rates out.",
        )
    repeated = [rate for place, rate in enumerate(rates) if rate in rates[:place]]
    if repeated:
        raise ChainruleError(
            what="The same learning rate stands there twice, and would give the same curve twice.",
            where="--rates",
            found=f"{repeated[0]:g}",
            expected="each rate once",
        )


def _check(program: Program, updates: int, rates: Sequence[float]) -> None:
    if not program.updated or not learning_rates(program):
        raise ChainruleError(
            what="A workbook trains, and this step has no update with formulas.",
            where=program.title,
            expected="a step with one of the optimizers SGD, Adam, AdamW and RMSprop",
            cause=" ".join(program.notes),
        )
    if updates < 1:
        raise ChainruleError(
            what="A workbook has at least one update.", where="--updates", found=str(updates), expected="1 or more"
        )
    check_rates(rates)


def _check_size(program: Program, columns: int, updates: int, rates: int) -> None:
    """Refuse what does not fit into a spreadsheet."""
    if columns + 1 > MOST_COLUMNS:
        raise ChainruleError(
            what="The step has more numbers than a sheet has columns.",
            where=program.title,
            found=f"{columns + 1} columns",
            expected=f"at most {MOST_COLUMNS}",
            next_step="Choose a smaller network, or fewer samples in a batch (--data.batch_size).",
        )
    if FIRST_ROW + updates + 1 > MOST_ROWS:
        raise ChainruleError(
            what="There are more updates than a sheet has rows.",
            where="--updates",
            found=str(updates),
            expected=f"at most {MOST_ROWS - FIRST_ROW - 1}",
        )
    formulas = columns * (updates + 1) * (1 + rates)
    if formulas > MOST_FORMULAS:
        raise ChainruleError(
            what="The workbook would be too large to be opened with ease.",
            where=program.title,
            found=f"{formulas} formulas: {columns} columns, {updates + 1} rows, {1 + rates} table{'s' * (rates > 0)}",
            expected=f"at most {MOST_FORMULAS}",
            next_step=("Leave out the comparison of learning rates (--rates none), or t" if rates else "T")
            + "ake fewer updates (--updates) or fewer samples in a batch (--data.batch_size).",
        )


def _check_formulas(tables: Tables, rows: int) -> None:
    """Refuse formulas that are too long for a cell."""
    grown = len(str(rows))
    for name in tables.formulas:
        length = max(len(tables.formula(name, rate).replace("{row}", "0" * grown)) for rate in (None, "rate_00")) + 1
        if length > LONGEST_FORMULA:
            raise ChainruleError(
                what=f"The formula of {name} is too long for a cell.",
                found=f"{length} characters",
                expected=f"at most {LONGEST_FORMULA}",
                next_step="Choose a smaller network, or fewer samples in a batch.",
            )
