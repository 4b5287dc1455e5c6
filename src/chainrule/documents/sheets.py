"""What a workbook holds, before anything writes it: sheets of texts, numbers and live formulas, charts and names.

A report function makes a `Workbook`, and `render.xlsx` writes it. Text is text here whatever it begins with: only a
`FormulaCell` or a `FilledColumn` is ever computed. Rows and columns are counted from 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

Role = Literal[
    "text",
    "title",
    "heading",  # of a block of cells
    "note",
    "header",  # of a column
    "band",  # over the headers of columns that belong together
    "label",  # the name of what stands beside it
    "edit",  # a cell that the reader changes
    "value",
    "result",  # a value to look at first
]

MOST_ROWS: Final = 1_048_576
MOST_COLUMNS: Final = 16_384
LONGEST_FORMULA: Final = 8192  # characters
LONGEST_TEXT: Final = 32_767  # characters in one cell


@dataclass(frozen=True, slots=True)
class Style:
    """How a cell looks: what part it plays, its number format, and the colour of its group (0: none)."""

    role: Role = "text"
    number_format: str = "General"
    tint: int = 0


@dataclass(frozen=True, slots=True)
class TextCell:
    """Text. It is never a formula. `span` is how many rows and columns it covers."""

    text: str
    style: Style = Style()
    span: tuple[int, int] = (1, 1)


@dataclass(frozen=True, slots=True)
class NumberCell:
    """A number, written with all its digits."""

    value: float
    style: Style = Style("value")


@dataclass(frozen=True, slots=True)
class FormulaCell:
    """A live formula without its equals sign, and what it computes: shown by viewers that do not calculate."""

    formula: str
    cached: float | str
    style: Style = Style("value")


SheetCell = TextCell | NumberCell | FormulaCell


@dataclass(frozen=True, slots=True)
class FilledColumn:
    """One formula copied down a column.

    Attributes:
        column: which one.
        row: where it begins.
        formula: with {row} for the number of its own row, counted from 1, and {above} for the one before:
            "B{row}*C{row}".
        cached: what it computes, row by row; says how many rows there are.
        style: of every cell.
        first: the formula of the first row, where that is another one.
    """

    column: int
    row: int
    formula: str
    cached: tuple[float, ...]
    style: Style = Style("value")
    first: str | None = None

    def formula_at(self, place: int) -> str:
        """Return the formula of a row; 0 is the first."""
        template = self.first if place == 0 and self.first is not None else self.formula
        number = self.row + place + 1
        return template.replace("{row}", str(number)).replace("{above}", str(number - 1))


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle of cells of one sheet, both corners included."""

    sheet: str
    first_row: int
    first_column: int
    last_row: int
    last_column: int

    def __str__(self) -> str:
        """Return the absolute address: Setup!$B$3, 'Rate 1'!$A$6:$A$106."""
        quoted = self.sheet if self.sheet.isalnum() else "'" + self.sheet.replace("'", "''") + "'"
        first = f"${column_letters(self.first_column)}${self.first_row + 1}"
        last = f"${column_letters(self.last_column)}${self.last_row + 1}"
        return f"{quoted}!{first}" if first == last else f"{quoted}!{first}:{last}"


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve of a chart over cells. `name` is the cell that holds its name."""

    name: Area
    x: Area
    y: Area


@dataclass(frozen=True, slots=True)
class SheetChart:
    """A chart that follows the cells it is drawn from; its corner is a cell, its size is in pixels."""

    row: int
    column: int
    width: int
    height: int
    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """How a sheet is printed: landscape, so many pages wide, with rows and columns repeated on each."""

    pages_wide: int = 1
    repeated_rows: tuple[int, int] | None = None
    repeated_columns: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet.

    Attributes:
        name: on its tab, at most 31 characters.
        cells: by (row, column).
        columns: formulas that are copied down.
        widths: of columns, in characters.
        heights: of rows, in points.
        charts: over its cells.
        frozen: how many rows and columns stay in sight.
        page: how it is printed.
        tint: the colour of its tab; 0 is none.
    """

    name: str
    cells: Mapping[tuple[int, int], SheetCell]
    columns: tuple[FilledColumn, ...] = ()
    widths: Mapping[int, float] = field(default_factory=dict)
    heights: Mapping[int, float] = field(default_factory=dict)
    charts: tuple[SheetChart, ...] = ()
    frozen: tuple[int, int] = (0, 0)
    page: Page = Page()
    tint: int = 0


@dataclass(frozen=True, slots=True)
class Workbook:
    """A workbook: its title, its sheets in order, and the names of cells that formulas use."""

    title: str
    sheets: tuple[Sheet, ...]
    names: Mapping[str, Area]


def column_letters(column: int) -> str:
    """Return how spreadsheets call a column: 0 is A, 25 is Z, 26 is AA."""
    letters = ""
    column += 1
    while column:
        column, place = divmod(column - 1, 26)
        letters = chr(ord("A") + place) + letters
    return letters
