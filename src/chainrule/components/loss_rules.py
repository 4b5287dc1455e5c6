"""What each loss wants as a target and says in a formula: one loss is one row of `RULES`.

A row is a function of the loss as it was built, so that the formula is the one in force with its arguments. In the
formulas t is the target, a the prediction, C the number of classes or outputs, σ the logistic function; their source
is the page of the loss in torch's documentation, and tests hold each against torch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from chainrule.shapes import Tensor

TargetForm = Literal["class", "numbers", "signs", "class set"]


@dataclass(frozen=True, slots=True)
class LossRule:
    """What a loss wants and means.

    Attributes:
        form: "class" ids (batch,), "numbers" (batch, outputs), "signs" −1 and 1 (batch, outputs), or a "class set"
            (batch, outputs) of ids that ends with −1.
        formula: one term, the weights of classes and outputs included.
        over: what the terms run over, and what a mean therefore divides by.
        threshold: with one output, a prediction above this means the second class.
        low, high: the range that targets must lie in.
        wants: what the predictions must be for the loss to make sense, when that is not any number.
        weights: the weight of each class when a mean divides by the weights of the samples' classes.
    """

    form: TargetForm
    formula: str
    over: Literal["samples", "samples and outputs"] = "samples and outputs"
    threshold: float = 0.5
    low: float = -math.inf
    high: float = math.inf
    wants: str = ""
    weights: str = ""


def _half_sum_of_squares(loss: Any) -> LossRule:
    return LossRule("numbers", "½ (t − a)²")


def _mean_square(loss: Any) -> LossRule:
    return LossRule("numbers", "(t − a)²")


def _absolute(loss: Any) -> LossRule:
    return LossRule("numbers", "|t − a|")


def _smooth_absolute(loss: Any) -> LossRule:
    if loss.beta == 0:
        return LossRule("numbers", "|t − a|")
    beta = _number(loss.beta)
    twice, half = _number(2 * loss.beta), _number(loss.beta / 2)
    return LossRule("numbers", f"(t − a)²/{twice} where |t − a| < {beta}, else |t − a| − {half}")


def _huber(loss: Any) -> LossRule:
    delta, half = _number(loss.delta), _number(loss.delta / 2)
    factor = "" if loss.delta == 1 else f"{delta}·"
    tail = f"{factor}(|t − a| − {half})" if factor else f"|t − a| − {half}"
    return LossRule("numbers", f"(t − a)²/2 where |t − a| ≤ {delta}, else {tail}")


def _poisson(loss: Any) -> LossRule:
    formula = "e^a − t·a" if loss.log_input else f"a − t·log(a + {_number(loss.eps)})"
    if loss.full:
        formula += " + (t log t − t + ½ log(2πt) where t > 1)"
    return LossRule(
        "numbers",
        formula,
        low=0.0,
        # The rate e^a or a is 0 for the first class and 1 for the second; between them lies one half.
        threshold=math.log(0.5) if loss.log_input else 0.5,
        wants="" if loss.log_input else "rates of at least 0: end the model with Softplus",
    )


def _gaussian(loss: Any) -> LossRule:
    constant = " + ½ log(2π)" if loss.full else ""
    variance = f"v = max(e^s, {_number(loss.eps)}); the outputs are all a, then all s"
    return LossRule("numbers", f"½ (log v + (t − a)²/v){constant}, with {variance}")


def _binary(loss: Any) -> LossRule:
    weight, where = _weight(loss.weight)
    formula = "−t log a − (1 − t) log(1 − a)"
    formula = f"{weight}·({formula})" if weight else formula
    return LossRule("numbers", formula + where, low=0.0, high=1.0, wants="probabilities: end the model with Sigmoid")


def _binary_with_logits(loss: Any) -> LossRule:
    weight, where = _weight(loss.weight)
    positive, where_positive = _weight(loss.pos_weight, "p")
    formula = f"−{positive + '·' if positive else ''}t log σ(a) − (1 − t) log(1 − σ(a))"
    formula = f"{weight}·({formula})" if weight else formula
    return LossRule("numbers", formula + where + where_positive, threshold=0.0, low=0.0, high=1.0)


_LOG = "logarithms of probabilities: end the model with LogSoftmax"


def _divergence(loss: Any) -> LossRule:
    if loss.log_target:
        return LossRule("numbers", "e^t (t − a)", high=0.0, wants=_LOG)
    return LossRule("numbers", "t (log t − a)", low=0.0, wants=_LOG)


def _multi_label_soft_margin(loss: Any) -> LossRule:
    weight, where = _weight(loss.weight, "w_c")
    term = "t_c log σ(a_c) + (1 − t_c) log(1 − σ(a_c))"
    formula = f"−1/C Σ_c {weight} ({term})" if weight else f"−1/C Σ_c ({term})"
    return LossRule("numbers", formula + where, "samples", threshold=0.0, low=0.0, high=1.0)


def _soft_margin(loss: Any) -> LossRule:
    return LossRule("signs", "log(1 + e^(−t·a))", threshold=0.0)


def _hinge_embedding(loss: Any) -> LossRule:
    return LossRule(
        "signs",
        f"a where t = 1, max(0, {_number(loss.margin)} − a) where t = −1",
        threshold=loss.margin / 2,
        wants="distances of at least 0, small for the class: end the model with Softplus",
    )


def _cross_entropy(loss: Any) -> LossRule:
    weight, where = _weight(loss.weight, "w_t")
    smoothing = loss.label_smoothing
    formula = f"−{weight + ' ' if weight else ''}log softmax(a)_t"
    if smoothing:
        each = "w_c log softmax(a)_c" if weight else "log softmax(a)_c"
        formula = f"−{_number(1 - smoothing)} {formula[1:]} − {_number(smoothing)}/C Σ_c {each}"
    return LossRule("class", formula + _left_out(loss), "samples", weights=where)


def _negative_log_likelihood(loss: Any) -> LossRule:
    weight, where = _weight(loss.weight, "w_t")
    return LossRule(
        "class", f"−{weight + ' ' if weight else ''}a_t" + _left_out(loss), "samples", wants=_LOG, weights=where
    )


def _multi_margin(loss: Any) -> LossRule:
    weight, where = _weight(loss.weight, "w_t")
    square = "²" if loss.p == 2 else ""
    formula = f"{weight or '1'}/C Σ_{{c≠t}} max(0, {_number(loss.margin)} − a_t + a_c){square}"
    return LossRule("class", formula + where, "samples")


def _multi_label_margin(loss: Any) -> LossRule:
    return LossRule("class set", "1/C Σ_{c≠t} max(0, 1 − a_t + a_c)", "samples")


RULES: dict[str, Callable[[Any], LossRule]] = {
    "HalfSumOfSquares": _half_sum_of_squares,
    "MSELoss": _mean_square,
    "L1Loss": _absolute,
    "SmoothL1Loss": _smooth_absolute,
    "HuberLoss": _huber,
    "PoissonNLLLoss": _poisson,
    "GaussianNLLLoss": _gaussian,
    "BCELoss": _binary,
    "BCEWithLogitsLoss": _binary_with_logits,
    "KLDivLoss": _divergence,
    "MultiLabelSoftMarginLoss": _multi_label_soft_margin,
    "SoftMarginLoss": _soft_margin,
    "HingeEmbeddingLoss": _hinge_embedding,
    "CrossEntropyLoss": _cross_entropy,
    "NLLLoss": _negative_log_likelihood,
    "MultiMarginLoss": _multi_margin,
    "MultiLabelMarginLoss": _multi_label_margin,
}


def _weight(weight: Tensor | None, letter: str = "w") -> tuple[str, str]:
    """Return the letter of a weight and what it is, or nothing when the loss has none."""
    if weight is None:
        return "", ""
    values = ", ".join(_number(value) for value in weight.flatten().tolist())
    return letter, f", {letter[0]} = ({values})"


def _left_out(loss: Any) -> str:
    return f", class {loss.ignore_index} left out" if loss.ignore_index >= 0 else ""


def _number(value: float) -> str:
    return f"{value:.12g}"
