"""A file of formulas read: one equation a line, with comments, Markdown and LaTeX around them."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from chainrule.errors import ChainruleError
from chainrule.notation.naming import read_name
from chainrule.notation.problem import NotationError
from chainrule.notation.reading import read_equation
from chainrule.notation.spelling import read_spelling
from chainrule.notation.written import Equation, UnreadLine

_MOST_LINES = 10_000
_ENVIRONMENTS = r"(?:equation|align|aligned|gather|gathered|split|multline|eqnarray|displaymath|document|array)\*?"
_DROPPED = re.compile(
    rf"\\(?:begin|end)\s*\{{{_ENVIRONMENTS}\}}(?:\{{[lcr| ]*\}})?"  # the environment, not what is in it
    r"|\\(?:documentclass|usepackage|label|tag\*?)\s*(?:\[[^\]]*\])?\s*\{[^}]*\}|\\(?:nonumber|notag)|(?<!\\)\\[\[\]]|\$\$"
)
_COMMENT = re.compile(r"(?<!\\)%.*|(?:^|\s)#.*|(?:^|\s)//.*")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_BULLET = re.compile(r"\A\s*(?:[-*•>]\s+(?=\S)|\(?\d+[.)]\s+(?=\S))")
_OWN = re.compile(r"\s*(?P<name>[^\W\d]\w*)\s*:?=(?!=)")


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str


def read_equations(text: str, names: Collection[str] = ()) -> tuple[Equation | UnreadLine, ...]:
    """Return what every line of a file of formulas says, in order; nothing is left out but comments and blank lines.

    A line that begins with an equals sign goes on with the equation before it. A name that is nobody's quantity and
    stands on the left of an equals sign ("s1 = a_o1 - t1") is the writer's own, and is known in the whole file.

    Args:
        text: ASCII, Unicode or LaTeX; comments begin with #, // or %; Markdown's fences and bullets and LaTeX's
            align environments may stand around the formulas.
        names: as in `read_expression`.

    Raises:
        ChainruleError: more lines than any worked example has.
    """
    lines = list(_lines(text))
    if len(lines) > _MOST_LINES:
        raise ChainruleError(
            what="This file has too many lines.", found=f"{len(lines)} lines", expected=f"at most {_MOST_LINES}"
        )
    known = (*names, *_own_names(lines))
    made: list[Equation | UnreadLine] = []
    for line in lines:
        try:
            equation = replace(read_equation(line.text, known), line=line.number)
        except NotationError as problem:
            made.append(UnreadLine(line.number, line.text, problem))
            continue
        before = made[-1] if made else None
        if equation.left is None and line.text.lstrip(" &").startswith("=") and isinstance(before, Equation):
            made[-1] = _joined(before, equation)
        else:
            made.append(equation)
    return tuple(made)


def _joined(before: Equation, after: Equation) -> Equation:
    before_that = {name.quantity for name in before.names}
    return replace(
        before,
        right=after.right if after.right.free_symbols else before.right,
        text=f"{before.text}\n{after.text}",
        sides=(*before.sides, *after.sides),
        names=(*before.names, *(name for name in after.names if name.quantity not in before_that)),
    )


def _own_names(lines: list[_Line]) -> Iterator[str]:
    for line in lines:
        found = _OWN.match(line.text)
        if found is None or read_spelling(found["name"]) is not None:
            continue
        name = read_name(found["name"])  # h₁, which is h1 once its subscript is read
        if name is None or not name.is_certain:
            yield found["name"]


def _lines(text: str) -> Iterator[_Line]:
    for number, raw in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        if _FENCE.match(raw):
            continue
        bare = _DROPPED.sub(" ", _COMMENT.sub("", raw))
        for part in re.split(r"\\\\(?:\[[^\]]*\])?|;\s*(?=\S.*=)", bare) if "{cases}" not in bare else [bare]:
            shown = _BULLET.sub("", part.strip()).strip().rstrip(",.;").strip("` ")
            if shown.strip("$& "):
                yield _Line(number, shown)
