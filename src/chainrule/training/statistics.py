"""Statistics of one step, layer by layer: activations, gradients, updates, and what the penalties pull.

They are taken at some steps of a run (`SAMPLES` of them, evenly spread), because taking them at every step would cost
more than the step itself.
"""

from collections.abc import Callable
from typing import final

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from chainrule.penalties import gradient_ratios
from chainrule.registry import ACTIVATIONS
from chainrule.shapes import Tensor
from chainrule.training.state import State

SAMPLES = 50
SATURATED_BELOW = 0.01  # |f′(z)| under which a unit passes on less than a hundredth of its gradient

_NOT_ELEMENTWISE = {"Softmax", "Softmin", "Softmax2d", "LogSoftmax", "GLU", "Identity"}
_RANDOM = {"RReLU"}  # evaluating it again would draw from the run's generator
_ELEMENTWISE = tuple(
    member
    for name, member in ACTIVATIONS.members.items()
    if isinstance(member, type) and name not in _NOT_ELEMENTWISE | _RANDOM
)
_UNINTERESTING = (nn.Flatten, nn.Unflatten, nn.Identity, nn.modules.dropout._DropoutNd)


def sample_interval(total_steps: int) -> int:
    """Return how many steps lie between two samples."""
    return -(-total_steps // SAMPLES)


@final
class StepStatistics:
    """The statistics of one step, gathered while it happens.

    Numbers are named kind/path: `activation_mean/hidden1_activation`, `gradient_norm/hidden1.weight`.
    """

    def __init__(self, state: State) -> None:
        self._values: dict[str, float] = {}
        self._parameters = {
            name: parameter for name, parameter in state.model.named_parameters() if parameter.requires_grad
        }
        self._before = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._handles: list[RemovableHandle] = [
            module.register_forward_hook(self._activation_hook(path))
            for path, module in state.model.named_modules()
            if not list(module.children()) and not isinstance(module, _UNINTERESTING)
        ]

    def loss_known(self, state: State, value: Tensor) -> None:
        """Take the hooks off again, and compare the pull of the penalties with that of the loss."""
        for handle in self._handles:
            handle.remove()
        if state.penalties is None:
            return
        penalties = [part for name, part in state.parts.items() if name != "loss"]
        pull = torch.stack([penalty.to(value) for penalty in penalties]).sum()
        ratios = gradient_ratios(pull, state.parts["loss"], self._parameters)
        self._values |= {f"penalty_gradient_ratio/{name}": ratio for name, ratio in ratios.items()}
        self._values |= {
            f"penalty/{name}": float(part.detach()) for name, part in state.parts.items() if name != "loss"
        }
        self._values["data_loss"] = float(state.parts["loss"].detach())

    def gradients_known(self) -> None:
        """Take the norm of every gradient."""
        norms = {
            name: torch.linalg.vector_norm(parameter.grad)
            for name, parameter in self._parameters.items()
            if parameter.grad is not None and not parameter.grad.is_sparse
        }
        self._values |= {f"gradient_norm/{name}": float(norm) for name, norm in norms.items()}

    def step_done(self) -> dict[str, float]:
        """Take ‖Δw‖/‖w‖ of every parameter, and return everything that was gathered."""
        for name, parameter in self._parameters.items():
            weight = torch.linalg.vector_norm(self._before[name])
            moved = torch.linalg.vector_norm(parameter.detach() - self._before[name])
            if weight > 0:
                self._values[f"update_ratio/{name}"] = float(moved / weight)
        return self._values

    def discard(self) -> None:
        """Take the hooks off without a result, after an error."""
        for handle in self._handles:
            handle.remove()

    def _activation_hook(self, path: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def look(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if not isinstance(output, Tensor) or not output.is_floating_point() or output.numel() == 0:
                return
            numbers = output.detach()
            facts = [numbers.mean(), numbers.std(correction=0), (numbers == 0).to(numbers.dtype).mean()]
            names = ["activation_mean", "activation_spread", "zeros"]
            if _has_derivative(module) and isinstance(inputs[0], Tensor):
                names.append("saturated")
                facts.append(_saturated_share(module, inputs[0]).to(numbers.dtype))
            for name, value in zip(names, torch.stack(facts).tolist(), strict=True):
                self._values[f"{name}/{path}"] = value

        return look


def _has_derivative(module: nn.Module) -> bool:
    # An in-place activation has overwritten its input by the time that the hook runs.
    return isinstance(module, _ELEMENTWISE) and not getattr(module, "inplace", False)


def _saturated_share(module: nn.Module, inputs: Tensor) -> Tensor:
    """Return the share of entries whose derivative is below `SATURATED_BELOW`, 0 for a ReLU that is off included."""
    with torch.enable_grad():
        z = inputs.detach().requires_grad_()
        (slope,) = torch.autograd.grad(module.forward(z).sum(), z)
    return (slope.abs() < SATURATED_BELOW).double().mean()
