"""An explanation as a document: the products, their sum, the samples and the paths."""

import dataclasses
from collections.abc import Iterator
from typing import Any

from chainrule.data.wording import count_of
from chainrule.documents import Block, Callout, Cell, Column, Document, Fold, Formula, Heading, Prose, Table
from chainrule.queries.explained import Explanation, UseExplanation, element_name

_NUMBER = ".8g"
_MOST_SAMPLES = 8
_ROUNDING = 1e-6
_DIGITS = {"bfloat16": "2 to 3", "float16": "3 to 4"}


def explanation_document(explanation: Explanation) -> Document:
    """Return what there is to see of an explanation."""
    element = explanation.element
    title = f"∂L/∂{element} = {explanation.gradient:.8g}"
    return Document(
        title,
        (
            *_about(explanation),
            *_uses(explanation, 2),
            *_sum(explanation, 2),
            *_samples(explanation),
            *_paths(explanation),
            *_further(explanation),
        ),
    )


def explanation_dict(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON-able data, with what follows from it: element, total and difference."""
    data: dict[str, Any] = dataclasses.asdict(explanation)
    followed = {"element": explanation.element, "total": explanation.total, "difference": explanation.difference}
    return followed | data


def _about(explanation: Explanation) -> Iterator[Block]:
    name, gradient = explanation.element, explanation.gradient
    if explanation.chosen and explanation.uses:
        yield Prose(f"Of all elements of {explanation.value}, {name} has the largest gradient.")
    said = f"{name} is {explanation.number:.8g}."
    if gradient == gradient and explanation.uses:  # not NaN
        direction = "grows" if gradient > 0 else "falls"
        said += (
            f" When it grows by a small ε, the loss L {direction} by about {abs(gradient):.6g}·ε."
            if gradient
            else " When it changes by a very small amount, the loss L stays as it is."
        )
    yield Prose(said)
    if explanation.uses and not explanation.is_recorded:
        yield Prose(
            "It requires no gradient, so autograd did not follow it: its gradient was computed for this answer."
        )
    if explanation.note:
        yield Callout("note", explanation.note)
    if gradient == 0 and explanation.uses:
        yield Callout(
            "note",
            f"Its gradient is 0. To ask why: chainrule.why(trace, {explanation.value!r}), "
            f"or `chainrule why SOURCE {explanation.value}` on the command line.",
        )


def _uses(explanation: Explanation, level: int) -> Iterator[Block]:
    for use in explanation.uses:
        place = f" in {use.module}" if use.module else ""
        source = f", {use.source}" if use.source else ""
        yield Heading(f"Through {use.name}{place}{source}", level)
        yield from (Formula(text) for text in (use.formula, use.derivative) if text)
        if use.note:
            yield Prose(use.note)
        if use.terms:
            yield _terms(explanation, use)
        else:
            yield Prose(f"It sends back {use.contribution:.8g}.")


def _terms(explanation: Explanation, use: UseExplanation) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (element_name(term.output, term.index), term.adjoint, term.derivative, term.product) for term in use.terms
    ]
    if use.rest.count:
        rows.append((f"{count_of(use.rest.count, 'other product')}, added up", None, None, use.rest.total))
    if len(rows) > 1:
        rows.append(("sum", None, None, use.total))
    columns = (
        Column("output y"),
        Column("∂L/∂y", _NUMBER),
        Column("local derivative", _NUMBER),
        Column("product", _NUMBER),
    )
    return Table(columns, tuple(rows))


def _sum(explanation: Explanation, level: int) -> Iterator[Block]:
    if not explanation.uses:
        return
    others = explanation.others
    if len(explanation.uses) + others.count > 1:
        yield Heading("The sum over its uses", level)
        rows: list[tuple[Cell, ...]] = [(_use_name(use), use.contribution) for use in explanation.uses]
        if others.count:
            rows.append((f"{count_of(others.count, 'other use')}, added up", others.total))
        rows.append(("sum", explanation.total))
        yield Table((Column("use"), Column("sends back", _NUMBER)), tuple(rows))
    if explanation.gradient == 0 and not any(use.terms for use in explanation.uses):
        return  # there are no products to add up
    recorded = "recorded" if explanation.is_recorded else "computed"
    digits = _DIGITS.get(explanation.precision)
    rounding = (
        f"It was computed in {explanation.precision}, which keeps {digits} digits."
        if digits
        else f"That is the rounding of {explanation.precision}."
    )
    difference = explanation.difference
    if difference == 0:
        yield Prose(f"The products add up to the {recorded} gradient, {explanation.gradient:.8g}, exactly.")
    else:
        yield Prose(
            f"The products add up to {explanation.total:.8g}; the {recorded} gradient is {explanation.gradient:.8g}. "
            f"They differ by {difference:.2g}. {rounding}"
        )


def _use_name(use: UseExplanation) -> str:
    return f"{use.name} in {use.module} (op {use.op})" if use.module else f"{use.name} (op {use.op})"


def _samples(explanation: Explanation) -> Iterator[Block]:
    shares = sorted(explanation.by_sample, key=lambda share: -abs(share.contribution))
    if not any(share.contribution for share in shares):
        return
    adding = [share for share in shares if share.contribution != 0]
    silent = len(shares) - len(adding)
    shown, hidden = adding[:_MOST_SAMPLES], adding[_MOST_SAMPLES:]
    rows: list[tuple[Cell, ...]] = [(str(share.sample), share.contribution) for share in shown]
    if hidden:
        rows.append((f"{count_of(len(hidden), 'other sample')}, added up", sum(share.contribution for share in hidden)))
    yield Heading("By sample")
    left_out = f" {count_of(silent, 'sample')} add exactly 0 and are left out." if silent > 1 else ""
    left_out = " One sample adds exactly 0 and is left out." if silent == 1 else left_out
    yield Prose(
        f"What each of the {len(shares)} samples of the batch adds to it, counted from 0, the largest first.{left_out}"
    )
    yield Table((Column("sample"), Column("adds", _NUMBER)), tuple(rows))


def _paths(explanation: Explanation) -> Iterator[Block]:
    if not any(path.factors for path in explanation.paths):
        return
    yield Heading("By path")
    yield Prose(
        "From the loss down to it: an adjoint, times the local derivative of each op on the way. "
        "The gradient is the sum over all paths."
    )
    left = explanation.other_paths.total
    is_all = abs(left) <= _ROUNDING * max(abs(path.product) for path in explanation.paths)
    if is_all and len(explanation.paths) == 1:
        yield Formula(f"∂L/∂{explanation.element} = {explanation.paths[0]}")
        return
    yield from (Formula(str(path)) for path in explanation.paths)
    total = f"∂L/∂{explanation.element} = {explanation.gradient:.8g}"
    yield Prose(f"Together: {total}." if is_all else f"All other paths together: {left:.8g}. With them, {total}.")


def _further(explanation: Explanation) -> Iterator[Block]:
    inner = {id(term.further): term.further for use in explanation.uses for term in use.terms if term.further}
    if not inner:
        return
    yield Heading("Where the adjoints come from")
    for further in inner.values():
        blocks = (*_uses(further, 3), *_sum(further, 3), *_further(further))
        yield Fold(f"∂L/∂{further.element} = {further.gradient:.8g}", blocks)
