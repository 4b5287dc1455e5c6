"""Judging one table: what it is about, then every column, then what the mistakes do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.checking.cells import CellReader
from chainrule.checking.columns import ColumnJudge, Judged
from chainrule.checking.effects import effect_of
from chainrule.checking.evidence import Evidence
from chainrule.checking.gaps import gaps_of
from chainrule.checking.network import LossConvention, Network
from chainrule.checking.rates import Rate, implied_rate, is_read, named_rate, unnamed_rate_cell, update_columns
from chainrule.checking.readings import Reading
from chainrule.checking.results import ColumnCheck, SheetCheck
from chainrule.checking.tables import RATE, Labelled, Table
from chainrule.checking.truth import Truth
from chainrule.checking.understanding import (
    FITS,
    NotUnderstoodError,
    loss_candidates,
    loss_misfits,
    network_of,
    shape_of,
    trained_names,
)
from chainrule.checking.wording import conventions_of, described
from chainrule.spreadsheets import Book, Sheet


@dataclass(frozen=True, slots=True)
class SheetJudgement:
    """The check of a table, and what later checks need of it: the judge, and the wrong formulas."""

    check: SheetCheck
    judge: ColumnJudge | None = None
    wrong: Mapping[str, Reading | None] | None = None


def judge_table(
    book: Book, sheet: Sheet, table: Table, constants: Mapping[str, Labelled], is_first: bool = True
) -> SheetJudgement:
    """Judge one table of a sheet.

    Args:
        book: the file.
        sheet: the sheet.
        table: the table, as it was found.
        constants: named numbers beside it, by quantity.
        is_first: whether headers that can be read in several ways may be read in another way than at first.
    """
    unread = tuple(f"{column.header} ({column.address})" for column in table.others)
    evidence = Evidence(CellReader(book, sheet, table, constants))
    try:
        given = [name for name, labelled in constants.items() if labelled.name.kind in ("input", "target", "parameter")]
        shape = shape_of((*table.columns, *_missing(table, given)))
        network, orders, biases = network_of(shape, evidence)
    except NotUnderstoodError as error:
        reason = f"{error.reason} {error.next_step}"
        return SheetJudgement(SheetCheck(sheet.name, "not understood", rows=table.rows, unread=unread, reason=reason))
    network = replace(network, trained=trained_names(network, evidence))
    network, rate, fixed = _with_loss_and_rate(network, evidence)
    values = {RATE: rate.value} if rate is not None and rate.value is not None else {}
    judge = _judge(network, evidence, fixed, values)
    judged = {name: judge.judge(name) for name in table.columns if _is_asked(judge, name)}
    other = _read_otherwise(judge, [name for name, each in judged.items() if each.check.is_right is not True])
    if other is not None and is_first:
        return judge_table(book, sheet, other, constants, is_first=False)
    checks = tuple(each.check for each in judged.values())
    unknown = _unknown_activation(network, judged)
    if unknown:
        return SheetJudgement(SheetCheck(sheet.name, "not understood", rows=table.rows, unread=unread, reason=unknown))
    wrong = {name: each.reading for name, each in judged.items() if each.check.is_right is False}
    conventions = conventions_of(network, evidence, orders, biases)
    if any(True for _ in update_columns(evidence, network.trained)):
        conventions["update"] = f"{network.optimizer}, all weights at once"
    if rate is not None:
        conventions["learning rate"] = rate.value
        conventions["learning rate from"] = rate.place
    check = SheetCheck(
        name=sheet.name,
        verdict=_verdict(checks),
        network=described(network),
        conventions=conventions,
        rows=table.rows,
        columns=checks,
        unread=unread,
        effect=effect_of(judge, wrong) if wrong else None,
        remarks=_remarks(judge, checks),
        reason=_too_little(checks),
    )
    return SheetJudgement(check, judge, wrong)


def _unknown_activation(network: Network, judged: Mapping[str, Judged]) -> str:
    """Return why a layer is not understood: no usual activation, and no usual slip, makes its outputs."""
    for layer in network.layers:
        names = [name for unit in layer.units for name in (unit.output, f"a_{unit.net}") if name != unit.net]
        checks = [judged[name].check for name in dict.fromkeys(names) if name in judged]
        if checks and all(not check.is_right and not check.slip_kinds for check in checks):
            made, nets = ", ".join(check.quantity for check in checks), ", ".join(unit.net for unit in layer.units)
            return (
                f"No usual activation makes {made} of {nets}. Known are sigmoid, tanh, ReLU, leaky ReLU, softplus, "
                "softmax and the identity."
            )
    return ""


def _read_otherwise(judge: ColumnJudge, names: Sequence[str]) -> Table | None:
    """Return the table with other meanings of columns that are not right in the first: δ_o1 as −∂E/∂o1.

    A column changes its meaning only where another one, which its header allows, makes all of it right.
    """
    columns = dict(judge.table.columns)
    for name in names:
        for other in judge.table.columns[name].others:
            if other not in columns and judge.is_right_as(name, other):
                columns[other] = replace(columns.pop(name), quantity=other)
                break
    if columns.keys() == judge.table.columns.keys():
        return None
    return replace(judge.table, columns=columns)


def _missing(table: Table, given: Sequence[str]) -> list[str]:
    """Return the constants that count as quantities of the table: those of a kind that has no column in it."""
    kinds = {name[0] for name in table.columns}
    return [name for name in given if name[0] not in kinds]


def _is_asked(judge: ColumnJudge, name: str) -> bool:
    column = judge.table.columns[name]
    if column.name is not None and column.name.kind in ("input", "target", "setting", "step"):
        return False
    if name in judge.truth.given and name not in judge.truth.program.updated:
        return False
    return not (name in judge.truth.program.updated and judge.table.rows == 1)


def _verdict(checks: Sequence[ColumnCheck]) -> Any:
    if any(check.is_right is False for check in checks):
        return "wrong"
    return "not understood" if _too_little(checks) else "right"


def _too_little(checks: Sequence[ColumnCheck]) -> str:
    if any(check.is_right is not None and _is_backward(check.quantity) for check in checks):
        return ""
    if any(check.is_right is False for check in checks):
        return ""
    return (
        "No gradient and no update could be judged. Name the gradients ∂E/∂w1, ∂E/∂w2, ... (or dE/dw1), and let each "
        "row's weights come from the row above."
    )


def _is_backward(name: str) -> bool:
    return name.startswith(("∂", "Δ", "w", "b", "m_", "v_", "u_"))


def _judge(
    network: Network, evidence: Evidence, fixed: Mapping[str, float], values: Mapping[str, float]
) -> ColumnJudge:
    return ColumnJudge(evidence, Truth(network), _constant_names(network, evidence), fixed, values)


def _constant_names(network: Network, evidence: Evidence) -> frozenset[str]:
    """Return what is the same in every row: settings, untrained biases, and inputs and targets that do not change."""
    names = {*network.settings, *(name for name in network.biases if name not in network.trained)}
    for name in (*network.inputs, *network.targets):
        values = evidence.stated.get(name)
        if values is None:
            names.add(name)
            continue
        values = values[np.isfinite(values)]
        if len(values) < 2 or np.ptp(values) <= 1e-9 * np.max(np.abs(values)):
            names.add(name)
    return frozenset(names)


def _with_loss_and_rate(network: Network, evidence: Evidence) -> tuple[Network, Rate | None, dict[str, float]]:
    rate = named_rate(evidence)
    if rate is None:
        cell = unnamed_rate_cell(evidence, network.trained)
        if cell:
            evidence.reader.learn(cell, RATE)
            evidence.forget()
            held = evidence.reader.sheet.cells
            value = next((one.value for place, one in held.items() if str(place) == cell), None)
            rate = Rate(float(value) if isinstance(value, int | float) else None, f"cell {cell}, which has no name")
    fixed: dict[str, float] = {}
    loss = _loss_of(network, evidence, {RATE: 0.5} if rate is None else {})
    network = replace(network, loss=loss)
    has_updates = any(True for _ in update_columns(evidence, network.trained))
    if has_updates and (rate is None or not is_read(evidence, network.trained)):
        implied = implied_rate(evidence, Truth(network), network.trained)
        if rate is None and implied is not None:
            rate = Rate(implied, "the updates themselves", is_written=True)
            fixed[RATE] = implied
        elif rate is not None and rate.value is not None and implied == rate.value:
            rate = replace(rate, is_written=True)
            fixed[RATE] = implied
    elif rate is not None and rate.value is not None and not evidence.has(RATE):
        # Typed updates are computed with the number; formulas read its cell, so that it may be any.
        pass
    return network, rate, fixed


def _loss_of(network: Network, evidence: Evidence, fixed: Mapping[str, float]) -> LossConvention:
    """Return the loss that the columns of losses say; where they do not agree or say nothing, the gradients decide."""
    candidates = loss_candidates(len(network.outputs), network.layers[-1].activation)
    misfits = {loss: loss_misfits(loss, network, evidence) for loss in candidates}
    fits = {loss: [misfit < FITS for misfit in misfits[loss]] for loss in candidates}
    best = max(sum(each) for each in fits.values())
    left = [loss for loss, each in fits.items() if sum(each) == best]
    if (best and all(fits[left[0]])) or len(left) == 1:
        return left[0]
    # Rounded columns fit nothing exactly, and with two outputs ½Σ has the gradients of the mean: then what is nearest.
    nearness = {loss: -sum(min(misfit, 1.0) if misfit == misfit else 1.0 for misfit in misfits[loss]) for loss in left}
    gradients = [name for name in evidence.table.columns if name.startswith("∂E/∂")]
    if not gradients:
        return max(left, key=lambda loss: nearness[loss])
    scores = {}
    for loss in left:
        judge = _judge(replace(network, loss=loss), evidence, fixed, {})
        scores[loss] = sum(judge.judge_quickly(name) for name in gradients)
    return max(left, key=lambda loss: (scores[loss], nearness[loss]))


def _remarks(judge: ColumnJudge, checks: Sequence[ColumnCheck]) -> tuple[str, ...]:
    remarks = []
    gradients = {check.quantity.removeprefix("∂E/∂") for check in checks if check.quantity.startswith("∂E/∂")}
    missing = [name for name in judge.truth.network.trained if name not in gradients]
    if gradients and missing:
        remarks.append(f"There is no gradient column for {', '.join(missing)}.")
    if any(check.is_right is False and check.quantity.startswith("∂") for check in checks):
        judged = [check for check in checks if check.quantity in judge.truth.program.updated]
        if judged and all(check.is_right for check in judged):
            remarks.append("The updates are right: each subtracts η times the gradient that stands in the row above.")
    # A column of which nothing could be judged says so itself.
    names = frozenset(check.quantity for check in checks if check.is_right is not None)
    gaps = gaps_of(judge.evidence, judge.numbers_of, names)
    return (*remarks, gaps) if gaps else tuple(remarks)
