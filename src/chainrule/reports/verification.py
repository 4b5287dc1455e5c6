"""A verification as a document: the verdict, what is wrong and why, then parameter by parameter."""

import math

from chainrule.data.wording import count_of
from chainrule.documents import Block, Callout, Cell, Column, Document, Fold, Heading, Prose, Table
from chainrule.verification import FunctionCheck, ParameterCheck, Verification
from chainrule.verification.slopes import TOLERANCE

_MOST_FINDINGS = 12
_MOST_KINKS = 40
_VERDICTS = {
    "right": "right",
    "wrong": "WRONG",
    "kink": "only kinks",
    "unclear": "cannot tell",
    "straight-through": "by design?",
    "not checked": "not checked",
}
_ROW_COLUMNS = (
    Column("parameter"),
    Column("verdict"),
    Column("checked"),
    Column("largest error", ".1e"),
    Column("at"),
    Column("gradient", ".6g"),
    Column("difference", ".6g"),
    Column("floor", ".1e"),
    Column("recorded"),
    Column("rounding", ".1e"),
)
_FUNCTION_COLUMNS = (
    Column("Function"),
    Column("called at"),
    Column("verdict"),
    Column("entry"),
    Column("sends", ".6g"),
    Column("should send", ".6g"),
    Column("ratio", ".6g"),
)


def verification_document(verification: Verification) -> Document:
    """Return what there is to see of a verification."""
    blocks: list[Block] = [_verdict(verification)]
    blocks += [
        Callout("error" if finding.severity == "error" else "warning", str(finding))
        for finding in verification.findings[:_MOST_FINDINGS]
    ]
    left = verification.findings[_MOST_FINDINGS:]
    if left:
        blocks.append(Fold(f"{len(left)} more", tuple(Callout("error", str(finding)) for finding in left)))
    if verification.functions:
        rows = tuple(_function_row(check) for check in verification.functions)
        blocks += [Heading("Custom backward functions"), Table(_FUNCTION_COLUMNS, rows)]
    if verification.parameters:
        table = Table(_ROW_COLUMNS, tuple(_parameter_row(row) for row in verification.parameters))
        blocks += [Heading("Parameters"), table, Prose(_reading(verification))]
    kinks = [kink for row in verification.parameters for kink in row.kinks]
    if kinks:
        lines = tuple(Prose(kink) for kink in kinks[:_MOST_KINKS])
        more = (Prose(f"and {len(kinks) - _MOST_KINKS} more"),) if len(kinks) > _MOST_KINKS else ()
        blocks.append(Fold(f"{count_of(len(kinks), 'entry', 'entries')} at a kink", lines + more))
    blocks += [Callout("note", note) for note in verification.notes]
    return Document("Are the gradients right?", tuple(blocks))


def _verdict(verification: Verification) -> Callout:
    text = str(verification).splitlines()[0]
    if verification.is_right:
        return Callout("good", text)
    is_wrong = any(finding.severity == "error" for finding in verification.findings)
    return Callout("error" if is_wrong else "warning", text)


def _parameter_row(row: ParameterCheck) -> tuple[Cell, ...]:
    checked = f"{row.checked} of {row.entries}" if row.checked != row.entries else f"all {row.entries}"
    if row.directions:
        checked += f", {count_of(row.directions, 'direction', 'directions')}"
    where = row.where.removeprefix(row.name) or ("direction" if row.directions else "")
    numbers = (row.gradient, row.difference, row.floor)
    return (
        row.name,
        _VERDICTS[row.verdict],
        checked,
        _cell(row.worst),
        where,
        *map(_cell, numbers),
        row.recorded,
        _cell(row.distance),
    )


def _function_row(check: FunctionCheck) -> tuple[Cell, ...]:
    place = check.source or (f"module {check.module}" if check.module else f"op {check.op}")
    numbers = (check.recorded, check.true, check.ratio)
    return (check.function, place, _VERDICTS[check.verdict], check.where, *map(_cell, numbers))


def _cell(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _reading(verification: Verification) -> str:
    text = (
        "Gradient and difference: what the backward pass and the central differences of the loss say at the entry with "
        "the largest error, both in float64. Error: |gradient − difference| divided by the larger of the two, or by "
        f"the floor where both are smaller; up to {TOLERANCE:g} is right. Floor: below this size, differences do not "
        "resolve such an error. Recorded: the recorded gradient beside the backward pass taken again in the "
        "precision of the recording. Rounding: the distance of the recorded gradient from float64, relative to its "
        f"norm. The loss was computed {verification.evaluations} times."
    )
    seen = [row.resolution for row in verification.parameters if math.isfinite(row.resolution)]
    if seen:
        text += (
            " Of parameters of which entries were left out, random directions were looked along: a gradient that is "
            f"off by {max(seen):.0e} of its norm or more would be missed with a probability of at most 1 %."
        )
    return text
