"""Trees written as formulas again: what `parse_formula` reads back as the same tree."""

from chainrule.spreadsheets.addresses import LAST_COLUMN, LAST_ROW, column_letters
from chainrule.spreadsheets.nodes import (
    Array,
    Binary,
    Boolean,
    Call,
    Constant,
    DefinedName,
    ErrorLiteral,
    Missing,
    Node,
    Number,
    RangeReference,
    Reference,
    Text,
    Unary,
    Unread,
)

_STRENGTH = {"=": 1, "<>": 1, "<": 1, ">": 1, "<=": 1, ">=": 1, "&": 2, "+": 3, "-": 3, "*": 4, "/": 4, "^": 5}
_PERCENT, _SIGN, _ATOM = 6, 7, 8


def formula_text(node: Node) -> str:
    """Write a tree as a formula without the equals sign, with the brackets that it needs and no others."""
    return _written(node)[0]


def _written(node: Node) -> tuple[str, int]:
    """Return the text and how strongly it holds together."""
    match node:
        case Binary(operator, left, right):
            own = _STRENGTH[operator]
            return f"{_bracketed(left, own)}{operator}{_bracketed(right, own + 1)}", own
        case Unary("%", operand):
            return f"{_bracketed(operand, _PERCENT)}%", _PERCENT
        case Unary(operator, operand):
            return f"{operator}{_bracketed(operand, _SIGN)}", _SIGN
        case Call(name, arguments):
            texts = []
            for argument in arguments:
                texts.append(formula_text(argument))
            return f"{name}({','.join(texts)})", _ATOM
        case RangeReference(first, last):
            return _range(first, last), _ATOM
        case Reference():
            return _sheet(node.sheet) + _column(node) + _row(node), _ATOM
        case Array(rows):
            return "{" + ";".join(",".join(_constant(element) for element in row) for row in rows) + "}", _ATOM
        case DefinedName(name):
            return name, _ATOM
        case Unread(text):
            return text, 0
        case Missing():
            return "", _ATOM
        case _:
            return _constant(node), _ATOM


def _bracketed(node: Node, least: int) -> str:
    text, strength = _written(node)
    return text if strength >= least else f"({text})"


def _constant(node: Constant) -> str:
    match node:
        case Number(value):
            return number_text(value)
        case Text(value):
            return '"' + value.replace('"', '""') + '"'
        case Boolean(value):
            return "TRUE" if value else "FALSE"
        case ErrorLiteral(value):
            return str(value)


def number_text(value: float) -> str:
    """Write a number as spreadsheets do, with all digits that it needs to be read back."""
    return repr(value).upper().removesuffix(".0")


def _range(first: Reference, last: Reference) -> str:
    if (first.row, last.row) == (1, LAST_ROW) and first.is_row_fixed and last.is_row_fixed:
        return f"{_sheet(first.sheet)}{_column(first)}:{_column(last)}"
    if (first.column, last.column) == (1, LAST_COLUMN) and first.is_column_fixed and last.is_column_fixed:
        return f"{_sheet(first.sheet)}{_row(first)}:{_row(last)}"
    return f"{_sheet(first.sheet)}{_column(first)}{_row(first)}:{_column(last)}{_row(last)}"


def _column(reference: Reference) -> str:
    return ("$" if reference.is_column_fixed else "") + column_letters(reference.column)


def _row(reference: Reference) -> str:
    return ("$" if reference.is_row_fixed else "") + str(reference.row)


def _sheet(name: str | None) -> str:
    return "" if name is None else "'" + name.replace("'", "''") + "'!"
