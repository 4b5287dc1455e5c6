"""Which cell of a workbook holds which quantity of a program: the columns of its tables, and the names of its cells."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from chainrule.documents.sheets import Style, column_letters
from chainrule.errors import ChainruleError
from chainrule.programs import Kind, Program, Quantity, ascii_name

STEP_COLUMN: Final = 0  # of the number of updates, in every table
FIRST_ROW: Final = 5  # of the numbers, below title, hint, a gap, bands and headers
_GIVEN: Final[tuple[Kind, ...]] = ("input", "target", "constant", "setting", "parameter", "state")
# A1 to XFD1048576, R1C1 addresses, and words that are values or functions.
_ADDRESS = re.compile(r"[A-Za-z]{1,3}\d+|[Rr]\d*[Cc]\d*|[Rr]\d+|[Cc]\d+|[RrCc]", re.ASCII)
_RATE = re.compile(r"η(_\d+)?")  # η_2 is that of the second group of parameters
_WORDS: Final = frozenset({"true", "false", "lambda", "let"})


@dataclass(frozen=True, slots=True)
class Group:
    """Columns that belong together, under one band.

    Attributes:
        title: of the band.
        kinds: of the quantities in it.
        tint: the colour of the band.
    """

    title: str
    kinds: tuple[Kind, ...]
    tint: int


GROUPS: Final = (
    Group("inputs", ("input",), 1),
    Group("targets", ("target",), 1),
    Group("not trained", ("constant",), 1),
    Group("weights before the update", ("parameter",), 2),
    Group("what the optimizer remembers", ("state",), 2),
    Group("forward", ("forward",), 3),
    Group("loss", ("loss",), 3),
    Group("backward: ∂E/∂ of each value", ("adjoint",), 4),
    Group("gradients of the weights", ("gradient",), 4),
    Group("update", ("updated",), 5),
)


@dataclass(frozen=True, slots=True)
class PlannedColumn:
    """A column of the tables: which one, what stands in it, and in which group."""

    place: int
    quantity: Quantity
    group: Group

    @property
    def letters(self) -> str:
        """How spreadsheets call the column."""
        return column_letters(self.place)


def plan_columns(program: Program) -> tuple[PlannedColumn, ...]:
    """Return the columns of the tables, in order: what is given, then what is computed, as it is computed."""
    order = [*program.quantities.values()]
    places = {line.name: place for place, line in enumerate(program.assignments)}
    order.sort(key=lambda quantity: places.get(quantity.name, -1))
    found = [(quantity, group) for group in GROUPS for quantity in order if quantity.kind in group.kinds]
    return tuple(
        PlannedColumn(place, quantity, group) for place, (quantity, group) in enumerate(found, STEP_COLUMN + 1)
    )


def given_quantities(program: Program) -> tuple[Quantity, ...]:
    """Return the quantities whose numbers stand on the sheet Setup, in order."""
    return tuple(program.of_kind(*_GIVEN))


def learning_rates(program: Program) -> tuple[str, ...]:
    """Return the names of the learning rates: η, or η_1 and η_2 where groups of parameters have their own."""
    return tuple(quantity.name for quantity in program.of_kind("setting") if _RATE.fullmatch(quantity.name))


def cell_names(quantities: Iterable[Quantity], taken: Sequence[str] = ()) -> Mapping[str, str]:
    """Return a name for the cell of each quantity: η is eta, w1 is w_1, since W1 is the address of a cell.

    Spreadsheets tell no capitals from small letters in names, so equal ones get a number.

    Args:
        quantities: of one program.
        taken: names that something else has.
    """
    used = {name.lower() for name in taken}
    names: dict[str, str] = {}
    for quantity in quantities:
        wanted = cell_name(quantity.name, quantity.kind)
        name, number = wanted, 1
        while name.lower() in used:
            number += 1
            name = f"{wanted}_{number}"
        used.add(name.lower())
        names[quantity.name] = name
    return names


def cell_name(name: str, otherwise: str = "value") -> str:
    """Return the name that a cell gets in formulas.

    >>> cell_name("η"), cell_name("w1"), cell_name("a_h1⁽²⁾"), cell_name("λ")
    ('eta', 'w_1', 'a_h1_s2', 'lambda_')

    Args:
        name: of the quantity.
        otherwise: what is taken where a name has no letter or digit that names may have.
    """
    try:
        plain = ascii_name(name)[:200]
    except ChainruleError:
        plain = otherwise
    if plain.lower() in _WORDS:
        return f"{plain}_"
    if not _ADDRESS.fullmatch(plain):
        return plain
    letters = plain.rstrip("0123456789")
    numbered = f"{letters}_{plain[len(letters) :]}"
    return numbered if not _ADDRESS.fullmatch(numbered) else f"{plain}_"


def number_format(numbers: np.ndarray) -> str:
    """Return the number format of a column: six decimals, or scientific where they would show nothing."""
    sizes = np.sort(np.abs(numbers[np.isfinite(numbers) & (numbers != 0)]))
    if sizes.size and (sizes[sizes.size // 10] < 1e-5 or sizes[-1] >= 1e6):
        return "0.0000E+00"
    if np.all(numbers == np.round(numbers)) and np.all(np.isfinite(numbers)):
        return "General"
    return "0.000000"


def value_style(numbers: np.ndarray, is_result: bool = False) -> Style:
    """Return the style of a column of numbers."""
    return Style("result" if is_result else "value", number_format(numbers))
