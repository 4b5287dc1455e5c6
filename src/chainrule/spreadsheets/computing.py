"""Formulas computed: each pattern becomes one Python function of the distance to the cell that it was read in.

The functions are closures made from the tree. No text of a file is ever given to Python to run.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import final

from chainrule.spreadsheets.addresses import LAST_COLUMN, LAST_ROW, Address
from chainrule.spreadsheets.choices import CHOICES
from chainrule.spreadsheets.functions import FUNCTIONS, Function, Grid, Result, power, quotient
from chainrule.spreadsheets.lifting import Budget, lifted
from chainrule.spreadsheets.nodes import (
    Array,
    Binary,
    Boolean,
    Call,
    DefinedName,
    ErrorLiteral,
    ErrorValue,
    Missing,
    Node,
    Number,
    RangeReference,
    Reference,
    Text,
    Unary,
    Unread,
)
from chainrule.spreadsheets.scalars import (
    NUMBER,
    REFERENCE,
    VALUE,
    Failure,
    Scalar,
    compared,
    finite,
    joined,
    number_of,
)

Computed = Callable[[int, int], Result]  # of the rows down and the columns right of the pattern's own cell


class NotComputedError(Exception):
    """A formula that is not computed: it calls an unknown function, or reads too much. Its stored value stays."""


@final
@dataclass(slots=True)
class SheetValues:
    """The values of one sheet while they are computed.

    Attributes:
        cells: by row and column.
        last: the last row and the last column in use.
    """

    cells: dict[tuple[int, int], Scalar]
    last: tuple[int, int]


@final
@dataclass(slots=True)
class Values:
    """The values of all sheets while they are computed.

    Attributes:
        sheets: in order.
        numbers: the sheets' numbers by their names in small letters.
        range_cells: how many cells one range may have.
        budget: how much may still be read.
    """

    sheets: Sequence[SheetValues]
    numbers: Mapping[str, int]
    range_cells: int
    budget: Budget = field(default_factory=lambda: Budget(1_000_000))

    def sheet_of(self, name: str | None, own: int) -> int | None:
        """Return the number of a sheet, or nothing where there is none of the name."""
        return own if name is None else self.numbers.get(name.lower())

    def area(self, reference: RangeReference, sheet: int) -> tuple[Address, Address]:
        """Return the corners of a range; a very large one is cut at the last cell in use.

        Raises:
            NotComputedError: it is still too large.
        """
        upper, lower = reference.corners
        if reference.size > self.range_cells:
            rows, columns = self.sheets[sheet].last
            lower = Address(max(min(lower.row, rows), upper.row), max(min(lower.column, columns), upper.column))
            size = (lower.row - upper.row + 1) * (lower.column - upper.column + 1)
            if size > self.range_cells:
                raise NotComputedError(f"reads a range of {size} cells, more than {self.range_cells}")
        return upper, lower


def compile_formula(tree: Node, at: Address, sheet: int, values: Values, is_array: bool) -> Computed:
    """Return the function that computes a formula's copies.

    Args:
        tree: the formula as it reads at `at`.
        at: the cell that the tree was read in.
        sheet: the number of the sheet that it stands on.
        values: where cells are looked up, when the function is called.
        is_array: whether it is an array formula, in which operators between ranges work element by element.

    Raises:
        NotComputedError: it calls an unknown function, uses an unknown name, or could not be read.
    """
    compiler = _Compiler(at, sheet, values)
    return compiler.whole(tree) if is_array else compiler.single(tree)


@final
class _Compiler:
    def __init__(self, at: Address, sheet: int, values: Values) -> None:
        self.at = at
        self.sheet = sheet
        self.values = values

    def single(self, node: Node) -> Computed:
        """Compile for one value: of a range, the cell in the formula's own row or column counts."""
        match node:
            case RangeReference():
                return self.crossing(node)
            case Call() | Array():
                compute = self.operation(node, is_array=False)

                def first(rows: int, columns: int) -> Result:
                    result = compute(rows, columns)
                    return result.rows[0][0] if isinstance(result, Grid) else result

                return first
            case _:
                return self.operation(node, is_array=False)

    def whole(self, node: Node) -> Computed:
        """Compile for whatever comes: a range is all its values."""
        return self.operation(node, is_array=True)

    def part(self, node: Node, is_array: bool) -> Computed:
        return self.whole(node) if is_array else self.single(node)

    def operation(self, node: Node, is_array: bool) -> Computed:
        match node:
            case Number(value) | Text(value) | Boolean(value) | ErrorLiteral(value):
                return lambda rows, columns: value
            case Missing():
                return lambda rows, columns: None
            case Reference():
                return self.cell(node)
            case RangeReference():
                return self.cells(node)
            case Array(rows_of_constants):
                grid = Grid([[constant.value for constant in row] for row in rows_of_constants])
                return lambda rows, columns: grid
            case Unary(sign, operand):
                return self.unary(sign, self.part(operand, is_array))
            case Binary(sign, left, right):
                return self.binary(sign, self.part(left, is_array), self.part(right, is_array))
            case Call(name, arguments):
                return self.call(name, arguments, is_array)
            case DefinedName(name):
                raise NotComputedError(f"uses the name {name[:40]}, which stands for no cells that could be found")
            case Unread(_, reason):
                raise NotComputedError(_uncapitalised(reason))

    def cell(self, reference: Reference) -> Computed:
        sheet = self.values.sheet_of(reference.sheet, self.sheet)
        if sheet is None:
            return lambda rows, columns: REFERENCE
        get = self.values.sheets[sheet].cells.get
        row, column = reference.row, reference.column
        down, right = int(not reference.is_row_fixed), int(not reference.is_column_fixed)

        def looked_up(rows: int, columns: int) -> Scalar:
            place = row + rows * down, column + columns * right
            value = get(place)
            if value is None and not (1 <= place[0] <= LAST_ROW and 1 <= place[1] <= LAST_COLUMN):
                return REFERENCE
            return value

        return looked_up

    def placed(self, reference: RangeReference) -> Callable[[int, int], tuple[int, Address, Address] | None]:
        """Return the function that gives a range's sheet and corners; nothing where it lies off the sheet."""
        sheet = self.values.sheet_of(reference.sheet, self.sheet)
        first, last = reference.first, reference.last
        values = self.values

        def corners(rows: int, columns: int) -> tuple[int, Address, Address] | None:
            ends = _shifted(first, rows, columns), _shifted(last, rows, columns)
            if sheet is None or not (ends[0].address.is_on_a_sheet and ends[1].address.is_on_a_sheet):
                return None
            return sheet, *values.area(RangeReference(*ends), sheet)

        return corners

    def cells(self, reference: RangeReference) -> Computed:
        placed, values = self.placed(reference), self.values

        def looked_up(rows: int, columns: int) -> Result:
            place = placed(rows, columns)
            if place is None:
                return REFERENCE
            sheet, upper, lower = place
            get = values.sheets[sheet].cells.get
            across = range(upper.column, lower.column + 1)
            down = range(upper.row, lower.row + 1)
            values.budget.spend(len(across) * len(down))
            return Grid([[get((row, column)) for column in across] for row in down], is_from_cells=True)

        return looked_up

    def crossing(self, reference: RangeReference) -> Computed:
        placed, values, at = self.placed(reference), self.values, self.at

        def looked_up(rows: int, columns: int) -> Result:
            place = placed(rows, columns)
            if place is None:
                return REFERENCE
            sheet, upper, lower = place
            row, column = at.row + rows, at.column + columns
            row = upper.row if upper.row == lower.row else row
            column = upper.column if upper.column == lower.column else column
            if not (upper.row <= row <= lower.row and upper.column <= column <= lower.column):
                return VALUE
            return values.sheets[sheet].cells.get((row, column))

        return looked_up

    def unary(self, sign: str, operand: Computed) -> Computed:
        budget = self.values.budget
        if sign == "+":
            return operand
        if sign == "-":

            def negated(rows: int, columns: int) -> Result:
                value = operand(rows, columns)
                return -value if type(value) is float else lifted(lambda one: -number_of(one), [value], budget)

            return negated
        return lambda rows, columns: lifted(lambda one: number_of(one) / 100.0, [operand(rows, columns)], budget)

    def binary(self, sign: str, left: Computed, right: Computed) -> Computed:
        budget = self.values.budget
        slow = _OPERATORS[sign]
        fast = _FAST.get(sign)
        if fast is None:
            return lambda rows, columns: lifted(slow, [left(rows, columns), right(rows, columns)], budget)

        def computed(rows: int, columns: int) -> Result:
            first, second = left(rows, columns), right(rows, columns)
            if type(first) is float and type(second) is float:
                result = fast(first, second)
                return result if result - result == 0.0 else NUMBER  # infinity - infinity is not a number
            return lifted(slow, [first, second], budget)

        return computed

    def call(self, name: str, arguments: tuple[Node, ...], is_array: bool) -> Computed:
        if name in CHOICES:
            return self.choosing(name, arguments, is_array)
        if name in ("ROW", "COLUMN", "ROWS", "COLUMNS"):
            return self.counting(name, arguments)
        if name == "ARRAYFORMULA" and len(arguments) == 1:
            return self.whole(arguments[0])  # of Google Sheets
        if name == "SINGLE" and len(arguments) == 1:
            return self.single(arguments[0])  # Excel's @
        function = FUNCTIONS.get(name)
        if function is None:
            raise NotComputedError(f"calls the function {name[:40]}, which is not known here")
        if not function.least <= len(arguments) <= function.most:
            raise NotComputedError(f"calls {name} with {len(arguments)} arguments")
        if function.takes == "values":
            parts = [self.part(argument, is_array) for argument in arguments]
            return _called(function, parts, self.values.budget)
        parts = [self.argument(argument, is_array or function.takes == "arrays") for argument in arguments]
        return _called_with_cells(function, parts)

    def argument(self, node: Node, is_array: bool) -> Computed:
        """Compile an argument that may be cells; one cell is a grid of one, so that sums leave out its text."""
        if isinstance(node, Reference):
            compute = self.cell(node)

            def one_cell(rows: int, columns: int) -> Result:
                value = compute(rows, columns)
                return value if isinstance(value, Grid) else Grid([[value]], is_from_cells=True)

            return one_cell
        return self.operation(node, is_array)

    def counting(self, name: str, arguments: tuple[Node, ...]) -> Computed:
        if not arguments and name in ("ROW", "COLUMN"):
            at = self.at
            return lambda rows, columns: float(at.row + rows if name == "ROW" else at.column + columns)
        if len(arguments) != 1 or not isinstance(arguments[0], Reference | RangeReference):
            raise NotComputedError(f"calls {name} with something other than cells")
        node = arguments[0]
        placed = self.placed(node if isinstance(node, RangeReference) else RangeReference(node, node))

        def counted(rows: int, columns: int) -> Result:
            place = placed(rows, columns)
            if place is None:
                return REFERENCE
            _, upper, lower = place
            match name:
                case "ROW":
                    return float(upper.row)
                case "COLUMN":
                    return float(upper.column)
                case "ROWS":
                    return float(lower.row - upper.row + 1)
                case _:
                    return float(lower.column - upper.column + 1)

        return counted

    def choosing(self, name: str, arguments: tuple[Node, ...], is_array: bool) -> Computed:
        choice = CHOICES[name]
        if not choice.least <= len(arguments) <= choice.most or (name == "IFS" and len(arguments) % 2):
            raise NotComputedError(f"calls {name} with {len(arguments)} arguments")
        parts = [self.part(argument, is_array) for argument in arguments]
        if not is_array:

            def chosen_first(rows: int, columns: int) -> Result:
                try:
                    return choice.choose([partial(part, rows, columns) for part in parts])
                except Failure as failure:
                    return failure.value

            return chosen_first
        budget = self.values.budget

        def chosen(*values: Scalar) -> Scalar:
            return choice.choose([partial(_itself, value) for value in values])

        return lambda rows, columns: lifted(chosen, [part(rows, columns) for part in parts], budget, sees_errors=True)


def _itself(value: Scalar) -> Scalar:
    return value


def _shifted(reference: Reference, rows: int, columns: int) -> Reference:
    return Reference(
        None,
        reference.row + (0 if reference.is_row_fixed else rows),
        reference.column + (0 if reference.is_column_fixed else columns),
    )


def _uncapitalised(sentence: str) -> str:
    return f"could not be read ({sentence.rstrip('.')})"


def _called(function: Function, parts: list[Computed], budget: Budget) -> Computed:
    compute, sees_errors = function.compute, function.sees_errors
    if len(parts) == 1 and not sees_errors:
        part = parts[0]

        def of_one(rows: int, columns: int) -> Result:
            value = part(rows, columns)
            if isinstance(value, Grid):
                return lifted(compute, [value], budget)
            try:
                return compute(value)
            except Failure as failure:
                return failure.value

        return of_one
    return lambda rows, columns: lifted(compute, [part(rows, columns) for part in parts], budget, sees_errors)


def _called_with_cells(function: Function, parts: list[Computed]) -> Computed:
    compute, sees_errors = function.compute, function.sees_errors

    def called(rows: int, columns: int) -> Result:
        arguments = [part(rows, columns) for part in parts]
        if not sees_errors:
            for argument in arguments:
                if isinstance(argument, ErrorValue):
                    return argument
        try:
            return compute(*arguments)
        except Failure as failure:
            return failure.value

    return called


def _arithmetic(function: Callable[[float, float], float]) -> Callable[[Scalar, Scalar], float]:
    return lambda left, right: finite(function(number_of(left), number_of(right)))


_FAST = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_OPERATORS: dict[str, Callable[..., Result]] = {
    "+": _arithmetic(operator.add),
    "-": _arithmetic(operator.sub),
    "*": _arithmetic(operator.mul),
    "/": _arithmetic(quotient),
    "^": _arithmetic(power),
    "&": joined,
    "=": lambda left, right: compared(left, right) == 0,
    "<>": lambda left, right: compared(left, right) != 0,
    "<": lambda left, right: compared(left, right) < 0,
    ">": lambda left, right: compared(left, right) > 0,
    "<=": lambda left, right: compared(left, right) <= 0,
    ">=": lambda left, right: compared(left, right) >= 0,
}
