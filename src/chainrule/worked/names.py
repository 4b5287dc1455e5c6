"""The user's own names for the numbers of a network: columns of a table, classes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_SYMBOL = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")
_LONGEST = 16
# What the program itself calls its quantities: i1, t1, h2_1, a_o1, p1, E_total, w5, b1, u_w5, m_w5, v_w5, s1.
_TAKEN = re.compile(
    r"([A-Za-z]|E|eta|mu|beta|alpha|lambda|tau|eps)(\d+(_\d+)*)?|[aEumvs]_.*|[mv]hat_.*|drop_.*|norm_.*"
)


@dataclass(frozen=True, slots=True)
class Names:
    """What the user calls the inputs, the targets and the classes; nothing where the user has no name.

    Attributes:
        inputs: one name an input of a sample, such as the columns of a CSV file.
        targets: one name a target.
        classes: one name a class.
    """

    inputs: Sequence[str] = ()
    targets: Sequence[str] = ()
    classes: Sequence[str] = ()

    def input(self, number: int) -> str:
        """Return the user's name of an input, counted from 0; "" where there is none."""
        return self.inputs[number] if number < len(self.inputs) else ""

    def target(self, number: int) -> str:
        """Return the user's name of a target, counted from 0; "" where there is none."""
        return self.targets[number] if number < len(self.targets) else ""

    def of_class(self, number: int) -> str:
        """Return the user's name of a class, counted from 0; "" where there is none."""
        return self.classes[number] if number < len(self.classes) else ""


def symbol_or(name: str, symbol: str) -> str:
    """Return a user's name where it can stand in formulas, else the symbol.

    It can when it is short, made of letters, digits and underscores, and cannot be mistaken for a quantity of the
    program.

    >>> symbol_or("age", "i1"), symbol_or("petal length (cm)", "i1"), symbol_or("w1", "i1")
    ('age', 'i1', 'i1')
    """
    can_be = len(name) <= _LONGEST and _SYMBOL.fullmatch(name) and not _TAKEN.fullmatch(name)
    return name if can_be else symbol
