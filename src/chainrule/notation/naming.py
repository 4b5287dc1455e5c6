"""Headers and labels read: which quantity they name, and the formula that they carry."""

import difflib
import re
from dataclasses import replace
from functools import lru_cache

from sympy import Symbol

from chainrule.notation.building import build
from chainrule.notation.letters import in_one_spelling
from chainrule.notation.parsing import parse
from chainrule.notation.problem import NotationError
from chainrule.notation.reading import equation_of
from chainrule.notation.spelling import derivative_of, read_spelling
from chainrule.notation.tree import Call, Derivative, Node, Quantity, Total, quantities_in
from chainrule.notation.words import RATES
from chainrule.notation.written import Name

_LONGEST = 2_000  # signs; a longer text is no header
_LONGEST_NAME = 120
_NUMBER = re.compile(r"[-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d+)?\s*%?")
_EQUALS = re.compile(r"(?<![<>=!:])[=:](?!=)|:=")
_ACTIVATIONS = frozenset({"sigmoid", "tanh", "relu", "leaky relu", "softplus"})
_TRAILING = " \t\n=:?.,;"
_OPERATOR = re.compile(r"[-+*/^(·×−²]")
_SHORTEST_TYPO, _LONGEST_TYPO = 9, 30  # letters of a learning rate that is misspelled
_ALIKE = 0.88  # how much of it must be right


@lru_cache(maxsize=4096)
def read_name(text: str) -> Name | None:
    """Return what a header or a label names, None if it is no name of a quantity.

    >>> read_name("dE_total/dw5").quantity, read_name("out_h1").quantity, read_name("learning rate").quantity
    ('∂E/∂w5', 'a_h1', 'η')

    Args:
        text: as it stands in a cell: "σ(h1)", "W1", "∂E/∂w1 = ...", "η = 0.5", "Learning Rate", "Iteration". What may
            be something else is returned with its readings and is not certain.
    """
    if len(text) > _LONGEST:
        return None
    plain = in_one_spelling(text).text.strip(" \t\n$")
    if not plain or not any(sign.isalpha() or sign in "∂∇#№" for sign in plain):
        return None
    bare = plain.rstrip(_TRAILING)
    split = _EQUALS.search(bare)
    name = _whole(bare) if split is None or split[0] == ":" else None
    if name is not None:
        return replace(name, text=text)
    if split is not None and plain[: split.start()].strip():
        return _explained(text, plain, split)
    return _valued(text, plain) or _formula(text)


def _whole(plain: str) -> Name | None:
    """Read a text that is a name and nothing else."""
    if len(plain) > _LONGEST_NAME or not plain:
        return None
    plain = re.sub(r"(?<!\\)\bpartial\s*", "∂", plain)
    plain = re.sub(r"(?:\\nabla|∇)_?\s*[{(]?(\w+)[})]?", r"grad \1 ", plain)
    for reader in (_spelled, _written, _bracketed, _starred, _misspelled):
        name = reader(plain)
        if name is not None:
            return name
    return None


def _spelled(plain: str) -> Name | None:
    """Read words: "Learning-Rate", "L.R.", "net input of h1", "w1 +", "w[1][2]", "w_i1->h1", "w1.grad"."""
    bare = re.sub(r"\bwith respect to\b", "wrt", re.sub("[Σ∑]", " sum ", plain)).strip()
    indexed = re.fullmatch(r"(?P<name>[^\W\d_]+)_?(?P<numbers>[\[({]?\d+[\])}]?(?:\s*[,;\[({]\s*\d+\s*[\])}]?)*)", bare)
    if indexed:
        return read_spelling("_".join([indexed["name"], *re.findall(r"\d+", indexed["numbers"])]))
    raised = re.sub(r"(?<=\w)\s*(?:'+|\+|\^\+)$", "⁺", bare)
    joined = re.sub(r"(?<=[^\W\d])[-.](?=\w)|(?<=\d)\.(?=[^\W\d])|->|→|(?<= )'|(?<=[^\W\d])'(?=[^\W\d])", " ", raised)
    return read_spelling(re.sub(r"\s+", " ", joined).strip())


def _written(plain: str) -> Name | None:
    """Read what is written as a formula is: ∂E/∂w1, w_{5}^{+}, σ(h1)."""
    try:
        sides = parse(plain)
    except NotationError:
        return None
    return _named(sides[0]) if len(sides) == 1 else None


def _starred(plain: str) -> Name | None:
    """Read w1*, which may be the weight after the update, or have a footnote."""
    name = _whole(plain.rstrip("* ")) if plain.endswith("*") else None
    after = None if name is None or name.quantity is None else _spelled(plain.rstrip("* ") + "⁺")
    if name is None or after is None:
        return name
    return replace(name, readings=(*name.readings, *after.readings), is_certain=False)


def _misspelled(plain: str) -> Name | None:
    """Read "learing rate" as what it must be, without being certain."""
    words = re.sub(r"[\s_-]+", " ", plain.lower())
    if not _SHORTEST_TYPO <= len(words) <= _LONGEST_TYPO or not difflib.get_close_matches(words, RATES, 1, _ALIKE):
        return None
    return Name(plain, "η", "setting", ("η",), is_certain=False)


def _named(node: Node) -> Name | None:
    if isinstance(node, Quantity):
        return node.name
    if isinstance(node, Call) and node.name in _ACTIVATIONS and isinstance(node.arguments[0], Quantity):
        inner = node.arguments[0].name
        is_unit = all(re.fullmatch(r"[ho]\d+(?:_\d+)?(?:⁽.*⁾)?", reading) for reading in inner.readings)
        if is_unit and inner.quantity:
            readings = tuple(f"a_{reading}" for reading in inner.readings)
            return replace(inner, quantity=readings[0], readings=readings)
    if isinstance(node, Derivative) and (above := _named(node.above)) is not None:  # ∂σ(o1)/∂o1
        return derivative_of(above, node.below, "")
    return None


def _bracketed(plain: str) -> Name | None:
    """Read a name with something in brackets behind it: "learning rate (η)", "w1 (new)", "weight (w1)", "w1(t+1)"."""
    found = re.fullmatch(r"(?P<before>[^()\[\]{}]+?)\s*[(\[{](?P<inside>[^()\[\]{}]+)[)\]}]", plain)
    if found is None:
        return None
    before, inside = found["before"], found["inside"].strip()
    if re.fullmatch(r"[tnk]\s*\+\s*1", inside):
        return _whole(before + "⁺")
    together = None if inside.isdecimal() else _spelled(f"{before} {inside}")
    if together is not None and together.kind != "gradient":  # J(w) is the loss
        return together
    outer, inner = _whole(before), None if inside.isdecimal() else _whole(inside)
    if outer is None or inner is None:
        return outer or (inner if inner is not None and inner.quantity else None)
    if outer.quantity == inner.quantity or inner.quantity is None:
        return outer
    if inner.quantity in outer.readings:
        return inner
    return outer if outer.quantity in inner.readings or outer.is_certain else None


def _explained(text: str, plain: str, split: "re.Match[str]") -> Name | None:
    """Read a header that says what its name is: "h1 = w1*i1 + w2*i2", "η = 0.5"."""
    name = _whole(plain[: split.start()].strip().rstrip("$ "))
    if name is None or (name.quantity is None and name.kind == "step" and split[0] != "="):
        return name and replace(name, text=text)
    said = plain[split.end() :].strip(" $.;")
    value = _value(said)
    if value is not None:
        return replace(name, text=text, value=value)
    behind = re.split("[=:＝]", text, maxsplit=1)[-1]
    try:
        equation = equation_of(name, parse(behind), behind)
    except NotationError as problem:
        return replace(name, text=text, problem=problem)
    if isinstance(equation.right, Symbol) and equation.right.name == name.quantity:
        return replace(name, text=text)
    return replace(name, text=text, formula=equation.right, equation=replace(equation, text=text))


def _valued(text: str, plain: str) -> Name | None:
    """Read a setting with its number behind it and no equals sign: "LR 0.5"."""
    found = re.fullmatch(rf"(?P<name>.*?[^\W\d])(?:[\s_-]+|(?=\d+[.,]))(?P<value>{_NUMBER.pattern})", plain)
    name = _whole(found["name"]) if found else None
    if found is None or name is None or name.kind != "setting":
        return None
    return replace(name, text=text, value=_value(found["value"]))


def _value(said: str) -> float | None:
    if not _NUMBER.fullmatch(said):
        return None
    number = said.rstrip("% ").replace(",", ".")
    return float(number) / (100 if said.endswith("%") else 1)


def _is_range(node: Node) -> bool:
    """Say whether a formula is more likely "w1 to w4", or a name alone."""
    if not isinstance(node, Total) or len(node.terms) != 2:
        return isinstance(node, Quantity)
    ends = [term.name.kind for _, term in node.terms if isinstance(term, Quantity)]
    return len(ends) == 2 and ends[0] == ends[1] and node.terms[1][0]


def _formula(text: str) -> Name | None:
    """Read a formula that has no name: "(a_o1 - t1) * a_o1"."""
    try:
        sides = parse(text)
        names = list(quantities_in(sides[0]))
        is_formula = len(sides) == 1 and bool(names) and bool(_OPERATOR.search(text)) and not _is_range(sides[0])
        if not is_formula or not all(re.search(r"\d", name.text) and len(name.readings) == 1 for name in names):
            return None
        return Name(text, None, "formula", is_certain=False, formula=build(sides[0], text))
    except NotationError:
        return None
