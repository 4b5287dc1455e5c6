r"""Formulas in LaTeX as MathML, which browsers set by themselves: no script, no font and no network is needed.

It reads what the formula printers write: names with indices, numbers, fractions, powers, roots, brackets, functions,
cases. Anything else is refused, and the page then shows the formula as text.
"""

import re
from collections.abc import Iterator
from html import escape
from typing import Final

_SIGNS: Final = {
    r"\partial": "∂", r"\cdot": "·", r"\times": "×", r"\le": "≤", r"\leq": "≤", r"\ge": "≥", r"\geq": "≥",
    r"\ne": "≠", r"\neq": "≠", r"\to": "→", r"\infty": "∞", r"\pm": "±", r"\wedge": "∧", r"\vee": "∨", r"\neg": "¬",
    r"\ldots": "…", r"\cdots": "⋯", r"\approx": "≈", r"\sum": "∑", r"\prod": "∏", r"\lfloor": "⌊", r"\rfloor": "⌋",
    r"\lceil": "⌈", r"\rceil": "⌉",
}  # fmt: skip
_OPERANDS: Final = {
    r"\alpha": "α", r"\beta": "β", r"\gamma": "γ", r"\delta": "δ", r"\epsilon": "ϵ", r"\varepsilon": "ε",
    r"\eta": "η", r"\theta": "θ", r"\kappa": "κ", r"\lambda": "λ", r"\mu": "μ", r"\nu": "ν", r"\pi": "π",
    r"\rho": "ρ", r"\sigma": "σ", r"\tau": "τ", r"\phi": "ϕ", r"\varphi": "φ", r"\chi": "χ", r"\psi": "ψ",
    r"\omega": "ω", r"\Gamma": "Γ", r"\Delta": "Δ", r"\Phi": "Φ", r"\Psi": "Ψ", r"\Omega": "Ω",
}  # fmt: skip
_FUNCTIONS: Final = frozenset(
    {r"\ln", r"\log", r"\exp", r"\max", r"\min", r"\sin", r"\cos", r"\tan", r"\sinh", r"\cosh", r"\tanh"}
)
_SPACES: Final = {r"\quad": "1em", r"\,": "0.17em", r"\;": "0.28em", r"\ ": "0.25em", r"\!": "", "~": "0.25em"}
_PIECE: Final = re.compile(r"\\[A-Za-z]+|\\.|\d+(?:\.\d+)?|\s+|.")
_WORDS: Final = re.compile(r"\{([^{}]*)\}")
_APPLIED: Final = "<mo>&#x2061;</mo>"  # the invisible sign between a function and its argument
_GAP: Final = '<mspace width="0.17em"></mspace>'


class UnknownLatex(Exception):  # noqa: N818  # no error of the user's: the page shows text instead
    """A piece of LaTeX that is not read here."""


def mathml(latex: str) -> str:
    """Return a formula as the inside of a math element.

    Raises:
        UnknownLatex: it holds something that is not read here.
    """
    return _Reader(latex).row(frozenset())


class _Reader:
    def __init__(self, latex: str) -> None:
        self.latex, self.place = latex, 0
        self.depth = 0  # of indices, where h1 is one name and no product

    def _peek(self) -> str:
        while True:
            match = _PIECE.match(self.latex, self.place)
            if match is None:
                return ""
            if not match.group().isspace():
                return match.group()
            self.place = match.end()

    def _next(self) -> str:
        piece = self._peek()
        self.place += len(piece)
        return piece

    def _expect(self, wanted: str) -> None:
        if self._next() != wanted:
            raise UnknownLatex(self.latex)

    def row(self, ends: frozenset[str]) -> str:
        """Read up to one of the ends, which stays unread."""
        parts: list[str] = []
        ends_with_operand = False
        while (piece := self._peek()) and piece not in ends:
            shown, is_operand = self._scripted()
            if piece == "-" and not ends_with_operand:
                shown = shown.replace("<mo>", '<mo form="prefix">', 1)  # −1 and not 2 − 1
            if ends_with_operand and is_operand and not self.depth:
                parts.append(_GAP)
            parts.append(shown)
            ends_with_operand = is_operand or piece == ")"
        if not self._peek() and ends:
            raise UnknownLatex(self.latex)
        return "".join(parts)

    def _scripted(self) -> tuple[str, bool]:
        """Read one thing with what stands below and above it, and say whether it is an operand."""
        is_function = self._peek() in _FUNCTIONS or self._peek() == r"\operatorname"
        base, is_operand = self._atom()
        below = above = ""
        while self._peek() in ("_", "^", "'"):
            sign = self._next()
            if sign == "'":
                above += "<mo>′</mo>"
            elif sign == "_":
                self.depth += 1
                below = self._argument()
                self.depth -= 1
            else:
                above += self._argument()
        if below and above:
            base = f"<msubsup>{base}{below}{_one(above)}</msubsup>"
        elif below:
            base = f"<msub>{base}{below}</msub>"
        elif above:
            base = f"<msup>{base}{_one(above)}</msup>"
        return (base + _APPLIED if is_function else base), is_operand

    def _argument(self) -> str:
        if self._peek() == "{":
            return self._group()
        piece = self._peek()
        if len(piece) > 1 and piece[0].isdigit():  # x^12 is x to the 1, and then a 2
            self.place += 1
            return f"<mn>{piece[0]}</mn>"
        return self._atom()[0]

    def _group(self) -> str:
        self._expect("{")
        inner = self.row(frozenset("}"))
        self._expect("}")
        return f"<mrow>{inner}</mrow>"

    def _words(self) -> str:
        """Read what stands in braces as it is."""
        self._peek()
        match = _WORDS.match(self.latex, self.place)
        if match is None:
            raise UnknownLatex(self.latex)
        self.place = match.end()
        return match[1].replace(r"\_", "_").replace(r"\ ", " ")

    def _atom(self) -> tuple[str, bool]:
        piece = self._peek()
        if piece == "{":
            return self._group(), True
        if not piece:
            raise UnknownLatex(self.latex)
        self._next()
        if piece in _OPERANDS:
            return f"<mi>{_OPERANDS[piece]}</mi>", True
        if piece == r"\partial":
            return "<mo>∂</mo>", False
        if piece in _SIGNS:
            return f"<mo>{_SIGNS[piece]}</mo>", piece == r"\infty"
        if piece in _SPACES:
            return f'<mspace width="{_SPACES[piece] or "0"}"></mspace>', False
        if piece in _FUNCTIONS:
            return f"<mi>{piece[1:]}</mi>", True
        if piece.startswith("\\"):
            return self._command(piece)
        if piece[0].isdigit():
            return f"<mn>{piece}</mn>", True
        if piece.isalpha():
            return f"<mi>{escape(piece)}</mi>", True
        if piece in "()[]|,/!.":
            return f'<mo stretchy="false">{piece}</mo>', False
        if piece in "+-=<>*:":
            return f"<mo>{escape('−' if piece == '-' else piece)}</mo>", False
        raise UnknownLatex(self.latex)

    def _command(self, command: str) -> tuple[str, bool]:
        match command:
            case r"\frac" | r"\tfrac" | r"\dfrac":
                return f"<mfrac>{self._argument()}{self._argument()}</mfrac>", True
            case r"\sqrt":
                return f"<msqrt>{self._group()}</msqrt>", True
            case r"\hat":
                return f'<mover accent="true">{self._argument()}<mo stretchy="false">^</mo></mover>', True
            case r"\operatorname":
                return f"<mi>{escape(self._words())}</mi>", True
            case r"\mathrm":
                return f'<mi mathvariant="normal">{escape(self._words())}</mi>', True
            case r"\mathtt" | r"\text":
                words = escape(self._words())
                return f"<mtext>{words.replace(' ', '&#160;')}</mtext>", command == r"\mathtt"
            case r"\left":
                return self._fenced(), True
            case r"\begin":
                return self._cases(), True
            case r"\{" | r"\}":
                return f'<mo stretchy="false">{command[1]}</mo>', False
            case _:
                raise UnknownLatex(self.latex)

    def _fence(self) -> str:
        piece = self._next()
        shown = _SIGNS.get(piece, piece.removeprefix("\\"))
        if shown == ".":
            return ""
        if shown not in ("(", ")", "[", "]", "{", "}", "|", "⌊", "⌋", "⌈", "⌉"):
            raise UnknownLatex(self.latex)
        return shown

    def _fenced(self) -> str:
        opening = self._fence()
        inner = self.row(frozenset({r"\right"}))
        self._expect(r"\right")
        closing = self._fence()
        left = f'<mo stretchy="true" form="prefix">{opening}</mo>' if opening else ""
        right = f'<mo stretchy="true" form="postfix">{closing}</mo>' if closing else ""
        return f"<mrow>{left}{inner}{right}</mrow>"

    def _cases(self) -> str:
        if self._words() != "cases":
            raise UnknownLatex(self.latex)
        rows = list(self._rows())
        table = "".join(f"<mtr>{''.join(f'<mtd>{cell}</mtd>' for cell in row)}</mtr>" for row in rows)
        return f'<mrow><mo stretchy="true" form="prefix">{{</mo><mtable class="cases">{table}</mtable></mrow>'

    def _rows(self) -> Iterator[list[str]]:
        row: list[str] = []
        while True:
            row.append(self.row(frozenset({"&", r"\\", r"\end"})))
            end = self._next()
            if end != "&":
                yield row
                row = []
            if end == r"\end":
                self._words()
                return


def _one(parts: str) -> str:
    return parts if parts.startswith("<mrow>") and parts.count("<mrow>") == 1 else f"<mrow>{parts}</mrow>"
