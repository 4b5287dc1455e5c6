"""Statistics of one step, layer by layer: activations, gradients, updates, and what the penalties pull.

They are taken at some steps of a run (`SAMPLES` of them, evenly spread), because taking them at every step would cost
more than the step itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from chainrule.components import leaf_modules
from chainrule.penalties import gradient_ratios
from chainrule.registry import ACTIVATIONS
from chainrule.shapes import Tensor
from chainrule.training.sharing import global_loss
from chainrule.training.state import State
from chainrule.training.trajectory import trained_parameters

SAMPLES = 20
SATURATED_BELOW = 0.01  # |f′(z)| under which a unit passes on less than a hundredth of its gradient

_NOT_ELEMENTWISE = {"Softmax", "Softmin", "Softmax2d", "LogSoftmax", "GLU", "Identity"}
_RANDOM = {"RReLU"}  # evaluating it again would draw from the run's generator
_ACTIVATIONS: tuple[type[nn.Module], ...] = tuple(
    member for member in ACTIVATIONS.members.values() if isinstance(member, type)
)
_ELEMENTWISE = {kind for kind in _ACTIVATIONS if kind.__name__ not in _NOT_ELEMENTWISE | _RANDOM}
_UNINTERESTING = (nn.Flatten, nn.Unflatten, nn.Identity, nn.modules.dropout._DropoutNd)


def sample_interval(total_steps: int) -> int:
    """Return how many steps lie between two samples."""
    return -(-total_steps // SAMPLES)


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """What the statistics look at.

    Attributes:
        layers: the activations of the model, by path; where it has none that are modules, all modules that compute.
        parameters: the trained parameters, by name.
    """

    layers: dict[str, nn.Module]
    parameters: dict[str, nn.Parameter]


def watch(model: nn.Module) -> Watched:
    """Return what the statistics of a model look at."""
    leaves = {path: each for path, each in leaf_modules(model).items() if not isinstance(each, _UNINTERESTING)}
    activations = {path: module for path, module in leaves.items() if isinstance(module, _ACTIVATIONS)}
    return Watched(activations or leaves, trained_parameters(model))


@final
class StepStatistics:
    """The statistics of one step, gathered while it happens.

    Numbers are named kind/path: `activation_mean/hidden1_activation`, `gradient_norm/hidden1.weight`. Where processes
    share a batch, activations and the ratio of gradients are those of the main process's share.
    """

    def __init__(self, state: State, watched: Watched | None = None) -> None:
        watched = watched or watch(state.model)
        self._values: dict[str, float] = {}
        self._parameters = watched.parameters
        self._before = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._handles: list[RemovableHandle] = [
            module.register_forward_hook(self._activation_hook(path)) for path, module in watched.layers.items()
        ]

    def loss_known(self, state: State, value: Tensor) -> None:
        """Take the hooks off again, and compare the pull of the penalties with that of the loss."""
        for handle in self._handles:
            handle.remove()
        if state.penalties is None:
            return
        penalties = {name: part for name, part in state.parts.items() if name != "loss"}
        pull = torch.stack([penalty.to(value) for penalty in penalties.values()]).sum()
        ratios = gradient_ratios(pull, state.parts["loss"], self._parameters)
        self._values |= {f"penalty_gradient_ratio/{name}": ratio for name, ratio in ratios.items()}
        self._values |= {f"penalty/{name}": global_loss(state, part) for name, part in penalties.items()}
        self._values["data_loss"] = global_loss(state, state.parts["loss"])

    def gradients_known(self) -> None:
        """Take the norm of every gradient."""
        gradients = {
            name: parameter.grad
            for name, parameter in self._parameters.items()
            if parameter.grad is not None and not parameter.grad.is_sparse
        }
        self._values |= _norms("gradient_norm", gradients)

    def weights_moved(self) -> dict[str, float]:
        """Take ‖Δw‖/‖w‖ of every parameter, and return everything that was gathered."""
        now = [parameter.detach() for parameter in self._parameters.values()]
        moved = torch._foreach_sub(now, list(self._before.values()))
        changes = _norms("update_ratio", dict(zip(self._parameters, moved, strict=True)))
        sizes = _norms("update_ratio", self._before)
        self._values |= {name: change / sizes[name] for name, change in changes.items() if sizes[name] > 0}
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
            self._values[f"activation_mean/{path}"] = float(numbers.mean())
            self._values[f"activation_spread/{path}"] = float(numbers.std(correction=0))
            self._values[f"zeros/{path}"] = 1 - int(numbers.count_nonzero()) / numbers.numel()
            if _has_derivative(module) and inputs and isinstance(inputs[0], Tensor):
                self._values[f"saturated/{path}"] = _saturated_share(module, inputs[0])

        return look


def _norms(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the Euclidean norm of every tensor, all of them in one call and one wait for the device."""
    if not tensors:
        return {}
    norms = torch.stack(torch._foreach_norm(list(tensors.values()))).tolist()
    return {f"{kind}/{name}": norm for name, norm in zip(tensors, norms, strict=True)}


def _has_derivative(module: nn.Module) -> bool:
    # An in-place activation has overwritten its input by the time that the hook runs.
    # A class derived from one of torch's may draw random numbers, or count its calls.
    return type(module) in _ELEMENTWISE and not getattr(module, "inplace", False)


def _saturated_share(module: nn.Module, inputs: Tensor) -> float:
    """Return the share of entries whose derivative is below `SATURATED_BELOW`, 0 for a ReLU that is off included."""
    with torch.enable_grad():
        z = inputs.detach().requires_grad_()
        activation = module.forward(z)
        (slope,) = torch.autograd.grad(activation, z, torch.ones_like(activation))
    return int((slope.abs() < SATURATED_BELOW).count_nonzero()) / slope.numel()
