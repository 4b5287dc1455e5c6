"""The model on a part of the data, without training: loss, metric, predictions."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from chainrule.components import Objective, not_one_tensor, user_error
from chainrule.shapes import Float, Tensor

ROWS_AT_ONCE = 8192


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """How a model does on a part of the data.

    Attributes:
        loss: over the whole part, without penalties.
        metric_name: "accuracy" or "R²"; empty when the part is too small for one.
        metric: its value; NaN without one.
        predictions: (rows, outputs), on the CPU.
    """

    loss: float
    metric_name: str
    metric: float
    predictions: Float[Tensor, "rows ..."]

    def __repr__(self) -> str:
        metric = f", {self.metric_name}={self.metric:.4g}" if self.metric_name else ""
        return f"Evaluation(loss={self.loss:.6g}{metric}, rows={len(self.predictions)})"


def run_model(model: nn.Module, inputs: Tensor) -> Tensor:
    """Call a model on a batch; an error inside a user's module is shown with the user's own traceback.

    Raises:
        UserModuleError: the forward pass raised.
        ShapeError: it returned something else than one tensor.
    """
    try:
        prediction: object = model(inputs)
    except (Exception, SystemExit) as error:
        name = type(getattr(model, "module", model)).__name__
        raise user_error(f"{name} failed in forward.", f"inputs of shape {tuple(inputs.shape)}", error) from error
    if not isinstance(prediction, Tensor):
        raise not_one_tensor(prediction)
    return prediction


def run_parts(model: nn.Module, inputs: Tensor) -> Tensor:
    """Call a model on all rows, `ROWS_AT_ONCE` at a time, and return its predictions."""
    return torch.cat([run_model(model, rows) for rows in torch.split(inputs, ROWS_AT_ONCE)])


def backpropagate(value: Tensor) -> None:
    """Call backward; an error inside a user's autograd.Function or hook is shown with the user's own traceback.

    Raises:
        UserModuleError: the backward pass raised.
    """
    try:
        value.backward()  # type: ignore[no-untyped-call]
    except (Exception, SystemExit) as error:
        raise user_error("The backward pass failed.", "gradients", error) from error


def evaluate(model: nn.Module, objective: Objective, inputs: Tensor, targets: Tensor, classes: Tensor) -> Evaluation:
    """Evaluate a model on a part of the data in evaluation mode; the mode is put back afterwards.

    Args:
        model: on the device of the inputs.
        objective: the loss.
        inputs: (rows, ...).
        targets: in the form that the loss wants.
        classes: the class ids (rows,) of a classification, or the numbers (rows, outputs) of a regression.
    """
    with evaluating(model):
        predictions = run_parts(model, inputs)
        loss = float(objective(predictions, targets))
    name, value = metric(objective, predictions, classes)
    return Evaluation(loss, name, value, predictions.cpu())


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode without gradients, and put the mode of every module back."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(modes[0][1])  # a module may have its own way to change its mode
        for module, was_training in modes:
            module.training = was_training


def metric(objective: Objective, predictions: Tensor, truth: Tensor) -> tuple[str, float]:
    """Return the name and the value of the metric: accuracy of classes, R² of numbers, "" and NaN where it has none."""
    if objective.classes:
        return "accuracy", float((objective.predicted_class(predictions) == truth).double().mean())
    if objective.name == "GaussianNLLLoss":
        predictions = predictions.chunk(2, dim=1)[0]
    numbers, wanted = predictions.double(), truth.double()
    spread = (wanted - wanted.mean(dim=0)).square().sum()
    if len(wanted) < 2 or spread == 0:
        return "", float("nan")
    return "R²", float(1 - (wanted - numbers).square().sum() / spread)
