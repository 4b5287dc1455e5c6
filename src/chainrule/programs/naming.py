"""Names as people write them, in text, in LaTeX and in plain ASCII: a_h1, a_{h1}, a_h1; ∂E/∂w5, dE_dw5."""

import re

from chainrule.errors import ChainruleError

_SUPERSCRIPTS = str.maketrans("0123456789()+", "⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾⁺")
_PLAIN = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁽⁾⁺", "0123456789()+")
_ASCII = {
    "∂": "d",
    "⁺": "_next",
    "η": "eta",
    "μ": "mu",
    "β": "beta",
    "ε": "eps",
    "λ": "lambda",
    "α": "alpha",
    "τ": "tau",
}
_GREEK = {"η": r"\eta", "μ": r"\mu", "β": r"\beta", "ε": r"\epsilon", "λ": r"\lambda", "α": r"\alpha", "τ": r"\tau"}
_PARTIAL = re.compile(r"∂(?P<above>[^/]+)/∂(?P<below>.+)")
_WORD = re.compile(r"(?P<letters>[^\W\d_]+)_?(?P<numbers>\d+(?:_\d+)*)?")


def unit_name(letter: str, number: int, layer: int | None = None) -> str:
    """Return the name of a unit: "h1", or with several hidden layers "h2_1" (layer, unit), both from 1."""
    return f"{letter}{number}" if layer is None else f"{letter}{layer}_{number}"


def sample_name(name: str, sample: int | None) -> str:
    """Return the name of a quantity of one of several samples: "h1⁽²⁾"; the bare name when `sample` is None."""
    return name if sample is None else name + f"({sample})".translate(_SUPERSCRIPTS)


def derivative_name(above: str, below: str) -> str:
    """Return the name of a derivative: "∂E/∂w5"."""
    return f"∂{above}/∂{below}"


def next_name(name: str) -> str:
    """Return the name of a parameter or a state after the step: "w5⁺"."""
    return name + "⁺"


def plain_digits(name: str) -> str:
    """Return a name with ordinary digits and brackets in place of raised ones: "h1(2)"."""
    return name.translate(_PLAIN)


def ascii_name(name: str) -> str:
    """Return a name in letters, digits and underscores, as spreadsheets and programs want it.

    >>> ascii_name("∂E/∂w5"), ascii_name("a_h1⁽²⁾"), ascii_name("fc1.weight[0,1]")
    ('dE_dw5', 'a_h1_s2', 'fc1_weight_0_1')
    """
    plain = re.sub(r"⁽([⁰¹²³⁴⁵⁶⁷⁸⁹]+)⁾", lambda found: "_s" + found[1].translate(_PLAIN), name)
    for sign, word in _ASCII.items():
        plain = plain.replace(sign, word)
    plain = re.sub(r"\W+", "_", plain, flags=re.ASCII).strip("_")
    if not plain:
        raise ChainruleError(what=f"'{name}' cannot be a name.", expected="letters, digits and underscores")
    return plain if not plain[0].isdigit() else f"_{plain}"


def latex_name(name: str) -> str:
    r"""Return a name in LaTeX, without dollar signs.

    >>> latex_name("w5"), latex_name("a_h1"), latex_name("∂E/∂w5"), latex_name("h2_1⁽³⁾")
    ('w_5', 'a_{h1}', '\\frac{\\partial E}{\\partial w_5}', 'h_{2,1}^{(3)}')
    """
    fraction = _PARTIAL.fullmatch(name)
    if fraction:
        below = latex_name(fraction["below"])
        return rf"\frac{{\partial {latex_name(fraction['above'])}}}{{\partial {below}}}"
    mark = re.search(r"⁽[⁰¹²³⁴⁵⁶⁷⁸⁹]+⁾", name)
    after = name.endswith("⁺")
    bare = name.removesuffix("⁺")
    if mark:
        bare = bare.replace(mark[0], "")
    above = (mark[0].translate(_PLAIN) if mark else "") + ("+" if after else "")
    power = f"^{{{above}}}" if above else ""
    return _bare_latex(bare) + power


def _bare_latex(name: str) -> str:
    head, underscore, rest = name.partition("_")
    word = _WORD.fullmatch(name)
    if word:
        return _subscripted(word["letters"], (word["numbers"] or "").replace("_", ","))
    if underscore and _WORD.fullmatch(rest):  # a_h1, E_total, m_w5
        below = rest.replace("_", ",") if rest[-1].isdigit() else rf"\mathrm{{{rest}}}"
        return _subscripted(head, below)
    shown = name.replace("\\", "").replace("_", r"\_").replace("{", "").replace("}", "")
    return rf"\mathtt{{{shown}}}"


def _subscripted(head: str, below: str) -> str:
    letter = _GREEK.get(head, head if len(head) == 1 else rf"\mathrm{{{head}}}")
    if head in ("mhat", "vhat"):
        letter = rf"\hat{{{head[0]}}}"
    if len(below) < 2:
        return f"{letter}_{below}" if below else letter
    return f"{letter}_{{{below}}}"
