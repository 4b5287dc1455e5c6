"""The tokens of one formula, read from left to right, and the names among them."""

import re
from collections.abc import Collection
from itertools import pairwise

from chainrule.notation.lexing import cut
from chainrule.notation.problem import NotationError
from chainrule.notation.spelling import read_spelling
from chainrule.notation.tokens import Token
from chainrule.notation.tree import Node, Product, Quantity
from chainrule.notation.written import Name

WORDS = frozenset({"if", "else", "and", "or"})  # never names
_LONGEST_SHOWN = 40
_MOST_WORDS = 4  # of one name: "net input of h1"


class Stream:
    """Where the reader of a formula stands, and what it sees there."""

    def __init__(self, text: str, names: Collection[str]) -> None:
        self.written = text
        self.tokens, self.letters = cut(text, names)
        self.at = 0
        self.token = self.tokens[0]  # the next one

    def seek(self, at: int) -> None:
        """Go to a token by its number."""
        self.at = min(at, len(self.tokens) - 1)
        self.token = self.tokens[self.at]

    def ahead(self, count: int = 1) -> Token:
        """Return a token behind the next one."""
        return self.tokens[min(self.at + count, len(self.tokens) - 1)]

    def take(self) -> Token:
        """Return the next token, and go on behind it."""
        token = self.token
        self.seek(self.at + 1)
        return token

    def sees(self, *signs: str) -> bool:
        """Say whether one of some signs comes next."""
        return self.token.kind == "sign" and self.token.text in signs

    def sees_word(self, *words: str) -> bool:
        """Say whether one of some words comes next; LaTeX writes some of them as signs."""
        return self.token.kind in ("name", "sign") and not self.token.quantity and self.token.text.lower() in words

    def place(self, token: Token) -> int:
        """Return where a token stands in what was written."""
        return self.letters.places[token.start]

    def shown(self, token: Token) -> str:
        """Return a token as it was written, cut where it is long."""
        text = self.written[self.place(token) : self.letters.places[token.end]].strip() or token.text
        return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"

    def since(self, first: Token) -> str:
        """Return what was written from a token to the last one that was taken."""
        return self.written[self.place(first) : self.letters.places[self.tokens[self.at - 1].end]]

    def trouble(self, what: str, expected: str, token: Token | None = None) -> NotationError:
        """Return the error for a place: that of a token, or of the next one."""
        return NotationError.at(self.written, self.place(token or self.token), what, expected)

    def unexpected(self, expected: str) -> NotationError:
        """Return the error for the next token, in place of which something else was expected."""
        if self.token.kind == "end":
            return self.trouble("The formula ends too early.", expected)
        return self.trouble(f"'{self.shown(self.token)}' cannot stand here.", expected)

    # Names

    def read_given(self) -> Name | None:
        """Read a name that was given to the reader."""
        return own_name(self.take().quantity) if self.token.quantity else None

    def read_name(self) -> Name | None:
        """Read a name, or several words that are one: "learning rate", "a h1", "out o1"; None where there is none."""
        if self.token.quantity:
            return self.read_given()
        one = read_spelling(self.token.text)
        if one is None or not one.is_certain or one.kind == "step":
            together = self._read_words()
            if together is not None:
                return together
        if one is None or one.quantity is None:
            return None
        self.take()
        return one

    def _read_words(self) -> Name | None:
        count = 1
        while count < _MOST_WORDS and self.ahead(count).kind in ("name", "number") and not self.ahead(count).quantity:
            count += 1
        for length in range(count, 1, -1):
            tokens = self.tokens[self.at : self.at + length]
            are_apart = all(first.end < second.start for first, second in pairwise(tokens))
            if not are_apart or any(token.text in WORDS for token in tokens):
                continue
            name = read_spelling(" ".join(token.text for token in tokens))
            if name is not None and name.quantity is not None:
                self.seek(self.at + length)
                return name
        return None

    def read_run(self) -> Node | None:
        """Read names without a sign between them, w1i1 or w5a_h1, as their product; None where they are no names."""
        token = self.token
        pieces = re.sub(r"(?<=\d)(?=[^\W\d_])", " ", token.text).split()
        names = [name for name in map(read_spelling, pieces) if name is not None and name.is_certain and name.quantity]
        if len(pieces) < 2 or len(names) < len(pieces):
            return None
        self.take()
        return Product(tuple((False, Quantity(name, self.place(token))) for name in names), self.place(token))


def own_name(quantity: str) -> Name:
    """Return the name of a quantity that was given to the reader."""
    known = read_spelling(quantity)
    if known is not None and known.quantity == quantity:
        return Name(quantity, quantity, known.kind, (quantity,), of=known.of, above=known.above)
    return Name(quantity, quantity, "own", (quantity,))
