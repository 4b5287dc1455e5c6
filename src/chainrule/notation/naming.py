"""Reading names: headers and labels."""

import re

from chainrule.notation.name import Name

_FIRST = {
    "i": "input",
    "t": "target",
    "w": "parameter",
    "b": "parameter",
    "h": "forward",
    "o": "forward",
    "a_h": "forward",
    "a_o": "forward",
    "E": "loss",
}


def read_name(text: str) -> Name | None:
    """Return what a header or a label names, None if it is no name of a quantity."""
    bare = text.strip()
    found = re.fullmatch(r"(a_h|a_o|[itwbhoE])(\d+)", bare)
    if found:
        return Name(text, bare, _FIRST[found[1]], (bare,))  # type: ignore[arg-type]
    found = re.fullmatch(r"[∂d]E(?:_total|_tot)?/[∂d](w\d+)", bare)
    if found:
        quantity = f"∂E/∂{found[1]}"
        return Name(text, quantity, "gradient", (quantity,), of=read_name(found[1]))
    if bare in ("η", "LR", "lr", "η =", "learning rate"):
        return Name(text, "η", "setting", ("η",))
    if bare in ("E_total", "E_tot", "Etotal"):
        return Name(text, "E_total", "loss", ("E_total",))
    return None
