"""An answer of `why` as a document: what was found, with its evidence and what to try, and the way from the loss."""

import math
from collections.abc import Iterator
from typing import Final

from chainrule.documents import Block, Callout, Cell, Column, Document, Fold, Heading, Prose, Table
from chainrule.findings import Finding
from chainrule.queries import Answer, PathStep

_MOST_STEPS: Final = 60  # of a path are shown; of a longer one, the two ends
_NAMED_ELSEWHERE: Final = frozenset({"op", "op number", "module"})  # the line "where" says these

_WORDS: Final = {
    "values": "gradients that this explains",
    "parameters": "parameters that this concerns",
    "ops": "ops of this kind",
    "gain": "factor on the norm, each time",
    "times": "times on the path",
    "norm": "norm of the gradient",
    "norm above": "norm of the adjoint that comes to the op",
    "norm below": "norm of what it sends on",
    "silent": "how many get no gradient",
    "of": "out of",
    "input from": "its input, from",
    "input to": "its input, to",
}
_THRESHOLDS: Final = {
    "vanishing": "called tiny below (share of the step's largest entry)",
    "saturated": "called saturated below (share let through)",
    "dead-units": "called dead below (share let through)",
}
_HUGE: Final = "called huge above (times the size of the parameter)"


def answer_document(answer: Answer) -> Document:
    """Return what there is to see of an answer.

    Args:
        answer: what `why` returned.

    Returns:
        Its title is the question. Each finding has a callout with the claim, where it is, the evidence and what to
        try; for a single value follow the ops on the way from the loss, with what each does to the norm.
    """
    blocks: list[Block] = [Prose(answer.summary)]
    grave = [finding for finding in answer.findings if finding.severity != "note"]
    if not grave:
        blocks.append(Callout("good", _nothing(answer)))
    for finding in answer.findings:
        blocks += _finding(finding)
    blocks += _path(answer.path)
    blocks += [Callout("note", limit) for limit in answer.limits]
    return Document(answer.question, tuple(blocks))


def _nothing(answer: Answer) -> str:
    if answer.findings:
        return "Nothing is wrong; what follows is good to know."
    if answer.name:
        return f"Nothing is wrong with {answer.name}."
    return "Nothing is wrong: all is finite, every parameter has a gradient, and none is tiny or huge."


def _finding(finding: Finding) -> Iterator[Block]:
    yield Callout(finding.severity, finding.claim)
    evidence = [(name, value) for name, value in finding.evidence.items() if name not in _NAMED_ELSEWHERE]
    rows: list[tuple[Cell, ...]] = [("finding", finding.code), ("where", finding.where)]
    rows += [(_words(finding, name), _cell(value)) for name, value in evidence if value != ""]
    yield Table((Column("", ".4g"), Column("", ".4g")), tuple(rows))
    if finding.remedy:
        yield Prose(f"What to try: {finding.remedy}")


def _words(finding: Finding, name: str) -> str:
    """Return what a number of the evidence is, in words; its own name where that says it."""
    if name == "threshold":
        return _THRESHOLDS.get(finding.code, _HUGE if "values" in finding.evidence else "called flat below")
    return _WORDS.get(name, name)


def _cell(value: float | int | str) -> Cell:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _op(step: PathStep) -> str:
    return f"{step.name} ({step.line})" if step.line else step.name


def _path(path: tuple[PathStep, ...]) -> Iterator[Block]:
    if not path:
        return
    columns = (
        Column("op"),
        Column("sends to"),
        Column("|adjoint|", ".3g"),
        Column("|sent|", ".3g"),
        Column("factor", ".3g"),
    )
    rows: list[tuple[Cell, ...]] = [(_op(step), step.value, step.above, step.below, _cell(step.gain)) for step in path]
    caption = "Along the largest contributions. The factors multiply to |gradient| / |adjoint of the loss|."
    if len(rows) > _MOST_STEPS:
        half = _MOST_STEPS // 2
        left_out = len(rows) - 2 * half
        rows = [*rows[:half], (f"... {left_out} more", "", None, None, None), *rows[-half:]]
    yield Heading("The way from the loss")
    yield Fold(f"{len(path)} ops, from the loss on", (Table(columns, tuple(rows), caption),), is_open=len(path) <= 24)
