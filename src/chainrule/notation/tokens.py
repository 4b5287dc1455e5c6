"""The pieces of a written formula."""

from dataclasses import dataclass
from typing import Literal, final

TokenKind = Literal["number", "name", "sign", "raised", "end"]


@final
@dataclass(frozen=True, slots=True)
class Token:
    r"""One piece.

    Attributes:
        kind: "number": 0.5 or ½; "name": of a quantity, a function or a word such as "if"; "sign": an operator or a
            bracket; "raised": a power in raised digits; "end": of the text.
        text: in one spelling: "a_h1" of a_{h_1}, "*" of \cdot.
        start: where it begins in the text that was cut.
        end: where it ends.
        quantity: of a name that was given to the reader: what it stands for.
    """

    kind: TokenKind
    text: str
    start: int
    end: int
    quantity: str = ""
