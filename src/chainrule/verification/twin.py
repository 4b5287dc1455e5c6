"""A copy of a recorded model that takes the recorded step again, as often as asked, and each time from the same state.

Nothing of the user's is touched: model, loss and inputs are copies, generators are put back, and what the copy keeps
between calls (buffers, plain attributes, generators of its own) is put back before each evaluation.
"""

import inspect
import random
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, final

import numpy
import torch
from torch import nn

from chainrule.errors import ChainruleError
from chainrule.recorder import drawn_again, random_states
from chainrule.recorder.leaves import LOSS, named_tensors
from chainrule.shapes import Tensor
from chainrule.trace import Recipe, Statistics, Trace, Value, rebuild
from chainrule.trace.reduction import statistics_of
from chainrule.verification.branches import Branches, BranchWatch
from chainrule.verification.copying import copy_model
from chainrule.verification.widening import WIDE, InFloat64, run_backward

_ONLY_NARROW = ("mps",)  # devices without float64


@final
class Twin:
    """A copy of the model of a trace, with the parameters and buffers of before the step.

    Args:
        trace: has a recipe.
        is_wide: in float64, on the CPU where the device has no float64; otherwise in the dtypes of the recording.

    Attributes:
        parameters: those that required a gradient, by name; those of a loss that is a module are "loss_fn....".
        draws: whether the step draws random numbers from torch.
        original: the user's own model, to look at.
        evaluations: how often the loss was computed.
        reaches_original: the loss used parameters of the user's own model, which the copy does not have.
        dropped: the modules that `drop_hooks` took backward hooks from.
    """

    def __init__(self, trace: Trace, is_wide: bool) -> None:
        recipe = _recipe_of(trace)
        self._is_wide = is_wide
        self._compute_loss = recipe.compute_loss
        given = _arguments_of(recipe.compute_loss)
        given_loss = given.get("loss_fn")
        self.original: nn.Module = recipe.model
        self.reaches_original = False
        own = (part for part in (recipe.model, given_loss) if isinstance(part, nn.Module))
        self._own_parameters = [parameter for part in own for parameter in part.parameters()]
        self._module, self._loss_fn, copies = copy_model(recipe.model, given_loss)
        self._given = {name: part for name, part in given.items() if name in ("inputs", "targets")}
        for name in self._given:
            self._given[name] = _recorded_tensors(self._given[name], trace, name.removesuffix("s"))
        self._put_parameters(trace)
        self._put_buffers(trace, recipe)
        self._put_modes(trace)
        device = next((each.device.type for _, each in self._named(nn.Module.named_parameters)), "cpu")
        if is_wide:
            _widen(copies)
            self._each(lambda module: module.double())
            if device in _ONLY_NARROW:
                self._each(lambda module: module.to("cpu"))
                copies = [part.cpu() if isinstance(part, Tensor) else part for part in copies]
            self._given = rebuild(self._given, lambda part: _wide(part, device))
        elsewhere = _ONLY_NARROW if is_wide else ()
        self._states = {
            name: state for name, state in recipe.random_states.items() if name.partition(":")[0] not in elsewhere
        }
        self.parameters = {name: part for name, part in self._named(nn.Module.named_parameters) if part.requires_grad}
        self.evaluations = 0
        self.draws = False
        self.dropped: tuple[str, ...] = ()
        self._running: list[str] = []
        self._watch_modules()
        self._modules = [module for part in self._parts() for module in part.modules()]
        self._attributes = [(module, _attributes(module)) for module in self._modules]
        self._buffers = [
            (module, {name: None if part is None else part.detach().clone() for name, part in module._buffers.items()})
            for module in self._modules
        ]
        self._generators = [(part, part.get_state()) for part in copies if isinstance(part, torch.Generator)]
        self._python_state = random.getstate()
        self._numpy_state = numpy.random.get_state()  # the global generator is what models draw from

    # -- making it

    def _parts(self) -> list[nn.Module]:
        return [part for part in (self._module, self._loss_fn) if isinstance(part, nn.Module)]

    def _each(self, change: Callable[[nn.Module], object]) -> None:
        for part in self._parts():
            change(part)

    def _named(self, kind: Callable[[nn.Module], Iterator[tuple[str, Any]]]) -> Iterator[tuple[str, Any]]:
        yield from kind(self._module)
        if isinstance(self._loss_fn, nn.Module):
            for name, part in kind(self._loss_fn):
                yield (f"{LOSS}.{name}" if name else LOSS), part

    def _put_parameters(self, trace: Trace) -> None:
        recorded = _by_name(trace, "parameter")
        updated = {update.parameter for update in trace.updates if update.kept_gradient is not None}
        for name, parameter in self._named(nn.Module.named_parameters):
            value = recorded.get(name)
            if value is None:
                continue  # the step did not use it
            number = value.data
            if isinstance(number, Tensor) and number.shape == parameter.shape:
                parameter.data.copy_(number)
                parameter.requires_grad_(value.requires_grad)
            elif name in updated or not isinstance(number, Statistics) or statistics_of(parameter.data) != number:
                raise _no_parameters(trace, name)

    def _put_buffers(self, trace: Trace, recipe: Recipe) -> None:
        recorded = _by_name(trace, "buffer")
        for name, buffer in self._named(nn.Module.named_buffers):
            before = recipe.buffers.get(name)
            if before is None and name in recorded:
                before = recorded[name].data
            if isinstance(before, Tensor) and before.shape == buffer.shape:
                buffer.data.copy_(before)

    def _put_modes(self, trace: Trace) -> None:
        for path, module in self._named(nn.Module.named_modules):
            note = trace.modules.get(path)
            if note is not None and not isinstance(module, torch.jit.ScriptModule):
                module.training = note.training

    def _watch_modules(self) -> None:
        for path, module in self._named(nn.Module.named_modules):
            if isinstance(module, torch.jit.ScriptModule):
                continue

            def enter(_module: nn.Module, _inputs: Any, path: str = path) -> None:
                self._running.append(path)

            def leave(_module: nn.Module, _inputs: Any, _output: Any) -> None:
                self._running.pop()

            module.register_forward_pre_hook(enter)
            module.register_forward_hook(leave, always_call=True)

    # -- taking the step

    @property
    def running(self) -> str:
        """The path of the module that runs now."""
        return self._running[-1] if self._running else ""

    @contextmanager
    def _as_before(self) -> Iterator[None]:
        for module, attributes in self._attributes:
            module.__dict__.update(attributes)
            for name in module.__dict__.keys() - attributes.keys() - _OWN:
                del module.__dict__[name]
        for module, buffers in self._buffers:
            for name, before in buffers.items():
                now = module._buffers.get(name)
                if isinstance(now, Tensor) and before is not None and now.shape == before.shape:
                    now.data.copy_(before)
                else:
                    module._buffers[name] = None if before is None else before.clone()
        for generator, state in self._generators:
            generator.set_state(state)
        self._running.clear()
        python_state, numpy_state = random.getstate(), numpy.random.get_state()
        dtype = torch.get_default_dtype()
        with ExitStack() as stack:
            stack.enter_context(drawn_again(self._states))
            stack.enter_context(torch.enable_grad())
            if "torch._dynamo" in sys.modules:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            if self._is_wide:
                stack.enter_context(InFloat64())
            try:
                random.setstate(self._python_state)
                numpy.random.set_state(self._numpy_state)
                if self._is_wide:
                    torch.set_default_dtype(torch.float64)
                yield
            finally:
                torch.set_default_dtype(dtype)
                random.setstate(python_state)
                numpy.random.set_state(numpy_state)

    def _loss(self) -> Tensor:
        self.evaluations += 1
        given = {name: rebuild(part, _fresh) for name, part in self._given.items()}
        if self._loss_fn is not None:
            given["loss_fn"] = self._loss_fn
        loss: Tensor = self._compute_loss(self._module, **given)
        if self.evaluations == 1:
            now = random_states(torch.device(name) for name in self._states if name != "cpu")
            self.draws = any(not torch.equal(now[name], state) for name, state in self._states.items())
        return loss

    def evaluate(self) -> float:
        """Return the loss."""
        with self._as_before():
            return float(self._loss().detach())

    def watched(self) -> tuple[float, Branches]:
        """Return the loss and the branches that it took."""
        watch = BranchWatch(lambda: self.running)
        with self._as_before():
            with watch:
                loss = self._loss()
            return float(loss.detach()), watch.branches

    def gradients(self, around: Callable[[], Any] | None = None) -> tuple[float, dict[str, Tensor | None]]:
        """Return the loss and autograd's gradient of every parameter; None where none arrived.

        Args:
            around: makes a context for the step to run in.
        """
        for part in self._parts():
            part.zero_grad(set_to_none=True)
        with self._original_gradients_aside(), self._as_before(), ExitStack() as stack:
            if around is not None:
                stack.enter_context(around())
            loss = self._loss()
            if loss.requires_grad:
                run_backward((loss,), (torch.ones_like(loss),))
        found: dict[str, Tensor | None] = {}
        for name, parameter in self.parameters.items():
            gradient = parameter.grad
            found[name] = None if gradient is None else gradient.detach().to_dense().clone()
            parameter.grad = None
        return float(loss.detach()), found

    @contextmanager
    def _original_gradients_aside(self) -> Iterator[None]:
        """Keep the user's gradients from a loss that knows the user's own model and not the copy's."""
        kept = [(parameter, parameter.grad) for parameter in self._own_parameters]
        try:
            for parameter, _ in kept:
                parameter.grad = None
            yield
            self.reaches_original = any(parameter.grad is not None for parameter, _ in kept)
        finally:
            for parameter, gradient in kept:
                parameter.grad = gradient

    def drop_hooks(self) -> Callable[[], None]:
        """Take the modules' backward hooks away from the copy, and return what puts them back."""
        kept: list[tuple[dict[Any, Any], dict[Any, Any]]] = []
        paths: dict[str, None] = {}
        for path, module in self._named(nn.Module.named_modules):
            for name in ("_backward_hooks", "_backward_pre_hooks"):
                hooks = module.__dict__.get(name)
                if hooks:
                    paths[path] = None
                    kept.append((hooks, dict(hooks)))
                    hooks.clear()
        self.dropped = tuple(paths)

        def put_back() -> None:
            for hooks, before in kept:
                hooks.update(before)

        return put_back

    def nudge_inputs(self, factor: Callable[[Tensor], Tensor]) -> Mapping[str, Any]:
        """Multiply every floating point input by a factor, and return the inputs of before, for `put_inputs`."""
        before = dict(self._given)
        self._given["inputs"] = rebuild(
            self._given.get("inputs"),
            lambda part: _as(part * factor(part), part) if _is_float(part) else part,
        )
        return before

    def put_inputs(self, given: Mapping[str, Any]) -> None:
        """Put inputs back."""
        self._given = dict(given)


_OWN = frozenset(("_parameters", "_buffers", "_modules"))


def _attributes(module: nn.Module) -> dict[str, Any]:
    return {name: part for name, part in module.__dict__.items() if name not in _OWN}


def _recipe_of(trace: Trace) -> Recipe:
    if trace.recipe is None:
        raise ChainruleError(
            what="This trace cannot be verified: it does not have the model that it was recorded from.",
            found="a trace that was loaded from a file, or recorded by `with Recorder(model)`",
            expected="a trace that chainrule.record returned in this process",
            next_step="Record the step with chainrule.record(model, loss_fn, inputs, targets), and verify that trace.",
        )
    return trace.recipe


def _no_parameters(trace: Trace, name: str) -> ChainruleError:
    if trace.keep == "statistics":
        cause = "The trace keeps statistics instead of tensors, and the parameters were changed since."
    else:
        cause = "The byte budget was used up before they were kept, or they were overwritten since."
    return ChainruleError(
        what="This trace cannot be verified: the parameters of before the update are not in it.",
        where=name,
        cause=cause,
        next_step='Record the step with keep="values", or without an optimizer.',
    )


def _arguments_of(compute_loss: Callable[..., Any]) -> dict[str, Any]:
    """Return what forward and loss are called with: the defaults of `compute_loss`."""
    return {
        name: parameter.default
        for name, parameter in inspect.signature(compute_loss).parameters.items()
        if name in ("inputs", "targets", "loss_fn") and parameter.default is not inspect.Parameter.empty
    }


def _widen(copies: list[Any]) -> None:
    for part in copies:
        if isinstance(part, Tensor) and part.dtype in WIDE:
            part.data = part.data.to(WIDE[part.dtype])


def _by_name(trace: Trace, kind: str) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for value in trace.values:
        if value.kind == kind:
            found.setdefault(value.name, value)
    return found


def _recorded_tensors(structure: Any, trace: Trace, kind: str) -> Any:
    """Return inputs or targets with the tensors as they were before the step, which may have written over them."""
    recorded = _by_name(trace, kind)
    numbers = {id(part): recorded[name].data for part, name in named_tensors(structure, kind) if name in recorded}

    def before(part: Any) -> Any:
        if not isinstance(part, Tensor):
            return part
        number = numbers.get(id(part))
        same = isinstance(number, Tensor) and number.shape == part.shape
        return _as(number if same and isinstance(number, Tensor) else part, part)

    return rebuild(structure, before)


def _as(number: Tensor, like: Tensor) -> Tensor:
    return number.detach().clone().requires_grad_(like.requires_grad and number.is_floating_point())


def _fresh(part: Any) -> Any:
    return _as(part, part) if isinstance(part, Tensor) else part


def _is_float(part: Any) -> bool:
    return isinstance(part, Tensor) and part.is_floating_point()


def _wide(part: Any, device: str) -> Any:
    if not isinstance(part, Tensor):
        return part
    wide = part.detach().to(WIDE.get(part.dtype, part.dtype))
    if device in _ONLY_NARROW:
        wide = wide.cpu()
    return wide.requires_grad_(part.requires_grad)
