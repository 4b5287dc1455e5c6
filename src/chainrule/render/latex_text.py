r"""Text and formulas for LaTeX: characters that it can set, and long formulas broken before they leave the page.

Text comes from users' data, so nothing of it may be a command: every special character is escaped, and a character
that base LaTeX has no glyph for is spelled out as its code point.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from chainrule.render.plain_text import printable

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "-": "-",
}
_SIGNS = {
    "−": "-", "·": r"\cdot ", "×": r"\times ", "∂": r"\partial ", "Σ": r"\Sigma ", "∑": r"\sum ", "√": r"\surd ",
    "½": r"\tfrac12 ", "¼": r"\tfrac14 ", "±": r"\pm ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ",
    "∞": r"\infty ", "→": r"\to ", "←": r"\leftarrow ", "↔": r"\leftrightarrow ", "⇒": r"\Rightarrow ", "∈": r"\in ",
    "∇": r"\nabla ", "∝": r"\propto ", "⊙": r"\odot ", "‖": r"\|", "′": "'", "∫": r"\int ", "Π": r"\Pi ", "ℓ": r"\ell ",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "Γ": r"\Gamma ", "δ": r"\delta ", "Δ": r"\Delta ",
    "ε": r"\varepsilon ", "ϵ": r"\epsilon ", "η": r"\eta ", "θ": r"\theta ", "κ": r"\kappa ", "λ": r"\lambda ",
    "μ": r"\mu ", "µ": r"\mu ", "ν": r"\nu ", "π": r"\pi ", "ρ": r"\rho ", "σ": r"\sigma ", "τ": r"\tau ",
    "φ": r"\varphi ", "Φ": r"\Phi ", "χ": r"\chi ", "ψ": r"\psi ", "ω": r"\omega ", "Ω": r"\Omega ", "⋮": r"\vdots ",
    "●": r"\bullet ", "○": r"\circ ", "▾": r"\bigtriangledown ",
}  # fmt: skip
_PLAIN = {"…": r"\dots{}", "–": "--", "—": "---", "‘": "`", "’": "'", "“": "``", "”": "''", "\u00a0": "~", "\t": " "}
_PLAIN |= {"ß": r"\ss{}", "Æ": r"\AE{}", "æ": r"\ae{}", "Ø": r"\O{}", "ø": r"\o{}", "§": r"\S{}", "£": r"\pounds{}"}
_PLAIN |= {"°": r"$^\circ$", "¬": r"$\neg$", "÷": r"$\div$", "¾": r"$\tfrac34$", "¡": "!`", "¿": "?`"}
# A letter with an accent is set as the letter and the accent, which the Type 1 fonts of base LaTeX have; with T1 fonts
# a LaTeX without more packages would make bitmaps.
_ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"', "\u030a": "r ", "\u0327": "c "}
_BARE = {"i": r"\i", "j": r"\j"}
_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾", "0123456789+-()", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋", "0123456789+-", strict=True))
_RUNS = re.compile(f"(?P<raised>[{''.join(_RAISED)}]+)|(?P<lowered>[{''.join(_LOWERED)}]+)|(?P<other>.)", re.DOTALL)
_LETTERS = re.compile(r"[\x20-\x7e]")

_WIDEST = 66  # characters of a displayed formula beside its number-free margins, by the estimate below


def latex_text(text: str) -> str:
    """Return plain text as LaTeX: its signs in mathematics mode, nothing in it a command."""
    return "".join(_piece(match) for match in _RUNS.finditer(unicodedata.normalize("NFC", printable(text))))


def _piece(match: re.Match[str]) -> str:
    if match["raised"]:
        return f"$^{{{''.join(_RAISED[sign] for sign in match['raised'])}}}$"
    if match["lowered"]:
        return f"$_{{{''.join(_LOWERED[sign] for sign in match['lowered'])}}}$"
    sign = match["other"]
    if sign in _SPECIAL:
        return _SPECIAL[sign]
    if sign in _SIGNS:
        return f"${_SIGNS[sign].strip()}$"
    if sign in _PLAIN:
        return _PLAIN[sign]
    if sign == "\n" or _LETTERS.match(sign):
        return sign
    letter, *accents = list(unicodedata.normalize("NFD", sign))
    if len(accents) == 1 and accents[0] in _ACCENTS and letter.isascii():
        return f"\\{_ACCENTS[accents[0]]}{{{_BARE.get(letter, letter)}}}"
    return f"[U+{ord(sign):04X}]"


def display(latex: str) -> str:
    r"""Return a formula as a display; a long one is broken at its "=", and then at its "+" and "−"."""
    if "\\\\" in latex or r"\begin" in latex:
        return f"\\[\n\\begin{{gathered}}\n{latex}\n\\end{{gathered}}\n\\]"
    left, *sides = _split(latex, ("=",))
    if _width(latex) <= _WIDEST or (not sides and len(_split(latex, ("+", "-"))) == 1):
        return f"\\[\n{latex}\n\\]"
    lines = []
    room = max(_WIDEST - min(_width(left), _WIDEST // 2), _WIDEST // 2)
    for side in sides or [left]:
        first, *rest = _broken(side.removeprefix("=").strip(), room)
        lines.append(f"&= {first}" if sides else f"& {first}")
        lines += [f"&\\quad {more}" for more in rest]
    if sides:
        lines[0] = f"{left.strip()} {lines[0]}"
    joined = " \\\\\n".join(lines)
    return f"\\begin{{align*}}\n{joined}\n\\end{{align*}}"


def aligned(rows: Sequence[tuple[str, Sequence[str]]], *, are_short_inline: bool = False) -> str:
    r"""Return what things are equal to, form under form; long ones are broken at "+" and "−", then at \cdot.

    Args:
        rows: what is equal to all of the forms, and the forms, without "="; where the left side is empty, the first
            form takes its place.
        are_short_inline: whether the forms stand on one line where they fit.
    """
    lines: list[str] = []
    widest = max((min(_width(left), _WIDEST // 2) for left, _ in rows), default=0)
    for left, forms in rows:
        whole = " = ".join(forms)
        if are_short_inline and left and widest + _width(whole) <= _WIDEST:
            lines.append(f"{left} &= {whole}")
            continue
        start = f"{left} " if left else "& "
        for place, form in enumerate(forms):
            room = max(_WIDEST - widest, _WIDEST // 2)
            parts = [part for sum_ in _broken(form, room) for part in _broken(sum_, room, (r"\cdot",))]
            lines.append(start + ("&= " if left or place else "") + parts[0])
            lines += [f"&\\quad {part}" for part in parts[1:]]
            start = ""
    return "\\begin{align*}\n" + " \\\\\n".join(lines) + "\n\\end{align*}"


def _broken(formula: str, room: int, signs: tuple[str, ...] = ("+", "-")) -> list[str]:
    lines: list[str] = []
    for term in _split(formula, signs):
        if lines and _width(lines[-1] + term) <= room:
            lines[-1] += term
        else:
            lines.append(term)
    return lines


def _split(latex: str, signs: tuple[str, ...]) -> list[str]:
    """Split before each sign that stands outside of all brackets; a minus that begins a formula stays with it."""
    parts, depth, start = [], 0, 0
    for token in _tokens(latex):
        text = token.group()
        if text in ("{", r"\left") or (text in "([" and not _follows_left(latex, token.start())):
            depth += 1
        elif text in ("}", r"\right") or (text in ")]" and not _follows_left(latex, token.start())):
            depth -= 1
        elif text in signs and depth == 0 and latex[start : token.start()].strip() not in ("", *signs):
            parts.append(latex[start : token.start()])
            start = token.start()
    return [*parts, latex[start:]]


def _follows_left(latex: str, place: int) -> bool:
    return latex[:place].rstrip().endswith((r"\left", r"\right"))


def _tokens(latex: str) -> Iterator[re.Match[str]]:
    return re.finditer(r"\\[A-Za-z]+|\\.|[^\\]", latex)


def _width(latex: str) -> int:
    """Estimate how many characters wide a formula is: a fraction is as wide as the wider of its two parts."""
    fraction = re.compile(r"\\[td]?frac\{((?:[^{}]|\{[^{}]*\})*)\}\{((?:[^{}]|\{[^{}]*\})*)\}")
    while match := fraction.search(latex):
        wider = max(match[1], match[2], key=_width)
        latex = latex[: match.start()] + wider + latex[match.end() :]
    latex = re.sub(r"[_^]\{([^{}]*)\}", lambda found: found[1][: (len(found[1]) + 1) // 2], latex)
    latex = re.sub(r"\\(left|right|mathrm|mathtt|operatorname|text|quad|,|;|!)", "", latex)
    latex = re.sub(r"\\[A-Za-z]+", "x", latex)
    return len(re.sub(r"[\s{}_^&]", "", latex))
