"""A loss that is NaN or infinite: where it began, what to try, and which weights are left."""

from dataclasses import dataclass, field

import torch
from torch import nn

from chainrule.findings import Finding
from chainrule.shapes import Tensor
from chainrule.training.batches import Batch
from chainrule.training.devices import first_text
from chainrule.training.state import State
from chainrule.training.stopping import LOSS_NOT_FINITE, spoiled


@dataclass(frozen=True, slots=True)
class _Origin:
    """The first NaN or infinity in time: where, what is to say of it, and what to try beside a lower rate."""

    where: str
    claim: str
    advice: str = ""
    evidence: dict[str, float | int | str] = field(default_factory=dict)


def stop_at_loss_not_finite(state: State, batch: Batch, loss: float) -> None:
    """End the run at a loss that is NaN or infinite; say in which tensor it began and what to try.

    Weights that the last update spoiled give way to the newest ones that were kept while all were finite.
    """
    origin, step = _origin(state, batch), state.progress.step
    state.progress.stopped = LOSS_NOT_FINITE
    state.history.note(step, {"loss": loss, "lr": state.learning_rate})
    evidence: dict[str, float | int | str] = {
        "loss": str(loss),
        "updates done": step,
        "learning rate": state.learning_rate,
        **origin.evidence,
    }
    if state.finite_weights and not spoiled(state.model.state_dict()) <= spoiled(state.finite_weights):
        state.model.load_state_dict(state.finite_weights)
        evidence["weights kept"] = f"those after update {state.progress.finite_step}"
    remedy = f"Try a learning rate ten times lower: --optimizer.lr {state.learning_rate / 10:g}. {origin.advice}"
    state.findings.append(
        Finding(
            code="loss-not-finite",
            severity="error",
            claim=f"The loss is {loss} at step {step + 1}: {origin.claim}",
            where=origin.where,
            evidence=evidence,
            remedy=remedy.rstrip(),
        )
    )


def _origin(state: State, batch: Batch) -> _Origin:
    """Return where the first NaN or infinity is, in time: gradients of the last step, weights, then outputs."""
    for name, parameter in state.model.named_parameters():
        gradient = parameter.grad
        if gradient is not None and (count := _not_finite(gradient)):
            return _Origin(
                f"gradient of {name}",
                f"the gradient of {name} was already not finite in the update before.",
                f"If that does not help, clip or rescale what {name} feeds.",
                {"entries not finite": count, "of": gradient.numel()},
            )
    for name, parameter in state.model.named_parameters():
        if count := _not_finite(parameter):
            claim = f"the weights of {name} are not finite after the last update."
            return _Origin(name, claim, "", {"entries not finite": count, "of": parameter.numel()})
    largest = max(float(parameter.detach().abs().max()) for parameter in state.model.parameters() if parameter.numel())
    path, _, kind = first_text(_first_module(state, batch), state.place).partition("\n")
    if kind:
        return _Origin(
            f"output of {path}",
            f"the weights are finite, and the output of {path} ({kind}) is the first that is not.",
            f"Or look at what {path} computes: an overflow, a division by 0, a logarithm of 0.",
            {"largest |weight|": largest},
        )
    loss = state.objective.name
    return _Origin(
        f"loss {loss}",
        "the weights and the prediction are finite, and the loss itself is not.",
        f"Or check that predictions and targets lie where {loss} is defined.",
        {"largest |weight|": largest},
    )


def _not_finite(tensor: Tensor) -> int:
    numbers = tensor.detach().to_dense() if tensor.is_sparse else tensor.detach()
    return int((~numbers.isfinite()).sum())


def _first_module(state: State, batch: Batch) -> str:
    """Return path and kind of the module whose output is the first that is not finite, on two lines; or nothing."""
    found: list[str] = []
    handles = []

    def look(path: str) -> object:
        def hook(module: nn.Module, arguments: object, output: object) -> None:
            if isinstance(output, Tensor) and not output.isfinite().all():
                found.append(f"{path or 'the model'}\n{type(module).__name__}")

        return hook

    for path, module in state.model.named_modules():
        if not isinstance(module, torch.jit.ScriptModule):  # those of torch.jit take no hooks
            handles.append(module.register_forward_hook(look(path)))
    try:
        with torch.no_grad(), state.place.casting():
            state.model(batch.inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else ""
