"""One training step of the user's own model, recorded."""

import inspect
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from chainrule.errors import ChainruleError, UnknownNameError
from chainrule.recorder.graph import own_work
from chainrule.recorder.leaves import buffers_of, module_paths, parameters_of
from chainrule.recorder.randomness import random_states
from chainrule.recorder.recording import BYTE_BUDGET, Recorder
from chainrule.trace import Keep, Recipe, Trace

Loss = Callable[..., Tensor]


def record(
    model: nn.Module,
    loss_fn: Loss | None,
    inputs: Any,
    targets: Any = None,
    optimizer: Optimizer | None = None,
    *,
    keep: Keep = "values",
    byte_budget: int | None = BYTE_BUDGET,
) -> Trace:
    """Run one training step of a model, and return everything that it did.

    The step is the usual one: forget the gradients, `output = model(inputs)`, `loss = loss_fn(output, targets)`,
    `loss.backward()`, `optimizer.step()`. Loss, gradients, buffers and generators are afterwards bit for bit what they
    would be without the recording.

    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> trace = record(model, torch.nn.functional.mse_loss, torch.ones(3, 2), torch.zeros(3, 1))
    >>> [op.name for op in trace.ops_in("forward")]
    ['linear']

    Args:
        model: any module, in training or evaluation mode as it stands.
        loss_fn: called with the output and the targets, or with the output alone when `targets` is None. None: the
            output is the loss, or has it as `.loss` or under "loss" (Hugging Face).
        inputs: a tuple or list of positional arguments, a dictionary of keyword arguments, or the only argument (a
            tensor, or a named tuple such as a PackedSequence).
        targets: whatever `loss_fn` takes.
        optimizer: makes the update; without one the parameters stay as they are. One that needs a closure (LBFGS) gets
            it; the first evaluation is the recorded one.
        keep: "values" keeps every tensor (without a copy where nothing overwrites it); "statistics" keeps mean,
            spread, minimum, maximum, and the shares of zeros, saturated and non-finite elements, for large models.
        byte_budget: the most bytes of tensors that "values" keeps; beyond it there are statistics, and
            `Trace.left_out` says from which op on. None is no limit.

    Raises:
        ChainruleError: the loss is not one number, or the arguments are of the wrong kind.
        Exception: whatever the model, the loss or the optimizer raises; a note says what was recorded last.
    """
    _check(model, loss_fn, keep, byte_budget, optimizer)
    began = time.perf_counter()
    paths = module_paths(model, None)
    devices = {tensor.device for _, tensor in (*parameters_of(paths), *buffers_of(paths))}
    states = random_states(device for device in devices if device.type != "cpu")
    with own_work():
        buffers = {name: buffer.detach().clone() for name, buffer in buffers_of(paths) if not is_lazy(buffer)}

    def compute_loss(twin: nn.Module, inputs: Any = inputs, targets: Any = targets, loss_fn: Any = loss_fn) -> Tensor:
        loss: Tensor = _loss_of(_call(twin, inputs), loss_fn, targets)
        return loss

    if optimizer is not None:
        optimizer.zero_grad()
    else:
        model.zero_grad()
    recorder = Recorder(model, loss_fn, keep=keep, byte_budget=byte_budget)
    recorder.name(inputs, "input")
    recorder.name(targets, "target")
    trace = recorder.trace
    trace.about = _about(model, loss_fn, optimizer)
    try:
        with recorder:
            loss = compute_loss(model)
            _refuse_unless_scalar(loss)
            if loss.requires_grad:
                loss.backward()  # type: ignore[no-untyped-call]
                if optimizer is not None:
                    _update(optimizer, model, compute_loss, loss)
            else:
                trace.loss = recorder.value_of(loss).id
                trace.notes.append(
                    "The loss does not depend on any tensor that requires a gradient, so there was no backward pass"
                    + (" and no update." if optimizer is not None else ".")
                )
    except Exception as error:
        _say_where(error, trace)
        raise
    trace.about["seconds"] = round(time.perf_counter() - began, 6)
    trace.recipe = Recipe(model, compute_loss, states, buffers)
    return trace


def _check(model: object, loss_fn: object, keep: object, byte_budget: object, optimizer: object = None) -> None:
    if not isinstance(model, nn.Module):
        raise ChainruleError(
            what="A model to record is a torch.nn.Module.",
            found=type(model).__name__,
            expected="an instance of a class that inherits from torch.nn.Module",
            next_step="Give the instance, such as Net(), not the class." if isinstance(model, type) else "",
        )
    if loss_fn is not None and not callable(loss_fn):
        raise ChainruleError(
            what="A loss is called with the model's output and the targets.",
            found=type(loss_fn).__name__,
            expected="a function such as torch.nn.functional.mse_loss, a module such as torch.nn.MSELoss(), or None",
        )
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise ChainruleError(
            what="An optimizer is made for the model's parameters before the step.",
            found=optimizer.__name__ if isinstance(optimizer, type) else repr(optimizer),
            expected="an instance of a class of torch.optim, or None for no update",
            next_step="For example: torch.optim.SGD(model.parameters(), lr=0.1)",
        )
    if keep not in ("values", "statistics"):
        raise UnknownNameError.unknown_name("keep", str(keep), ("values", "statistics"))
    if byte_budget is not None and (not isinstance(byte_budget, int) or byte_budget < 0):
        raise ChainruleError(
            what="A byte budget is a number of bytes.",
            found=repr(byte_budget),
            expected="0 or more, or None for no limit",
        )


def _call(model: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, tuple | list) and not hasattr(inputs, "_fields"):
        return model(*inputs)
    return model(inputs)


def _loss_of(output: Any, loss_fn: Loss | None, targets: Any) -> Any:
    if loss_fn is not None:
        return loss_fn(output) if targets is None else loss_fn(output, targets)
    if isinstance(output, Mapping) and "loss" in output:
        return output["loss"]
    return getattr(output, "loss", output)


def _refuse_unless_scalar(loss: object) -> None:
    if isinstance(loss, Tensor) and loss.numel() == 1:
        return
    is_tensor = isinstance(loss, Tensor)
    raise ChainruleError(
        what="The loss is not one number, so there is nothing to backpropagate from.",
        found=f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__,
        expected="a tensor with one element",
        next_step="End the loss with .mean() or .sum()."
        if is_tensor
        else "Give a loss_fn that takes the model's output.",
    )


def _update(optimizer: Optimizer, model: nn.Module, compute_loss: Callable[[nn.Module], Tensor], loss: Tensor) -> None:
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is None or closure.default is not inspect.Parameter.empty:
        optimizer.step()
        return
    looks = 0

    def look_again() -> Tensor:
        nonlocal looks
        looks += 1
        if looks == 1:  # the step that was just taken is the first look
            return loss
        with torch.enable_grad():
            optimizer.zero_grad()
            again = compute_loss(model)
            again.backward()  # type: ignore[no-untyped-call]
        return again

    optimizer.step(look_again)  # type: ignore[arg-type]  # torch says float, and takes a tensor


def _about(model: nn.Module, loss_fn: object, optimizer: Optimizer | None) -> dict[str, str | int | float]:
    parameter = next(model.parameters(), None)
    return {
        "chainrule": version("chainrule"),
        "torch": torch.__version__,
        "model": type(model).__name__,
        "loss": "" if loss_fn is None else getattr(loss_fn, "__name__", type(loss_fn).__name__),
        "optimizer": "" if optimizer is None else type(optimizer).__name__,
        "device": "" if parameter is None else str(parameter.device),
    }


def _say_where(error: Exception, trace: Trace) -> None:
    if not trace.ops or isinstance(error, ChainruleError):
        return
    last = trace.ops[-1]
    where = f" in module '{last.module}'" if last.module else ""
    line = f", {last.source}: {last.source.text}" if last.source else ""
    error.add_note(
        f"chainrule: the last op that ran was {last.name}{where}{line} ({len(trace.ops)} ops were recorded)."
    )
