"""The loss of a task: what it wants as a target, what it says in a formula, and how a prediction becomes a class.

What each loss wants stands in `loss_rules`. Predictions are (batch, outputs); targets come as class ids (batch,) of a
classification or as numbers (batch, outputs) of a regression, and are put into the form that the loss wants once,
before the training starts.
"""

import copy
import math
from dataclasses import dataclass, replace

import torch
from torch import nn

from chainrule.components.loss_rules import RULES, LossRule
from chainrule.components.network import build
from chainrule.errors import Problem, ShapeError, TaskError
from chainrule.registry import LOSSES
from chainrule.shapes import Float, Tensor
from chainrule.tasks import Component

# A loss that counts some samples more than others: its mean divides by the sum of their weights.
_WEIGHED = (nn.CrossEntropyLoss, nn.NLLLoss)


def default_loss(classes: int) -> Component:
    """Return the loss of a task that names none: cross-entropy for classes, the mean squared error for numbers."""
    return Component(name="CrossEntropyLoss" if classes else "MSELoss")


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss of a task, ready for its data.

    Attributes:
        name: the loss by torch's name.
        module: the loss; it takes predictions and targets in the form of `rule`.
        rule: what it wants and means.
        classes: how many classes the data have; 0 for a regression.
        outputs: how many numbers the model must return for each sample.
    """

    name: str
    module: nn.Module
    rule: LossRule
    classes: int
    outputs: int

    def __call__(self, prediction: Float[Tensor, "batch ..."], target: Tensor) -> Float[Tensor, ""]:
        """Return the loss of a batch, one number. The shapes were checked before the first update."""
        if isinstance(self.module, nn.GaussianNLLLoss):
            mean, logarithm = prediction.chunk(2, dim=1)
            return self.module(mean, target, logarithm.exp())  # type: ignore[no-any-return]
        return self.module(prediction, target)  # type: ignore[no-any-return]

    @property
    def reduction(self) -> str:
        """How the terms become one number: "mean", "sum" or "batchmean"."""
        return str(getattr(self.module, "reduction", "mean"))

    def convention(self) -> str:
        """Say in one line which formula and which normalisation are in force."""
        formula, over, weights = self.rule.formula, self.rule.over, self.rule.weights
        if self.name == "HalfSumOfSquares":
            is_sum = self.reduction == "sum"
            normalised = "the sum over samples and outputs" if is_sum else "summed over outputs, mean over samples"
            return f"E = ½ Σ (t − a)², {normalised}"
        if self.reduction == "batchmean":
            return f"E = mean over samples of the sum over outputs of {formula}"
        if self.reduction == "sum":
            return f"E = sum over {over} of {formula}{weights}"
        if weights:
            return f"E = sum over {over} of {formula}, divided by the sum of w_t{weights}"
        return f"E = mean over {over} of {formula}"

    def share(self, target: Tensor) -> float:
        """Return how much a batch counts in a mean over several batches: samples, or their class weights' sum."""
        if isinstance(self.module, _WEIGHED):
            counted = target != self.module.ignore_index
            if self.module.weight is None:
                return float(counted.sum())
            return float(self.module.weight[target[counted]].sum())
        return float(len(target))

    def predicted_class(self, prediction: Float[Tensor, "batch ..."]) -> Tensor:
        """Return the class (batch,) that each prediction means."""
        small_is_second = isinstance(self.module, nn.HingeEmbeddingLoss)  # it pulls a down where the target is 1
        if isinstance(self.module, nn.GaussianNLLLoss):
            prediction = prediction.chunk(2, dim=1)[0]
        if prediction.dim() == 1 or prediction.shape[1] == 1:
            above = prediction.reshape(-1) > self.rule.threshold
            return (above != small_is_second).long()
        return prediction.argmin(dim=1) if small_is_second else prediction.argmax(dim=1)


def build_objective(component: Component | None, classes: int, target_columns: int, outputs: int | None) -> Objective:
    """Build the loss of a task and find out how many outputs it wants.

    Args:
        component: the loss that the task names, or None.
        classes: number of classes; 0 for a regression.
        target_columns: number of target columns of a regression.
        outputs: the size of the model's last layer, or None for a module of the user's own.

    Raises:
        TaskError: the loss does not fit the data, or the last layer does not fit the loss.
    """
    component = component or default_loss(classes)
    module: nn.Module = build(LOSSES, component, "loss")
    rule = RULES[component.name](module)
    if not classes and rule.form != "numbers":
        fitting = ", ".join(name for name in RULES if RULES[name](LOSSES[name]()).form == "numbers")
        raise _misfit("loss.name", component.name, f"a loss for numbers, as the data are a regression: {fitting}")
    if classes and getattr(module, "log_target", False):
        raise _misfit("loss.log_target", "true", "false: the data have classes, and the logarithm of 0 is not finite")
    allowed = _allowed_outputs(component.name, rule, classes, target_columns)
    if outputs is not None and outputs not in allowed:
        sizes = " or ".join(str(size) for size in allowed)
        why = _why(component.name, classes, target_columns)
        if classes > 2 and outputs == 1 and rule.form == "numbers" and math.isinf(rule.high):
            why += '; or data.kind = "regression", if the targets are numbers and no classes'
        raise _misfit("model.layers", _count(outputs, "output"), f"{sizes}: {why}")
    chosen = outputs if outputs is not None else _outputs_by_weight(module, allowed)
    columns = chosen // 2 if component.name == "GaussianNLLLoss" else chosen
    _check_weights(module, rule, columns)
    objective = Objective(component.name, module, rule, classes, chosen)
    _try_out(objective, component, columns)
    return objective


def _outputs_by_weight(module: nn.Module, allowed: list[int]) -> int:
    """Return how many outputs a module of the user's own has, until it is asked: as many as the loss has weights."""
    given = [len(weight) for _, weight in _weights_of(module)]
    return given[0] if given and given[0] in allowed else allowed[0]


def _weights_of(module: nn.Module) -> list[tuple[str, Tensor]]:
    found = [(name, getattr(module, name, None)) for name in ("weight", "pos_weight")]
    return [(name, weight) for name, weight in found if isinstance(weight, Tensor)]


def _check_weights(module: nn.Module, rule: LossRule, columns: int) -> None:
    for name, weight in _weights_of(module):
        if weight.shape != (columns,):
            found = _count(len(weight), "weight") if weight.dim() == 1 else f"weights of shape {tuple(weight.shape)}"
            each = "class" if rule.form == "class" else "output"
            raise _misfit(f"loss.{name}", found, f"{columns}, one for each {each}")


def _try_out(objective: Objective, component: Component, columns: int) -> None:
    """Call the loss on three made-up samples: some arguments are refused by torch only when they are used."""
    rule = objective.rule
    made_up = torch.zeros(3, columns).clamp(rule.low, rule.high)
    targets = targets_for(objective, torch.zeros(3, dtype=torch.long) if objective.classes else made_up, torch.float64)
    trial = replace(objective, module=copy.deepcopy(objective.module).double())
    try:
        trial(torch.full((3, objective.outputs), 0.5, dtype=torch.float64), targets)
    except (RuntimeError, ValueError, IndexError) as error:
        arguments = ", ".join(f"{name} = {value!r}" for name, value in component.arguments.items())
        raise _misfit("loss", f"{objective.name} with {arguments}", f"what torch takes; it says: {error}") from error


def _count(number: int, of: str) -> str:
    return f"{number} {of}" if number == 1 else f"{number} {of}s"


def _misfit(key: str, found: str, expected: str) -> TaskError:
    return TaskError(what="The task cannot be trained as it is written.", problems=(Problem(key, found, expected),))


def _allowed_outputs(name: str, rule: LossRule, classes: int, target_columns: int) -> list[int]:
    if not classes:
        return [2 * target_columns] if name == "GaussianNLLLoss" else [target_columns]
    if name == "GaussianNLLLoss":
        return [2 * classes]
    if rule.form in ("class", "class set") or classes > 2 or name in ("KLDivLoss", "MultiLabelSoftMarginLoss"):
        return [classes]
    return [1, 2]


def _why(name: str, classes: int, target_columns: int) -> str:
    data = "the data have " + (f"{classes} classes" if classes else _count(target_columns, "target column"))
    return f"{data} and {name} wants a mean and a log-variance for each" if name == "GaussianNLLLoss" else data


def targets_for(objective: Objective, targets: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the targets of a data set in the form that the loss wants.

    Class ids become one-hot rows (or 0 and 1 with one output), signs −1 and 1, or class sets, as the loss asks.

    Args:
        objective: the loss.
        targets: class ids (rows,) or numbers (rows, columns).
        dtype: of numbers.

    Raises:
        TaskError: a target lies outside of what the loss can take.
    """
    rule = objective.rule
    if not objective.classes:
        _check_range(objective, targets)
        return targets.to(dtype)
    if rule.form == "class":
        return targets
    columns = objective.outputs // 2 if objective.name == "GaussianNLLLoss" else objective.outputs
    if rule.form == "class set":
        padded = torch.full((len(targets), columns), -1)
        padded[:, 0] = targets
        return padded
    zero_one = targets[:, None] if columns == 1 else nn.functional.one_hot(targets, objective.classes)
    numbers = zero_one.to(dtype)
    return 2 * numbers - 1 if rule.form == "signs" else numbers


def _check_range(objective: Objective, targets: Tensor) -> None:
    rule = objective.rule
    outside = (targets < rule.low) | (targets > rule.high)
    if not outside.any():
        return
    row = int(outside.any(dim=1).nonzero()[0])
    value = float(targets[row][outside[row]][0])
    allowed = f"from {rule.low:g} to {rule.high:g}"
    if math.inf in (-rule.low, rule.high):
        allowed = f"≥ {rule.low:g}" if rule.high == math.inf else f"≤ {rule.high:g}"
    raise TaskError(
        what=f"A target is out of range for {objective.name}.",
        where=f"data.targets, sample {row} (counting from 0)",
        found=f"{value:g}",
        expected=f"targets {allowed}",
        next_step="Choose a loss for numbers such as MSELoss, or scale the targets.",
    )


def not_one_tensor(prediction: object) -> ShapeError:
    """Return the error for a model that returns something else than one tensor."""
    return ShapeError(
        what="The model does not return one tensor.",
        where="the first forward pass",
        found=f"an object of type {type(prediction).__name__}",
        expected="a tensor with a row for each sample",
    )


def check_shapes(objective: Objective, prediction: object, target: Tensor) -> None:
    """Refuse predictions that PyTorch would broadcast against the targets, before the first update.

    Raises:
        ShapeError: the shapes do not fit, or the model returns something else than one tensor.
    """
    if not isinstance(prediction, Tensor):
        raise not_one_tensor(prediction)
    if not prediction.is_floating_point() or prediction.layout is not torch.strided:
        raise ShapeError(
            what="The model does not return numbers that a loss can take.",
            where="the first forward pass",
            found=f"{prediction.dtype}, {prediction.layout}".replace("torch.", ""),
            expected="floating-point numbers in an ordinary (strided) tensor",
        )
    samples = len(target)
    halves = objective.name == "GaussianNLLLoss"
    if objective.rule.form == "class":
        wanted: tuple[int, ...] = (samples, objective.classes)
        meaning = ": a row for each sample, a column for each class"
    elif halves:
        wanted = (samples, 2 * target.shape[-1])
        meaning = ": a mean and a log-variance for each target"
    else:
        wanted, meaning = tuple(target.shape), ", as the targets"
    found = tuple(prediction.shape)
    if found == wanted:
        return
    hint = ""
    if found == (samples,) and wanted == (samples, 1):
        hint = "PyTorch would broadcast (N,) against (N, 1) to (N, N). Return `x.unsqueeze(1)`, or do not squeeze."
    if found == (samples, 1) and wanted == (samples,):
        hint = "PyTorch would broadcast (N, 1) against (N,) to (N, N). Return `x.squeeze(1)`, or unsqueeze the targets."
    raise ShapeError(
        what=f"The prediction does not have the shape that {objective.name} needs.",
        where="the first forward pass",
        found=f"prediction {found}, target {tuple(target.shape)}",
        expected=f"prediction {wanted}{meaning}",
        next_step=hint,
    )
