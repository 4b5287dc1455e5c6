"""An answer of `why` as a document: what was found, with its evidence and what to try, and the way from the loss."""

import math
from collections.abc import Iterator
from typing import Final

from chainrule.documents import Block, Callout, Cell, Column, Document, Fold, Heading, Prose, Table
from chainrule.findings import Finding
from chainrule.queries import Answer, PathStep

_MOST_STEPS: Final = 60  # of a path are shown; of a longer one, the two ends
_NAMED_ELSEWHERE: Final = frozenset({"op", "op number", "module"})  # the line "where" says these


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
    rows += [(name, _cell(value)) for name, value in evidence if value != ""]
    yield Table((Column("", ".4g"), Column("", ".4g")), tuple(rows))
    if finding.remedy:
        yield Prose(f"What to try: {finding.remedy}")


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
