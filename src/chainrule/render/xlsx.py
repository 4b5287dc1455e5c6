"""Workbooks written as .xlsx. XlsxWriter is talked to here only.

The bytes depend on the workbook alone: the date of creation is fixed. Text is written as text whatever it begins
with, and carries the mark that keeps it text when somebody edits its cell.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final

import xlsxwriter  # type: ignore[import-untyped]
from xlsxwriter.worksheet import Worksheet  # type: ignore[import-untyped]

from chainrule.documents.sheets import (
    LONGEST_TEXT,
    FormulaCell,
    NumberCell,
    Sheet,
    SheetCell,
    SheetChart,
    Style,
    TextCell,
    Workbook,
)
from chainrule.render.picture_style import INK, PALETTE, QUIET_INK
from chainrule.render.plain_text import printable, shortened

_CREATED: Final = datetime(2000, 1, 1, tzinfo=UTC).replace(tzinfo=None)  # XlsxWriter takes no time zones
_OPTIONS: Final = {
    "in_memory": True,
    "nan_inf_to_errors": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
}
_FONT: Final = {"font_name": "Calibri", "font_size": 11, "font_color": INK}
_LINE: Final = "#C9D1D9"
_TINTS: Final = ("#EEF1F4", "#DCE6F1", "#E2F0D9", "#FCE4D6", "#E4DFEC", "#FFF2CC", "#DDEBF7")
_STARTS_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
_A4: Final = 9

_ROLES: Final[Mapping[str, Mapping[str, object]]] = {
    "text": {"valign": "top", "text_wrap": True},
    "title": {"bold": True, "font_size": 18, "valign": "vcenter"},
    "heading": {"bold": True, "font_size": 12, "bottom": 1, "bottom_color": INK},
    "note": {"font_color": QUIET_INK, "valign": "top", "text_wrap": True},
    "header": {"bold": True, "align": "center", "valign": "vcenter", "bottom": 1, "bottom_color": INK},
    "band": {"bold": True, "font_size": 10, "align": "left", "valign": "vcenter"},
    "label": {"bold": True, "align": "left", "valign": "top"},
    "edit": {"font_color": "#0B3FB5", "bg_color": "#FFF8C5", "border": 1, "border_color": "#D4B106", "align": "right"},
    "value": {"align": "right"},
    "result": {"bold": True, "align": "right"},
}


def workbook_bytes(workbook: Workbook, tell: Callable[[float], None] | None = None) -> bytes:
    """Return a workbook as the bytes of an .xlsx file.

    Args:
        workbook: what is written.
        tell: is called now and then with the part that is done, from 0 to 1.
    """
    buffer = BytesIO()
    done = _Done(2 * sum(len(column.cached) for sheet in workbook.sheets for column in sheet.columns), tell)
    with xlsxwriter.Workbook(buffer, _OPTIONS) as book:
        book.set_properties({"title": shortened(printable(workbook.title), 255), "created": _CREATED})
        book.set_calc_mode("auto")
        styles = _Styles(book)
        for sheet in workbook.sheets:
            _write_sheet(book, sheet, styles, done)
        for name, area in workbook.names.items():
            book.define_name(name, f"={area}")
    return buffer.getvalue()


class _Done:
    """How much is done: a workbook is first laid out and then written, and every formula counts in both."""

    def __init__(self, total: int, tell: Callable[[float], None] | None) -> None:
        self._total = total
        self._tell = tell
        self._count = 0

    def add(self, count: int) -> None:
        """Count formulas, and tell."""
        self._count += count
        if self._tell is not None and self._total:
            self._tell(min(self._count / self._total, 1.0))


class _Exact(float):
    """A number whose every digit is written: XlsxWriter formats numbers with 16 digits, and float64 needs 17."""

    def __format__(self, specification: str) -> str:
        return repr(float(self)).removesuffix(".0")


class _PlainSheet(Worksheet):  # type: ignore[misc]  # XlsxWriter has no types
    """A sheet that takes formulas as they are.

    XlsxWriter looks for the names of thirty newer functions in every formula, three quarters of the time that it
    takes. Ours use none of them. It says of each row that it is written.
    """

    done = _Done(0, None)
    formulas_a_row = 0

    def _write_row(self, *arguments: Any, **options: Any) -> None:
        super()._write_row(*arguments, **options)
        self.done.add(self.formulas_a_row)

    def _prepare_formula(self, formula: str, expand_future_functions: bool = False) -> str:
        return formula.removeprefix("=")


class _Styles:
    """The formats of one workbook, each made once."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._made: dict[tuple[Style, bool], Any] = {}

    def __call__(self, style: Style, is_quoted: bool = False) -> Any:
        key = (style, is_quoted)
        if key not in self._made:
            properties = {**_FONT, **_ROLES[style.role], "num_format": style.number_format}
            if style.tint:
                properties["bg_color"] = _tint(style.tint)
            if is_quoted:
                properties["quote_prefix"] = True
            self._made[key] = self._book.add_format(properties)
        return self._made[key]


def _tint(number: int) -> str:
    return _TINTS[number % len(_TINTS)]


def _write_sheet(book: Any, sheet: Sheet, styles: _Styles, done: _Done) -> None:
    target = book.add_worksheet(sheet.name, _PlainSheet)
    target.done, target.formulas_a_row = done, len(sheet.columns)
    target.hide_gridlines(2)
    for column, width in sheet.widths.items():
        target.set_column(column, column, width)
    for row, height in sheet.heights.items():
        target.set_row(row, height)
    for (row, column), cell in sheet.cells.items():
        _write_cell(target, row, column, cell, styles)
    for filled in sheet.columns:
        style = styles(filled.style)
        for place, cached in enumerate(filled.cached):
            target.write_formula(
                filled.row + place, filled.column, "=" + filled.formula_at(place), style, _cached(cached)
            )
        done.add(len(filled.cached))
    for chart in sheet.charts:
        _insert_chart(book, target, chart)
    target.freeze_panes(*sheet.frozen)
    _set_page(target, sheet)


def _write_cell(target: Any, row: int, column: int, cell: SheetCell, styles: _Styles) -> None:
    if isinstance(cell, NumberCell):
        target.write_number(row, column, _Exact(cell.value), styles(cell.style))
        if cell.style.role == "edit":
            _ask_for_number(target, row, column)
    elif isinstance(cell, FormulaCell):
        target.write_formula(row, column, "=" + cell.formula, styles(cell.style), _cached(cell.cached))
    else:
        _write_text(target, row, column, cell, styles)


def _write_text(target: Any, row: int, column: int, cell: TextCell, styles: _Styles) -> None:
    text = shortened(printable(cell.text), LONGEST_TEXT)
    style = styles(cell.style, text.startswith(_STARTS_FORMULA))
    rows, columns = cell.span
    if (rows, columns) != (1, 1):
        target.merge_range(row, column, row + rows - 1, column + columns - 1, "", style)
    target.write_string(row, column, text, style)


def _cached(value: float | str) -> float | str:
    """Return a cached value; spreadsheets have no infinity and no NaN, but an error for numbers out of range."""
    if isinstance(value, str):
        return value
    return float(value) if math.isfinite(value) else "#NUM!"


def _ask_for_number(target: Any, row: int, column: int) -> None:
    target.data_validation(
        row,
        column,
        row,
        column,
        {
            "validate": "decimal",
            "criteria": "between",
            "minimum": -1e300,
            "maximum": 1e300,
            "error_title": "A number is needed",
            "error_message": "This cell is used in formulas: type a number.",
        },
    )


def _insert_chart(book: Any, target: Any, chart: SheetChart) -> None:
    drawn = book.add_chart({"type": "scatter", "subtype": "straight"})
    for place, curve in enumerate(chart.curves):
        drawn.add_series(
            {
                "name": f"={curve.name}",
                "categories": f"={curve.x}",
                "values": f"={curve.y}",
                "line": {"color": PALETTE[place % len(PALETTE)], "width": 2},
                "marker": {"type": "none"},
            }
        )
    quiet = {"name": "Calibri", "size": 10, "bold": False, "color": QUIET_INK}
    grid = {"visible": True, "line": {"color": "#E3E7EB", "width": 0.75}}
    axis = {"name_font": quiet, "num_font": quiet, "line": {"color": _LINE}, "major_gridlines": grid}
    title = {"name": "Calibri", "size": 13, "bold": True, "color": INK}
    drawn.set_title({"name": _no_address(chart.title), "name_font": title})
    last = max(curve.x.last_row - curve.x.first_row for curve in chart.curves)
    drawn.set_x_axis(
        {**axis, "name": _no_address(chart.x_label), "min": 0, "max": last, "major_gridlines": {"visible": False}}
    )
    drawn.set_y_axis({**axis, "name": _no_address(chart.y_label)})
    drawn.set_legend({"none": True} if len(chart.curves) == 1 else {"position": "right", "font": quiet})
    drawn.set_chartarea({"border": {"color": _LINE}})
    drawn.set_size({"width": chart.width, "height": chart.height})
    target.insert_chart(chart.row, chart.column, drawn, {"description": chart.title, "object_position": 2})


def _no_address(text: str) -> str:
    """Return a label of a chart that XlsxWriter cannot take for the address of a cell, such as One!A1."""
    return printable(text).replace("!", "!\N{WORD JOINER}")


def _set_page(target: Any, sheet: Sheet) -> None:
    target.set_landscape()
    target.set_paper(_A4)
    target.set_margins(left=0.5, right=0.5, top=0.6, bottom=0.6)
    target.set_footer("&L&A&RPage &P of &N")
    target.fit_to_pages(sheet.page.pages_wide, 0)
    if sheet.page.repeated_rows is not None:
        target.repeat_rows(*sheet.page.repeated_rows)
    if sheet.page.repeated_columns is not None:
        target.repeat_columns(*sheet.page.repeated_columns)
    if sheet.tint:
        target.set_tab_color(_tint(sheet.tint))
