"""Equal forms one under another, aligned at "=", in plain text; forms that are too wide are broken between terms."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

from rich.cells import cell_len

from chainrule.documents import Equalities, Equality, Formula
from chainrule.render.plain_text import printable, printable_line

_PLACES = ((0, "+−"), (0, "+−·"), (1, "+−·"), (2, "+−·"), (3, "+−·"))  # where to break: brackets around, and signs
_NARROWEST = 24  # of the forms beside a long left side; else they stand below it


def equality_lines(equality: Equality, width: int) -> list[str]:
    """Return the lines of an equality.

    Args:
        equality: what is equal.
        width: how many columns there are; a line may be longer where a form has no place to be broken.
    """
    left = printable(equality.left.text).replace("\n", " ")
    forms = [printable_line(form.text) for form in equality.forms]
    lines: list[str] = []
    indent = cell_len(left) + 1 if left else 0
    if not left:
        first, *forms = forms
        lines += _broken(first, width)
    elif width - indent - 2 < _NARROWEST and any(cell_len(form) > width - indent - 2 for form in forms):
        lines, indent = [left], 2
    for form in forms:
        first, *rest = _broken(form, width - indent - 2)
        beginning = f"{left} = " if left and not lines else f"{' ' * indent}= "
        lines += [beginning + first, *(" " * (indent + 2) + line for line in rest)]
    return lines


def equalities_lines(block: Equalities, width: int) -> list[str]:
    """Return the lines of several equalities: those that fit on one line are aligned at their first "=".

    Args:
        block: what is equal.
        width: how many columns there are.
    """
    lefts = [printable_line(equality.left.text) for equality in block.equalities]
    widest = max((cell_len(left) for left in lefts), default=0)
    lines: list[str] = []
    for left, equality in zip(lefts, block.equalities, strict=True):
        padded = left + " " * (widest - cell_len(left))
        inline = " = ".join([padded, *(printable_line(form.text) for form in equality.forms)])
        if left and cell_len(inline) <= width:
            lines.append(inline)
        else:
            lines += equality_lines(replace(equality, left=Formula(padded if left else "")), width)
    return lines


def _broken(form: str, width: int) -> list[str]:
    """Break a form before its terms, then before its factors, then inside of brackets."""
    lines = [form]
    for depth, signs in _PLACES:
        lines = [part for line in lines for part in _filled(line, width, depth, signs)]
        if all(cell_len(line) <= width for line in lines):
            break
    return lines


def _filled(form: str, width: int, deepest: int, signs: str) -> list[str]:
    if cell_len(form) <= width:
        return [form]
    lines: list[str] = []
    for part in _parts(form, deepest, signs):
        room = width - (2 if lines else 0)
        if lines and cell_len(f"{lines[-1]} {part}") <= room:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return [lines[0], *(f"  {line}" for line in lines[1:])]


def _parts(form: str, deepest: int, signs: str) -> Iterator[str]:
    """Yield the pieces of a form that begin with one of the signs, in at most `deepest` brackets."""
    depth, starts = 0, [0]
    for place, sign in enumerate(form):
        depth += (sign in "([") - (sign in ")]")
        is_between = form[place - 1 : place] == " " and form[place + 1 : place + 2] == " "
        if sign in signs and is_between and depth <= deepest:
            starts.append(place)
    for start, end in pairwise([*starts, len(form)]):
        yield form[start:end].strip()
