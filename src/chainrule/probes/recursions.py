"""What an optimizer does to a deviation along one direction of curvature, at the edge of stability.

Near the weights the loss is a quadratic with Hessian H. An update multiplies the deviation x along a direction of
curvature λ by z, which the optimizer's recursion gives. It grows first at z = −1, where the deviation changes its sign
at every update without shrinking, and there the recursions give the rate η

    SGD                  η = 2/λ
    SGD, momentum β      η = 2(1+β) / ((1−d)·λ)              d: dampening
    SGD, Nesterov        η = 2(1+β) / ((1+2β)·λ)
    Adam, AdamW          η = 2(1+β₁) / ((1−β₁)·λ)            λ of P^(−1/2) H P^(−1/2), P = √v̂ + ε
    RMSprop, momentum β  η = 2(1+β) / λ                      λ as for Adam, P = √v + ε

An L2 penalty adds its strength to H. Decoupled decay (AdamW) multiplies x by 1 − ηδ as well, which at z = −1 adds
δ(1+β₁)/(1−β₁) to λ. The rate of a group over that of the first that is not 0 divides its P. Sources: Polyak
1964 for momentum; Cohen et al. 2021 (arXiv 2103.00065) and 2022 (2207.14484) for gradient descent and Adam at the edge
of stability; the others follow in the same way. All are tested against torch's own optimizers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch

from chainrule.probes.group_rates import rate_ratios
from chainrule.shapes import Float, Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Recursion:
    """An optimizer at the edge of stability: η = 2 / (c·λ), λ the largest eigenvalue of D^½ (H + ridge) D^½ + shift.

    Attributes:
        factor: c.
        formula: the limit, with letters and their numbers.
        scale: D, the diagonal of 1/P, times the ratio of the group's rate to the first one that is not 0.
        ridge: what an L2 penalty adds to the diagonal of H.
        shift: what decoupled decay adds to the diagonal.
        is_constant: none of it changes while the training goes on.
        words: where P is from, as a sentence; empty where it is 1.
    """

    factor: float
    formula: str
    scale: Float[Tensor, " weights"]
    ridge: Float[Tensor, " weights"]
    shift: Float[Tensor, " weights"]
    is_constant: bool
    words: str


def unknown_recursion(optimizer: torch.optim.Optimizer) -> str:
    """Say why the recursion of an optimizer is not known; nothing where it is."""
    name = type(optimizer).__name__
    if type(optimizer) not in _RECURSIONS:
        known = ", ".join(kind.__name__ for kind in _RECURSIONS)
        return f"Not computed: for {name} no formula of its limit is known here; there is one for {known}."
    groups = optimizer.param_groups
    if any(group.get("maximize") for group in groups):
        return f"Not computed: {name} maximises the loss."
    for key in ("momentum", "dampening", "nesterov", "betas", "alpha", "eps", "centered", "amsgrad"):
        if any(group.get(key) != groups[0].get(key) for group in groups):
            return f"Not computed: the groups of {name} differ in {key}."
    return ""


def recursion_of(
    optimizer: torch.optim.Optimizer,
    weights: list[torch.nn.Parameter],
    squares: Float[Tensor, " weights"],
    batches: int,
    wide: torch.dtype,
) -> Recursion:
    """Return what an optimizer does along a direction.

    Args:
        optimizer: one that `unknown_recursion` says nothing about.
        weights: that it trains, in the order of its groups.
        squares: the mean of the squared gradients of some batches, for an optimizer that has seen none yet.
        batches: how many these are.
        wide: the precision to compute in.
    """
    rule = _RECURSIONS[type(optimizer)]
    factor, formula, slot = rule(optimizer.param_groups[0])
    groups = optimizer.param_groups
    ratios, decays = [], []
    is_decoupled = False
    for group, ratio_of_group in zip(groups, rate_ratios(optimizer), strict=True):
        is_decoupled = isinstance(optimizer, torch.optim.AdamW) or bool(group.get("decoupled_weight_decay"))
        for parameter in group["params"]:
            if parameter.requires_grad:
                ratios.append(squares.new_full((parameter.numel(),), ratio_of_group))
                decays.append(squares.new_full((parameter.numel(),), float(group.get("weight_decay", 0.0))))
    ratio, decay = torch.cat(ratios), torch.cat(decays)
    nothing = torch.zeros_like(ratio)
    words = ""
    scale = ratio
    if slot:
        steps_done, second = _second_moment(optimizer, weights, slot, wide)
        if steps_done:
            words = f"{type(optimizer).__name__} divides by √v, taken from its {steps_done} updates so far."
        else:
            second = squares
            of = "one batch" if batches == 1 else f"{batches} batches"
            words = (
                f"{type(optimizer).__name__} divides by √v, which it has not seen yet: v is taken from the gradients "
                f"of {of}. Weights with tiny gradients there count for much, so this limit is rough."
            )
        scale = ratio / (second.sqrt() + float(groups[0]["eps"]))
    return Recursion(
        factor=factor,
        formula=formula,
        scale=scale,
        ridge=nothing if is_decoupled else decay,
        shift=ratio * decay / factor if is_decoupled else nothing,
        is_constant=not slot,
        words=words,
    )


def _sgd(group: dict[str, Any]) -> tuple[float, str, str]:
    beta, dampening = float(group["momentum"]), float(group["dampening"])
    if not beta:
        return 1.0, "2/λ", ""
    if group["nesterov"]:
        return (1 + 2 * beta) / (1 + beta), f"2(1+β)/((1+2β)λ), β = {beta:g}", ""
    if dampening:
        return (1 - dampening) / (1 + beta), f"2(1+β)/((1−d)λ), β = {beta:g}, d = {dampening:g}", ""
    return 1 / (1 + beta), f"2(1+β)/λ, β = {beta:g}", ""


def _adam(group: dict[str, Any]) -> tuple[float, str, str]:
    beta = float(group["betas"][0])
    slot = "max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"
    return (1 - beta) / (1 + beta), f"2(1+β₁)/((1−β₁)λ), β₁ = {beta:g}", slot


def _rmsprop(group: dict[str, Any]) -> tuple[float, str, str]:
    beta = float(group["momentum"])
    return 1 / (1 + beta), f"2(1+β)/λ, β = {beta:g}" if beta else "2/λ", "square_avg"


_RECURSIONS: Final[dict[type, Callable[[dict[str, Any]], tuple[float, str, str]]]] = {
    torch.optim.SGD: _sgd,
    torch.optim.Adam: _adam,
    torch.optim.AdamW: _adam,
    torch.optim.RMSprop: _rmsprop,
}
"""From a group's settings to the factor c, the formula, and the name of v in the optimizer's state ("" for none)."""


def _second_moment(
    optimizer: torch.optim.Optimizer, weights: list[torch.nn.Parameter], slot: str, wide: torch.dtype
) -> tuple[int, Tensor]:
    """Return after how many updates, and the mean squared gradients that the optimizer divides by the root of."""
    if not all(slot in optimizer.state.get(weight, {}) for weight in weights):
        return 0, torch.zeros(())
    parts, steps = [], 0
    for group in optimizer.param_groups:
        for weight in group["params"]:
            if weight.requires_grad:
                state = optimizer.state[weight]
                steps = int(state["step"])
                second = state[slot].detach().to(wide).flatten()
                if group.get("centered"):
                    second = (second - state["grad_avg"].detach().to(wide).flatten().square()).clamp(min=0)
                if "betas" in group:  # Adam starts at zero and corrects for it; RMSprop does not
                    second = second / (1 - float(group["betas"][1]) ** steps)
                parts.append(second)
    return steps, torch.cat(parts)
