"""The loss of a task: what it wants as a target, what it says in a formula, and how a prediction becomes a class.

One loss is one row of `RULES`. Predictions are (batch, outputs); targets come as class ids (batch,) of a
classification or as numbers (batch, outputs) of a regression, and are put into the form that the loss wants once,
before the training starts.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from chainrule.components.network import build
from chainrule.errors import Problem, ShapeError, TaskError
from chainrule.registry import LOSSES
from chainrule.shapes import Float, Tensor
from chainrule.tasks import Component

TargetForm = Literal["class", "numbers", "signs", "class set"]


@dataclass(frozen=True, slots=True)
class LossRule:
    """What a loss wants and means.

    Attributes:
        form: "class" ids (batch,), "numbers" (batch, outputs), "signs" −1 and 1 (batch, outputs), or a "class set"
            (batch, outputs) of ids that ends with −1.
        formula: one term; t the target, a the prediction.
        over: what the terms run over, and what a mean therefore divides by.
        threshold: with one output, a prediction above this means the second class.
        low, high: the range that targets must lie in.
        wants: what the predictions must be for the loss to make sense, when that is not any number.
    """

    form: TargetForm
    formula: str
    over: Literal["samples", "samples and outputs"]
    threshold: float = 0.5
    low: float = float("-inf")
    high: float = float("inf")
    wants: str = ""


_LOG = "logarithms of probabilities: end the model with LogSoftmax"
RULES: dict[str, LossRule] = {
    "HalfSumOfSquares": LossRule("numbers", "½ (t − a)²", "samples and outputs"),
    "MSELoss": LossRule("numbers", "(t − a)²", "samples and outputs"),
    "L1Loss": LossRule("numbers", "|t − a|", "samples and outputs"),
    "SmoothL1Loss": LossRule("numbers", "(t − a)²/(2β) where |t − a| < β, else |t − a| − β/2", "samples and outputs"),
    "HuberLoss": LossRule("numbers", "(t − a)²/2 where |t − a| < δ, else δ(|t − a| − δ/2)", "samples and outputs"),
    "PoissonNLLLoss": LossRule("numbers", "e^a − t·a  (a − t·… without log_input)", "samples and outputs", low=0.0),
    "GaussianNLLLoss": LossRule("numbers", "½ (log v + (t − a)²/v)", "samples and outputs"),
    "BCELoss": LossRule(
        "numbers",
        "−t log a − (1 − t) log(1 − a)",
        "samples and outputs",
        low=0.0,
        high=1.0,
        wants="probabilities: end the model with Sigmoid",
    ),
    "BCEWithLogitsLoss": LossRule(
        "numbers", "−t log σ(a) − (1 − t) log(1 − σ(a))", "samples and outputs", threshold=0.0, low=0.0, high=1.0
    ),
    "KLDivLoss": LossRule("numbers", "t (log t − a)", "samples and outputs", low=0.0, wants=_LOG),
    "MultiLabelSoftMarginLoss": LossRule(
        "numbers", "−1/C Σ_c t_c log σ(a_c) + (1 − t_c) log(1 − σ(a_c))", "samples", threshold=0.0, low=0.0, high=1.0
    ),
    "SoftMarginLoss": LossRule("signs", "log(1 + e^(−t·a))", "samples and outputs", threshold=0.0),
    "HingeEmbeddingLoss": LossRule(
        "signs", "a where t = 1, max(0, margin − a) where t = −1", "samples and outputs", threshold=0.5
    ),
    "CrossEntropyLoss": LossRule("class", "−log softmax(a)_t", "samples"),
    "NLLLoss": LossRule("class", "−a_t", "samples", wants=_LOG),
    "MultiMarginLoss": LossRule("class", "1/C Σ_{c≠t} max(0, margin − a_t + a_c)^p", "samples"),
    "MultiLabelMarginLoss": LossRule("class set", "1/C Σ_{c∉T, t∈T} max(0, 1 − (a_t − a_c))", "samples"),
}

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
        if self.name == "HalfSumOfSquares":
            return "E = ½ Σ (t − a)², " + (
                "the sum over samples and outputs"
                if self.reduction == "sum"
                else "summed over outputs, mean over samples"
            )
        over = "samples" if self.reduction == "batchmean" else self.rule.over
        word = "sum" if self.reduction == "sum" else "mean"
        return f"E = {word} over {over} of {self.rule.formula}"

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
        if prediction.dim() == 1 or prediction.shape[1] == 1:
            above = prediction.reshape(-1) > self.rule.threshold
            # HingeEmbeddingLoss pulls the prediction down where the target is 1: small means the second class.
            return (above != isinstance(self.module, nn.HingeEmbeddingLoss)).long()
        if isinstance(self.module, nn.HingeEmbeddingLoss):
            return prediction.argmin(dim=1)
        return prediction.argmax(dim=1)


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
    rule = RULES[component.name]
    module: nn.Module = build(LOSSES, component)
    if not classes and rule.form != "numbers":
        fitting = ", ".join(name for name, other in RULES.items() if other.form == "numbers")
        raise _misfit("loss.name", component.name, f"a loss for numbers, as the data are a regression: {fitting}")
    allowed = _allowed_outputs(component.name, rule, classes, target_columns)
    if outputs is not None and outputs not in allowed:
        sizes = " or ".join(str(size) for size in allowed)
        found = f"{outputs} outputs"
        raise _misfit("model.layers", found, f"{sizes}: {_why(component.name, classes, target_columns)}")
    chosen = outputs if outputs is not None else allowed[0]
    weight = getattr(module, "weight", None)
    if rule.form == "class" and isinstance(weight, Tensor) and len(weight) != classes:
        raise _misfit("loss.weight", f"{len(weight)} weights", f"{classes}, one for each class")
    return Objective(component.name, module, rule, classes, chosen)


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
    data = f"the data have {classes} classes" if classes else f"the data have {target_columns} target columns"
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
    allowed = f"targets from {rule.low:g} to {rule.high:g}" if rule.high < float("inf") else f"targets ≥ {rule.low:g}"
    raise TaskError(
        what=f"A target is out of range for {objective.name}.",
        where=f"data.targets, sample {row} (counting from 0)",
        found=f"{value:g}",
        expected=allowed,
        next_step="Choose a loss for numbers such as MSELoss, or scale the targets.",
    )


def check_shapes(objective: Objective, prediction: Tensor, target: Tensor) -> None:
    """Refuse predictions that PyTorch would broadcast against the targets, before the first update.

    Raises:
        ShapeError: the shapes do not fit.
    """
    samples = len(target)
    if objective.rule.form == "class":
        fits = prediction.shape == (samples, objective.classes)
        expected = f"({samples}, {objective.classes}): a row for each sample, a column for each class"
    else:
        factor = 2 if objective.name == "GaussianNLLLoss" else 1
        wanted = (samples, target.shape[1] * factor)
        fits = tuple(prediction.shape) == wanted
        expected = (
            f"{wanted}, as the targets" if factor == 1 else f"{wanted}: a mean and a log-variance for each target"
        )
    if fits:
        return
    hint = ""
    if prediction.dim() == 1 and target.dim() == 2 and target.shape[1] == 1:
        hint = "PyTorch would broadcast (N,) against (N, 1) to (N, N). Return `x.unsqueeze(1)`, or do not squeeze."
    raise ShapeError(
        what=f"The prediction does not have the shape that {objective.name} needs.",
        where="the first forward pass",
        found=f"prediction {tuple(prediction.shape)}, target {tuple(target.shape)}",
        expected=f"prediction {expected}",
        next_step=hint,
    )
