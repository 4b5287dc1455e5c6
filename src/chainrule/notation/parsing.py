"""Tokens as a tree: a Pratt parser for sums, products, powers, calls, derivatives, cases and chains of equals signs.

Precedence from weak to strong: if/else, or, and, comparisons, + and −, · and / (and no sign at all: 2x, a(1 − a)),
a sign in front, powers. Products go from left to right: 1/2(t − a) is half of it.
"""

import re
from collections.abc import Callable, Collection
from fractions import Fraction
from itertools import pairwise

from chainrule.notation.functions import CASE, FUNCTIONS, POWER, function_called
from chainrule.notation.lexing import cut
from chainrule.notation.problem import NotationError
from chainrule.notation.spelling import derivative_of, read_spelling
from chainrule.notation.tokens import Token
from chainrule.notation.tree import (
    Call,
    Cases,
    Comparison,
    Constant,
    Derivative,
    Junction,
    Node,
    Number,
    Power,
    Product,
    Quantity,
    Total,
)
from chainrule.notation.written import Name

_DEEPEST = 60  # brackets within brackets
_LONGEST_NUMBER = 40  # digits
_LARGEST_EXPONENT = 400
_RELATIONS = ("<", ">", "≤", "≥", "≠")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_FRACTION_SIGNS = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_FRACTION_VALUES = "1/2 1/3 2/3 1/4 3/4 1/5 2/5 3/5 4/5 1/6 5/6 1/8 3/8 5/8 7/8"
_FRACTIONS = dict(zip(_FRACTION_SIGNS, map(Fraction, _FRACTION_VALUES.split()), strict=True))
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_WORDS = ("if", "else", "and", "or")
_OPERAND = "a number, a name or an opening bracket"


def parse(text: str, names: Collection[str] = ()) -> tuple[Node, ...]:
    """Return the sides of a formula: one without an equals sign, more with them.

    Raises:
        NotationError: it cannot be read.
    """
    return _Parser(text, names).sides()


class _Parser:
    def __init__(self, text: str, names: Collection[str]) -> None:
        self.written = text
        self.tokens, self.letters = cut(text, names)
        self.at = 0
        self.depth = 0
        self.bars = 0
        self.arguments = False

    # Tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def ahead(self, count: int = 1) -> Token:
        return self.tokens[min(self.at + count, len(self.tokens) - 1)]

    def take(self) -> Token:
        token = self.token
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def sees(self, *signs: str) -> bool:
        return self.token.kind == "sign" and self.token.text in signs

    def sees_word(self, *words: str) -> bool:
        is_word = self.token.kind in ("name", "sign") and not self.token.quantity
        return is_word and self.token.text.lower() in words

    def place(self, token: Token) -> int:
        return self.letters.places[token.start]

    def trouble(self, what: str, expected: str, token: Token | None = None, next_step: str = "") -> NotationError:
        return NotationError.at(self.written, self.place(token or self.token), what, expected, next_step)

    def unexpected(self, expected: str) -> NotationError:
        if self.token.kind == "end":
            return self.trouble("The formula ends too early.", expected)
        return self.trouble(f"'{self.shown(self.token)}' cannot stand here.", expected)

    def shown(self, token: Token) -> str:
        start, end = self.letters.places[token.start], self.letters.places[token.end]
        return self.written[start:end].strip() or token.text

    # Sides

    def sides(self) -> tuple[Node, ...]:
        sides = []
        if self.sees("="):
            self.take()
        while True:
            sides.append(self.whole())
            if not self.sees("="):
                break
            self.take()
        while self.sees(",") or (self.sees(";")):
            self.take()  # the comma behind a displayed formula
        if self.token.kind != "end":
            raise self.unexpected("an operator or the end")
        return tuple(sides)

    def whole(self) -> Node:
        """Read a value, or cases: 1 if x > 0, else 0."""
        start = self.token
        value = self.condition()
        if not self.sees_word("if"):
            return value
        cases: list[tuple[Node, Node | None]] = []
        while True:
            if self.sees_word("if"):
                self.take()
                cases.append((value, self.condition()))
            else:
                raise self.unexpected("'if' and a condition")
            if self.sees(","):
                self.take()
            if self.sees_word("else"):
                self.take()
                rest = self.whole() if self.depth < _DEEPEST else self.condition()
                return Cases((*cases, (rest, None)), self.place(start))
            if self.token.kind == "end" or self.sees(")", "]", "}", "="):
                return Cases(tuple(cases), self.place(start))
            value = self.condition()

    def condition(self) -> Node:
        return self.joined("or", lambda: self.joined("and", self.comparison))

    def joined(self, word: str, part: Callable[[], Node]) -> Node:
        start = self.token
        parts = [part()]
        while self.sees_word(word):
            self.take()
            parts.append(part())
        return parts[0] if len(parts) == 1 else Junction(word, tuple(parts), self.place(start))

    def comparison(self) -> Node:
        start = self.token
        sides, relations = [self.total()], []
        while self.sees(*_RELATIONS):
            relations.append(self.take().text)
            sides.append(self.total())
        return Comparison(tuple(sides), tuple(relations), self.place(start)) if relations else sides[0]

    # Arithmetic

    def total(self) -> Node:
        start = self.token
        terms = [(False, self.product())]
        while self.sees("+", "-"):
            is_subtracted = self.take().text == "-"
            terms.append((is_subtracted, self.product()))
        return terms[0][1] if len(terms) == 1 else Total(tuple(terms), self.place(start))

    def product(self) -> Node:
        start = self.token
        is_negative = False
        while self.sees("+", "-"):
            is_negative ^= self.take().text == "-"
        factors = [(False, self.power())]
        while True:
            if self.sees("*", "/"):
                is_divided = self.take().text == "/"
                if is_divided and self.sees("∂") and isinstance(factors[-1][1], Quantity):
                    factors[-1] = (factors[-1][0], self.half_written(factors[-1][1]))
                    continue
                factors.append((is_divided, self.signed()))
            elif self.begins_operand():
                factors.append((False, self.power()))
            else:
                break
        value = factors[0][1] if len(factors) == 1 else Product(tuple(factors), self.place(start))
        return Total(((True, value),), self.place(start)) if is_negative else value

    def signed(self) -> Node:
        """Read a factor that may have a sign: 2·−x, e^−x."""
        start = self.token
        is_negative = False
        while self.sees("+", "-"):
            is_negative ^= self.take().text == "-"
        value = self.power()
        return Total(((True, value),), self.place(start)) if is_negative else value

    def power(self) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.trouble("Too many brackets within brackets.", f"at most {_DEEPEST}")
        start = self.token
        base = self.raised(self.operand())
        if self.sees("^"):
            self.take()
            base = Power(base, self.signed(), self.place(start))
            base = self.raised(base)
        self.depth -= 1
        return base

    def raised(self, base: Node) -> Node:
        while self.token.kind == "raised":
            token = self.take()
            exponent = Number(Fraction(token.text.translate(_PLAIN)), self.place(token))
            base = Power(base, exponent, self.place(token))
        return base

    def begins_operand(self) -> bool:
        if self.token.kind == "number":
            return True
        if self.token.kind == "name":
            return not self.sees_word(*_WORDS)
        return self.sees("(", "[", "{", "√", "∂") or (self.sees("|") and not self.bars)

    # Operands

    def operand(self) -> Node:
        token = self.token
        if token.kind == "number":
            return self.number()
        if token.kind == "name" and not self.sees_word(*_WORDS[1:]):
            return self.named()
        if self.sees("(", "[", "{"):
            return self.bracket()
        if self.sees("|"):
            return self.absolute()
        if self.sees("√"):
            self.take()
            return Call("sqrt", (self.raised(self.operand()),), self.place(token))
        if self.sees("∂"):
            return self.derivative()
        if self.sees("Σ", "Π"):
            raise self.trouble(
                "A sum over an index cannot be read.",
                "the terms written out",
                next_step="Write every term: E = 1/2*(t1 - a_o1)^2 + 1/2*(t2 - a_o2)^2",
            )
        raise self.unexpected(_OPERAND)

    def number(self) -> Node:
        token = self.take()
        if token.text in _FRACTIONS:
            return Number(_FRACTIONS[token.text], self.place(token))
        text = token.text
        comma, after = self.token, self.ahead()
        is_decimal_comma = comma.text == "," and comma.start == token.end and after.start == comma.end
        if is_decimal_comma and not self.arguments and after.text.isdecimal() and text.isdecimal():
            self.take()
            text += "." + self.take().text
        digits, _, exponent = text.lower().partition("e")
        if len(digits) > _LONGEST_NUMBER or abs(int(exponent or 0)) > _LARGEST_EXPONENT:
            raise self.trouble("This number is too long.", f"at most {_LONGEST_NUMBER} digits", token)
        value = Fraction(text.rstrip(".") if not exponent else text)
        if self.token.kind == "number" and self.token.text in _FRACTIONS and self.token.start == token.end:
            value += _FRACTIONS[self.take().text]  # 1½
        return Number(value, self.place(token))

    def bracket(self) -> Node:
        opening = self.take()
        bars, self.bars = self.bars, 0
        arguments, self.arguments = self.arguments, False
        inside = self.whole()
        self.close(opening)
        self.bars, self.arguments = bars, arguments
        return inside

    def close(self, opening: Token) -> None:
        if not self.sees(_CLOSING[opening.text]):
            if self.token.kind == "end":
                raise self.trouble("This bracket is not closed.", f"a matching '{_CLOSING[opening.text]}'", opening)
            raise self.unexpected(f"'{_CLOSING[opening.text]}' or an operator")
        self.take()

    def absolute(self) -> Node:
        opening = self.take()
        self.bars += 1
        inside = self.total()
        self.bars -= 1
        if not self.sees("|"):
            raise self.trouble("This bar is not closed.", "a matching |", opening)
        self.take()
        return Call("abs", (inside,), self.place(opening))

    # Names

    def named(self) -> Node:
        token = self.token
        if token.quantity:
            self.take()
            return Quantity(_own(token.quantity), self.place(token))
        if token.text == "e" and self.ahead().text.startswith(("^", "⁻")):
            self.take()
            return Constant("e", self.place(token))
        if token.text in ("π", "pi"):
            self.take()
            return Constant("π", self.place(token))
        derivative = self.quotient_of_differentials()
        if derivative is not None:
            return derivative
        called = self.call()
        if called is not None:
            return called
        name = self.longest_name()
        if name is not None:
            return self.quantity(name, token)
        return self.run_together(self.take())

    def quantity(self, name: Name, token: Token) -> Node:
        """Return a name's node; E∂w5 is read as ∂E/∂w5."""
        if name.kind == "loss" and self.sees("∂"):
            place = self.at
            self.take()
            below = self.differential_below()
            whole = derivative_of(name, below, self.between(token)) if below else None
            if whole is not None:
                return Quantity(whole, self.place(token))
            self.at = place
        return Quantity(name, self.place(token))

    def between(self, first: Token) -> str:
        """Return what was written from a token to the last one that was taken."""
        last = self.tokens[self.at - 1]
        return self.written[self.place(first) : self.letters.places[last.end]]

    def longest_name(self) -> Name | None:
        """Read a name, or several words that are one: "learning rate", "a h1", "out o1"."""
        start = self.at
        one = read_spelling(self.token.text)
        if one is not None and one.is_certain and one.kind != "step":
            self.take()
            return one
        words = 1
        while words < 4 and self.ahead(words).kind in ("name", "number") and not self.ahead(words).quantity:
            words += 1
        for count in range(words, 1, -1):
            tokens = self.tokens[start : start + count]
            if any(token.text in ("if", "else", "and", "or") for token in tokens):
                continue
            if any(second.start == first.end for first, second in pairwise(tokens)):
                continue
            name = read_spelling(" ".join(token.text for token in tokens))
            if name is not None and name.quantity is not None:
                self.at = start + count
                return name
        if one is None or one.quantity is None:
            return None
        self.take()
        return one

    def run_together(self, token: Token) -> Node:
        """Read names without a sign between them, w1i1 or w5a_h1, as their product."""
        pieces = re.sub(r"(?<=\d)(?=[^\W\d_])", " ", token.text).split()
        names = [read_spelling(piece) for piece in pieces]
        if len(pieces) > 1 and all(name is not None and name.is_certain and name.quantity for name in names):
            factors = tuple((False, Quantity(name, self.place(token))) for name in names if name is not None)
            return Product(factors, self.place(token))
        shown = self.shown(token)
        if self.sees("("):
            raise self.trouble(
                f"'{shown}' is no function and no quantity that is known.",
                "sigmoid, exp, ln, tanh, max, relu or a name such as a_h1",
                token,
            )
        raise self.trouble(
            f"'{shown}' is no name that is known.",
            "i1, t1, w1, b1, h1, a_h1, o1, a_o1, E1, E_total, dE/dw1 or learning rate",
            token,
        )

    # Calls

    def call(self) -> Node | None:
        token = self.token
        name = function_called(token.text)
        if name is None:
            return None
        after = self.ahead()
        is_called = after.text in ("(", "[", "{") and after.kind == "sign"
        if token.text.lower() == "if" and not is_called:
            raise self.unexpected(_OPERAND)
        if is_called:
            self.take()
            return self.applied(name, token)
        if after.text == "^" or after.kind == "raised":
            return self.raised_call(name, token)
        is_operand = after.kind in ("number", "name") or after.text in ("√", "|", "∂")
        if name in _BARE and is_operand and read_spelling(f"{token.text} {after.text}") is None:
            self.take()
            return Call(name, (self.raised(self.operand()),), self.place(token))
        return None

    def raised_call(self, name: str, token: Token) -> Node | None:
        """Read tanh²(x) and σ^2(x), and exp^(−x), which some write for e^(−x)."""
        start = self.at
        self.take()
        if self.token.kind == "raised":
            exponent: Node = Number(Fraction(self.take().text.translate(_PLAIN)), self.place(token))
        else:
            self.take()
            if name == "exp":
                return Call("exp", (self.signed(),), self.place(token))
            exponent = self.operand()
        is_inverse = isinstance(exponent, Number) and exponent.value < 0
        if not self.sees("(", "[", "{") or is_inverse:
            self.at = start
            return None
        return Power(self.applied(name, token), exponent, self.place(token))

    def applied(self, name: str, token: Token) -> Node:
        opening = self.take()
        bars, self.bars = self.bars, 0
        before, self.arguments = self.arguments, True
        if self.sees("(", "[") and opening.text == "{":  # LaTeX's \log{\left(x \right)}
            inner = self.take()
            arguments = self.listed()
            self.close(inner)
        else:
            arguments = self.listed()
        self.close(opening)
        self.bars, self.arguments = bars, before
        place = self.place(token)
        if name == POWER and len(arguments) == 2:
            return Power(arguments[0], arguments[1], place)
        if name == CASE and len(arguments) in (2, 3):
            rest = arguments[2] if len(arguments) == 3 else Number(Fraction(0), place)
            return Cases(((arguments[1], arguments[0]), (rest, None)), place)
        function = FUNCTIONS.get(name.removesuffix("'"))
        if function is None or not function.fewest <= len(arguments) <= function.most:
            counted = "1" if function and function.most == 1 else "2 or more"
            raise self.trouble(f"'{self.shown(token)}' has another number of arguments.", counted, token)
        if name.endswith("'") and function.slope is None:
            raise self.trouble(f"The derivative of '{self.shown(token)}' is not known.", "its formula", token)
        return Call(name, tuple(arguments), place)

    def listed(self) -> list[Node]:
        arguments = [self.whole()]
        while self.sees(","):
            self.take()
            arguments.append(self.whole())
        return arguments

    # Derivatives

    def is_differential(self, token: Token) -> bool:
        """Say whether a token may be dw5, δw5 or a d alone before what is differentiated."""
        if token.kind != "name" or token.quantity or token.text[0] not in "dδΔ":
            return False
        rest = token.text[1:].lstrip("_")
        return not rest or read_spelling(rest) is not None

    def quotient_of_differentials(self) -> Node | None:
        """Read dE/dw5, δE_t/δw5, d(E1 + E2)/dw5; None where the token begins something else."""
        if not self.is_differential(self.token):
            return None
        start = self.at
        depth = self.depth
        try:
            return self.derivative()
        except NotationError:
            self.at, self.depth = start, depth
            return None

    def derivative(self) -> Node:
        """Read ∂E/∂w5 as a name, and ∂(...)/∂w5 as the derivative of what stands in the brackets."""
        start = self.token
        operator = start.text[0]
        above = self.above()
        if self.sees("/"):
            self.take()
        elif operator != "∂" or not self.sees("∂"):
            raise self.unexpected("'/' and what is differentiated by, as in dE/dw5")
        if not self.sees("∂") and not self.is_differential(self.token):
            raise self.unexpected("what is differentiated by, as in dE/dw5")
        if self.sees("∂"):
            self.take()
            below = self.differential_below()
        else:
            below = self.split_differential()
        if below is None or below.quantity is None:
            raise self.unexpected("the name of what is differentiated by, as in dE/dw5")
        if above is None:  # ∂/∂w5 (E1 + E2)
            above = self.power()
        if isinstance(above, Quantity):
            name = derivative_of(above.name, below, self.between(start))
            if name is not None:
                return Quantity(name, self.place(start))
        return Derivative(above, below, self.place(start))

    def above(self) -> Node | None:
        token = self.take()
        rest = token.text[1:].lstrip("_") if token.text != "∂" else ""
        if rest:
            name = read_spelling(rest)
            if name is None or name.quantity is None:
                raise self.unexpected("the name of what is differentiated")
            return Quantity(name, self.place(token))
        if self.sees("/"):
            return None
        if self.sees("(", "[", "{"):
            return self.bracket()
        if self.token.kind == "name":
            if self.token.quantity:
                return self.named()
            called = self.call()
            if called is not None:
                return called
            place = self.token
            name = self.longest_name()
            if name is not None:
                return Quantity(name, self.place(place))
        raise self.unexpected("what is differentiated")

    def split_differential(self) -> Name | None:
        token = self.take()
        rest = token.text[1:].lstrip("_")
        return read_spelling(rest) if rest else self.differential_below()

    def differential_below(self) -> Name | None:
        """Read the name behind the ∂ in the denominator."""
        if self.sees("(", "{", "["):
            inside = self.bracket()
            return inside.name if isinstance(inside, Quantity) else None
        if self.token.kind != "name":
            return None
        if self.token.quantity:
            return _own(self.take().quantity)
        return self.longest_name()

    def half_written(self, above: Quantity) -> Node:
        """Read E/∂w5, where a ∂ was forgotten, as ∂E/∂w5; it is not certain."""
        start = self.token
        self.take()
        below = self.differential_below()
        name = None
        if below is not None and below.quantity is not None and above.name.kind in ("loss", "forward"):
            name = derivative_of(above.name, below, f"{above.name.text}/∂{below.text}", is_slip=True)
        if name is None:
            raise self.trouble("This derivative has one ∂ only.", "two, as in ∂E/∂w5", start)
        return Quantity(name, above.place)


_BARE = frozenset({"exp", "ln", "tanh", "sqrt", "sin", "cos", "sigmoid", "sinh", "cosh"})


def _own(quantity: str) -> Name:
    """Return the name of a quantity that was given to the reader."""
    known = read_spelling(quantity)
    if known is not None and known.quantity == quantity:
        return Name(quantity, quantity, known.kind, (quantity,), of=known.of, above=known.above)
    return Name(quantity, quantity, "own", (quantity,))
