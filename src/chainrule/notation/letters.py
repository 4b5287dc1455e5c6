"""One spelling for signs that look alike: full-width letters, Cyrillic е, raised and lowered digits, dashes, dots.

Every sign of the result remembers where it came from, so that an error can point into what was written.
"""

import unicodedata
from dataclasses import dataclass

_RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾"  # kept: they are powers and marks, and not digits
_FRACTIONS = "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"  # kept: numbers
# Python counts ² and ½ as letters of a word (\\w); names do not have them.
LETTER = rf"[^\W\d_⁰¹²³⁴⁵⁶⁷⁸⁹{_FRACTIONS}]"
LETTER_OR_DIGIT = rf"[^\W⁰¹²³⁴⁵⁶⁷⁸⁹{_FRACTIONS}]"  # or underscore
_LOWERED = {
    **dict(zip("₀₁₂₃₄₅₆₇₈₉", "0123456789", strict=True)),
    **dict(zip("ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", "aehijklmnoprstuvx", strict=True)),
}
_ALIKE = {
    **dict.fromkeys("−–—‐‑‒―﹣", "-"),
    **dict.fromkeys("×✕✖⋅·∙•∗⋆＊・", "*"),
    **dict.fromkeys("÷∕⁄", "/"),
    **dict.fromkeys("’‘′´`ʹʼ", "'"),
    **dict.fromkeys("∆", "Δ"),
    **dict.fromkeys("ðəәӘƏ", "∂"),
    **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad\u200e\u200f", ""),
    **dict(zip("ϵɛςµɳⴄ", "εεσμηη", strict=True)),
    # Greek capitals and omicron that are drawn as Latin letters.
    **dict(zip("ΑΒΕΗΙΚΜΝΟΡΤΥΧο", "ABEHIKMNOPTYXo", strict=True)),
    "⇐": "←",
    "≔": ":=",
    "…": "...",
    "″": "''",
    "⩽": "≤",
    "⩾": "≥",
}
_CYRILLIC = dict(zip("аеіорстухвнАВЕІКМНОРСТУХЅѕԝ", "aeiopctyxBHABEIKMHOPCTYXSsw", strict=True))
_HAT = "\u0302"


@dataclass(frozen=True, slots=True)
class Letters:
    """A text in one spelling; `places[k]` is where its sign k stands in what was written, and one more for the end."""

    text: str
    places: tuple[int, ...]


def in_one_spelling(text: str) -> Letters:
    """Return a text with look-alikes replaced: "ｗ₁" as "w_1", "ŷ1" as "yhat1", "a × b" as "a * b"."""
    cyrillic = _CYRILLIC if _is_look_alike(text) else {}
    signs: list[str] = []
    places: list[int] = []

    def put(written: str, place: int) -> None:
        signs.extend(written)
        places.extend([place] * len(written))

    place = 0
    while place < len(text):
        end = place + 1
        while end < len(text) and unicodedata.combining(text[end]):
            end += 1
        cluster = unicodedata.normalize("NFC", text[place:end])
        sign = cluster[0]
        if sign in _LOWERED:
            is_first = place == 0 or text[place - 1] not in _LOWERED
            put("_" * (is_first and signs[-1:] != ["_"]) + _LOWERED[sign], place)
        elif sign in _RAISED or sign in _FRACTIONS:
            put(sign, place)
        elif sign in _ALIKE:
            put(_ALIKE[sign], place)
        elif sign in cyrillic:
            put(cyrillic[sign], place)
        elif sign.isspace():
            put(" " if sign != "\n" else "\n", place)
        elif _is_hatted(cluster) and not _is_letter(signs[-1:]) and not _is_letter(list(text[end : end + 1])):
            put(unicodedata.normalize("NFD", cluster)[0] + "hat", place)
        else:
            put("".join(_ALIKE.get(plain, plain) for plain in unicodedata.normalize("NFKC", cluster)), place)
        place = end
    return Letters("".join(signs), (*places, len(text)))


def without_accents(text: str) -> str:
    """Return a text with bare letters: "coût" as "cout", "Pérdida" as "Perdida"."""
    apart = unicodedata.normalize("NFD", text)
    return "".join(sign for sign in apart if not unicodedata.combining(sign))


def _is_letter(signs: list[str]) -> bool:
    return bool(signs) and signs[0].isalpha()


def _is_hatted(cluster: str) -> bool:
    return _HAT in unicodedata.normalize("NFD", cluster)


def _is_look_alike(text: str) -> bool:
    """Say whether all Cyrillic letters of a text can be taken for Latin ones; a Russian word has others."""
    return all(sign in _CYRILLIC for sign in text if "\u0400" <= sign <= "\u04ff" or sign == "ԝ")
