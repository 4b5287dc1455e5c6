"""The record of a trace, and blocks of memory, as a trace again."""

from collections.abc import Sequence, Sized
from typing import final

from chainrule.shapes import Tensor
from chainrule.trace.arguments import ArgumentReader
from chainrule.trace.blocks import damaged, view_of
from chainrule.trace.numbers import Missing, Statistics
from chainrule.trace.ops import Op, Source
from chainrule.trace.records import (
    DecisionRecord,
    KeptRecord,
    OpRecord,
    TraceRecord,
    UpdateRecord,
    UseRecord,
    ValueRecord,
)
from chainrule.trace.step_trace import Decision, LeftOut, ModuleNote, Trace
from chainrule.trace.updates import Update
from chainrule.trace.values import Use, Value


@final
class RecordReader:
    """Makes the trace of one record, and believes nothing that it says.

    Args:
        record: what the JSON says.
        blocks: the memory that tensors lie in.
    """

    def __init__(self, record: TraceRecord, blocks: Sequence[Tensor]) -> None:
        self._record = record
        self._blocks = blocks
        self._tensors: dict[int, Tensor] = {}
        self._arguments = ArgumentReader(len(record.values), self._tensor)
        self._sources = [Source(each.file, each.line, each.function, each.text) for each in record.sources]

    def trace(self) -> Trace:
        """Return the trace.

        Raises:
            TraceFileError: the record contradicts itself or its blocks.
        """
        record = self._record
        uses = [self._use(number, use) for number, use in enumerate(record.uses)]
        left_out = None if record.left_out is None else LeftOut(record.left_out.op, record.left_out.budget)
        about = {name: self._arguments.part(part) for name, part in record.about.items()}
        for name, part in about.items():
            if not isinstance(part, str | int | float):
                raise damaged(f"about.{name}: {type(part).__name__}", "text or a number")
        return Trace(
            ops=[self._op(number, op, uses) for number, op in enumerate(record.ops)],
            values=[self._value(number, value, uses) for number, value in enumerate(record.values)],
            updates=[self._update(number, update) for number, update in enumerate(record.updates)],
            loss=self._optional("loss", record.loss, record.values),
            modules={
                path: ModuleNote(
                    note.class_name, note.training, self._ids(f"modules.{path}.outputs", note.outputs, record.values)
                )
                for path, note in record.modules.items()
            },
            keep=record.keep,
            decisions=[self._decision(number, decision) for number, decision in enumerate(record.decisions)],
            notes=list(record.notes),
            about=about,
            left_out=left_out,
        )

    def _use(self, number: int, use: UseRecord) -> Use:
        place = f"uses.{number}"
        value = self._id(f"{place}.value", use.value, self._record.values)
        op = self._id(f"{place}.op", use.op, self._record.ops)
        return Use(value, op, tuple(use.place), [self._kept(f"{place}.sent", part) for part in use.sent])

    def _op(self, number: int, op: OpRecord, uses: list[Use]) -> Op:
        place, values = f"ops.{number}", self._record.values
        random_state = None if op.random_state is None else self._tensor(op.random_state)
        source = self._optional(f"{place}.source", op.source, self._sources)
        return Op(
            id=number,
            name=op.name,
            phase=op.phase,
            module=op.module,
            module_class=op.module_class,
            call=op.call,
            source=None if source is None else self._sources[source],
            function=op.function,
            arguments=tuple(self._arguments.part(part) for part in op.arguments),
            keywords={name: self._arguments.part(part) for name, part in op.keywords.items()},
            inputs=[uses[use] for use in self._ids(f"{place}.inputs", op.inputs, uses)],
            outputs=list(self._ids(f"{place}.outputs", op.outputs, values)),
            overwrites=self._ids(f"{place}.overwrites", op.overwrites, values),
            gradients_on=op.gradients_on,
            autocast=op.autocast,
            random_state=random_state,
            opaque=op.opaque,
            of=self._optional(f"{place}.of", op.of, self._record.ops),
            nodes=tuple(op.nodes),
            recomputed=op.recomputed,
        )

    def _value(self, number: int, value: ValueRecord, uses: list[Use]) -> Value:
        place = f"values.{number}"
        kept = self._kept(f"{place}.kept", value.kept, value.shape)
        if isinstance(kept, Tensor) and str(kept.dtype) != f"torch.{value.dtype}":
            raise damaged(f"{place}.kept: a tensor of {str(kept.dtype).removeprefix('torch.')}", value.dtype[:40])
        return Value(
            id=number,
            kind=value.kind,
            name=value.name,
            shape=tuple(value.shape),
            dtype=value.dtype,
            device=value.device,
            producer=self._optional(f"{place}.producer", value.producer, self._record.ops),
            output=value.output,
            requires_grad=value.requires_grad,
            kept=kept,
            kept_adjoint=None if value.adjoint is None else self._kept(f"{place}.adjoint", value.adjoint, value.shape),
            uses=[uses[use] for use in self._ids(f"{place}.uses", value.uses, uses)],
        )

    def _update(self, number: int, update: UpdateRecord) -> Update:
        place = f"updates.{number}"
        return Update(
            parameter=update.parameter,
            value=self._id(f"{place}.value", update.value, self._record.values),
            op=self._id(f"{place}.op", update.op, self._record.ops),
            optimizer=update.optimizer,
            hyperparameters={name: self._arguments.part(part) for name, part in update.hyperparameters.items()},
            kept_before=self._kept(f"{place}.before", update.before),
            kept_after=self._kept(f"{place}.after", update.after),
            kept_gradient=None if update.gradient is None else self._kept(f"{place}.gradient", update.gradient),
            kept_state_before={
                name: self._kept(f"{place}.state_before", kept) for name, kept in update.state_before.items()
            },
            kept_state_after={
                name: self._kept(f"{place}.state_after", kept) for name, kept in update.state_after.items()
            },
        )

    def _decision(self, number: int, decision: DecisionRecord) -> Decision:
        place = f"decisions.{number}"
        result = self._arguments.part(decision.result)
        if not (result is None or isinstance(result, bool | int | float)):
            raise damaged(f"{place}.result: {type(result).__name__}", "a number, or nothing")
        source = self._optional(f"{place}.source", decision.source, self._sources)
        value = self._id(f"{place}.value", decision.value, self._record.values)
        return Decision(decision.what, value, result, None if source is None else self._sources[source])

    def _kept(self, place: str, kept: KeptRecord, shape: list[int] | None = None) -> Tensor | Statistics | Missing:
        if isinstance(kept, str):
            return Missing(kept)
        if isinstance(kept, tuple):
            count, mean, spread, minimum, maximum, zeros, saturated, not_finite = kept
            return Statistics(
                count=count,
                mean=float(mean),
                spread=float(spread),
                minimum=float(minimum),
                maximum=float(maximum),
                zeros=float(zeros),
                saturated=None if saturated is None else float(saturated),
                not_finite=not_finite,
            )
        tensor = self._tensor(kept)
        if shape is not None and list(tensor.shape) != shape:
            raise damaged(f"{place}: a tensor of shape {list(tensor.shape)[:8]}", f"shape {shape[:8]}")
        return tensor

    def _tensor(self, number: int) -> Tensor:
        tensor = self._tensors.get(number)
        if tensor is None:
            self._id("a tensor", number, self._record.tensors)
            tensor = self._tensors[number] = view_of(self._record.tensors[number], self._blocks)
        return tensor

    def _id(self, place: str, number: int, among: Sized) -> int:
        if not 0 <= number < len(among):
            raise damaged(f"{place}: {number}", f"0 to {len(among) - 1}" if among else "none, because there are none")
        return number

    def _ids(self, place: str, numbers: list[int], among: Sized) -> tuple[int, ...]:
        return tuple(self._id(place, number, among) for number in numbers)

    def _optional(self, place: str, number: int | None, among: Sized) -> int | None:
        return None if number is None else self._id(place, number, among)
