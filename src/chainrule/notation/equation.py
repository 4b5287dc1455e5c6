"""What a written formula says, and the error for one that says nothing."""

from dataclasses import dataclass
from typing import final

from sympy import Expr

from chainrule.errors import ChainruleError
from chainrule.notation.name import Name

_BEFORE_FOUND = 12  # "  expected: ", the column in which ChainruleError's labelled texts begin
_SHOWN = 64  # characters of a formula to either side of the place


@dataclass(eq=False)
class NotationError(ChainruleError):
    """A formula that cannot be read; `found` shows the place with a caret under it.

    Attributes:
        text: the formula, as it was written.
        place: where in `text` the reader stopped, from 0.
    """

    text: str = ""
    place: int = 0

    @classmethod
    def at(cls, text: str, place: int, what: str, expected: str, next_step: str = "") -> "NotationError":
        """Return the error for a place in a text."""
        start = max(0, place - _SHOWN)
        before = "…" * (start > 0) + _on_one_line(text[start:place])
        after = _on_one_line(text[place : place + _SHOWN]) + "…" * (place + _SHOWN < len(text))
        caret = " " * (_BEFORE_FOUND + len(before)) + "^"
        return cls(
            what=what,
            where=f"character {place + 1}",
            found=f"{before}{after}\n{caret}",
            expected=expected,
            next_step=next_step,
            text=text,
            place=place,
        )


def _on_one_line(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)


@final
@dataclass(frozen=True, slots=True)
class Equation:
    """A formula that was read.

    Attributes:
        left: the canonical name of what it defines; None where no name stands on the left: "= (a_o1 - t1) * w5".
        right: what it is said to be, over `symbol_of(canonical name)`: of several sides ("a = b = c") the last that
            is not a bare number.
        text: as it was written.
        sides: all expressions behind the name on the left, in order.
        names: every name in it, the one on the left first; those that are not certain can be read otherwise.
        line: which line of a file, from 1; None where there is no file.
    """

    left: str | None
    right: Expr
    text: str
    sides: tuple[Expr, ...] = ()
    names: tuple[Name, ...] = ()
    line: int | None = None

    @property
    def uncertain(self) -> tuple[Name, ...]:
        """The names in it that can be read otherwise."""
        return tuple(name for name in self.names if not name.is_certain)


@final
@dataclass(frozen=True, slots=True)
class UnreadLine:
    """A line of a file of formulas that is no equation, and why."""

    line: int
    text: str
    problem: NotationError
