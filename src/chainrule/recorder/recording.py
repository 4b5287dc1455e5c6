"""The recorder: a torch function mode that sees every operation, and hooks that see every gradient.

While it is on, each call of a torch function on this thread comes through `__torch_function__`, with the user's own
arguments, and is run as it is. What autograd's graph then holds between the call's inputs and outputs is the op's part
of it; gradients are read where they enter and leave that part. Nothing of torch is patched, nothing is written onto
the user's modules, and the graph is the one that the user's code made, so the step's numbers are bit for bit those of
a step that nobody looks at.
"""

import gc
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

# torch has no public way to ask which modes are on.
from torch.overrides import _get_current_function_mode_stack as modes_that_are_on

from chainrule.errors import ChainruleError
from chainrule.recorder.arguments import tensors_in, tensors_of, with_refs
from chainrule.recorder.backward_pass import run_backward
from chainrule.recorder.bounds import bounds_of
from chainrule.recorder.compiled import CompiledModules
from chainrule.recorder.custom import CustomCalls
from chainrule.recorder.functions import Function, FunctionFacts, Role, facts_of
from chainrule.recorder.graph import Edge, GradientGraph, Node, own_work
from chainrule.recorder.keeping import Keeper, version_of
from chainrule.recorder.leaves import LOSS, buffers_of, leaf_names, module_paths, named_tensors, parameters_of
from chainrule.recorder.modules import ModuleStack
from chainrule.recorder.naming import name_values
from chainrule.recorder.randomness import random_state
from chainrule.recorder.settling import settle_carried, settle_freed
from chainrule.recorder.sources import SourceFinder
from chainrule.recorder.standing_aside import StandingAside
from chainrule.recorder.tensors import TensorTable
from chainrule.recorder.unseen import UnseenOps
from chainrule.recorder.updating import UpdateWatch
from chainrule.trace import (
    Decision,
    Keep,
    Missing,
    ModuleNote,
    Op,
    Phase,
    Trace,
    Use,
    Value,
    ValueRef,
)

BYTE_BUDGET = 4 * 2**30
COPIED_BYTES = 64 * 2**20  # what the next step writes over is copied when the recording ends, up to this size
_NAMED_LEAVES = ("parameter", "buffer", "input", "target")


@final
class Recorder(TorchFunctionMode):
    """Records what runs inside its `with` block: forward, loss, backward and optimizer steps, in any order.

    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> with Recorder(model) as recorder:
    ...     loss = model(torch.ones(1, 2)).square().mean()
    ...     loss.backward()
    >>> [op.name for op in recorder.trace.ops]
    ['linear', 'square', 'mean', 'mean backward', 'square backward', 'linear backward']

    Args:
        model: its parameters, buffers and modules are known by their names.
        loss_fn: when it is a module, its own are known too, as "loss_fn....".
        keep: "values" keeps tensors, "statistics" a few numbers of each (see `Statistics`).
        byte_budget: the most bytes of tensors that are kept; the trace says from which op on there are only
            statistics. None is no limit.
    """

    def __init__(
        self,
        model: nn.Module,
        loss_fn: object = None,
        *,
        keep: Keep = "values",
        byte_budget: int | None = BYTE_BUDGET,
    ) -> None:
        super().__init__()
        paths = self._paths = module_paths(model, loss_fn)
        notes = {path: ModuleNote(type(module).__name__, module.training) for module, path in paths.items()}
        self.trace = Trace(ops=[], values=[], updates=[], loss=None, modules=notes, keep=keep)
        self._model = model
        self._loss_fn = loss_fn  # its tensors must live as long as their names
        self._returned: dict[str, list[int]] = {}
        self._keeper = Keeper(keep, byte_budget)
        self._sources = SourceFinder()
        self._modules = ModuleStack(
            paths, self._is_on, self._path_of_unknown, self._module_called, self._module_returned
        )
        self._graph = GradientGraph(self._adjoint_arrived, self._sent_back, self._node_ran, self._accumulates)
        self._tensors = TensorTable(
            self.trace,
            self._keeper,
            self._graph,
            leaf_names(paths),
            lambda *tensor: self._unseen.value_of(*tensor),
        )
        self._aside = StandingAside(self)
        self._compiled = CompiledModules(self._aside)
        self._custom = CustomCalls(self._sources.here, lambda: self._modules.current, self._value_and_edge)
        self._unseen = UnseenOps(self.trace, self._tensors, self._graph, self._custom, self._new_op)
        self._updates = UpdateWatch(
            model,
            self.trace,
            self._keeper,
            self._tensors.value_of,
            self._tensors.name_of,
            self._aside,
            self._new_update_op,
        )
        self._backward_ops: dict[int, Op] = {}
        self._is_shared = any(isinstance(module, DistributedDataParallel) for module in paths)
        if self._is_shared:
            self.trace.notes.append(
                "DistributedDataParallel averages the gradients over all processes after they have arrived: adjoints "
                "are those of this process, and the update takes the average."
            )
        if any(type(parameter).__name__ == "DTensor" for _, parameter in parameters_of(paths)):
            self.trace.notes.append(
                "The parameters are sharded (DTensor): ops take what is gathered from them, and adjoints stand there."
            )
        self._has_lazy = any(is_lazy(each) for _, each in (*parameters_of(paths), *buffers_of(paths)))
        self._phase: Phase = "forward"
        self._is_in_backward = False
        self._is_other_pass = False
        self._was_backward = False
        self._is_finished = False
        self._collects = False
        self._depth = 0

    # -- on and off

    def __enter__(self) -> "Recorder":
        if self._is_finished:
            raise ChainruleError(
                what="A Recorder records one block of code, and this one has done so.",
                next_step="Make another one: `with Recorder(model) as recorder:`",
            )
        self._depth += 1
        if self._depth == 1:
            # A recording makes tens of thousands of small objects and no circles among them. Python would look for
            # circles again and again meanwhile, through everything that the process has ever imported.
            self._collects = gc.isenabled()
            gc.disable()
            self._compiled.begin()
            self._modules.enter()
            self._updates.enter()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._aside.end()  # an optimizer that failed has not said so
        super().__exit__(kind, error, traceback)  # type: ignore[no-untyped-call]
        self._depth -= 1
        if self._depth == 0:
            self._compiled.end()
            self._modules.leave()
            self._updates.leave()
            try:
                self._finish()
            finally:
                if self._collects:
                    gc.enable()

    def _finish(self) -> None:
        with own_work():
            self._close()

    def _close(self) -> None:
        trace = self.trace
        settle_carried(trace, self._graph.carried(), self._keeper)
        for value in trace.values:
            if value.kind in _NAMED_LEAVES and isinstance(value.data, Tensor):
                # The user's next step writes over these; activations are nobody's but the trace's.
                self._keeper.will_be_overwritten(value.data, len(trace.ops))
        for _, buffer in buffers_of(self._paths):
            if not self._has_lazy or not is_lazy(buffer):
                self._keeper.will_be_overwritten(buffer, len(trace.ops))
        self._copy_what_training_writes_over()
        settle_freed(trace)
        trace.left_out = self._keeper.left_out
        for path, outputs in self._returned.items():
            note = trace.modules.get(path)
            if note is not None:
                trace.modules[path] = ModuleNote(note.class_name, note.training, tuple(outputs))
        name_values(trace)
        for update in trace.updates:
            if update.parameter.startswith("%"):
                update.parameter = trace.values[update.value].name
        hooked = [value.name for value in self._tensors.hooked.values()]
        if hooked:
            trace.notes.append(
                f"Hooks of the user's run on the gradient of {', '.join(hooked)}. What they change is in the adjoint, "
                "and not in the contributions that add up to it."
            )
        self._graph.close()
        self._tensors.clear()
        self._custom.clear()
        self._keeper.forget_memory()
        # The parts know the recorder and the recorder knows them: such a circle would keep the trace's tensors alive
        # until Python looks for circles, which it does by the number of objects and not by their bytes.
        del self._graph, self._tensors, self._modules, self._compiled, self._updates, self._custom, self._keeper
        del self._unseen, self._aside
        self._is_finished = True

    def _copy_what_training_writes_over(self) -> None:
        """Copy gradients, and parameters and optimizer state after the update, where they are not large.

        The next step writes over them. For a large model the copies would cost more than the recording; there the
        numbers are missing once they are overwritten, and `chainrule.ops.update_rules.replay_update` has them still.
        """
        shared = list(self._updates.touched)
        if not self._has_lazy:
            shared += [each.grad for _, each in parameters_of(self._paths) if each.grad is not None]
        if sum(tensor.nbytes for tensor in shared if tensor.layout is torch.strided) <= COPIED_BYTES:
            for tensor in shared:
                self._keeper.will_be_overwritten(tensor, len(self.trace.ops))

    def name(self, structure: object, kind: Literal["input", "target"]) -> None:
        """Make known that tensors (one, or nested in tuples, lists and dictionaries) are the step's inputs or targets.

        They must live until the recording ends.
        """
        for tensor, name in named_tensors(structure, kind):
            self._tensors.name(tensor, kind, name)

    def value_of(self, tensor: Tensor) -> Value:
        """Return the value that a tensor is at this moment of the step."""
        with own_work():
            return self._tensors.value_of(tensor)

    def _value_and_edge(self, tensor: Tensor) -> tuple[Value, Edge | None]:
        with own_work(), torch.enable_grad():
            value = self._tensors.value_of(tensor)
            return value, self._tensors.edge(tensor)

    def _is_on(self) -> bool:
        """Return whether what runs here and now is to be recorded: other threads have modes of their own."""
        if self._updates.is_stepping:
            return False
        return self._compiled.set_aside or any(mode is self for mode in modes_that_are_on())  # type: ignore[no-untyped-call]

    # -- torch functions

    def __torch_function__(
        self, func: Function, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        facts = facts_of(func)
        kwargs = kwargs or {}
        if facts.role is Role.SKIP or self._updates.is_stepping:
            return func(*args, **kwargs)
        if facts.role is Role.BACKWARD:
            return self._run_backward(func, args, kwargs)
        if facts.role is Role.GRADIENTS:
            return self._run_other_pass(func, args, kwargs)
        if not torch.is_grad_enabled():
            # Inside the user's own Function, or a hook of the backward pass: its work is one op, or nobody's.
            call = self._custom.running()
            if self._is_in_backward or call is not None:
                self._keep_before_write(facts, args, kwargs)
                result = func(*args, **kwargs)
                if call is not None:
                    self._custom.made(call, result)
                return result
        if facts.role is Role.DECISION:
            return self._decide(func, facts, args, kwargs)
        return self._record(func, facts, args, kwargs)

    def _record(self, func: Function, facts: FunctionFacts, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run an operation and write down what it took, what it made and what it wrote over."""
        taken = tensors_in(args, kwargs)
        if self._has_lazy and any(is_lazy(tensor) for _, tensor in taken):
            return func(*args, **kwargs)  # it has no shape and no numbers yet
        with own_work():
            values = [self._tensors.value_of(tensor) for _, tensor in taken]
            edges = [self._tensors.edge(tensor) for _, tensor in taken]
            versions = [version_of(tensor) for _, tensor in taken]
            device = taken[0][1].device if taken else torch.device(kwargs.get("device") or torch.get_default_device())
            generator = kwargs.get("generator")
            before = random_state(device, generator)
        written = self._keep_before_write(facts, args, kwargs)
        gradients_on = torch.is_grad_enabled()
        result = func(*args, **kwargs)
        made = tensors_of(result)
        changed = _changed(taken, versions, written)
        if not made and not changed:
            return result
        with own_work():
            op = self._new_op(facts.name)
            op.function, op.run, op.gradients_on = facts.full_name, func, gradients_on
            refs = {id(tensor): ValueRef(value.id) for (_, tensor), value in zip(taken, values, strict=True)}
            op.arguments = tuple(with_refs(part, refs) for part in args)
            op.keywords = {name: with_refs(part, refs) for name, part in kwargs.items()}
            self._add_uses(op, [place for place, _ in taken], values)
            if before is not None and not torch.equal(before, _there(random_state(device, generator))):
                op.random_state = before
            op.overwrites = tuple(dict.fromkeys(refs[id(tensor)].value for tensor in changed))
            if facts.sets_data:
                self._tensors.forget(args[0])
            elif changed:
                self._tensors.wrote_over(changed)
            outgoing = self._add_outputs(op, [*made, *changed, *_bases(changed)])
            if outgoing and gradients_on:
                incoming: dict[Edge, list[Use]] = {}
                for edge, use in zip(edges, op.inputs, strict=True):
                    if edge is not None:
                        incoming.setdefault(edge, []).append(use)
                self._graph.link(op, outgoing, incoming, self._tensors.value_of, self._unseen.add_hidden)
        return result

    def _keep_before_write(
        self, facts: FunctionFacts, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> list[Tensor]:
        """Copy what a call is about to write over, and return the tensors."""
        written = [tensor for target in facts.written_over(args, kwargs) for tensor in tensors_of(target)]
        if written:
            with own_work():
                for tensor in written:
                    self._keeper.will_be_overwritten(tensor, len(self.trace.ops))
        return written

    def _add_uses(self, op: Op, places: list[tuple[int | str, ...]], values: list[Value]) -> None:
        for place, value in zip(places, values, strict=True):
            use = Use(value.id, op.id, place)
            op.inputs.append(use)
            value.uses.append(use)

    def _add_outputs(self, op: Op, tensors: list[Tensor]) -> list[Edge]:
        """Make values of an op's outputs, and return the edges of those that are new."""
        edges: list[Edge] = []
        seen: set[int] = set()
        for tensor in tensors:
            if id(tensor) in seen:
                continue
            seen.add(id(tensor))
            value = self._tensors.known(tensor)
            if value is None:
                bounds = bounds_of(op.name)
                value = self._tensors.add(
                    tensor, "computed", op=op.id, producer=op.id, output=len(op.outputs), bounds=bounds
                )
                edge = self._tensors.edge(tensor)
                if edge is not None:
                    edges.append(edge)
            op.outputs.append(value.id)
        return edges

    def _decide(self, func: Function, facts: FunctionFacts, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        result = func(*args, **kwargs)
        number = result if isinstance(result, bool | int | float) else None
        for part in args[:1]:
            if isinstance(part, Tensor) and not self._is_in_backward:
                with own_work():
                    value = self._tensors.value_of(part)
                self.trace.decisions.append(Decision(facts.name, value.id, number, self._sources.here()))
        return result

    # -- ops

    def _new_op(self, name: str) -> Op:
        path, class_name, call = self._modules.current
        op = Op(
            id=len(self.trace.ops),
            name=name,
            phase=self._phase_now(),
            module=path,
            module_class=class_name,
            call=call,
            source=self._sources.here(),
            gradients_on=torch.is_grad_enabled(),
            autocast=_autocast_dtype(),
            recomputed=self._is_in_backward,
        )
        self.trace.ops.append(op)
        return op

    def _phase_now(self) -> Phase:
        if self._is_in_backward:
            return "backward"
        if self._was_backward and not self._modules.depth and not torch.is_grad_enabled():
            return "update"  # gradients are clipped, or an update is written by hand
        return self._phase

    def _new_update_op(self, name: str) -> Op:
        op = self._new_op(name)
        op.phase = "update"
        return op

    # -- modules

    def _path_of_unknown(self, module: nn.Module) -> str:
        """Return the path of a module that is not the model's: after the forward pass it is the loss."""
        name = type(module).__name__
        if self._phase != "loss" or self._is_in_backward:
            return f"({name})"
        self.trace.modules.setdefault(LOSS, ModuleNote(name, module.training))
        return LOSS

    def _module_called(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module is self._model and self._modules.depth == 1 and not self._is_in_backward:
            self._phase = "forward"
            self._was_backward = False
        with own_work():
            self._unseen.module_called(module, inputs)
        self._compiled.called(module)

    def _module_returned(self, module: nn.Module, path: str, output: Any) -> None:
        self._compiled.returned(module)
        if self._compiled.set_aside:
            return
        outputs = [tensor for _, tensor in tensors_in((output,))]
        with own_work():
            values = [
                self._tensors.value_of(tensor)
                for tensor in outputs
                if tensor.grad_fn is not None
                or self._unseen.is_one_op(module)
                or self._tensors.known(tensor) is not None
            ]
            self._unseen.module_returned(module)
        self._returned.setdefault(path, []).extend(value.id for value in values)
        if module is self._model and self._modules.depth == 1 and not self._is_in_backward:
            self._phase = "loss"

    # -- backward

    def _run_backward(self, func: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Run the backward pass with the recorder on, so that what is computed again in it is recorded."""
        recorders = [self, *_others()]
        earlier = [recorder._is_in_backward for recorder in recorders]
        for recorder in recorders:
            recorder._backward_begins(args, kwargs)
        try:
            with self:
                run_backward(func, args, kwargs)
        finally:
            for recorder, was_in_backward in zip(recorders, earlier, strict=True):
                recorder._is_in_backward = was_in_backward

    def _backward_begins(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        root = next((tensor for _, tensor in tensors_in(args, kwargs)), None)
        if root is not None and not self._is_in_backward:  # a reentrant checkpoint runs one inside of it
            self.trace.loss = self.value_of(root).id
        self._is_in_backward = self._was_backward = True

    def _run_other_pass(self, func: Function, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Run torch.autograd.grad: its gradients are not the step's, and are not recorded."""
        note = (
            "torch.autograd.grad ran inside the step. What it computed with create_graph=True was made by autograd's "
            "engine, so it stands in the trace as ops without a formula."
        )
        if note not in self.trace.notes:
            self.trace.notes.append(note)
        earlier, self._is_other_pass = self._is_other_pass, True
        try:
            return func(*args, **kwargs)
        finally:
            self._is_other_pass = earlier

    def _node_ran(self, op: Op, node: Node) -> None:
        if self._is_other_pass or self._updates.is_stepping or op.id in self._backward_ops:
            return
        backward = self._new_op(f"{op.name} backward")
        backward.phase, backward.of, backward.recomputed = "backward", op.id, False
        backward.module, backward.module_class, backward.call = op.module, op.module_class, op.call
        backward.source, backward.nodes = op.source, op.nodes
        self._backward_ops[op.id] = backward

    def _adjoint_arrived(self, value: Value, gradient: Tensor) -> None:
        if self._is_other_pass or self._updates.is_stepping:
            return
        earlier = value.adjoint
        if earlier is None:
            value.kept_adjoint = self._keeper.keep(gradient, len(self.trace.ops))
            if self._is_shared and value.kind == "parameter":
                self._keeper.will_be_overwritten(gradient, len(self.trace.ops))
            if value.kind == "hidden":
                value.shape, value.dtype = tuple(gradient.shape), str(gradient.dtype).removeprefix("torch.")
                value.device = str(gradient.device)
        elif isinstance(earlier, Tensor):
            value.kept_adjoint = self._keeper.keep(earlier + gradient, len(self.trace.ops))
        else:
            value.kept_adjoint = Missing("it came in several backward passes, of which only statistics are kept")

    def _sent_back(self, use: Use, gradient: Tensor) -> None:
        if not (self._is_other_pass or self._updates.is_stepping):
            use.sent.append(self._keeper.keep(gradient, len(self.trace.ops)))

    def _accumulates(self, gradient: Tensor) -> None:
        self._keeper.will_be_overwritten(gradient, len(self.trace.ops))


def _others() -> list[Recorder]:
    """Return the recorders around this one."""
    return [mode for mode in modes_that_are_on() if isinstance(mode, Recorder)]  # type: ignore[no-untyped-call]


def _changed(
    taken: list[tuple[tuple[int | str, ...], Tensor]], versions: list[int], written: list[Tensor]
) -> list[Tensor]:
    """Return the arguments that the call wrote over; tensors of inference_mode do not say so themselves."""
    return [
        tensor
        for (_, tensor), version in zip(taken, versions, strict=True)
        if version_of(tensor) != version or (version < 0 and any(tensor is target for target in written))
    ]


def _bases(changed: list[Tensor]) -> list[Tensor]:
    """Return the tensors that the changed ones are views of: they have changed with them."""
    return [tensor._base for tensor in changed if tensor._is_view() and tensor._base is not None]


def _autocast_dtype() -> str:
    for device in ("cpu", "cuda", "mps", "xpu"):
        if torch.is_autocast_enabled(device):
            return str(torch.get_autocast_dtype(device)).removeprefix("torch.")
    return ""


def _there(state: Tensor | None) -> Tensor:
    assert state is not None  # noqa: S101  # it was there before the call
    return state
