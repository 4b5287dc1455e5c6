"""The sheet Setup of a workbook: everything that a reader may change, how to use it, and the curve of the loss."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chainrule.documents.sheets import (
    Area,
    Curve,
    FormulaCell,
    NumberCell,
    Page,
    Sheet,
    SheetCell,
    SheetChart,
    Style,
    TextCell,
)
from chainrule.programs import Kind, Program, Quantity
from chainrule.programs.naming import sample_name
from chainrule.reports.workbook_plan import learning_rates

SETUP: Final = "Setup"
_NAME, _MEANING, _VALUE = 0, 1, 2  # columns
_BELOW_CHART: Final = 22  # the first row below it
_CHART_COLUMN: Final = 4
_NOTES: Final = 5  # lines of how to use it
_WIDE_VALUE: Final = 24.0  # characters: the loss in bold, with all its digits
_DIGITS: Final = 15  # that a spreadsheet shows
_SETTING_TITLE: Final = "Learning rate and settings of the optimizer"


@dataclass(frozen=True, slots=True)
class Losses:
    """Where the loss stands, and what it is before and after all updates."""

    updates: int
    steps: Area
    area: Area
    header: Area
    first: float
    last: float


class _Page:
    """Cells that are written from top to bottom, and where each given quantity came to stand."""

    def __init__(self) -> None:
        self.cells: dict[tuple[int, int], SheetCell] = {}
        self.places: dict[str, Area] = {}
        self.heights: dict[int, float] = {}
        self.row = 0
        self.widest = _VALUE

    def heading(self, text: str, columns: Sequence[str]) -> None:
        """Write the heading of a block, and the headers of its columns beside it."""
        self.cells[self.row, _NAME] = TextCell(text, Style("heading"))
        self.cells[self.row, _MEANING] = TextCell("", Style("heading"))
        for place, column in enumerate(columns, _VALUE):
            self.cells[self.row, place] = TextCell(column, Style("header"))
        self.row += 1

    def line(self, name: str, meaning: str, values: Sequence[Quantity], note: str = "") -> None:
        """Write one row: a name, its meaning, and a cell to edit for each value."""
        self.cells[self.row, _NAME] = TextCell(name, Style("label"))
        self.cells[self.row, _MEANING] = TextCell(meaning, Style("text"))
        for place, quantity in enumerate(values, _VALUE):
            self.cells[self.row, place] = NumberCell(quantity.value, Style("edit"))
            self.places[quantity.name] = Area(SETUP, self.row, place, self.row, place)
        if note:
            self.cells[self.row, _VALUE + len(values)] = TextCell(note, Style("note"))
        self.widest = max(self.widest, _VALUE + len(values) - 1)
        self.row += 1


def setup_places(program: Program) -> Mapping[str, Area]:
    """Return the cell of every quantity that stands on the sheet, by its name."""
    return _blocks(program, (), None).places


def setup_sheet(program: Program, losses: Losses, notes: Sequence[str]) -> Sheet:
    """Return the sheet.

    Args:
        program: whose inputs, targets, weights and settings it holds.
        losses: of the sheet Run, for the chart.
        notes: how to use the workbook, a line each.
    """
    page = _blocks(program, notes, losses)
    chart = SheetChart(
        2,
        _CHART_COLUMN,
        620,
        390,
        "Loss over the updates",
        "update",
        program.loss,
        (Curve(losses.header, losses.steps, losses.area),),
    )
    widths = {_NAME: 15.0, _MEANING: 44.0, **dict.fromkeys(range(_VALUE, page.widest + 1), 14.0), _VALUE: _WIDE_VALUE}
    return Sheet(SETUP, page.cells, (), widths, page.heights, (chart,), page=Page(), tint=5)


def _blocks(program: Program, notes: Sequence[str], losses: Losses | None) -> _Page:
    page = _Page()
    page.cells[0, _NAME] = TextCell(program.title, Style("title"))
    page.heights[0] = 28.0
    page.row = 2
    page.heading("How to use it", ())
    page.row += _NOTES
    for place, note in enumerate(notes[:_NOTES]):
        row = page.row - _NOTES + place
        page.cells[row, _NAME] = TextCell(note, Style("text"), (1, 3))
        page.heights[row] = 15.0 * -(-len(note) // 72)
    page.row += 1
    page.heading(_SETTING_TITLE, ("value",))
    rates = learning_rates(program)
    for quantity in sorted(program.of_kind("setting"), key=lambda setting: setting.name not in rates):
        page.line(quantity.name, quantity.meaning, (quantity,))
    for quantity in program.of_kind("state"):
        if quantity.name == "t":
            page.line(quantity.name, quantity.meaning, (quantity,))
    page.row += 1
    _write_losses(page, program, losses)
    page.row += 1
    remembered = max((quantity.name.count("_") for quantity in program.of_kind("state")), default=0)
    if program.samples > 1 or remembered:  # wide blocks go below the chart
        page.row = max(page.row, _BELOW_CHART)
    _write_samples(page, program)
    _write_parameters(page, program)
    for note in program.notes:
        page.cells[page.row, _NAME] = TextCell(note, Style("note"), (1, 4))
        page.heights[page.row] = 15.0 * -(-len(note) // 85)
        page.row += 1
    return page


def _write_losses(page: _Page, program: Program, losses: Losses | None) -> None:
    rows = 2
    if losses is None:
        page.row += rows + 1
        return
    page.heading(f"Loss {program.loss}", ("value",))
    area = losses.area
    for label, row, cached in (
        ("before the first update", area.first_row, losses.first),
        (f"after {losses.updates} update{'s' * (losses.updates != 1)}", area.last_row, losses.last),
    ):
        address = str(Area(area.sheet, row, area.first_column, row, area.first_column))
        page.cells[page.row, _NAME] = TextCell(label, Style("text"), (1, 2))
        page.cells[page.row, _VALUE] = FormulaCell(address, cached, Style("result", _all_digits(cached)))
        page.row += 1


def _all_digits(number: float) -> str:
    """Return the number format that shows all 15 digits that a spreadsheet shows of a number of this size."""
    if not math.isfinite(number) or number == 0 or 1e-3 <= abs(number) < 1:
        return "0." + "0" * _DIGITS
    exponent = math.floor(math.log10(abs(number)))
    if 0 <= exponent < _DIGITS - 1:
        return "0." + "0" * (_DIGITS - 1 - exponent)
    return "0." + "0" * (_DIGITS - 1) + "E+00"


def _write_samples(page: _Page, program: Program) -> None:
    count = program.samples
    headers = ("value",) if count == 1 else tuple(f"sample {number}" for number in range(1, count + 1))
    blocks: tuple[tuple[str, Kind], ...] = (("Inputs", "input"), ("Targets", "target"))
    for title, kind in blocks:
        quantities = list(program.of_kind(kind))
        if not quantities:
            continue
        page.heading(title, headers)
        for group in _by_sample(quantities, count):
            name = group[0].name
            for sample in range(1, count + 1):
                name = name.removesuffix(sample_name("", sample))
            page.line(name, group[0].meaning, group)
        page.row += 1


def _by_sample(quantities: Sequence[Quantity], count: int) -> list[tuple[Quantity, ...]]:
    """Return the quantities with those of the same place in every sample side by side."""
    samples = [[each for each in quantities if (each.sample or 1) == number] for number in range(1, count + 1)]
    if len({len(sample) for sample in samples}) > 1:  # some stand for all samples alike
        return [(quantity,) for quantity in quantities]
    return list(zip(*samples, strict=True))


def _write_parameters(page: _Page, program: Program) -> None:
    parameters = list(program.of_kind("parameter"))
    remembered: dict[str, list[Quantity]] = {quantity.name: [] for quantity in parameters}
    for quantity in program.of_kind("state"):
        letter, _, parameter = quantity.name.partition("_")
        if letter and parameter in remembered:
            remembered[parameter].append(quantity)
    letters = [quantity.name.partition("_")[0] for quantity in next(iter(remembered.values()), [])]
    page.heading("Initial weights", ("value", *(f"{letter} at the start" for letter in letters)))
    for quantity in parameters:
        meaning = quantity.meaning + (f" ({quantity.origin})" if quantity.origin else "")
        page.line(quantity.name, meaning, (quantity, *remembered[quantity.name]))
    page.row += 1
    constants = list(program.of_kind("constant"))
    if constants:
        page.heading("Not trained", ("value",))
        for quantity in constants:
            page.line(quantity.name, quantity.meaning, (quantity,))
        page.row += 1
