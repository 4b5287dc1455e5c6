"""Numbers that are stored as text: with a decimal comma, with spaces around, with a percent sign, from another country.

Which sign divides the decimals is settled for the whole file: by the texts that can be read in one way only.
"""

import math
import re
from collections.abc import Iterable
from typing import Literal

Decimal = Literal["comma", "point", "unknown"]

_SPACES = " \t\r\n\u00a0\u2009\u202f"
_NUMBER = re.compile(
    rf"(?P<sign>[-+−]?)[{_SPACES}]*(?P<body>[0-9]+(?:[.,'’{_SPACES}][0-9]+)*[.,]?|[.,][0-9]+)"
    rf"(?:E(?P<exponent>[-+−]?[0-9]{{1,3}}))?[{_SPACES}]*(?P<percent>%?)",
    re.IGNORECASE,
)
_GROUPED = {sign: re.compile(rf"[1-9][0-9]{{0,2}}(?:{re.escape(sign)}[0-9]{{3}})+") for sign in ",."}
_SPACED = re.compile(rf"[1-9][0-9]{{0,2}}(?:['’{_SPACES}][0-9]{{3}})+(?:[.,][0-9]*)?")


def number_of_text(text: str, decimal: Decimal = "unknown") -> float | None:
    """Return the number that a text holds, or nothing where it holds none, or two are possible ("1,234").

    Args:
        text: a cell's text; a formula is none.
        decimal: the sign between whole number and decimals in this file. Unknown, a point is one, and a comma where
            it cannot divide thousands.
    """
    if len(text) > 60:
        return None
    match = _NUMBER.fullmatch(text.strip(_SPACES))
    if match is None:
        return None
    bare = re.sub(rf"['’{_SPACES}]", "", match["body"])
    if bare != match["body"] and _SPACED.fullmatch(match["body"]) is None:
        return None
    body = _plain(bare, decimal)
    if body is None:
        return None
    sign = "-" if match["sign"] in ("-", "−") else ""
    exponent = (match["exponent"] or "0").replace("−", "-")
    value = float(f"{sign}{body}e{exponent}")
    return (value / 100 if match["percent"] else value) if math.isfinite(value) else None


def _plain(body: str, decimal: Decimal) -> str | None:
    """Return the digits with a point before the decimals."""
    comma, point = body.rfind(","), body.rfind(".")
    if comma < 0 and point < 0:
        return body
    if comma >= 0 and point >= 0:  # the last one divides the decimals, the others thousands
        last, other = (",", ".") if comma > point else (".", ",")
        whole, _, decimals = body.rpartition(last)
        if last in whole or _GROUPED[other].fullmatch(whole) is None:
            return None
        return f"{whole.replace(other, '')}.{decimals}"
    own, sign = ("comma", ",") if comma >= 0 else ("point", ".")
    if body.count(sign) > 1:
        return body.replace(sign, "") if _GROUPED[sign].fullmatch(body) else None
    if own != decimal and _GROUPED[sign].fullmatch(body) and not (own == "point" and decimal == "unknown"):
        return None  # 1,234: thousands in one country, a little more than one in another
    return body.replace(",", ".")


def decimal_sign(texts: Iterable[str]) -> Decimal:
    """Return which sign divides the decimals in these texts, from those that leave no choice."""
    found: set[Decimal] = set()
    for text in texts:
        stripped = text.strip(_SPACES)
        if len(stripped) > 60 or _NUMBER.fullmatch(stripped) is None:
            continue
        if "," in stripped and number_of_text(stripped) is not None and stripped.rfind(",") > stripped.rfind("."):
            if stripped.count(",") == 1:
                found.add("comma")
        elif "." in stripped and stripped.count(".") == 1 and number_of_text(stripped, "comma") is not None:
            found.add("point")
    return found.pop() if len(found) == 1 else "unknown"
