"""Names in one word or several, without signs of arithmetic: "a_h1", "outh1", "net hidden 1", "dE_dw5", "w1 new"."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from chainrule.notation.letters import LETTER, without_accents
from chainrule.notation.numbering import (
    flat_numbers,
    indices_of,
    parameter_numbers,
    raised,
    unit_numbers,
)
from chainrule.notation.words import CAPITALS, CODES, DESCRIBING, GLUED, RATES
from chainrule.notation.written import Name, NameKind

_LONGEST = 60  # signs; no name is longer
_MOST_READINGS = 6
_MARKS = re.compile(r"(?P<marks>(?:⁽[⁰¹²³⁴⁵⁶⁷⁸⁹]+⁾|\^\(\d+\)|⁺)*)$")
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
_RUN = re.compile(rf"(?P<letters>{LETTER}+|[∂∇#№])|(?P<digits>\d+)|(?P<between>[\s_]+)")

Numbers = Callable[[Sequence[str]], Iterator[str]]


@dataclass(frozen=True, slots=True)
class _Row:
    """Names that a pattern of codes may be; N stands for numbers, {n} for what they may be."""

    pattern: "re.Pattern[str]"
    kind: NameKind
    readings: tuple[str, ...]
    numbers: Numbers
    is_certain: bool = True


def _row(pattern: str, kind: NameKind, readings: str, numbers: Numbers, is_certain: bool = True) -> _Row:
    spelled = pattern.replace("N", r"\d+(?: \d+)*")
    return _Row(re.compile(spelled), kind, tuple(readings.split()), numbers, is_certain)


_NET, _ACT = "(?:net|z|sum|in|input|net in|net input)", "(?:a|out|act|sig|output)"
_HIDDEN, _OUTPUT = "(?:h|hidden)", "(?:o|output)"
_ROWS = (
    _row("(?:i|x|in|input) N", "input", "i{n}", flat_numbers),
    _row("(?:y )?(?:t|target)(?: o| out| output| y)? N", "target", "t{n}", flat_numbers),
    _row("y N", "target", "t{n} a_o{n}", flat_numbers),
    _row("(?:y hat|hat y|hat|hat o|hat output|output hat) N|y N hat", "forward", "a_o{n} o{n} p{n}", flat_numbers),
    _row("w N", "parameter", "w{n}", parameter_numbers),
    _row("b N", "parameter", "b{n}", parameter_numbers),
    _row(f"h N|{_NET} {_HIDDEN} N|{_HIDDEN} N {_NET}|{_HIDDEN} {_NET} N", "forward", "h{n}", unit_numbers),
    _row("hidden N", "forward", "h{n} a_h{n}", unit_numbers),
    _row(f"{_ACT}(?: net| z)? {_HIDDEN} N|{_HIDDEN} N {_ACT}|{_HIDDEN} {_ACT} N", "forward", "a_h{n}", unit_numbers),
    _row(f"o N|{_NET} {_OUTPUT} N|{_OUTPUT} N {_NET}|{_OUTPUT} {_NET} N", "forward", "o{n}", flat_numbers),
    _row("output o N", "forward", "a_o{n} o{n}", flat_numbers),
    _row(f"{_ACT}(?: net| z)? {_OUTPUT} N|{_OUTPUT} N {_ACT}|{_OUTPUT} {_ACT} N", "forward", "a_o{n}", flat_numbers),
    _row("(?:net|sum|z)(?: input)? N", "forward", "h{n} o{n}", unit_numbers),
    _row("(?:a|act) N|sig (?:z|net|sum) N", "forward", "a_h{n} a_o{n}", unit_numbers),
    _row("(?:out|output) N", "forward", "a_o{n} o{n} p{n}", flat_numbers),
    _row("p(?: o)? N", "loss", "p{n}", flat_numbers),
    _row(f"(?:e|mse)(?: out| {_OUTPUT})? N|{_OUTPUT} N e", "loss", "E{n}", flat_numbers),
    _row(f"(?:delta|d) {_OUTPUT} N|{_OUTPUT} N delta", "adjoint", "∂E/∂o{n}", flat_numbers),
    _row(f"(?:delta|d) {_HIDDEN} N|{_HIDDEN} N delta", "adjoint", "∂E/∂h{n}", unit_numbers),
    _row("delta (?:a|out) o N", "adjoint", "∂E/∂a_o{n} ∂E/∂o{n}", flat_numbers),
    _row("delta (?:a|out) h N", "adjoint", "∂E/∂a_h{n} ∂E/∂h{n}", unit_numbers),
    _row("delta N", "adjoint", "∂E/∂o{n} ∂E/∂h{n}", unit_numbers),
    _row(f"e {_HIDDEN} N|{_HIDDEN} N e", "adjoint", "∂E/∂h{n} ∂E/∂a_h{n}", unit_numbers),
    _row("β N", "setting", "β{n}", lambda numbers: iter(numbers if numbers in (["1"], ["2"]) else ())),
)
_SQUARED_LOSS = "(?:squared )*(?:e|mse)"
_TOTAL = re.compile(
    rf"{_SQUARED_LOSS}(?: e)?|{_SQUARED_LOSS} (?:total|t|sum)|(?:total|sum) {_SQUARED_LOSS}|(?:total|sum) errors"
)
# One letter: the only one of its kind, which the name does not say.
_ALONE: dict[str, tuple[NameKind, str]] = {
    "i": ("input", "i1"),
    "x": ("input", "i1"),
    "input": ("input", "i1"),
    "t": ("state", "t t1"),
    "target": ("target", "t1"),
    "y": ("target", "t1 a_o1"),
    "w": ("parameter", "w1"),
    "b": ("parameter", "b1"),
    "h": ("forward", "h1"),
    "z": ("forward", "h1 o1"),
    "net": ("forward", "h1 o1"),
    "a": ("forward", "a_h1 a_o1"),
    "o": ("forward", "o1"),
    "out": ("forward", "a_o1 o1"),
    "output": ("forward", "a_o1 o1"),
    "y hat": ("forward", "a_o1 o1 p1"),
    "hat": ("forward", "a_o1 o1 p1"),
    "p": ("loss", "p1 a_o1"),
    "sig z": ("forward", "a_h1 a_o1"),
    "sig net": ("forward", "a_h1 a_o1"),
    "α": ("setting", "η α"),
    "rate": ("setting", "η"),
    "C": ("loss", "E_total"),
}
_SETTINGS = frozenset("ημελτ")
_TOTAL_LOSS = Name("E", "E_total", "loss", ("E_total",))


@lru_cache(maxsize=4096)
def read_spelling(text: str) -> Name | None:
    """Return what a name without signs of arithmetic means, None if it is none that is known."""
    if len(text) > _LONGEST:
        return None
    marks = _MARKS.search(text)
    raisings = marks["marks"] if marks else ""
    core = text[: len(text) - len(raisings)].strip()
    if not raisings and _is_rate(core):
        return Name(text, "η", "setting", ("η",))
    for codes in _codings(core):
        name = _read(codes)
        if name is not None:
            # A small e may be an error, or 2.718.
            return _marked(replace(name, text=text, is_certain=name.is_certain and core != "e"), raisings)
    return None


def _is_rate(core: str) -> bool:
    words = re.split(r"[\s_]+", without_accents(core).lower())
    if len(words) > 1 and CODES.get(words[-1]) in ("η", "α"):  # learning rate η
        words.pop()
    elif len(words) > 1 and CODES.get(words[0]) in ("η", "α"):
        words.pop(0)
    return " ".join(words) in RATES


def derivative_of(above: Name, below: Name, text: str, is_slip: bool = False) -> Name | None:
    """Return the name of a derivative, such as ∂E/∂w5; None where one of the two is no quantity."""
    if above.quantity is None or below.quantity is None or above.kind == "step" or below.kind == "step":
        return None
    above_names = ["E" if reading == "E_total" else reading for reading in above.readings]
    readings = tuple(f"∂{over}/∂{under}" for over in above_names for under in below.readings)[:_MOST_READINGS]
    kind: NameKind = "partial"
    if above.quantity == "E_total":
        kind = "gradient" if below.kind == "parameter" else "adjoint"
    is_certain = above.is_certain and below.is_certain and not is_slip
    return Name(text, readings[0], kind, readings, is_certain, of=below, above=above)


def _codings(core: str) -> Iterator[tuple[str, ...]]:
    """Yield the codes of a name's words, with a zero that was typed for the letter o put right."""
    codes: list[str] = []
    place = 0
    while place < len(core):
        run = _RUN.match(core, place)
        if run is None:
            return
        place = run.end()
        if run["digits"]:
            codes.append(run["digits"])
        elif run["letters"]:
            own = _codes_of(run["letters"])
            if own is None:
                return
            codes += own
    for place, code in enumerate(codes):
        if re.fullmatch(r"0[1-9]", code) and place and codes[place - 1] in ("a", "out", "net", "act", "sig", "e", "in"):
            yield (*codes[:place], "o", code, *codes[place + 1 :])
    yield tuple(codes)


_COST = re.compile(r"(?<=^[dδΔ])[LJC](?=$|[dδΔ]|t)|^[LJ](?=[dδΔ]|t)")  # dL, dC_dw, L_total


def _codes_of(letters: str) -> list[str] | None:
    if letters in CAPITALS:
        return CAPITALS[letters].split()
    letters = _COST.sub("E", letters)
    word = letters if letters == "№" else without_accents(letters).casefold()
    word = "Δ" + word[1:] if letters[0] == "Δ" else word  # casefold would make δ of it
    if word in CODES:
        return CODES[word].split()
    pieces = _pieces(word)
    return None if pieces is None else [code for piece in pieces for code in CODES[piece].split()]


@lru_cache(maxsize=4096)
def _pieces(word: str) -> tuple[str, ...] | None:
    """Return the fewest known words that a run of letters is made of: ("out", "h") of "outh"."""
    best: list[tuple[str, ...] | None] = [()]
    for end in range(1, len(word) + 1):
        ways = [
            (*before, word[start:end])
            for start in range(max(0, end - 8), end)
            if (before := best[start]) is not None and word[start:end] in GLUED
        ]
        best.append(min(ways, key=len) if ways else None)
    return best[-1]


def _read(codes: tuple[str, ...]) -> Name | None:
    for reader in (_alone, _counted, _ended, _renewed, _remembered, _differentiated, _described):
        name = reader(codes)
        if name is not None:
            return name
    bare = tuple(code for code in codes if code != "of")
    return _read(bare) if len(bare) < len(codes) else None


def _alone(codes: tuple[str, ...]) -> Name | None:
    joined = " ".join(codes)
    if joined in _SETTINGS:
        return Name("", joined, "setting", (joined,))
    if codes and codes[0] == "step" and set(codes[1:]) <= {"number", "step"}:
        return Name("", None, "step")
    if joined == "number":
        return Name("", None, "step")
    if _TOTAL.fullmatch(joined):
        return _TOTAL_LOSS
    if joined in _ALONE:
        kind, readings = _ALONE[joined]
        return Name("", readings.split()[0], kind, tuple(readings.split()), is_certain=False)
    return None


def _counted(codes: tuple[str, ...]) -> Name | None:
    joined = " ".join(codes)
    for row in _ROWS:
        if not row.pattern.fullmatch(joined):
            continue
        written = [code for code in codes if code.isdecimal()]
        choices = list(row.numbers(written))
        readings = tuple(reading.format(n=choice) for choice in choices for reading in row.readings)
        if not readings:
            return None
        is_slip = any(len(number) > 1 and number.startswith("0") for number in written) and row.kind != "parameter"
        is_place = row.kind == "parameter" and bool(indices_of(written))
        is_from_zero = "0" in written
        is_certain = row.is_certain and len(readings) == 1 and not (is_slip or is_place or is_from_zero)
        indices = indices_of(written)
        layer = indices[0] if is_place and len(written) == 3 else None
        return Name("", readings[0], row.kind, readings, is_certain, indices=indices, layer=layer)
    return None


_ENDED = re.compile(
    r"(?P<letter>w|b) (?:(?P<start>[ixho]) (?P<first>\d+(?: \d+)?) )?(?P<end>[ho]|output|y) (?P<last>\d+(?: \d+)?)"
)


def _ended(codes: tuple[str, ...]) -> Name | None:
    """Read a weight or a bias that is named by its units: w_i1_h1, b_h1."""
    found = _ENDED.fullmatch(" ".join(codes))
    if found is None or (found["letter"] == "w") != bool(found["start"]):
        return None
    ends = ["o" + found["last"] if found["end"] in ("output", "y") else found["end"] + found["last"]]
    if found["start"]:
        ends.insert(0, ("i" if found["start"] == "x" else found["start"]) + found["first"])
    ends = [end.replace(" ", "_") for end in ends]
    quantity = "_".join([found["letter"], *ends])
    return Name("", quantity, "parameter", (quantity,), is_certain=False, ends=tuple(ends))


def _renewed(codes: tuple[str, ...]) -> Name | None:
    """Read a parameter after the update, or marked as the one before it: w1_new, new w1, old w1."""
    for mark, rest in ((codes[:1], codes[1:]), (codes[-1:], codes[:-1])):
        if not rest or mark[0] not in ("new", "old"):
            continue
        name = _read(rest)
        if name is not None and name.kind in ("parameter", "state", "input"):
            return _after(name) if mark[0] == "new" else name
    return None


def _after(name: Name) -> Name | None:
    if name.kind not in ("parameter", "state"):
        return None
    readings = tuple(reading + "⁺" for reading in name.readings)
    return Name("", readings[0], "updated", readings, name.is_certain, of=name)


def _remembered(codes: tuple[str, ...]) -> Name | None:
    """Read what an optimizer remembers: m_w5, v_w5, u_w5, mhat_w5."""
    if len(codes) < 3 or codes[0] not in ("m", "v", "u", "mhat", "vhat", "μ"):
        return None
    letter, rest = ("u" if codes[0] == "μ" else codes[0]), codes[1:]
    if rest[0] == "hat":
        letter, rest = letter + "hat", rest[1:]
    name = _read(rest)
    if name is None or name.kind != "parameter":
        return None
    kind: NameKind = "updated" if "hat" in letter else "state"
    readings = tuple(f"{letter}_{reading}" for reading in name.readings)
    return Name("", readings[0], kind, readings, name.is_certain, of=name)


_MARKED = ("d", "delta", "change")


def _differentiated(codes: tuple[str, ...]) -> Name | None:
    """Read a gradient in words: grad w1, w1_grad, dE_dw5, E_dw5, dw5; and what an update adds: Δw5."""
    if "grad" in codes:
        place = codes.index("grad")
        rest = tuple(code for code in codes[:place] + codes[place + 1 :] if code not in ("of", "wrt"))
        if rest[-1:] == ("e",) and place == 0:  # ∇_w1 E
            rest = ("e", *rest[:-1])
        above, below = _loss_first(rest)
        name = _read(below) if below else None
        return None if name is None else derivative_of(above, name, "")
    if "wrt" in codes:
        place = codes.index("wrt")
        above_codes = codes[1:place] if codes[0] in _MARKED else codes[:place]
        return _quotient(above_codes, codes[place + 1 :])
    marks = [place for place, code in enumerate(codes) if code in _MARKED]
    if len(marks) == 2 and marks[0] == 0 and codes[0] == codes[marks[1]]:
        return _quotient(codes[1 : marks[1]], codes[marks[1] + 1 :])
    if len(marks) == 1 and marks[0] > 0:
        return _quotient(codes[: marks[0]], codes[marks[0] + 1 :])
    return _difference(codes)


def _difference(codes: tuple[str, ...]) -> Name | None:
    """Read Δw5, which is the change of w5, and dw5 or δw5, which may be its gradient."""
    is_last = codes[-1:] == ("change",)
    if not is_last and codes[:1] not in (("d",), ("delta",), ("change",)) and codes[:1] != ("e",):
        return None
    below = _read(codes[:-1] if is_last else codes[1:])
    if below is None or below.kind != "parameter":
        return None
    changes = tuple(f"Δ{reading}" for reading in below.readings)
    gradients = tuple(f"∂E/∂{reading}" for reading in below.readings)
    if codes[0] == "e":
        return Name("", gradients[0], "gradient", gradients, False, of=below, above=_TOTAL_LOSS)
    readings = (*gradients, *changes) if codes[0] == "d" and not is_last else (*changes, *gradients)
    kind: NameKind = "change" if readings[0].startswith("Δ") else "gradient"
    return Name("", readings[0], kind, readings, False, of=below)


def _loss_first(codes: tuple[str, ...]) -> tuple[Name, tuple[str, ...]]:
    """Split "e total w 1" into the loss and the rest; without a loss it is the total one."""
    for length in (3, 2, 1):
        above = _read(codes[:length]) if len(codes) > length and codes[0] in ("e", "mse", "total", "squared") else None
        if above is not None and above.kind == "loss":
            return above, codes[length:]
    return _TOTAL_LOSS, codes


def _quotient(above: tuple[str, ...], below: tuple[str, ...]) -> Name | None:
    over = _read(above) if above else None
    under = _read(below) if below and over is not None else None
    if over is None or under is None or over.kind not in ("loss", "forward"):
        return None
    return derivative_of(over, under, "")


def _described(codes: tuple[str, ...]) -> Name | None:
    """Read a name with a word before it that says what it is: "weight w1", "the output a_o1"."""
    if len(codes) > 2 and codes[-2] == "s" and codes[-1].isdecimal():
        name = _read(codes[:-2])
        return None if name is None else _of_sample(name, int(codes[-1]))
    if len(codes) < 3 or codes[0] not in DESCRIBING:
        return None
    name = _read(codes[1:])
    return name if name is not None and name.kind in DESCRIBING[codes[0]] else None


def _marked(name: Name, raisings: str) -> Name | None:
    """Add what is raised behind a name: "⁽²⁾" its sample, "^(2)" its sample or its layer, "⁺" after the update."""
    for mark in re.findall(r"⁽[⁰¹²³⁴⁵⁶⁷⁸⁹]+⁾|\^\(\d+\)|⁺+", raisings):
        text, marked = name.text, None
        if mark.startswith("⁺"):
            marked = _after(name)
        else:
            number = int(re.sub(r"\D", "", mark.translate(_PLAIN)))
            if name.kind in ("parameter", "gradient", "updated"):
                marked = replace(name, layer=number, is_certain=False)
            else:
                marked = _of_sample(name, number, may_be_layer=mark.startswith("^"))
        if marked is None:
            return None
        name = replace(marked, text=text)
    return name


def _of_sample(name: Name, number: int, may_be_layer: bool = False) -> Name | None:
    if name.quantity is None or name.kind in ("parameter", "setting"):
        return None
    readings = tuple(reading + raised(number) for reading in name.readings if "⁽" not in reading)
    if may_be_layer:
        layered = (re.fullmatch(r"((?:a_)?h)(\d+)", reading) for reading in name.readings)
        readings = (*readings, *(f"{found[1]}{number}_{found[2]}" for found in layered if found))
    if not readings:
        return None
    return replace(name, quantity=readings[0], readings=readings, is_certain=name.is_certain and len(readings) == 1)
