"""Every weight and every gradient of a small network, step by step."""

from dataclasses import dataclass, field

import torch
from torch import nn

from chainrule.shapes import Float, Tensor

LARGEST = 100  # scalars that still make a table that a person can read
ROWS = 500


@dataclass(slots=True, eq=False)
class Trajectory:
    """The path of a small network through its weights.

    Row r holds the weights before the update of step `steps[r]` and the gradient of that step's loss; long runs keep
    every `interval`-th step.

    Attributes:
        interval: steps between two rows.
        steps: updates that were done before the row's.
        weights: rows of all trained scalars, in the order of the parameters.
        gradients: the same for ∂loss/∂w.
    """

    interval: int
    steps: list[int] = field(default_factory=list)
    weights: list[Tensor] = field(default_factory=list)
    gradients: list[Tensor] = field(default_factory=list)

    @classmethod
    def for_model(cls, model: nn.Module, total_steps: int) -> "Trajectory | None":
        """Return an empty trajectory when the model is small enough for one, else None."""
        trained = trained_parameters(model).values()
        if sum(parameter.numel() for parameter in model.parameters()) > LARGEST or not trained:
            return None
        return cls(interval=-(-total_steps // ROWS))

    def note(self, step: int, model: nn.Module) -> None:
        """Note the weights and gradients of a step, after its backward and before its update."""
        trained = trained_parameters(model).values()
        self.steps.append(step)
        self.weights.append(torch.cat([parameter.detach().reshape(-1) for parameter in trained]))
        self.gradients.append(torch.cat([gradient_of(parameter).reshape(-1) for parameter in trained]))

    def to_tensors(self) -> dict[str, Tensor]:
        """Return the rows as three tensors, for a checkpoint."""
        if not self.steps:
            return {}
        return {
            "steps": torch.tensor(self.steps),
            "weights": torch.stack(self.weights),
            "gradients": torch.stack(self.gradients),
        }

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take the rows of a checkpoint in place of those that are here."""
        self.steps = [int(step) for step in tensors["steps"]] if tensors else []
        self.weights = list(tensors["weights"].unbind()) if tensors else []
        self.gradients = list(tensors["gradients"].unbind()) if tensors else []


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def gradient_of(parameter: nn.Parameter) -> Tensor:
    """Return a copy of ∂loss/∂parameter: dense, and 0 where the loss does not depend on the parameter."""
    gradient = parameter.grad
    if gradient is None:
        return torch.zeros_like(parameter, requires_grad=False)
    return gradient.detach().to_dense() if gradient.is_sparse else gradient.detach().clone()


def split_row(row: Float[Tensor, " scalars"], model: nn.Module) -> dict[str, Tensor]:
    """Return a row of a trajectory as parameters of the model's shapes, by name."""
    parameters = trained_parameters(model)
    pieces = row.split_with_sizes([parameter.numel() for parameter in parameters.values()])
    return {
        name: piece.reshape(parameter.shape)
        for (name, parameter), piece in zip(parameters.items(), pieces, strict=True)
    }
