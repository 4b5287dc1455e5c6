"""A recorded step as a document: what it was, its graph, and every op of it as a tree by module that folds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from chainrule.data.wording import count_of
from chainrule.documents import Block, Callout, Column, Document, Entries, Entry, Fold, Heading, Prose, Table
from chainrule.reports.trace_entries import line_text, op_entry, update_entry, value_entry
from chainrule.reports.trace_graph import trace_graph
from chainrule.reports.trace_numbers import FEW, count, name_text, number_text, written_out
from chainrule.reports.trace_tree import Branch, check_module, grow, is_inside, items_of
from chainrule.trace import Op, Phase, Trace, Update, Value

Item = TypeVar("Item")

PHASES: Final[tuple[Phase, ...]] = ("forward", "loss", "backward", "update")
MOST_OPS: Final = 1000
_OPEN_ENTRIES: Final = 24  # folds are open as deep as there are no more entries to be seen than this
_OPEN_LEAVES: Final = 8
_LONGEST_ROW: Final = 40  # of entries and folds under one another; the middle of a longer row is folded
_ENDS: Final = 12
_MOST_NOTES: Final = 12
_QUIET: Final = frozenset({"foreach", "fused", "capturable", "differentiable", "maximize", "decoupled_weight_decay"})


@dataclass(slots=True)
class _Budget:
    """How many more entries may be made, and how many were asked for beyond that."""

    left: int
    unseen: int = 0


@dataclass(frozen=True, slots=True)
class _Tree(Generic[Item]):
    """How a tree of items is drawn.

    Attributes:
        entry: makes the entry of one item.
        summary: what stands on the line of a branch, after its name.
        depth: down to which level folds are open.
        budget: shared by all trees of a document.
    """

    entry: Callable[[Item], Entry]
    summary: Callable[[Branch[Item]], str]
    depth: int
    budget: _Budget


def trace_document(
    trace: Trace,
    phases: Sequence[Phase] = PHASES,
    module: str = "",
    most_ops: int = MOST_OPS,
    *,
    depth: int | None = None,
    with_graph: bool = True,
) -> Document:
    """Return what there is to see of a recorded step.

    Tensors of up to four elements are written out, and all of a step whose tensors are small; of others there are
    mean, spread, smallest, largest and the share of zeros.

    Args:
        trace: a recorded step; it may have failed before its loss, have been loaded, or keep statistics only.
        phases: which parts of the step.
        module: the path of the module whose inside is wanted; the whole step when "".
        most_ops: entries of ops, values and updates are made up to this number; the document says what it leaves out.
        depth: down to which level modules are open at first; when not given, as deep as it stays readable.
        with_graph: whether a picture of the graph is part of it.

    Raises:
        UnknownNameError: the trace has no such module.
    """
    check_module(trace, module)
    most = written_out(trace)
    budget = _Budget(most_ops)
    blocks: list[Block] = []
    if not module:
        blocks += [_summary(trace), *_callouts(trace)]
    if with_graph and any(op.phase in ("forward", "loss") for op in trace.ops):
        blocks += [Heading("Graph"), trace_graph(trace, module)]
    blocks += _leaves(trace, module, most, depth, budget)
    for phase in phases:
        drawn = _updates if phase == "update" else _ops(phase)
        blocks += drawn(trace, module, most, depth, budget)
    if not module:
        blocks += _decisions(trace)
    if budget.unseen:
        blocks.append(Callout("note", _unseen(budget, most_ops)))
    return Document(_title(trace, module), tuple(blocks))


def _title(trace: Trace, module: str) -> str:
    name = _model_name(trace)
    if module:
        note = trace.modules[module]
        return f"One step of {name}: inside {module} ({note.class_name})"
    loss = _loss_text(trace)
    return f"One step of {name}, loss {loss}" if loss else f"One step of {name}, without a loss"


def _model_name(trace: Trace) -> str:
    root = trace.modules.get("")
    return str(trace.about.get("model", "")) or (root.class_name if root else "") or "the model"


def _loss_text(trace: Trace) -> str:
    return "" if trace.loss is None else number_text(trace.values[trace.loss].data, FEW)


def _unseen(budget: _Budget, most_ops: int) -> str:
    return (
        f"Of what was recorded, {budget.unseen:,} entries are not shown, as there are {most_ops:,} already. "
        "To see them, ask for one module (trace_document(trace, module=PATH), `chainrule record ... --module PATH`) "
        "or for more entries (most_ops)."
    )


# What it was


def _summary(trace: Trace) -> Table:
    by_phase = [(phase, sum(op.phase == phase for op in trace.ops)) for phase in PHASES]
    counted = ", ".join(f"{number:,} {phase}" for phase, number in by_phase if number)
    parameters = trace.parameters
    numbers = sum(count(value.shape) for value in parameters)
    kept = "tensors" if trace.keep == "values" else "statistics of tensors"
    rows: list[tuple[str, str]] = [
        ("loss", _loss_text(trace) or "none"),
        ("ops", counted or "none"),
        ("parameters", f"{numbers:,} in {count_of(len(parameters), 'tensor')}" if parameters else "none"),
        ("kept", kept),
    ]
    for name, fact in trace.about.items():
        label = {"model": "", "loss": "loss function"}.get(name, name)
        if label and fact != "":
            rows.append((label, f"{fact:.3g}" if isinstance(fact, float) else str(fact)))
    return Table((Column(""), Column("")), tuple(rows))


def _callouts(trace: Trace) -> Iterator[Callout]:
    if not trace.ops:
        yield Callout("note", "No op ran while it was recorded, so there is neither a loss nor a gradient.")
    elif trace.loss is None:
        yield Callout(
            "error",
            "The step has no loss: it failed before, or backward() was not called while it was recorded. "
            "What ran is shown.",
        )
    left_out = trace.left_out
    if left_out is not None:
        yield Callout(
            "warning",
            f"From op #{left_out.op} on there are only statistics: the byte budget of {left_out.budget:,} bytes was "
            "used up. A larger byte_budget keeps more tensors.",
        )
    by_reason: dict[str, list[Op]] = {}
    for op in trace.ops:
        if op.opaque:
            by_reason.setdefault(op.opaque, []).append(op)
    for reason, ops in by_reason.items():
        names = ", ".join(f"#{op.id} {op.name}" for op in ops[:5])
        more = f" and {len(ops) - 5} more" if len(ops) > 5 else ""
        yield Callout("note", f"The inside of {names}{more} cannot be seen: {reason}")
    for note in trace.notes[:_MOST_NOTES]:
        yield Callout("note", note)
    if len(trace.notes) > _MOST_NOTES:
        yield Callout("note", f"{len(trace.notes) - _MOST_NOTES} more notes are in trace.notes.")


def _decisions(trace: Trace) -> Iterator[Block]:
    if not trace.decisions:
        return
    rows = tuple(
        (
            decision.what,
            name_text(trace.values[decision.value]),
            "" if decision.result is None else str(decision.result),
            "" if decision.source is None else line_text(decision.source),
        )
        for decision in trace.decisions[:_LONGEST_ROW]
    )
    table = Table(
        (Column("by"), Column("value"), Column("result"), Column("line")),
        rows,
        f"The first {len(rows)} of {len(trace.decisions)}." if len(trace.decisions) > len(rows) else "",
    )
    yield Heading("Tensors that became Python numbers")
    yield Prose("The program may have gone one way or another because of them. No gradient flows through them.")
    yield Fold(count_of(len(trace.decisions), "tensor"), (table,), folds_on_terminal=True)


# What went in


def _leaves(trace: Trace, module: str, most: int, depth: int | None, budget: _Budget) -> Iterator[Block]:
    parameters = [value for value in trace.parameters if is_inside(_module_of(value.name, trace), module)]
    others = [
        value for value in trace.values if value.kind in ("input", "target", "constant") and value.producer is None
    ]
    others = [
        value
        for value in others
        if not module or any(is_inside(trace.ops[use.op].module, module) for use in value.uses)
    ]
    if not parameters and not others:
        return
    yield Heading("What went in")
    if others:
        yield from _rows([Entries((value_entry(value, most),)) for value in _spend(others, budget)])
    if parameters:
        numbers = sum(count(value.shape) for value in parameters)
        parts = _by_module(parameters, lambda value: _module_of(value.name, trace), trace, module)
        opened = _open_depth(parts, _OPEN_LEAVES) if depth is None else depth - 1
        tree: _Tree[Value] = _Tree(lambda value: value_entry(value, most), _parameters_of, opened, budget)
        summary = f"{count_of(len(parameters), 'parameter tensor')}, {numbers:,} numbers"
        is_open = len(parameters) <= _OPEN_LEAVES if depth is None else depth > 0
        yield Fold(summary, tuple(_blocks(parts, tree, 0, module)), is_open, folds_on_terminal=True)


def _spend(values: Sequence[Value], budget: _Budget) -> list[Value]:
    shown = list(values[: budget.left])
    budget.left -= len(shown)
    budget.unseen += len(values) - len(shown)
    return shown


def _parameters_of(branch: Branch[Value]) -> str:
    values = list(branch.items())
    return f"{sum(count(value.shape) for value in values):,} parameters"


def _module_of(name: str, trace: Trace) -> str:
    """Return the module that a parameter belongs to, by its name."""
    path = name.rpartition(".")[0]
    while path and path not in trace.modules:
        path = path.rpartition(".")[0]
    return path


# What ran


def _ops(phase: Phase) -> Callable[[Trace, str, int, int | None, _Budget], Iterator[Block]]:
    def blocks(trace: Trace, module: str, most: int, depth: int | None, budget: _Budget) -> Iterator[Block]:
        ops = [op for op in trace.ops if op.phase == phase and is_inside(op.module, module)]
        if not ops:
            return
        parts = grow(ops, lambda op: (op.module, op.call), trace.modules, module)
        opened = _open_depth(parts) if depth is None else depth
        parameters = _parameter_counts(trace)
        tree: _Tree[Op] = _Tree(
            lambda op: op_entry(trace, op, most),
            lambda branch: _ops_of(branch, parameters if phase == "forward" else {}),
            opened,
            budget,
        )
        yield Heading(f"{phase.capitalize()}: {count_of(len(ops), 'op')}")
        if phase == "backward":
            yield Prose("From the adjoint that came to what was sent back; the numbers stand at the ops above.")
        yield from _blocks(parts, tree, 0, module)

    return blocks


def _parameter_counts(trace: Trace) -> dict[str, int]:
    """Return how many numbers are trained in each module and inside it, by path."""
    counts: dict[str, int] = {}
    for value in trace.parameters:
        path = value.name.rpartition(".")[0]
        while path:
            counts[path] = counts.get(path, 0) + count(value.shape)
            path = path.rpartition(".")[0]
    return counts


def _ops_of(branch: Branch[Op], parameters: Mapping[str, int]) -> str:
    ops = sum(1 for _ in branch.items())
    own = parameters.get(branch.path, 0)
    return count_of(ops, "op") + (f", {own:,} parameters" if own else "")


def _updates(trace: Trace, module: str, most: int, depth: int | None, budget: _Budget) -> Iterator[Block]:
    updates = [update for update in trace.updates if is_inside(_module_of(update.parameter, trace), module)]
    if not updates:
        return
    parts = _by_module(updates, lambda update: _module_of(update.parameter, trace), trace, module)
    opened = _open_depth(parts, _OPEN_LEAVES) if depth is None else depth
    tree: _Tree[Update] = _Tree(lambda update: update_entry(update, most), _updates_of, opened, budget)
    names = ", ".join(dict.fromkeys(update.optimizer for update in updates))
    yield Heading(f"Update: {names}")
    for settings in dict.fromkeys(_settings(update) for update in updates):
        yield Prose(settings)
    yield from _blocks(parts, tree, 0, module)


def _updates_of(branch: Branch[Update]) -> str:
    return count_of(sum(1 for _ in branch.items()), "parameter tensor")


def _settings(update: Update) -> str:
    shown = []
    for name, setting in update.hyperparameters.items():
        if name not in _QUIET and setting not in (None, False, 0):
            shown.append(f"{name} {setting:g}" if isinstance(setting, float) else f"{name} {setting}")
    return ", ".join(shown)


# Trees


def _by_module(
    items: Sequence[Item], module_of: Callable[[Item], str], trace: Trace, module: str
) -> tuple[Item | Branch[Item], ...]:
    """Gather what belongs to parameters by module; a few of them need no tree, as their names say where they belong."""
    if len(items) <= _OPEN_LEAVES:
        return tuple(items)
    return grow(items, lambda item: (module_of(item), 0), trace.modules, module)


def _open_depth(parts: Sequence[Item | Branch[Item]], most: int = _OPEN_ENTRIES) -> int:
    """Return down to which level folds can be open with no more than `most` entries and lines to be seen."""
    depth = 0
    level = list(parts)
    while len(level) <= most and any(isinstance(part, Branch) for part in level):
        depth += 1
        level = [inner for part in level for inner in (part.parts if isinstance(part, Branch) else (part,))]
    return depth if len(level) <= most else max(depth - 1, 0)


def _blocks(parts: Sequence[Item | Branch[Item]], tree: _Tree[Item], level: int, parent: str) -> Iterator[Block]:
    """Draw parts one under another: runs of items as entries, branches as folds."""
    yield from _rows([_part(part, tree, level, parent) for part in parts])


def _part(part: Item | Branch[Item], tree: _Tree[Item], level: int, parent: str) -> Block:
    if not isinstance(part, Branch):
        if tree.budget.left <= 0:
            tree.budget.unseen += 1
            return Entries(())
        tree.budget.left -= 1
        return Entries((tree.entry(part),))
    name = part.path.removeprefix(f"{parent}." if parent else "")
    items = tuple(items_of(part.parts))
    if len(items) == 1 and level < tree.depth and tree.budget.left > 0:
        tree.budget.left -= 1
        entry = tree.entry(items[0])
        return Entries((replace(entry, title=f"{name}: {entry.title}"),))
    of = f" ({part.class_name})" if part.class_name else ""
    summary = f"{name}{of}: {tree.summary(part)}"
    if tree.budget.left <= 0:
        tree.budget.unseen += len(items)
        return Fold(summary, (Prose("Not shown here, as there are too many entries."),), folds_on_terminal=True)
    inside = tuple(_blocks(part.parts, tree, level + 1, part.path))
    return Fold(summary, inside, level < tree.depth, folds_on_terminal=True)


def _rows(rows: Sequence[Block]) -> Iterator[Block]:
    """Yield blocks with neighbouring entries made one; the middle of a long row is folded."""
    if len(rows) > _LONGEST_ROW:
        middle = rows[_ENDS:-_ENDS]
        yield from _joined(rows[:_ENDS])
        yield Fold(f"… {len(middle)} more", tuple(_joined(middle)), folds_on_terminal=True)
        yield from _joined(rows[-_ENDS:])
    else:
        yield from _joined(rows)


def _joined(rows: Sequence[Block]) -> Iterator[Block]:
    waiting: list[Entry] = []
    for block in rows:
        if isinstance(block, Entries):
            waiting += block.entries
            continue
        if waiting:
            yield Entries(tuple(waiting))
            waiting = []
        yield block
    if waiting:
        yield Entries(tuple(waiting))
