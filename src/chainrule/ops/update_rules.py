"""Optimizer updates as sums of named terms, whose total is the change of the parameter.

    w ← w + Σ terms

Every term is linear in one of w, the gradient g, or what the optimizer remembers (the buffer u, the mean m), so that
each can be blamed for its share of the change. Its number is computed from its formula: the two cannot disagree.
Sources of the formulas: the algorithm boxes of torch.optim.SGD, Adam, AdamW and RMSprop.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import sympy
import torch
from sympy import Expr, Symbol

from chainrule.formulas import to_latex, to_text
from chainrule.shapes import Tensor
from chainrule.trace import Missing, Update

RATE, MOMENTUM, DAMPENING, DECAY = sympy.symbols("eta mu tau lambda")
BETA_1, BETA_2, ALPHA, EPSILON, STEP = sympy.symbols("beta1 beta2 alpha epsilon t")
PARAMETER, GRADIENT, BUFFER, MEAN, SQUARES = sympy.symbols("w g u m v")
MEAN_NOW, SPREAD, LARGEST_SPREAD = sympy.symbols("mhat vhat vhat_max")
SQUARES_NOW, GRADIENT_MEAN = sympy.symbols("vbar a")

MEANINGS: Mapping[Symbol, str] = {
    RATE: "learning rate",
    MOMENTUM: "momentum",
    DAMPENING: "dampening",
    DECAY: "weight decay",
    BETA_1: "how much of the remembered mean is kept",
    BETA_2: "how much of the remembered squares is kept",
    ALPHA: "how much of the remembered squares is kept",
    EPSILON: "keeps the denominator from 0",
    STEP: "number of this update, from 1",
    PARAMETER: "the parameter before",
    GRADIENT: "this step's gradient",
    BUFFER: "the momentum buffer before",
    MEAN: "the remembered mean of gradients before",
    SQUARES: "the remembered mean of squared gradients before",
    GRADIENT_MEAN: "the remembered mean of gradients before",
    MEAN_NOW: "the mean of gradients with this step's, corrected for its start at 0",
    SPREAD: "the mean of squared gradients with this step's, corrected for its start at 0",
    LARGEST_SPREAD: "the largest mean of squared gradients so far, corrected for its start at 0",
    SQUARES_NOW: "the mean of squared gradients with this step's, without the squared mean when centered",
}

_TOLERANCE = 64  # roundings of the parameter's dtype, of all terms and the parameter together

# What torch and arithmetic raise at settings of a damaged file: `betas = 5`, `lr = []`.
_MISFITS = (ArithmeticError, AttributeError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)

Quantity = float | Tensor


@dataclass(frozen=True, slots=True, eq=False)
class UpdateTerm:
    """One summand of an update.

    Attributes:
        name: what it is called, such as "momentum".
        formula: the summand as an expression.
        amount: its numbers, of the parameter's shape, in float64 on the CPU.
    """

    name: str
    formula: Expr
    amount: Tensor

    @property
    def text(self) -> str:
        """The formula as text, such as "−η·μ·u"."""
        return to_text(self.formula)

    @property
    def latex(self) -> str:
        """The formula as LaTeX."""
        return to_latex(self.formula)


@dataclass(frozen=True, slots=True, eq=False)
class UpdateTerms:
    """An update as a sum of terms. Tensors are in float64 on the CPU.

    Attributes:
        terms: the summands; empty when `reason` says why there are none.
        formula: the whole update, Δw; None without terms.
        definitions: symbols of `formula` that stand for more than one recorded number, as equations.
        quantities: the number or tensor that each symbol stands for.
        total: the sum of the terms; None without terms.
        change: the parameter after less the parameter before; None when `reason` says why it is not known.
        largest_difference: the largest |total − change|; None without both.
        reason: why there are no terms, as a sentence; "" when there are.
    """

    terms: tuple[UpdateTerm, ...] = ()
    formula: Expr | None = None
    definitions: tuple[sympy.Eq, ...] = ()
    quantities: Mapping[Symbol, Quantity] | None = None
    total: Tensor | None = None
    change: Tensor | None = None
    largest_difference: float | None = None
    reason: str = ""

    @property
    def text(self) -> str:
        """The whole update and its definitions as text, one equation a line."""
        if self.formula is None:
            return ""
        return "\n".join([f"Δw = {to_text(self.formula)}", *(to_text(equation) for equation in self.definitions)])

    @property
    def latex(self) -> str:
        r"""The whole update and its definitions as LaTeX, with \\ between the equations."""
        if self.formula is None:
            return ""
        lines = [rf"\Delta w = {to_latex(self.formula)}", *(to_latex(equation) for equation in self.definitions)]
        return r" \\ ".join(lines)


@dataclass(frozen=True, slots=True, eq=False)
class _Replayed:
    """What torch's own optimizer makes of the recorded numbers."""

    after: Tensor
    state: Mapping[str, Any]
    group: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Formula:
    """The named summands of one optimizer's update, and what their symbols stand for."""

    terms: Mapping[str, Expr]
    whole: Expr
    definitions: Mapping[Symbol, Expr]
    quantities: Mapping[Symbol, Quantity]


def replay_update(update: Update) -> Tensor | Missing:
    """Return the parameter after the update, by running torch's optimizer on copies of the recorded numbers.

    It is bit-identical to what happened for SGD, Adam, AdamW and RMSprop on the device that was recorded.

    Args:
        update: the recorded update; what it holds is not changed.

    Returns:
        the parameter after, of its own dtype and device; or the reason why it cannot be computed.
    """
    if update.gradient is None:
        before = update.before
        return before.clone() if isinstance(before, Tensor) else Missing("the parameter before was not kept")
    replayed = _replay(update)
    return replayed if isinstance(replayed, Missing) else replayed.after


def update_terms(update: Update) -> UpdateTerms:
    """Return an update as a sum of named terms.

    The terms are computed in float64 from the recorded numbers, so their total differs from the recorded change by
    the rounding of the parameter's own dtype: at most a few units in the last place of the parameter or of the
    largest term.

    Args:
        update: the recorded update.

    Returns:
        the terms; or, for an optimizer without a formula here and for an update of which only statistics were kept,
        the change and the reason.
    """
    after = update.after
    if isinstance(after, Missing):
        after = replay_update(update)
    before = update.before
    if not isinstance(before, Tensor) or not isinstance(after, Tensor):
        return UpdateTerms(reason=_reason_without_numbers(before if not isinstance(before, Tensor) else after))
    if before.is_complex():
        return UpdateTerms(reason="The parameter is complex; the formulas here are for real ones.")
    change = _precise(after) - _precise(before)
    if update.gradient is None:
        return UpdateTerms(change=change, reason="The parameter had no gradient, so the optimizer left it alone.")
    make_formula = _FORMULAS.get(update.optimizer)
    if make_formula is None:
        known = ", ".join(_FORMULAS)
        return UpdateTerms(
            change=change,
            reason=f"There is no formula for {update.optimizer}, only for {known}: its state and the change are shown.",
        )
    replayed = _replay(update)
    if isinstance(replayed, Missing):
        return UpdateTerms(change=change, reason=f"There are no terms because {replayed.reason}.")
    try:
        return _evaluated(make_formula(update, replayed), change, _roundings(before, replayed.group))
    except _MISFITS as error:
        return UpdateTerms(change=change, reason=f"There are no terms because {_misfit(update, error)}.")


def _evaluated(formula: _Formula, change: Tensor, rounding: tuple[float, float]) -> UpdateTerms:
    terms = tuple(
        UpdateTerm(name, expression, _numbers(expression, formula.quantities).expand_as(change))
        for name, expression in formula.terms.items()
    )
    total = torch.stack([term.amount for term in terms]).sum(0)
    difference = (total - change).abs()
    # NaN against NaN and ∞ against the same ∞ are no difference; NaN or ∞ on one side alone is.
    difference[(total == change) | (total.isnan() & change.isnan())] = 0.0
    difference.nan_to_num_(nan=math.inf, posinf=math.inf)
    largest = float(difference.max()) if difference.numel() else 0.0
    relative, absolute = rounding
    scale = _precise(formula.quantities[PARAMETER]).abs() + sum(term.amount.abs() for term in terms)
    if bool((difference > _TOLERANCE * (relative * scale + absolute)).any()):
        return UpdateTerms(
            change=change,
            reason=f"The formula of torch's optimizer of this name differs from the change by up to {largest:.3g}: it "
            "was an optimizer of the same name that computes something else, or the parameter was changed besides.",
        )
    return UpdateTerms(
        terms=terms,
        formula=formula.whole,
        definitions=tuple(sympy.Eq(symbol, made, evaluate=False) for symbol, made in formula.definitions.items()),
        quantities=formula.quantities,
        total=total,
        change=change,
        largest_difference=largest,
    )


def _sgd(update: Update, replayed: _Replayed) -> _Formula:
    """SGD: u' = μ·u + (1 − τ)·(g + λ·w), then w ← w − η·u'; Nesterov: w ← w − η·(g + λ·w + μ·u')."""
    group = replayed.group
    quantities = _quantities(update, group)
    slope, decay = _signed_gradient(group), _decay(group)
    buffer = _remembered(update, "momentum_buffer")
    if not group["momentum"]:
        terms = {"gradient step": -RATE * slope, "weight decay": -RATE * decay}
        return _formula(terms, quantities)
    quantities[MOMENTUM] = _number(group["momentum"])
    kept = sympy.Integer(0)
    share = sympy.Integer(1)  # torch does not dampen the first gradient
    if buffer is not None:
        quantities[BUFFER] = buffer
        kept = BUFFER
        if group["dampening"]:
            quantities[DAMPENING] = _number(group["dampening"])
            share = 1 - DAMPENING
    if group["nesterov"]:
        terms = {
            "gradient step": -RATE * slope,
            "momentum": -RATE * MOMENTUM**2 * kept,
            "Nesterov look-ahead": -RATE * MOMENTUM * (slope + decay),
            "weight decay": -RATE * decay,
        }
    else:
        terms = {
            "gradient step": -RATE * share * slope,
            "momentum": -RATE * MOMENTUM * kept,
            "weight decay": -RATE * share * decay,
        }
    return _formula(terms, quantities)


def _adam(update: Update, replayed: _Replayed) -> _Formula:
    """Adam: w ← w − η·m̂/(√v̂ + ε); AdamW has the weight decay −η·λ·w beside it and not in the gradient."""
    group = replayed.group
    quantities = _quantities(update, group)
    decoupled = bool(group.get("decoupled_weight_decay"))
    slope, decay = _signed_gradient(group), _decay(group)
    in_gradient = sympy.Integer(0) if decoupled else decay
    beta_1, beta_2 = (_number(beta) for beta in group["betas"])
    step = _number(replayed.state["step"])
    squares = replayed.state["max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"]
    spread = LARGEST_SPREAD if group["amsgrad"] else SPREAD
    mean = _remembered(update, "exp_avg")
    quantities |= {
        BETA_1: beta_1,
        BETA_2: beta_2,
        EPSILON: _number(group["eps"]),
        STEP: step,
        MEAN: 0.0 if mean is None else mean,
        SQUARES: _or_zero(_remembered(update, "exp_avg_sq")),
        # The denominator is taken from torch's state after the step, with the rounding of its dtype.
        spread: _precise(squares) / (1 - beta_2**step),
    }
    over = (1 - BETA_1**STEP) * (sympy.sqrt(spread) + EPSILON)
    terms = {
        "momentum": -RATE * BETA_1 * MEAN / over if mean is not None else sympy.Integer(0),
        "adaptive step": -RATE * (1 - BETA_1) * slope / over,
        "weight decay": -RATE * decay if decoupled else -RATE * (1 - BETA_1) * decay / over,
    }
    definitions = {MEAN_NOW: (BETA_1 * MEAN + (1 - BETA_1) * (slope + in_gradient)) / (1 - BETA_1**STEP)}
    if not group["amsgrad"]:
        definitions[SPREAD] = (BETA_2 * SQUARES + (1 - BETA_2) * (slope + in_gradient) ** 2) / (1 - BETA_2**STEP)
    whole = -RATE * MEAN_NOW / (sympy.sqrt(spread) + EPSILON) - (RATE * decay if decoupled else 0)
    return _formula(terms, quantities, whole, definitions)


def _rmsprop(update: Update, replayed: _Replayed) -> _Formula:
    """RMSprop: w ← w − η·(g + λ·w)/(√v̄ + ε); with momentum, u' = μ·u + that quotient and w ← w − η·u'."""
    group, state = replayed.group, replayed.state
    quantities = _quantities(update, group)
    slope, decay = _signed_gradient(group), _decay(group)
    squares, spread = _remembered(update, "square_avg"), state["square_avg"]
    made = ALPHA * SQUARES + (1 - ALPHA) * (slope + decay) ** 2
    if group["centered"]:
        # The difference cancels, so it is taken in the parameter's dtype and with torch's own operation.
        spread = spread.addcmul(state["grad_avg"], state["grad_avg"], value=-1)
        made -= (ALPHA * GRADIENT_MEAN + (1 - ALPHA) * (slope + decay)) ** 2
        quantities[GRADIENT_MEAN] = _or_zero(_remembered(update, "grad_avg"))
    quantities |= {
        ALPHA: _number(group["alpha"]),
        EPSILON: _number(group["eps"]),
        SQUARES: _or_zero(squares),
        SQUARES_NOW: _precise(spread),
    }
    over = sympy.sqrt(SQUARES_NOW) + EPSILON
    kept = sympy.Integer(0)
    buffer = _remembered(update, "momentum_buffer")
    if group["momentum"] and buffer is not None:
        quantities |= {MOMENTUM: _number(group["momentum"]), BUFFER: buffer}
        kept = MOMENTUM * BUFFER
    terms = {
        "adaptive step": -RATE * slope / over,
        "momentum": -RATE * kept,
        "weight decay": -RATE * decay / over,
    }
    return _formula(terms, quantities, None, {SQUARES_NOW: made})


_FORMULAS: Mapping[str, Callable[[Update, _Replayed], _Formula]] = {
    "SGD": _sgd,
    "Adam": _adam,
    "AdamW": _adam,
    "RMSprop": _rmsprop,
}


def _formula(
    terms: Mapping[str, Expr],
    quantities: Mapping[Symbol, Quantity],
    whole: Expr | None = None,
    definitions: Mapping[Symbol, Expr] | None = None,
) -> _Formula:
    present = {name: expression for name, expression in terms.items() if expression != 0}
    return _Formula(present, sympy.Add(*present.values()) if whole is None else whole, definitions or {}, quantities)


def _signed_gradient(group: Mapping[str, Any]) -> Expr:
    return -GRADIENT if group["maximize"] else GRADIENT


def _decay(group: Mapping[str, Any]) -> Expr:
    return DECAY * PARAMETER if group["weight_decay"] else sympy.Integer(0)


def _quantities(update: Update, group: Mapping[str, Any]) -> dict[Symbol, Quantity]:
    before, gradient = update.before, update.gradient
    assert isinstance(before, Tensor)  # noqa: S101  # `_replay` has refused what is not
    assert isinstance(gradient, Tensor)  # noqa: S101
    return {
        RATE: _number(group["lr"]),
        DECAY: _number(group["weight_decay"]),
        PARAMETER: _precise(before),
        GRADIENT: _precise(gradient),
    }


def _number(value: Any) -> float:
    return float(value)


def _or_zero(value: Tensor | None) -> Quantity:
    return 0.0 if value is None else value


def _remembered(update: Update, name: str) -> Tensor | None:
    """Return a tensor of the state before, or None at the first step."""
    kept = update.state_before.get(name)
    return _precise(kept) if isinstance(kept, Tensor) else None


def _precise(values: Quantity) -> Tensor:
    if not isinstance(values, Tensor):
        return torch.tensor(values, dtype=torch.float64)
    dense = values.to_dense() if values.is_sparse else values
    return dense.detach().to(device="cpu", dtype=torch.float64)


def _roundings(before: Tensor, group: Mapping[str, Any]) -> tuple[float, float]:
    """Return the relative and the absolute rounding that torch's own computation has."""
    facts = torch.finfo(before.dtype)
    rate = group["lr"]  # as a tensor, it takes part with its own dtype
    is_rounded = isinstance(rate, Tensor) and rate.is_floating_point()
    return max(facts.eps, torch.finfo(rate.dtype).eps if is_rounded else 0.0), facts.tiny


def _numbers(expression: Expr, quantities: Mapping[Symbol, Quantity]) -> Tensor:
    symbols = tuple(sorted(expression.free_symbols, key=lambda symbol: symbol.name))
    result = _compiled(expression, symbols)(*(quantities[symbol] for symbol in symbols))
    return result if isinstance(result, Tensor) else torch.tensor(result, dtype=torch.float64)


@cache
def _compiled(expression: Expr, symbols: tuple[Symbol, ...]) -> Callable[..., Any]:
    compiled: Callable[..., Any] = sympy.lambdify(symbols, expression, modules=[{"sqrt": torch.sqrt}])
    return compiled


def _replay(update: Update) -> _Replayed | Missing:
    """Run torch's optimizer of the recorded class on copies of the recorded numbers, with the recorded state."""
    kind = getattr(torch.optim, update.optimizer, None)
    if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)) or kind is torch.optim.LBFGS:
        return Missing(f"{update.optimizer} is not an optimizer of torch.optim that can be run on one parameter")
    numbers = {"the parameter before": update.before, "the gradient": update.gradient}
    numbers |= {f"the state '{name}' before": kept for name, kept in update.state_before.items() if kept is not None}
    for what, kept in numbers.items():
        if not isinstance(kept, Tensor):
            return Missing(f"{what} was not kept" + (f": {kept.reason}" if isinstance(kept, Missing) else ""))
    before, gradient = update.before, update.gradient
    assert isinstance(before, Tensor)  # noqa: S101
    assert isinstance(gradient, Tensor)  # noqa: S101
    try:
        return _stepped(kind, update, before, gradient)
    except _MISFITS as error:
        return Missing(_misfit(update, error))


def _stepped(kind: type[torch.optim.Optimizer], update: Update, before: Tensor, gradient: Tensor) -> _Replayed:
    parameter = before.detach().clone()
    parameter.grad = gradient.detach().clone()
    optimizer: torch.optim.Optimizer = kind([parameter])  # type: ignore[call-arg]  # every subclass has defaults
    group = optimizer.param_groups[0]
    group.update(update.hyperparameters)
    if parameter.device.type == "cpu" and group.get("capturable"):
        group["capturable"] = False  # torch refuses it on the CPU; the numbers were recorded on another device
    state = {
        name: kept.detach().clone() if isinstance(kept, Tensor) else kept for name, kept in update.state_before.items()
    }
    if state:
        optimizer.state[parameter] = state
    optimizer.step()
    return _Replayed(parameter, optimizer.state[parameter], group)


def _misfit(update: Update, error: Exception) -> str:
    return f"{update.optimizer} does not take the recorded settings ({type(error).__name__}: {error})"


def _reason_without_numbers(kept: object) -> str:
    if isinstance(kept, Missing):
        return f"The change is not known because {kept.reason}."
    return "Only statistics of the parameter were kept, so neither its change nor the terms are known."
