"""Which named numbers a table uses, where a sheet has several of a name: one η for each of its tables."""

from collections import Counter
from collections.abc import Iterable, Iterator

from chainrule.checking.tables import Labelled, Table
from chainrule.spreadsheets import Address, Array, Binary, Call, Node, RangeReference, Reference, Sheet, Unary


def constants_of(sheet: Sheet, table: Table, labelled: Iterable[Labelled]) -> dict[str, Labelled]:
    """Return the named numbers of a table by quantity.

    Of several with one name it is the cell that most formulas of the table read; where they read none of them, the one
    nearest to the table, before one that stands below it.

    Args:
        sheet: the sheet of the table.
        table: the table.
        labelled: the named numbers of the sheet.
    """
    by_quantity: dict[str, list[Labelled]] = {}
    for one in labelled:
        if one.name.quantity is not None:
            by_quantity.setdefault(one.name.quantity, []).append(one)
    several = [one for found in by_quantity.values() if len(found) > 1 for one in found]
    asked = {one.address for one in several if one.address is not None}
    uses = Counter(_uses(sheet, table, asked)) if asked else Counter[Address]()

    def rank(one: Labelled) -> tuple[int, bool, int]:
        place = one.label if one.address is None else one.address
        return (-uses[place], *_distance(table, place))

    return {quantity: min(found, key=rank) for quantity, found in by_quantity.items()}


def _uses(sheet: Sheet, table: Table, asked: set[Address]) -> Iterator[Address]:
    """Yield the cells of `asked` that formulas of a table read, once for each formula."""
    for column in (*table.columns.values(), *table.others):
        for place in column.cells:
            cell = sheet.cells.get(place)
            if cell is not None and cell.formula is not None:
                yield from asked & set(_read(cell.formula.tree, sheet))


def _read(node: Node, sheet: Sheet) -> Iterator[Address]:
    """Yield the cells of a sheet that a formula reads one by one."""
    if isinstance(node, Reference):
        if node.sheet is None or node.sheet.lower() == sheet.name.lower():
            yield node.address
    elif isinstance(node, Binary):
        yield from _read(node.left, sheet)
        yield from _read(node.right, sheet)
    elif isinstance(node, Unary):
        yield from _read(node.operand, sheet)
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from _read(argument, sheet)
    elif isinstance(node, RangeReference | Array):
        return  # a rate is read by itself


def _distance(table: Table, place: Address) -> tuple[bool, int]:
    """Return whether a cell stands below a table, and how many rows and columns it is away from it."""
    cells = [cell for column in table.columns.values() for cell in (column.address, *column.cells)]
    rows, columns = [cell.row for cell in cells], [cell.column for cell in cells]
    down = max(min(rows) - place.row, 0, place.row - max(rows))
    across = max(min(columns) - place.column, 0, place.column - max(columns))
    return (place.row > max(rows), down + across)
