"""What there is to see of a check: the verdict first, what was understood, what is wrong, what is right."""

import math
from collections.abc import Iterator, Sequence

from chainrule.checking import Checked, ColumnCheck, Effect, SheetCheck
from chainrule.documents import Block, Callout, Document, Entries, Entry, Fold, Heading, Prose
from chainrule.reports.printed import counted

_INVISIBLE = 1e-4  # of the loss: less cannot be seen in its graph
_MOST_NOTES = 12


def checked_document(checked: Checked) -> Document:
    """Return what there is to see of the check of a file."""
    blocks: list[Block] = [_verdict(checked)]
    blocks += [Callout("note", checked.next_step)] if checked.next_step else []
    groups = _alike(checked.sheets)
    for sheets in groups:
        blocks += _sheet(sheets, is_only=len(groups) == 1 and len(sheets) == 1)
    notes = [Prose(note) for note in checked.notes]
    blocks += [Heading("About the file"), *notes] if notes else []
    return Document("Is it right?", tuple(blocks))


def _alike(sheets: Sequence[SheetCheck]) -> list[list[SheetCheck]]:
    """Return sheets in groups of which all have the same to say but for their numbers: one sheet per learning rate."""
    groups: dict[object, list[SheetCheck]] = {}
    for sheet in sheets:
        told = tuple((column.header, column.is_right, column.first_wrong_cell, column.slip) for column in sheet.columns)
        groups.setdefault((sheet.verdict, told, sheet.reason, sheet.unread), []).append(sheet)
    return list(groups.values())


def _verdict(checked: Checked) -> Callout:
    wrong = [(sheet, column) for sheet in checked.sheets for column in sheet.wrong]
    if checked.verdict == "right":
        count = sum(column.cells for sheet in checked.sheets for column in sheet.columns)
        columns = sum(column.is_right is True for sheet in checked.sheets for column in sheet.columns)
        where = f" on {len(checked.sheets)} sheets" if len(checked.sheets) > 1 else ""
        unit = "equation" if _is_text(checked) else "column"
        numbers = "" if _is_text(checked) else f" ({counted(count, 'cell')})"
        if columns == 1:
            return Callout("good", f"Right: one {unit}{numbers}{where} was checked, and it is right.")
        return Callout("good", f"Right: {counted(columns, unit)}{numbers}{where} were checked, and all are right.")
    if checked.verdict == "wrong":
        names = list(dict.fromkeys(column.quantity for _, column in wrong))
        sheet, first = wrong[0]
        where = f" on sheet '{sheet.name}'" if len(checked.sheets) > 1 else ""
        verb = "is" if len(names) == 1 else "are"
        return Callout(
            "error",
            f"Wrong: {_listed(names)} {verb} wrong; first at {first.first_wrong_cell}{where}. {_sentence(first.slip)}",
        )
    reasons = [sheet.reason for sheet in checked.sheets if sheet.reason]
    return Callout("warning", "Not understood. " + (reasons[0] if reasons else "No table of a training was found."))


def _is_text(checked: Checked) -> bool:
    return all(sheet.rows == 0 for sheet in checked.sheets)


def _sheet(sheets: Sequence[SheetCheck], is_only: bool) -> Iterator[Block]:
    sheet = sheets[0]
    names = ", ".join(f"'{one.name}'" for one in sheets)
    if not is_only:
        what = {"right": "right", "wrong": "wrong"}.get(sheet.verdict, "not understood")
        yield Heading(f"Sheet{'s' if len(sheets) > 1 else ''} {names}: {what}")
    if sheet.reason and not is_only:
        yield Callout("warning", sheet.reason)
    if sheet.network:
        yield Prose(_understood(sheets))
    if sheet.wrong:
        yield Heading("What is wrong", 3)
        yield Entries(tuple(_entry(column, sheet) for column in sheet.wrong))
    for one in sheets:
        if one.effect is not None:
            which = f"Sheet '{one.name}': " if len(sheets) > 1 else ""
            yield Prose(which + _effect(one.effect))
    right = [column for column in sheet.columns if column.is_right]
    if right:
        yield Prose(f"Right ({len(right)}): " + ", ".join(column.quantity for column in right))
    unjudged = [column for column in sheet.columns if column.is_right is None]
    if unjudged:
        lines = tuple(Prose(f"{_short(column.header)}: {column.reason}") for column in unjudged)
        yield Fold(
            f"Not judged: {', '.join(_short(column.header) for column in unjudged[:_MOST_NOTES])}", lines, is_open=True
        )
    if sheet.unread:
        yield Prose(
            f"Not recognised, so not checked: {', '.join(_short(header) for header in sheet.unread[:_MOST_NOTES])}"
            + (f" and {len(sheet.unread) - _MOST_NOTES} more" if len(sheet.unread) > _MOST_NOTES else "")
        )
    for remark in sheet.remarks:
        yield Prose(remark)


def _understood(sheets: Sequence[SheetCheck]) -> str:
    sheet = sheets[0]
    layers = sheet.network["layers"]
    sizes = "-".join(str(size) for size in (sheet.network["inputs"], *(layer["units"] for layer in layers)))
    activations = ", ".join(layer["activation"].replace("_", " ") for layer in layers)
    shown = dict(sheet.conventions)
    rates = [one.conventions.get("learning rate") for one in sheets]
    if all(rate is None for rate in rates):
        shown.pop("learning rate", None)
    else:
        shown["learning rate"] = ", ".join("varying" if rate is None else f"{rate:g}" for rate in rates)
    text = f"Understood: a {sizes} network ({activations})"
    if sheet.rows:
        text += f", {counted(sheet.rows, 'row')}"
    first = next(iter(sheet.network["units"].items()))
    text += f"; {first[0]} = {first[1]}"
    return text + "; " + "; ".join(f"{key}: {value}" for key, value in shown.items()) + "."


def _entry(column: ColumnCheck, sheet: SheetCheck) -> Entry:
    facts: list[tuple[str, str]] = []
    if column.found_formula and sheet.rows:
        facts += [("stands there", column.found_formula), ("", column.found_in_names)]
        facts += [("belongs there", column.expected_formula), ("", column.expected_in_names)]
    elif column.found_formula:
        facts += [("stands there", column.found_formula), ("belongs there", column.expected_formula)]
    else:
        facts += [("belongs there", column.expected_in_names), ("", column.expected_formula)]
    if column.found is not None and column.expected is not None:
        facts.append(("numbers", f"{column.found:.10g} where {column.expected:.10g} belongs{_relative(column)}"))
    facts.append(("likely slip", column.slip))
    facts += [("note", remark) for remark in column.remarks]
    count = ""
    if sheet.rows:
        count = f"{column.wrong_cells} of {counted(column.cells, 'cell')}"
    return Entry(column.first_wrong_cell, _short(column.header), count, tuple(facts))


def _relative(column: ColumnCheck) -> str:
    error = column.relative_error
    return f", a relative error of {error:.1e}" if error is not None and math.isfinite(error) and error > 0 else ""


def _effect(effect: Effect) -> str:
    moved = effect.largest
    text = (
        f"After {counted(effect.updates, 'update')} the loss is {effect.wrong:.10g}; "
        f"with the right rule it is {effect.right:.10g}."
    )
    if moved == 0:
        return text + " The mistake does not move the loss at all here, so no loss graph shows it."
    text += f" The mistake moves it by {moved:.1e} at most (after {counted(effect.largest_at, 'update')})"
    scale = max(abs(effect.wrong), abs(effect.right))
    return text + (", so no loss graph shows it." if moved < _INVISIBLE * scale or moved < 1e-7 else ".")


def _listed(names: Sequence[str]) -> str:
    shown = list(names[:_MOST_NOTES])
    if len(names) > len(shown):
        return f"{', '.join(shown)} and {len(names) - len(shown)} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _sentence(slip: str) -> str:
    return f"Likely slip: {slip}." if slip else ""


def _short(header: str) -> str:
    one_line = " ".join(header.split())
    return one_line if len(one_line) <= 60 else one_line[:57] + "..."
