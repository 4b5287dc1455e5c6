"""The error for a formula that cannot be read."""

from dataclasses import dataclass

from chainrule.errors import ChainruleError

_INDENT = 12  # the length of "  expected: ", behind which ChainruleError writes what was found
_SHOWN = 60  # characters of a formula to either side of the place


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
        caret = " " * (_INDENT + len(before)) + "^"
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
