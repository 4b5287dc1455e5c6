"""A formula's text cut into tokens: numbers, texts, cells, functions, signs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from chainrule.errors import ChainruleError
from chainrule.spreadsheets.addresses import read_address

LONGEST_FORMULA = 8192  # characters; Excel's own limit
ERROR_VALUES = (
    "#DIV/0!",
    "#N/A",
    "#NAME?",
    "#NULL!",
    "#NUM!",
    "#REF!",
    "#VALUE!",
    "#SPILL!",
    "#CALC!",
    "#GETTING_DATA",
)


@dataclass(eq=False)
class FormulaError(ChainruleError):
    """A formula that cannot be read, or that has no expression; `position` counts characters from 0."""

    position: int = 0


class Token(NamedTuple):
    """A piece of a formula.

    Attributes:
        kind: number, text, error, sheet, cell, columns, rows, function, name or sign; end after the last.
        text: as it stands in the formula.
        start: where it begins, from 0.
    """

    kind: str
    text: str
    start: int


_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n\u00a0]+)
    | (?P<text>"(?:[^"]|"")*")
    | (?P<error>\#(?:DIV/0!|N/A|NAME\?|NULL!|NUM!|REF!|VALUE!|SPILL!|CALC!|GETTING_DATA|FIELD!|BLOCKED!|UNKNOWN!))
    | (?P<sheet>(?:'(?:[^']|'')+'|[^\W\d][\w.]*)!)
    | (?P<cell>\$?[A-Z]{1,3}\$?[0-9]{1,7}(?![\w.(!?\\$]))
    | (?P<columns>\$?[A-Z]{1,3}:\$?[A-Z]{1,3}(?![\w.(!?\\$]))
    | (?P<rows>\$?[0-9]{1,7}:\$?[0-9]{1,7}(?![\w.(!?\\$]))
    | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:E[+-]?[0-9]+)?(?!\w))
    | (?P<function>[^\W\d][\w.]*\()
    | (?P<name>[^\W\d][\w.\\?]*)
    | (?P<sign><=|>=|<>|[-+*/^&=<>%(),;:{}])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_DECIMAL_COMMA = re.compile(r"(?<![\w.$])[0-9]+,[0-9]+(?:E[+-]?[0-9]+)?(?!\w)", re.IGNORECASE)
_TEXTS = re.compile(r'"(?:[^"]|"")*"|\'(?:[^\']|\'\')*\'')
_R1C1 = re.compile(r"R(?:\d+|\[-?\d+\])?C(?:\d+|\[-?\d+\])?(?![\w(.!])", re.IGNORECASE)
_LOOKALIKES = {"−": "-", "–": "-", "×": "*", "·": "*", "÷": "/", "²": "^2", "“": '"', "”": '"', "’": "'"}
_LOOKALIKES |= {"≤": "<=", "≥": ">=", "≠": "<>"}


def formula_tokens(formula: str) -> list[Token]:
    """Cut a formula into tokens.

    Args:
        formula: with or without the equals sign before it.

    Returns:
        The tokens without spaces, and one of the kind "end".

    Raises:
        FormulaError: the text is too long, or some of it is nothing that a formula may hold.
    """
    if len(formula) > LONGEST_FORMULA:
        raise FormulaError(
            what="A formula is too long.",
            found=f"{len(formula)} characters: {formula[:40]}…",
            expected=f"at most {LONGEST_FORMULA}, as in Excel",
        )
    commas = _commas_are_decimal(formula)
    return [*_pieces(formula, commas), Token("end", "", len(formula))]


def _commas_are_decimal(formula: str) -> bool:
    """Whether 0,5 is a number: where ; separates arguments, or where no argument could be separated."""
    if "," not in formula:
        return False
    bare = _TEXTS.sub("", formula)
    if "{" in bare:
        return False
    return ";" in bare or "(" not in bare


def _pieces(formula: str, commas: bool) -> Iterator[Token]:
    start = 1 if formula.startswith("=") else 0
    while start < len(formula):
        if commas and (number := _DECIMAL_COMMA.match(formula, start)):
            yield Token("number", number[0].replace(",", "."), start)
            start = number.end()
            continue
        match = _TOKEN.match(formula, start)
        if match is None:
            raise _unreadable(formula, start)
        kind, text = str(match.lastgroup), match[0]
        if kind == "name" and _R1C1.match(formula, start):
            raise _in_r1c1(formula, start)
        if kind == "cell" and read_address(text) is None:
            kind = "name"  # XFE1 and A1048577 lie beyond the sheet
        if kind != "space":
            yield Token(kind, text, start)
        start = match.end()


def refused(formula: str, position: int, problem: str, expected: str = "", next_step: str = "") -> FormulaError:
    """Return the error for a formula that cannot be read at one place.

    Args:
        formula: all of it.
        position: where, from 0.
        problem: what is wrong there, to go on from "A formula cannot be read: ".
        expected: what would have been right.
        next_step: what to do, as a sentence.
    """
    before, after = max(position - 30, 0), position + 30
    excerpt = ("…" if before else "") + formula[before:after] + ("…" if after < len(formula) else "")
    return FormulaError(
        what=f"A formula cannot be read: {problem}.",
        where=f"character {position + 1}" if position < len(formula) else "the end",
        found=excerpt,
        expected=expected,
        next_step=next_step,
        position=position,
    )


def _unreadable(formula: str, start: int) -> FormulaError:
    sign = formula[start]
    if sign == "[":
        return refused(
            formula,
            start,
            "it reads a table or another workbook",
            "cells of this workbook, such as A1 or Sheet2!A1",
            "Other workbooks are never opened: copy the values that are needed into this one.",
        )
    if sign in _LOOKALIKES:
        return refused(formula, start, f"{sign} is no sign of a spreadsheet", f"{_LOOKALIKES[sign]}")
    if sign in "\"'":
        return refused(formula, start, f"the quotation mark {sign} is not closed")
    if sign.isdigit() or sign == ".":
        return refused(formula, start, "a number is followed by a letter", "an operator between them, such as 2*A1")
    return refused(formula, start, f"{sign!r} does not belong in a formula")


def _in_r1c1(formula: str, start: int) -> FormulaError:
    return refused(
        formula,
        start,
        "it names cells in R1C1 style",
        "A1 style, such as B3 or $B$3",
        "Switch R1C1 reference style off in the spreadsheet's options, and save again.",
    )
