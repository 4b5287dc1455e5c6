"""A trace as the record of it and the blocks of memory that its tensors lie in."""

import dataclasses
import itertools
import math
from collections.abc import Mapping
from typing import Any, final

import torch

from chainrule.shapes import Tensor
from chainrule.trace.arguments import ArgumentWriter
from chainrule.trace.blocks import BlockWriter
from chainrule.trace.numbers import Kept, Missing, Statistics, read
from chainrule.trace.ops import Op, Source
from chainrule.trace.records import (
    FORMAT,
    VERSION,
    DecisionRecord,
    KeptRecord,
    KeptStatistics,
    LeftOutRecord,
    ModuleRecord,
    OpRecord,
    SourceRecord,
    TraceRecord,
    UpdateRecord,
    UseRecord,
    ValueRecord,
)
from chainrule.trace.step_trace import Trace
from chainrule.trace.updates import Update
from chainrule.trace.values import Value


@final
class RecordWriter:
    """Makes the record of one trace.

    Args:
        trace: what to write.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._blocks = BlockWriter()
        self._arguments = ArgumentWriter(self._form_of_tensor)
        self._sources: dict[Source, int] = {}
        self._uses: dict[int, int] = {}
        self._notes = list(trace.notes)

    def written(self) -> tuple[TraceRecord, list[Tensor]]:
        """Return the record and the blocks that its tensors lie in."""
        trace = self._trace
        values = [self._value(value) for value in trace.values]
        uses: list[UseRecord] = []
        in_values = (use for value in trace.values for use in value.uses)
        for use in itertools.chain((use for op in trace.ops for use in op.inputs), in_values):
            if id(use) not in self._uses:
                self._uses[id(use)] = len(uses)
                uses.append(UseRecord(use.value, use.op, list(use.place), [self._kept(part) for part in use.sent]))
        for value, written in zip(trace.values, values, strict=True):
            written.uses.extend(self._uses[id(use)] for use in value.uses)
        ops = [self._op(op) for op in trace.ops]
        updates = [self._update(update) for update in trace.updates]
        decisions = [
            DecisionRecord(each.what, each.value, self._arguments.form(each.result), self._source(each.source))
            for each in trace.decisions
        ]
        modules = {
            path: ModuleRecord(note.class_name, note.training, list(note.outputs))
            for path, note in trace.modules.items()
        }
        left_out = None if trace.left_out is None else LeftOutRecord(trace.left_out.op, trace.left_out.budget)
        blocks, tensors = self._blocks.finish()
        record = TraceRecord(
            format=FORMAT,
            version=VERSION,
            keep=trace.keep,
            loss=trace.loss,
            about=self._forms(trace.about),
            notes=self._notes,
            left_out=left_out,
            modules=modules,
            sources=[SourceRecord(each.file, each.line, each.function, each.text) for each in self._sources],
            ops=ops,
            values=values,
            uses=uses,
            updates=updates,
            decisions=decisions,
            tensors=tensors,
        )
        return record, blocks

    def _value(self, value: Value) -> ValueRecord:
        number = read(value.kept)
        if isinstance(number, Tensor) and number.layout is not torch.strided:
            self._note(f"{value.name or f'%{value.id}'} was sparse; it is stored with its zeros.")
        return ValueRecord(
            kind=value.kind,
            name=value.name,
            shape=list(value.shape),
            dtype=value.dtype,
            device=value.device,
            kept=self._kept(value.kept),
            producer=value.producer,
            output=value.output,
            requires_grad=value.requires_grad,
            adjoint=None if value.kept_adjoint is None else self._kept(value.kept_adjoint),
        )

    def _op(self, op: Op) -> OpRecord:
        random_state = None if op.random_state is None else self._blocks.add(op.random_state)
        return OpRecord(
            name=op.name,
            phase=op.phase,
            module=op.module,
            module_class=op.module_class,
            call=op.call,
            source=self._source(op.source),
            function=op.function,
            arguments=[self._arguments.form(part) for part in op.arguments],
            keywords=self._forms(op.keywords),
            inputs=[self._uses[id(use)] for use in op.inputs],
            outputs=list(op.outputs),
            overwrites=list(op.overwrites),
            gradients_on=op.gradients_on,
            autocast=op.autocast,
            random_state=random_state if isinstance(random_state, int) else None,
            opaque=op.opaque,
            of=op.of,
            nodes=list(op.nodes),
            recomputed=op.recomputed,
        )

    def _update(self, update: Update) -> UpdateRecord:
        return UpdateRecord(
            parameter=update.parameter,
            value=update.value,
            op=update.op,
            optimizer=update.optimizer,
            before=self._kept(update.kept_before),
            after=self._kept(update.kept_after),
            gradient=None if update.kept_gradient is None else self._kept(update.kept_gradient),
            hyperparameters=self._forms(update.hyperparameters),
            state_before={name: self._kept(kept) for name, kept in update.kept_state_before.items()},
            state_after={name: self._kept(kept) for name, kept in update.kept_state_after.items()},
        )

    def _forms(self, named: Mapping[str, object]) -> dict[str, Any]:
        return {name: self._arguments.form(part) for name, part in named.items()}

    def _form_of_tensor(self, tensor: Tensor) -> object:
        number = self._blocks.add(tensor)
        return {"tensor": number} if isinstance(number, int) else {"unstorable": f"a tensor of {tensor.dtype}"}

    def _kept(self, kept: Kept) -> KeptRecord:
        number = read(kept)
        if isinstance(number, Tensor):
            return self._blocks.add(number)
        if isinstance(number, Statistics):
            return _statistics_record(number)
        assert isinstance(number, Missing)  # noqa: S101  # what is kept is never None
        return number.reason

    def _source(self, source: Source | None) -> int | None:
        return None if source is None else self._sources.setdefault(source, len(self._sources))

    def _note(self, note: str) -> None:
        if note not in self._notes:
            self._notes.append(note)


def _statistics_record(statistics: Statistics) -> KeptStatistics:
    count, *shares, not_finite = dataclasses.astuple(statistics)
    return (count, *(_number_record(share) for share in shares), not_finite)


def _number_record(number: float | None) -> Any:
    return number if number is None or math.isfinite(number) else str(number)
