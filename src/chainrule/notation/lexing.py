"""Cutting a written formula into tokens: ASCII, Unicode and LaTeX, mixed as people mix them."""

import re
from collections.abc import Collection, Iterator
from functools import lru_cache

from chainrule.notation import commands
from chainrule.notation.letters import LETTER, LETTER_OR_DIGIT, Letters, in_one_spelling
from chainrule.notation.problem import NotationError
from chainrule.notation.tokens import Token, TokenKind
from chainrule.programs import latex_name

LONGEST = 20_000  # signs of a formula
_MOST_TOKENS = 8_000
_DEEPEST = 40  # groups within groups
_NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]\d+|e\d+)?")
_AMBIGUOUS_NUMBER = re.compile(r"\d+(?:\.\d*)?E\d")
_SIGNS = re.compile(r"\*\*|:=|<-|<=|>=|==|!=|=<|[-+*/^()\[\]{}=<>≤≥≠≈,;|√∂∇←∧∨]")
_SIGN_MEANINGS = {"**": "^", ":=": "=", "<-": "=", "←": "=", "==": "=", "≈": "=", "<=": "≤", "=<": "≤", ">=": "≥"}
_SIGN_MEANINGS |= {"!=": "≠", ";": ",", "∧": "and", "∨": "or"}
_SUMS = "ΣΠ∑∏"
_SUM_TROUBLE = ("A sum over an index cannot be read.", "every term written out: E = 1/2*(t1 - a_o1)^2 + ...")
_RAISED = re.compile(r"⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_SAMPLE = re.compile(r"⁽[⁰¹²³⁴⁵⁶⁷⁸⁹]+⁾")
_FRACTION_SIGNS = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_MODULES = re.compile(r"(?:np|numpy|math|torch|tf|jnp|sympy|sp|F|nn)\.(?=[A-Za-z])")
_COMMAND = re.compile(r"\\(?P<name>[A-Za-z]+\*?|.)", re.DOTALL)
_WORD = re.compile(rf"{LETTER}+\d*")
_SUBSCRIPT = re.compile(rf"{LETTER_OR_DIGIT}+")
_DIGITS = re.compile(r"\d+")
_AFTER = re.compile(r"\+|'|\\prime|new|neu|next|\(?[tnk]\s*\+\s*1\)?")
_BEFORE = re.compile(r"\(?[tnk]\)?|old|alt")
_MARK = re.compile(r"\s*\(\s*(?P<number>\d+)\s*\)\s*")


def cut(text: str, names: Collection[str] = ()) -> tuple[tuple[Token, ...], Letters]:
    """Return the tokens of a formula, the last of kind "end", and the text in one spelling that they point into.

    Args:
        text: as it was written.
        names: that are known; where one of them stands, in text or in LaTeX, it is one token.

    Raises:
        NotationError: a sign that formulas do not have, a bracket of LaTeX without its partner, or a text too long.
    """
    if len(text) > LONGEST:
        raise NotationError.at(text, LONGEST, "This formula is too long to be read.", f"at most {LONGEST} characters")
    letters = in_one_spelling(text)
    cutter = _Cutter(letters.text, tuple(sorted(names)))
    try:
        tokens = tuple(cutter.tokens(0, len(letters.text)))
    except _CutError as trouble:
        raise NotationError.at(text, letters.places[trouble.place], trouble.what, trouble.expected) from None
    return (*tokens, Token("end", "", len(letters.text), len(letters.text))), letters


class _CutError(Exception):
    def __init__(self, place: int, what: str, expected: str) -> None:
        self.place, self.what, self.expected = place, what, expected


class _Cutter:
    def __init__(self, text: str, names: tuple[str, ...]) -> None:
        self.text = text
        self.known, self.pattern = _known(names)
        self.depth = 0
        self.count = 0

    def tokens(self, place: int, end: int) -> Iterator[Token]:
        """Yield the tokens between two places."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _CutError(place, "This formula has too many groups within groups.", f"at most {_DEEPEST}")
        while place < end:
            made, place = self.next(place, end)
            self.count += len(made)
            if self.count > _MOST_TOKENS:
                raise _CutError(place, "This formula is too long to be read.", f"at most {_MOST_TOKENS} pieces")
            yield from made
        self.depth -= 1

    def next(self, place: int, end: int) -> tuple[list[Token], int]:
        """Return the tokens that begin at a place, and where they end."""
        text = self.text
        sign = text[place]
        if sign.isspace() or sign in "&$~":
            return [], place + 1
        found = self.pattern.match(text, place, end) if self.pattern else None
        if found:
            known = Token("name", found[0], place, found.end(), self.known[found[0]])
            return [known], found.end()
        if text.startswith("\\\\", place):
            return [], place + 2
        if sign == "\\":
            return self.command(place, end)
        if sign.isdecimal() or (sign == "." and text[place + 1 : place + 2].isdecimal()):
            return self.number(place, end)
        if sign in _FRACTION_SIGNS:
            return [Token("number", sign, place, place + 1)], place + 1
        module = _MODULES.match(text, place, end)
        if module:
            return [], module.end()
        if sign in _SUMS:
            raise _CutError(place, *_SUM_TROUBLE)
        if _WORD.match(text, place, end):
            return self.name(place, end)
        raised = _RAISED.match(text, place, end)
        if raised:
            return [Token("raised", raised[0], place, raised.end())], raised.end()
        found = _SIGNS.match(text, place, end)
        if found:
            return [Token("sign", _SIGN_MEANINGS.get(found[0], found[0]), place, found.end())], found.end()
        shown = sign if sign.isprintable() else f"U+{ord(sign):04X}"
        raise _CutError(place, f"'{shown}' is no sign of a formula.", "a number, a name, an operator or a bracket")

    def number(self, place: int, end: int) -> tuple[list[Token], int]:
        if _AMBIGUOUS_NUMBER.match(self.text, place, end):
            raise _CutError(place, "This may be a number with an exponent, or a product with E.", "2*E1 or 2e+1")
        found = _NUMBER.match(self.text, place, end)
        if found is None:  # a digit of another script
            raise _CutError(place, f"'{self.text[place]}' is no digit that formulas have.", "0 to 9")
        stop = found.end()
        if self.text.startswith("{,}", stop):  # LaTeX's decimal comma
            more = _DIGITS.match(self.text, stop + 3, end)
            if more:
                return [Token("number", f"{found[0]}.{more[0]}", place, more.end())], more.end()
        return [Token("number", found[0], place, stop)], stop

    def name(self, place: int, end: int) -> tuple[list[Token], int]:
        """Cut a name with its subscript and its marks: a_{h1}^{(2)}, w5', h_1."""
        found = _WORD.match(self.text, place, end)
        stop = found.end() if found else place
        return self.marked(place, self.text[place:stop], stop, end)

    def marked(self, start: int, base: str, place: int, end: int) -> tuple[list[Token], int]:
        """Add what hangs on the base of a name, and return the name's token."""
        text, below, marks = self.text, "", ""
        while place < end:
            sign = text[place]
            if sign == "_":
                more, place = self.lowered(place + 1, end)
                below += "_" + more
            elif sign == "'":
                place += 1
                marks += "⁺" * (not marks.endswith("⁺"))
            elif sign == "⁺":
                place += 1
                marks += "⁺"
            elif (sample := _SAMPLE.match(text, place, end)) is not None:
                marks += sample[0]
                place = sample.end()
            elif sign == "^" and (raising := self.raising(place + 1, end)) is not None:
                marks += raising[0]
                place = raising[1]
            elif (sign.isalpha() or sign.isdecimal()) and not marks and place > start and text[place - 1] not in "}":
                base, below, place = base + below + sign, "", place + 1
            else:
                break
        return [Token("name", base + below + marks, start, place)], place

    def lowered(self, place: int, end: int) -> tuple[str, int]:
        """Return a subscript in plain letters, and where it ends."""
        if place < end and self.text[place] == "{":
            stop = self.partner(place, end)
            return self.flat(place + 1, stop), stop + 1
        if place < end and self.text[place] == "\\":
            return self.content(place, end)
        found = _SUBSCRIPT.match(self.text, place, end)
        if found is None:
            raise _CutError(min(place, len(self.text)), "A subscript is missing here.", "a letter or a number behind _")
        return found[0], found.end()

    def content(self, place: int, end: int) -> tuple[str, int]:
        r"""Return what a command writes, in plain letters: \mathrm{total}, \eta."""
        found = _COMMAND.match(self.text, place, end)
        name = found["name"] if found else ""
        if found and name in commands.GREEK:
            return commands.GREEK[name], found.end()
        if found and (name in commands.FONTS or name in commands.HATS or name in commands.ACCENTS):
            start, stop, after = self.argument(found.end(), end)
            return self.flat(start, stop) + "hat" * (name in commands.HATS), after
        if found and name in commands.SPACES:
            return "", found.end()
        raise _CutError(place, f"'\\{name}' cannot stand in a name.", "letters and numbers")

    def flat(self, place: int, end: int) -> str:
        r"""Return a group in plain letters: "1_2" of {1,2}, "net_1" of {\text{net},1}."""
        parts: list[str] = []
        while place < end:
            sign = self.text[place]
            if sign == "\\":
                part, place = self.content(place, end)
                parts.append(part)
                continue
            place += 1
            if sign.isalnum() or sign == "_":
                parts.append(sign)
            elif sign in ",;.- ()/→>|":
                parts.append("_")
            elif sign not in "{}":
                raise _CutError(place - 1, f"'{sign}' cannot stand in a subscript.", "letters and numbers")
        return re.sub(r"_+", "_", "".join(parts)).strip("_")

    def raising(self, place: int, end: int) -> tuple[str, int] | None:
        """Return the mark that a superscript of a name is, and where it ends; None where it is a power."""
        text = self.text
        if place >= end:
            return None
        if text[place] == "+":
            return "⁺", place + 1
        if text.startswith("\\prime", place):
            return "⁺", place + 6
        if text[place] != "{":
            return None
        stop = self.partner(place, end)
        inside = text[place + 1 : stop].strip()
        number = _MARK.fullmatch(inside)
        if number:
            return f"^({number['number']})", stop + 1
        bare = re.sub(r"\\(?:text|mathrm|textrm|mathit)\s*\{([^{}]*)\}", r"\1", inside).strip()
        if _AFTER.fullmatch(bare):
            return "⁺", stop + 1
        return ("", stop + 1) if _BEFORE.fullmatch(bare) and bare not in ("t", "n", "k") else None

    def partner(self, place: int, end: int) -> int:
        """Return where the group that begins at a place ends."""
        depth = 0
        at = place
        while at < end:
            sign = self.text[at]
            if sign == "\\":
                at += 2
                continue
            depth += (sign == "{") - (sign == "}")
            if depth == 0:
                return at
            at += 1
        raise _CutError(place, "This bracket is not closed.", "a matching }")

    def argument(self, place: int, end: int) -> tuple[int, int, int]:
        """Return where a command's argument begins and ends, and where the text behind it begins."""
        while place < end and self.text[place].isspace():
            place += 1
        if place >= end:
            raise _CutError(min(place, len(self.text)), "A command without its argument.", "an argument in { }")
        if self.text[place] == "{":
            stop = self.partner(place, end)
            return place + 1, stop, stop + 1
        if self.text[place] == "\\":
            _, stop = self.command(place, end)
            return place, stop, stop
        return place, place + 1, place + 1

    def command(self, place: int, end: int) -> tuple[list[Token], int]:
        """Cut what a LaTeX command writes."""
        found = _COMMAND.match(self.text, place, end)
        if found is None:
            raise _CutError(place, "A backslash without a command.", "a LaTeX command such as \\frac")
        name, after = found["name"], found.end()
        if name in commands.SPACES:
            if name in ("left", "right") and self.text.startswith(".", after):  # an invisible bracket
                return [Token("sign", "(" if name == "left" else ")", place, after + 1)], after + 1
            return [], after
        if name in commands.DROPPED:
            return [], self.argument(after, end)[2]
        if name in ("sum", "prod"):
            raise _CutError(place, *_SUM_TROUBLE)
        if name in commands.SIGNS:
            sign = commands.SIGNS[name]
            kind: TokenKind = "sign"
            meaning = _SIGN_MEANINGS.get(sign, sign)
            return [] if sign in " &" else [Token(kind, meaning, place, after)], after
        if name in commands.FRACTIONS:
            return self.fraction(place, after, end)
        if name == "sqrt":
            return self.root(place, after, end)
        if name == "pi":
            return [Token("name", "π", place, after)], after
        if name in commands.FUNCTIONS:
            return [Token("name", name, place, after)], after
        if name in commands.GREEK or name in commands.HATS or name in commands.ACCENTS or name in commands.FONTS:
            base, stop = self.content(place, end)
            return self.marked(place, base, stop, end) if base else ([], stop)
        if name == "begin":
            return self.environment(place, after, end)
        if name == "end":
            return [], self.argument(after, end)[2]
        raise _CutError(
            place, f"'\\{name}' is no command that is known here.", "\\frac, \\cdot, \\sigma, \\partial, ..."
        )

    def fraction(self, place: int, after: int, end: int) -> tuple[list[Token], int]:
        r"""Cut \frac{a}{b} as ((a)/(b)), and a derivative as (∂E/∂w)."""
        first, first_end, after = self.argument(after, end)
        second, second_end, after = self.argument(after, end)
        above, below = list(self.tokens(first, first_end)), list(self.tokens(second, second_end))
        opening, closing = Token("sign", "(", place, first), Token("sign", ")", after - 1, after)
        slash = Token("sign", "/", first_end, second)
        if above and below and _is_differential(above[0]) and _is_differential(below[0]):
            return [opening, *above, slash, *below, closing], after
        middle = [closing, slash, opening]
        return [opening, opening, *above, *middle, *below, closing, closing], after

    def root(self, place: int, after: int, end: int) -> tuple[list[Token], int]:
        index: list[Token] = []
        if self.text.startswith("[", after):
            stop = self.text.find("]", after, end)
            if stop < 0:
                raise _CutError(after, "This bracket is not closed.", "a matching ]")
            index = list(self.tokens(after + 1, stop))
            after = stop + 1
        start, stop, after = self.argument(after, end)
        opening, closing = Token("sign", "(", place, start), Token("sign", ")", after - 1, after)
        inside = [opening, *self.tokens(start, stop), closing]
        if not index:
            return [Token("sign", "√", place, start), *inside], after
        power = [Token("sign", "^", place, start), opening, Token("number", "1", place, start)]
        return [*inside, *power, Token("sign", "/", place, start), opening, *index, closing, closing], after

    def environment(self, place: int, after: int, end: int) -> tuple[list[Token], int]:
        start, stop, after = self.argument(after, end)
        name = self.text[start:stop].strip()
        if name in commands.ENVIRONMENTS:
            return [], after
        if name not in commands.CASES:
            raise _CutError(place, f"'{name}' is no environment that is known here.", "cases or align")
        if name == "array" and self.text.startswith("{", after):
            after = self.argument(after, end)[2]
        closing = re.compile(r"\\end\s*\{" + re.escape(name) + r"\}").search(self.text, after, end)
        if closing is None:
            raise _CutError(place, "These cases have no end.", f"\\end{{{name}}}")
        return self.cases(place, after, closing.start()), closing.end()

    def cases(self, place: int, start: int, end: int) -> list[Token]:
        """Cut the rows of cases as (a if x > 0, else b)."""
        made = [Token("sign", "(", place, start)]
        rows = list(_split(self.text, start, end, "\\\\"))
        for number, (low, high) in enumerate(rows):
            cells = list(_split(self.text, low, high, "&"))
            if not self.text[low:high].strip():
                continue
            if len(cells) != 2:
                raise _CutError(low, "A case has a value and a condition.", "value & condition")
            value = list(self.tokens(*cells[0]))
            condition = [token for token in self.tokens(*cells[1]) if token.text.rstrip(":") not in _CASE_WORDS]
            for cell in (value, condition):
                if cell and cell[-1].text == ",":
                    cell.pop()
            comma = [Token("sign", ",", low, low)] if number and len(made) > 1 else []
            if not condition or condition[0].text.lower() in _OTHERWISE:
                made += [*comma, Token("name", "else", low, low), *value]
            else:
                made += [*comma, *value, Token("name", "if", low, low), *condition]
        return [*made, Token("sign", ")", end, end)]


_CASE_WORDS = frozenset({"for", "if", "falls", "si", "when", "where", "wenn", "für"})
_OTHERWISE = frozenset({"otherwise", "else", "sonst", "sinon", "andernfalls"})


def _split(text: str, start: int, end: int, mark: str) -> Iterator[tuple[int, int]]:
    """Yield the parts of a text between marks that stand in no group."""
    depth, place, begun = 0, start, start
    while place < end:
        if text.startswith(mark, place) and depth == 0:
            yield begun, place
            place += len(mark)
            begun = place
            continue
        if text[place] == "\\":
            place += 2
            continue
        depth += (text[place] == "{") - (text[place] == "}")
        place += 1
    yield begun, end


def _is_differential(token: Token) -> bool:
    return token.text == "∂" or (token.kind == "name" and token.text[0] in "dδΔ")


@lru_cache(maxsize=32)
def _known(names: tuple[str, ...]) -> tuple[dict[str, str], "re.Pattern[str] | None"]:
    """Return the spellings of known names, in text and in LaTeX, and a pattern that finds them."""
    spellings: dict[str, str] = {}
    for name in names:
        spellings.setdefault(in_one_spelling(latex_name(name)).text, name)
    spellings |= {in_one_spelling(name).text: name for name in names}
    spellings.pop("", None)
    if not spellings:
        return {}, None
    longest = sorted(spellings, key=len, reverse=True)
    choices = "|".join(re.escape(spelling) for spelling in longest)
    return spellings, re.compile(rf"(?:{choices})(?!{LETTER_OR_DIGIT}|[⁺⁽'])(?!\^\{{[(+])")
