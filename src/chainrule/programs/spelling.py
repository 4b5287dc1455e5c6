r"""How names, numbers, products, fractions and powers are spelled: in text with Unicode signs, and in LaTeX."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from chainrule.formulas import number_text, to_latex, to_text
from chainrule.programs.naming import latex_name

CASES, SUM, PRODUCT, POWER, ATOM = range(5)  # how tightly something binds
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
# Brackets at the beginning around something negative that is no sum, and no base of a power.
_LEADING = re.compile(r"^\(([−-](?:(?! [+−-] )[^()])+)\)(?![\^⁰¹²³⁴⁵⁶⁷⁸⁹])")
_EXPONENT = re.compile(r"(?P<mantissa>.+)e(?P<exponent>.+)")


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a formula.

    Attributes:
        text: as it is printed.
        level: how tightly it binds.
        is_bracketed: whether brackets were put around it.
        is_name: whether it is a name that a bracket may follow without a sign: a_o1(1 − a_o1).
    """

    text: str
    level: int
    is_bracketed: bool = False
    is_name: bool = False


@runtime_checkable
class Spelling(Protocol):
    """What text and LaTeX write differently."""

    minus: str
    half: str
    logarithm: str
    relations: Mapping[str, str]

    def name(self, name: str) -> Piece:
        """Spell the name of a quantity."""

    def number(self, value: float, digits: int) -> Piece:
        """Spell a number; a negative one in brackets."""

    def bracketed(self, text: str) -> str:
        """Put brackets around."""

    def argument(self, text: str) -> str:
        """Put the brackets of a function's arguments around."""

    def product(self, factors: Sequence[Piece], is_numeric: bool) -> str:
        """Join factors; none are 1."""

    def fraction(self, above: Piece, below: Piece) -> str:
        """Divide."""

    def power(self, base: Piece, exponent: Piece, is_whole: bool) -> Piece:
        """Raise to a power."""

    def root(self, inner: Piece) -> Piece:
        """Take the square root."""

    def function_name(self, kind: Any) -> str:
        """Spell a function of ours."""

    def operator(self, name: str) -> str:
        """Spell a function of SymPy's."""

    def magnitude(self, text: str) -> str:
        """Spell the absolute value."""

    def cases(self, cases: Sequence[tuple[str, str]]) -> Piece:
        """Spell cases: values and their conditions, "" for all others."""

    def word(self, word: str) -> str:
        """Spell "and" or "or" between conditions."""

    def other(self, expression: Any) -> str:
        """Spell what has no spelling here."""


def number_parts(value: float, digits: int) -> tuple[str, str]:
    """Return a number as digits and a power of ten: ("4.38568", "-5"), or ("0.000438568", "")."""
    shown = f"{value + 0.0:.{digits}g}"
    parts = _EXPONENT.fullmatch(shown)
    return (parts["mantissa"], str(int(parts["exponent"]))) if parts else (shown, "")


def unbracketed(text: str) -> str:
    """Return a formula that begins with a negative number without the brackets around that: −0.3 + 0.1."""
    return _LEADING.sub(r"\1", text)


class _Text:
    minus: str = "−"
    half: str = "½·"
    logarithm: str = "ln"

    def __init__(self) -> None:
        self.relations: Mapping[str, str] = {"<": "<", "<=": "≤", ">": ">", ">=": "≥", "==": "=", "!=": "≠"}

    def name(self, name: str) -> Piece:
        return Piece(name, PRODUCT if "/" in name else POWER if name[-1] in "⁺⁾" else ATOM)

    def number(self, value: float, digits: int) -> Piece:
        if not math.isfinite(value):
            return Piece(number_text(value), SUM if value < 0 else ATOM)
        mantissa, exponent = number_parts(abs(value), digits)
        shown = f"{mantissa}·10{exponent.translate(_SUPERSCRIPTS)}" if exponent else mantissa
        if value < 0:
            return Piece(f"(−{shown})", ATOM)
        return Piece(shown, PRODUCT if exponent else ATOM)

    def bracketed(self, text: str) -> str:
        return f"({unbracketed(text)})"

    argument = bracketed

    def product(self, factors: Sequence[Piece], is_numeric: bool) -> str:
        text = ""
        for place, factor in enumerate(factors):
            joins = place > 0 and factor.is_bracketed and factors[place - 1].is_name
            text += factor.text if joins or not place else f"·{factor.text}"
        return text or "1"

    def fraction(self, above: Piece, below: Piece) -> str:
        top = above.text if above.level >= PRODUCT and "∂" not in above.text else self.bracketed(above.text)
        return f"{top}/{below.text if below.level > PRODUCT else self.bracketed(below.text)}"

    def power(self, base: Piece, exponent: Piece, is_whole: bool) -> Piece:
        below = base.text if base.level == ATOM else self.bracketed(base.text)
        if is_whole:
            return Piece(below + exponent.text.translate(_SUPERSCRIPTS), POWER)
        return Piece(f"{below}^{exponent.text if exponent.level == ATOM else self.bracketed(exponent.text)}", POWER)

    def root(self, inner: Piece) -> Piece:
        return Piece(f"√{inner.text if inner.level >= POWER else self.bracketed(inner.text)}", POWER)

    def function_name(self, kind: Any) -> str:
        return str(kind.text_name)

    def operator(self, name: str) -> str:
        return name

    def magnitude(self, text: str) -> str:
        return f"|{unbracketed(text)}|"

    def cases(self, cases: Sequence[tuple[str, str]]) -> Piece:
        return Piece(
            ", ".join(f"{value} if {condition}" if condition else f"else {value}" for value, condition in cases), CASES
        )

    def word(self, word: str) -> str:
        return f" {word} "

    def other(self, expression: Any) -> str:
        return to_text(expression)


class _Latex:
    minus: str = "-"
    half: str = r"\frac{1}{2} "
    logarithm: str = r"\ln"

    def __init__(self) -> None:
        known = {"<": "<", "<=": r"\le", ">": ">", ">=": r"\ge", "==": "=", "!=": r"\ne"}
        self.relations: Mapping[str, str] = known

    def name(self, name: str) -> Piece:
        return Piece(latex_name(name), PRODUCT if "/" in name else POWER if name[-1] in "⁺⁾" else ATOM)

    def number(self, value: float, digits: int) -> Piece:
        if not math.isfinite(value):
            shown = r"\mathrm{NaN}" if math.isnan(value) else r"\infty"
            return Piece(f"({self.minus}{shown})" if value < 0 else shown, ATOM)
        mantissa, exponent = number_parts(abs(value), digits)
        shown = rf"{mantissa} \cdot 10^{{{exponent}}}" if exponent else mantissa
        if value < 0:
            return Piece(f"(-{shown})", ATOM)
        return Piece(shown, PRODUCT if exponent else ATOM)

    def bracketed(self, text: str) -> str:
        text = unbracketed(text)
        is_tall = any(sign in text for sign in (r"\frac", r"\sqrt", r"\begin", r"\left"))
        return rf"\left({text}\right)" if is_tall else f"({text})"

    argument = bracketed

    def product(self, factors: Sequence[Piece], is_numeric: bool) -> str:
        text = ""
        for place, factor in enumerate(factors):
            begins_with_digit = factor.text[:1].isdigit() or factor.text.startswith("(-")
            is_number = is_numeric and not factor.is_bracketed
            sign = r" \cdot " if (is_number or begins_with_digit) else " "
            text += sign + factor.text if place else factor.text
        return text or "1"

    def fraction(self, above: Piece, below: Piece) -> str:
        return rf"\frac{{{unbracketed(above.text)}}}{{{unbracketed(below.text)}}}"

    def power(self, base: Piece, exponent: Piece, is_whole: bool) -> Piece:
        below = base.text if base.level == ATOM else self.bracketed(base.text)
        above = unbracketed(exponent.text)
        return Piece(f"{below}^{above if len(above) == 1 else f'{{{above}}}'}", POWER)

    def root(self, inner: Piece) -> Piece:
        return Piece(rf"\sqrt{{{unbracketed(inner.text)}}}", ATOM)

    def function_name(self, kind: Any) -> str:
        return str(kind.latex_name)

    def operator(self, name: str) -> str:
        return rf"\{name}" if name in _KNOWN_OPERATORS else rf"\operatorname{{{name}}}"

    def magnitude(self, text: str) -> str:
        return rf"\left|{unbracketed(text)}\right|"

    def cases(self, cases: Sequence[tuple[str, str]]) -> Piece:
        rows = [
            rf"{value} & \text{{if }} {condition}" if condition else rf"{value} & \text{{else}}"
            for value, condition in cases
        ]
        return Piece(r"\begin{cases} " + r" \\ ".join(rows) + r" \end{cases}", CASES)

    def word(self, word: str) -> str:
        return rf" \text{{ {word} }} "

    def other(self, expression: Any) -> str:
        return to_latex(expression)


_KNOWN_OPERATORS = frozenset({"max", "min", "sin", "cos", "tan", "sinh", "cosh", "tanh"})

TEXT: Final[Spelling] = _Text()
LATEX: Final[Spelling] = _Latex()
