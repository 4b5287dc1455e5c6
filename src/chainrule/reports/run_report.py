"""The report of a run as a document: network, curves, statistics, predictions, and every number of a small one."""

from chainrule.data.wording import count_of
from chainrule.documents import Block, Callout, Column, Document, Fold, Formula, Heading, Prose, Table
from chainrule.reports.first_update import first_update_blocks
from chainrule.reports.layer_statistics import statistics_blocks
from chainrule.reports.network import network_blocks
from chainrule.reports.predictions import prediction_blocks
from chainrule.reports.run_curves import curve_blocks, penalty_blocks
from chainrule.reports.run_lines import opening_rows, result_table, stop_line
from chainrule.reports.step_table import step_table_blocks
from chainrule.tasks import task_toml
from chainrule.training import Run, State


def run_document(run: Run) -> Document:
    """Return the report of a run."""
    state = run.state
    blocks: list[Block] = [*_summary(run, state), *network_blocks(run, state)]
    if run.first_update is not None:
        steps = first_update_blocks(state, run.first_update)
        blocks += [Heading("The first update, step by step"), Fold("The six steps with their numbers", steps, True)]
    blocks += [
        *curve_blocks(run),
        *prediction_blocks(run, state),
        *statistics_blocks(run),
        *penalty_blocks(run),
        *step_table_blocks(run, state),
        *_appendix(run),
    ]
    return Document(run.task.name, tuple(blocks))


def _summary(run: Run, state: State) -> list[Block]:
    blocks: list[Block] = [Prose(run.task.description)] if run.task.description else []
    blocks.append(Prose(stop_line(run)))
    for finding in run.findings:
        blocks.append(Callout("error" if finding.severity == "error" else "warning", str(finding)))
    blocks.append(result_table(run, "The final model on every part of the data, in evaluation mode."))
    blocks.append(Callout("good" if run.check.is_right else "warning", f"Check: {run.check}."))
    facts = tuple(opening_rows(state))
    blocks.append(Table((Column("what"), Column("is")), facts, "What was trained."))
    return blocks


def _appendix(run: Run) -> list[Block]:
    columns = tuple(Column(header) for header in ("column", "type", "used as", "remark"))
    rows = tuple((column.name, column.type, column.role, column.remark) for column in run.data.columns)
    blocks: list[Block] = [Heading("Data"), *(Prose(note) for note in run.notes if not note.startswith("Penalty "))]
    if rows:
        blocks.append(Fold(f"The {count_of(len(rows), 'column')}", (Table(columns, rows),)))
    # A formula is what renderers show letter by letter, and so is a file.
    return [*blocks, Heading("Task"), Fold("The task as it was run (task.toml)", (Formula(task_toml(run.task)),))]
