"""Tokens as a tree: sums, products, powers, calls, derivatives, cases and chains of equals signs.

A parser by precedence, from weak to strong: if/else, or, and, comparisons, + and −, · and / (and no sign at all: 2x,
a(1 − a)), a sign in front, powers. Products go from left to right: 1/2(t − a) is half of it.
"""

from collections.abc import Collection
from fractions import Fraction

from chainrule.notation.functions import CASE, FUNCTIONS, POWER, function_called
from chainrule.notation.problem import NotationError
from chainrule.notation.spelling import derivative_of, read_spelling
from chainrule.notation.stream import WORDS, Stream
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

_DEEPEST = 30  # brackets within brackets
_LONGEST_NUMBER = 40  # digits
_LARGEST_EXPONENT = 400
_RELATIONS = ("<", ">", "≤", "≥", "≠")
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_FRACTION_SIGNS = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_FRACTION_VALUES = "1/2 1/3 2/3 1/4 3/4 1/5 2/5 3/5 4/5 1/6 5/6 1/8 3/8 5/8 7/8"
_FRACTIONS = dict(zip(_FRACTION_SIGNS, map(Fraction, _FRACTION_VALUES.split()), strict=True))
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_OPERAND = "a number, a name or an opening bracket"
_DIFFERENTIAL = "what is differentiated by, as in dE/dw5"
# Functions that are written without brackets too: ln x, exp x.
_BARE = frozenset({"exp", "ln", "tanh", "sqrt", "sin", "cos", "sigmoid", "sinh", "cosh"})


def parse(text: str, names: Collection[str] = ()) -> tuple[Node, ...]:
    """Return the sides of a formula: one without an equals sign, more with them.

    Args:
        text: as it was written.
        names: quantities that are known beside those that everybody knows.

    Raises:
        NotationError: it cannot be read.
    """
    return _Parser(Stream(text, names)).sides()


class _Parser:
    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.depth = 0
        self.is_in_bars = False
        self.is_in_call = False

    # From the whole to sums: what is weaker than arithmetic

    def sides(self) -> tuple[Node, ...]:
        stream, sides = self.stream, []
        if stream.sees("="):
            stream.take()
        while True:
            sides.append(self.whole())
            if not stream.sees("="):
                break
            stream.take()
        while stream.sees(","):
            stream.take()  # behind a displayed formula
        if stream.token.kind != "end":
            raise stream.unexpected("an operator or the end")
        return tuple(sides)

    def whole(self) -> Node:
        """Read a value, or cases: 1 if x > 0, else 0."""
        stream, place = self.stream, self.stream.place(self.stream.token)
        value = self.junction("or")
        if not stream.sees_word("if"):
            return value
        cases: list[tuple[Node, Node | None]] = []
        while stream.sees_word("if"):
            stream.take()
            cases.append((value, self.junction("or")))
            if stream.sees(",") and not (self.is_in_call and not self.goes_on_with_case()):
                stream.take()
            if stream.sees_word("else"):
                stream.take()
                return Cases((*cases, (self.junction("or"), None)), place)
            if stream.token.kind == "end" or stream.sees(")", "]", "}", "=", ","):
                return Cases(tuple(cases), place)
            value = self.junction("or")
        raise stream.unexpected("'if' and a condition")

    def goes_on_with_case(self) -> bool:
        return self.stream.ahead().text.lower() == "else"

    def junction(self, word: str) -> Node:
        """Read conditions joined by "or", which are joined by "and"."""
        place = self.stream.place(self.stream.token)
        parts = [self.junction("and") if word == "or" else self.comparison()]
        while self.stream.sees_word(word):
            self.stream.take()
            parts.append(self.junction("and") if word == "or" else self.comparison())
        return parts[0] if len(parts) == 1 else Junction(word, tuple(parts), place)

    def comparison(self) -> Node:
        place = self.stream.place(self.stream.token)
        sides, relations = [self.total()], []
        while self.stream.sees(*_RELATIONS):
            relations.append(self.stream.take().text)
            sides.append(self.total())
        return Comparison(tuple(sides), tuple(relations), place) if relations else sides[0]

    # Arithmetic

    def total(self) -> Node:
        place = self.stream.place(self.stream.token)
        terms = [(False, self.product())]
        while self.stream.sees("+", "-"):
            is_subtracted = self.stream.take().text == "-"
            terms.append((is_subtracted, self.product()))
        return terms[0][1] if len(terms) == 1 else Total(tuple(terms), place)

    def product(self) -> Node:
        stream, place = self.stream, self.stream.place(self.stream.token)
        is_negative = self.takes_minus()
        factors = [(False, self.power())]
        while True:
            if stream.sees("*", "/"):
                is_divided = stream.take().text == "/"
                last = factors[-1][1]
                if is_divided and stream.sees("∂") and isinstance(last, Quantity):
                    factors[-1] = (factors[-1][0], self.half_written(last))
                    continue
                factors.append((is_divided, self.signed()))
            elif self.begins_operand():
                factors.append((False, self.power()))
            else:
                break
        value = factors[0][1] if len(factors) == 1 else Product(tuple(factors), place)
        return Total(((True, value),), place) if is_negative else value

    def takes_minus(self) -> bool:
        is_negative = False
        while self.stream.sees("+", "-"):
            is_negative ^= self.stream.take().text == "-"
        return is_negative

    def signed(self) -> Node:
        """Read a factor or an exponent that may have a sign: 2·−x, e^−x."""
        place = self.stream.place(self.stream.token)
        is_negative = self.takes_minus()
        value = self.power()
        return Total(((True, value),), place) if is_negative else value

    def power(self) -> Node:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.stream.trouble("Too many brackets within brackets.", f"at most {_DEEPEST}")
        place = self.stream.place(self.stream.token)
        base = self.raised(self.operand())
        if self.stream.sees("^"):
            self.stream.take()
            base = self.raised(Power(base, self.signed(), place))
        self.depth -= 1
        return base

    def raised(self, base: Node) -> Node:
        while self.stream.token.kind == "raised":
            base = Power(base, self.exponent(), self.stream.place(self.stream.token))
        return base

    def exponent(self) -> Number:
        token = self.stream.take()
        digits = token.text.translate(_PLAIN)
        if len(digits) > _LONGEST_NUMBER:
            raise self.stream.trouble("This number is too long.", f"at most {_LONGEST_NUMBER} digits", token)
        return Number(Fraction(digits), self.stream.place(token))

    def begins_operand(self) -> bool:
        stream = self.stream
        if stream.token.kind == "number":
            return True
        if stream.token.kind == "name":
            return not stream.sees_word(*WORDS)
        return stream.sees("(", "[", "{", "√", "∂") or (stream.sees("|") and not self.is_in_bars)

    # Operands

    def operand(self) -> Node:
        stream = self.stream
        token = stream.token
        if token.kind == "number":
            return self.number()
        if token.kind == "name" and not stream.sees_word("else", "and", "or"):
            return self.named()
        if stream.sees("(", "[", "{"):
            return self.bracket()
        if stream.sees("|"):
            return self.absolute()
        if stream.sees("√"):
            stream.take()
            self.depth += 1
            if self.depth > _DEEPEST:
                raise stream.trouble("Too many brackets within brackets.", f"at most {_DEEPEST}")
            inside = self.raised(self.operand())
            self.depth -= 1
            return Call("sqrt", (inside,), stream.place(token))
        if stream.sees("∂"):
            return self.derivative()
        raise stream.unexpected(_OPERAND)

    def number(self) -> Node:
        stream = self.stream
        token = stream.take()
        if token.text in _FRACTIONS:
            return Number(_FRACTIONS[token.text], stream.place(token))
        text = token.text
        comma, after = stream.token, stream.ahead()
        is_decimal_comma = comma.text == "," and comma.start == token.end and after.start == comma.end
        if is_decimal_comma and not self.is_in_call and after.text.isdecimal() and text.isdecimal():
            stream.take()
            text += "." + stream.take().text
        digits, _, exponent = text.lower().partition("e")
        if len(digits) > _LONGEST_NUMBER or len(exponent) > 4 or abs(int(exponent or 0)) > _LARGEST_EXPONENT:
            raise stream.trouble("This number is too long.", f"at most {_LONGEST_NUMBER} digits", token)
        value = Fraction(text if exponent else text.rstrip("."))
        if stream.token.text in _FRACTIONS and stream.token.start == token.end:
            value += _FRACTIONS[stream.take().text]  # 1½
        return Number(value, stream.place(token))

    def bracket(self) -> Node:
        """Read what stands in brackets; neither bars nor calls around them count inside."""
        around = self.is_in_bars, self.is_in_call
        self.is_in_bars = self.is_in_call = False
        opening = self.stream.take()
        inside = self.whole()
        self.close(opening)
        self.is_in_bars, self.is_in_call = around
        return inside

    def close(self, opening: Token) -> None:
        closing = _CLOSING[opening.text]
        if self.stream.sees(closing):
            self.stream.take()
        elif self.stream.token.kind == "end":
            raise self.stream.trouble("This bracket is not closed.", f"a matching '{closing}'", opening)
        else:
            raise self.stream.unexpected(f"'{closing}' or an operator")

    def absolute(self) -> Node:
        opening = self.stream.take()
        around, self.is_in_bars = self.is_in_bars, True
        inside = self.total()
        self.is_in_bars = around
        if not self.stream.sees("|"):
            raise self.stream.trouble("This bar is not closed.", "a matching |", opening)
        self.stream.take()
        return Call("abs", (inside,), self.stream.place(opening))

    # Names and calls

    def named(self) -> Node:
        stream = self.stream
        token = stream.token
        place = stream.place(token)
        given = stream.read_given()
        if given is not None:
            return Quantity(given, place)
        if token.text in ("π", "pi") or (token.text == "e" and stream.ahead().text.startswith(("^", "⁻"))):
            stream.take()
            return Constant("e" if token.text == "e" else "π", place)
        found = self.differentials() or self.call()
        if found is not None:
            return found
        name = stream.read_name()
        if name is not None:
            return self.quantity(name, token)
        run = stream.read_run()
        if run is not None:
            return run
        shown = stream.shown(token)
        if stream.ahead().text == "(":
            known = "sigmoid, exp, ln, tanh, max, relu or a name such as a_h1"
            raise stream.trouble(f"'{shown}' is no function and no quantity that is known.", known)
        known = "i1, t1, w1, b1, h1, a_h1, o1, a_o1, E1, E_total, dE/dw1 or learning rate"
        raise stream.trouble(f"'{shown}' is no name that is known.", known)

    def quantity(self, name: Name, token: Token) -> Node:
        """Return a name's node; E∂w5 is read as ∂E/∂w5."""
        stream = self.stream
        if name.kind == "loss" and stream.sees("∂"):
            before = stream.at
            stream.take()
            below = self.below()
            whole = derivative_of(name, below, stream.since(token)) if below else None
            if whole is not None:
                return Quantity(whole, stream.place(token))
            stream.seek(before)
        return Quantity(name, stream.place(token))

    def call(self) -> Node | None:
        stream = self.stream
        token, after = stream.token, stream.ahead()
        name = function_called(token.text)
        if name is None:
            return None
        if after.kind == "sign" and after.text in _CLOSING:
            stream.take()
            return self.applied(name, token)
        if name == CASE:
            raise stream.unexpected(_OPERAND)
        if after.text == "^" or after.kind == "raised":
            return self.raised_call(name, token)
        is_operand = after.kind in ("number", "name") or after.text in ("√", "|", "∂")
        if name in _BARE and is_operand and read_spelling(f"{token.text} {after.text}") is None:
            stream.take()
            return Call(name, (self.power(),), stream.place(token))
        return None

    def raised_call(self, name: str, token: Token) -> Node | None:
        """Read tanh²(x) and σ^2(x), and exp^(−x), which some write for e^(−x)."""
        stream, before = self.stream, self.stream.at
        stream.take()
        if stream.token.kind == "raised":
            exponent: Node = self.exponent()
        else:
            stream.take()
            if name == "exp":
                return Call("exp", (self.signed(),), stream.place(token))
            exponent = self.operand()
        is_inverse = isinstance(exponent, Number) and exponent.value < 0
        if is_inverse or not stream.sees(*_CLOSING):
            stream.seek(before)
            return None
        return Power(self.applied(name, token), exponent, stream.place(token))

    def applied(self, name: str, token: Token) -> Node:
        """Read the arguments of a function."""
        stream, place = self.stream, self.stream.place(token)
        around = self.is_in_bars, self.is_in_call
        self.is_in_bars, self.is_in_call = False, True
        openings = [stream.take()]
        if openings[0].text == "{" and stream.sees("(", "["):  # LaTeX's \log{\left(x \right)}
            openings.append(stream.take())
        arguments = [self.whole()]
        while stream.sees(","):
            stream.take()
            arguments.append(self.whole())
        for opening in reversed(openings):
            self.close(opening)
        self.is_in_bars, self.is_in_call = around
        if name == POWER and len(arguments) == 2:
            return Power(arguments[0], arguments[1], place)
        if name == CASE and len(arguments) == 3:
            return Cases(((arguments[1], arguments[0]), (arguments[2], None)), place)
        function = FUNCTIONS.get(name.removesuffix("'"))
        if function is None or not function.fewest <= len(arguments) <= function.most:
            counted = {POWER: "2", CASE: "3"}.get(name) or ("1" if function and function.most == 1 else "2 or more")
            raise stream.trouble(f"'{stream.shown(token)}' has another number of arguments.", counted, token)
        return Call(name, tuple(arguments), place)

    # Derivatives

    def is_differential(self, token: Token) -> bool:
        """Say whether a token may be dw5, δw5 or a d alone before what is differentiated."""
        if token.kind != "name" or token.quantity or token.text[0] not in "dδΔ":
            return False
        rest = token.text[1:].lstrip("_")
        return not rest or read_spelling(rest) is not None

    def differentials(self) -> Node | None:
        """Read dE/dw5, δE_t/δw5, d(E1 + E2)/dw5; None where the token begins something else."""
        if not self.is_differential(self.stream.token):
            return None
        before = self.stream.at, self.depth, self.is_in_bars, self.is_in_call
        try:
            return self.derivative()
        except NotationError:
            at, self.depth, self.is_in_bars, self.is_in_call = before
            self.stream.seek(at)
            return None

    def derivative(self) -> Node:
        """Read ∂E/∂w5 as a name, and ∂(...)/∂w5 as the derivative of what stands in the brackets."""
        stream, start = self.stream, self.stream.token
        above = self.above()
        if stream.sees("/"):
            stream.take()
        elif start.text != "∂" or not stream.sees("∂"):  # ∂E∂w5
            raise stream.unexpected(f"'/' and {_DIFFERENTIAL}")
        below = self.differentiated_by()
        if above is None:  # ∂/∂w5 (E1 + E2)
            above = self.power()
        if isinstance(above, Quantity):
            name = derivative_of(above.name, below, stream.since(start))
            if name is not None:
                return Quantity(name, stream.place(start))
        return Derivative(above, below, stream.place(start))

    def above(self) -> Node | None:
        """Read what is differentiated, None where it comes behind the fraction."""
        stream = self.stream
        token = stream.take()
        rest = "" if token.text == "∂" else token.text[1:].lstrip("_")
        if rest:
            name = read_spelling(rest)
            if name is None or name.quantity is None:
                raise stream.unexpected("the name of what is differentiated")
            return Quantity(name, stream.place(token))
        if stream.sees("/"):
            return None
        if stream.sees("(", "[", "{"):
            return self.bracket()
        if stream.token.kind == "name":
            first = stream.token
            called = None if first.quantity else self.call()
            if called is not None:
                return called
            name = stream.read_name()
            if name is not None:
                return Quantity(name, stream.place(first))
        raise stream.unexpected("what is differentiated")

    def differentiated_by(self) -> Name:
        stream = self.stream
        below = None
        if stream.sees("∂"):
            stream.take()
            below = self.below()
        elif self.is_differential(stream.token):
            rest = stream.take().text[1:].lstrip("_")
            below = read_spelling(rest) if rest else self.below()
        if below is None or below.quantity is None:
            raise stream.unexpected(_DIFFERENTIAL)
        return below

    def below(self) -> Name | None:
        """Read the name behind the ∂ in the denominator."""
        if self.stream.sees("(", "{", "["):
            inside = self.bracket()
            return inside.name if isinstance(inside, Quantity) else None
        return self.stream.read_name() if self.stream.token.kind == "name" else None

    def half_written(self, above: Quantity) -> Node:
        """Read E/∂w5, where a ∂ was forgotten, as ∂E/∂w5; it is not certain."""
        stream = self.stream
        start = stream.take()
        below = self.below()
        name = None
        if below is not None and above.name.kind in ("loss", "forward"):
            name = derivative_of(above.name, below, f"{above.name.text}/∂{below.text}", is_slip=True)
        if name is None:
            raise stream.trouble("This derivative has one ∂ only.", "two, as in ∂E/∂w5", start)
        return Quantity(name, above.place)
