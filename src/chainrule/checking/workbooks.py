"""Checking a workbook: every table of every sheet."""

from collections.abc import Iterator, Mapping

import numpy as np

from chainrule.checking.constants import constants_of
from chainrule.checking.effects import Training, rules_of
from chainrule.checking.precision import half_steps, noise
from chainrule.checking.readings import UnreadableError
from chainrule.checking.results import Checked, SheetCheck, Verdict
from chainrule.checking.sheets import SheetJudgement, judge_table
from chainrule.checking.tables import Column, SheetTables, find_tables
from chainrule.errors import UnknownNameError, did_you_mean
from chainrule.spreadsheets import Book, Sheet

_HOW_TO_NAME = (
    "Write one row of headers above the numbers, such as: t1 t2 i1 i2 w1 w2 w3 w4 h1 a_h1 h2 a_h2 w5 w6 w7 w8 o1 a_o1 "
    "o2 a_o2 E1 E2 E_total ∂E/∂w1 ... ∂E/∂w8, with one row of numbers or formulas for each update, and η beside them."
)


def check_book(book: Book, sheet: str | None = None) -> Checked:
    """Check every table of a workbook.

    Args:
        book: the workbook.
        sheet: the name of the only sheet to check; all when None.

    Raises:
        UnknownNameError: there is no such sheet.
    """
    chosen = [one for one in book.sheets if sheet is None or one.name == sheet]
    if not chosen:
        names = [one.name for one in book.sheets]
        raise UnknownNameError(
            what=f"There is no sheet '{sheet}'.",
            where=str(book.path),
            found=str(sheet),
            expected="one of " + ", ".join(names),
            next_step=did_you_mean(str(sheet), names),
        )
    found = {one.name: find_tables(one) for one in book.sheets}
    judgements = [
        judge_table(book, one, table, constants_of(one, table, found[one.name].constants))
        for one in chosen
        for table in found[one.name].tables
    ]
    notes = [*book.notes, *_about_others(chosen, found)]
    for one in chosen:
        notes += _curve_notes(one, found[one.name].curves, judgements)
    checks = tuple(judgement.check for judgement in judgements)
    verdict = _verdict(checks)
    return Checked(str(book.path), verdict, checks, tuple(notes), "" if checks else _HOW_TO_NAME)


def _verdict(checks: tuple[SheetCheck, ...]) -> Verdict:
    if any(check.verdict == "wrong" for check in checks):
        return "wrong"
    if not checks or any(check.verdict == "not understood" for check in checks):
        return "not understood"
    return "right"


def _about_others(chosen: list[Sheet], found: Mapping[str, SheetTables]) -> Iterator[str]:
    for sheet in chosen:
        if not found[sheet.name].tables and not found[sheet.name].curves and sheet.cells:
            yield f"Sheet '{sheet.name}': no table of a training was found in it."


def _curve_notes(sheet: Sheet, curves: tuple[Column, ...], judgements: list[SheetJudgement]) -> Iterator[str]:
    """Yield what is so of pasted loss curves, by training from the start of the first table at the rates they name."""
    base = next((one for one in judgements if one.judge is not None), None)
    if not curves or base is None or base.judge is None:
        return
    judge = base.judge
    rates = np.array(
        [float(column.name.value) for column in curves if column.name is not None and column.name.value is not None]
    )
    longest = max(len(column.cells) for column in curves)
    given = {name: judge.stated(name) for name in judge.truth.given}
    try:
        right = Training(judge.truth, given, {}, rates).losses(longest)
        rules = rules_of(judge, base.wrong or {})
        own = Training(judge.truth, given, rules, rates).losses(longest) if rules else right
    except (UnreadableError, KeyError):
        return
    for place, column in enumerate(curves):
        values = np.array([float(sheet.cells[cell].value) for cell in column.cells])  # type: ignore[arg-type]
        allowed = half_steps(values) + noise(values)
        start = f"Sheet '{sheet.name}', {column.header} ({len(values)} losses from {column.cells[0]} on)"
        wrong = np.flatnonzero(~(np.abs(values - right[: len(values), place]) <= allowed))
        if not len(wrong):
            yield f"{start}: right."
            continue
        worst = float(np.max(np.abs(values - right[: len(values), place])))
        text = f"{start}: differs from the right losses from {column.cells[int(wrong[0])]} on, by up to {worst:.1e}"
        if rules and np.all(np.abs(values - own[: len(values), place]) <= allowed):
            text += f"; it is what the wrong formulas of sheet '{base.check.name}' give"
        yield text + "."
