"""What a network's layers do to signals and to changes of them before training, on the user's own data.

With h₀ the inputs and h_l the outputs of the l-th activation,

    variance factor   Σᵤ Var_n h_l[n,u] / N_l  over  Σᵤ Var_n h_{l−1}[n,u] / N_{l−1}
    χ_l               E_n ‖∂h_l[n]/∂h_{l−1}[n]‖²_F / N_l

Var_n is over the samples, N the number of units. χ_l is the factor by which a layer multiplies the mean square of a
small random change of its inputs; the product over the layers is what becomes of it at the end, and adjoints on their
way back share its fate. Source: S. Schoenholz et al., Deep Information Propagation (2017), where χ = σ_w² E[f′(z)²].
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from chainrule.shapes import Tensor

SMALLEST: Final = 1e-3
LARGEST: Final = 1e3
"""Between these the product of χ over the layers is called healthy."""
FAINT: Final = 0.01
"""A unit is saturated on a sample where the size of its slope is below this, as in a run's statistics."""
_PROBES: Final = 4


@dataclass(frozen=True, slots=True)
class LayerGain:
    """One hidden layer at initialisation.

    Attributes:
        layer: the path of its activation.
        variance_factor: of its outputs over its inputs; NaN where the inputs do not vary or are no numbers.
        chi: χ, the mean squared gain of its Jacobian; NaN where it does not follow from the layer before.
        dead: the share of units whose slope is 0 on every sample.
        saturated: the share of units and samples whose slope is below 0.01 in size.
    """

    layer: str
    variance_factor: float
    chi: float
    dead: float
    saturated: float


def measure_gains(
    model: nn.Module,
    inputs: Any,
    paths: Sequence[str],
    seed: int = 0,
    call: Callable[[nn.Module, Any], Any] | None = None,
) -> tuple[LayerGain, ...]:
    """Measure the layers of a model before training, from one forward pass and four backward passes a layer.

    Nothing of the model changes: parameters, gradients, buffers, modes and torch's generator are as before.

    Args:
        model: called with `inputs`, in evaluation mode.
        inputs: a batch: a tensor (samples, ...), or what else the model takes.
        paths: of its activations, in the order of the layers.
        seed: decides the random directions that χ is estimated along; its error is about 1/√(2·samples·units).
        call: how the model is called with what is given as `inputs`, where that is not `model(inputs)`.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(value, value.clone()) for value in model.buffers()]
    devices = [inputs.device] if isinstance(inputs, Tensor) and inputs.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.enable_grad(), _listening(model, paths) as calls:
        torch.manual_seed(seed)
        model.eval()
        try:
            first = _followed(inputs)
            if call is None:
                model(first)
            else:
                call(model, first)
            return tuple(_gains(calls, first))
        finally:
            for module, was_training in modes:
                module.training = was_training
            with torch.no_grad():
                for value, before in buffers:
                    value.copy_(before)


def chi_product(layers: Sequence[LayerGain]) -> float:
    """Return the product of χ over the layers where it is known; NaN where it is nowhere."""
    known = [layer.chi for layer in layers if not math.isnan(layer.chi)]
    return math.prod(known) if known else math.nan


def is_extreme(product: float) -> bool:
    """Whether changes of the inputs are as good as lost, or blown up, at the end of the hidden layers."""
    return not math.isnan(product) and not SMALLEST <= product <= LARGEST


def mean_gains(runs: Sequence[Sequence[LayerGain]]) -> tuple[LayerGain, ...]:
    """Return the layers of several seeds as one: geometric means of factors, arithmetic means of shares."""
    return tuple(
        LayerGain(
            each[0].layer,
            _geometric([layer.variance_factor for layer in each]),
            _geometric([layer.chi for layer in each]),
            math.fsum(layer.dead for layer in each) / len(each),
            math.fsum(layer.saturated for layer in each) / len(each),
        )
        for each in zip(*runs, strict=True)
    )


def _geometric(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return math.nan
    return math.exp(math.fsum(map(math.log, known)) / len(known)) if min(known) > 0 else 0.0


def _followed(inputs: Any) -> Any:
    """Return inputs from which autograd follows, where they are numbers."""
    if isinstance(inputs, Tensor) and inputs.is_floating_point():
        return inputs.detach().clone().requires_grad_()
    return inputs


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """One call of an activation: what it took, from where autograd follows, and what it made."""

    name: str
    taken: Tensor
    made: Tensor


@contextmanager
def _listening(model: nn.Module, paths: Sequence[str]) -> Iterator[list[_Call]]:
    """Collect the calls of activations in the order in which they happen."""
    calls: list[_Call] = []
    kept: dict[str, Tensor] = {}
    counts = dict.fromkeys(paths, 0)
    handles = []
    for path in paths:

        def before(module: nn.Module, taken: tuple[Any, ...], path: str = path) -> tuple[Any, ...]:
            # A copy, so that an activation which overwrites its input leaves us what it took.
            kept[path] = taken[0].clone() if taken[0].requires_grad else taken[0].detach().clone().requires_grad_()
            return (kept[path].clone(), *taken[1:])

        def after(module: nn.Module, taken: Any, made: Tensor, path: str = path) -> None:
            counts[path] += 1
            name = path if counts[path] == 1 else f"{path} (call {counts[path]})"
            calls.append(_Call(name, kept.pop(path), made))

        module = model.get_submodule(path)
        handles += [module.register_forward_pre_hook(before), module.register_forward_hook(after)]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _gains(calls: Sequence[_Call], inputs: Any) -> Iterator[LayerGain]:
    below: Tensor | None = inputs if isinstance(inputs, Tensor) and inputs.requires_grad else None
    for call in calls:
        (slope,) = torch.autograd.grad(call.made.sum(), call.taken, retain_graph=True)
        slopes = slope.detach().abs().flatten(1)
        varies = below is not None and _variance(below) > 0
        yield LayerGain(
            call.name,
            _variance(call.made) / _variance(below) if below is not None and varies else math.nan,
            math.nan if below is None else _chi(call.made, below),
            float((slopes == 0).all(dim=0).double().mean()),
            float((slopes < FAINT).double().mean()),
        )
        below = call.made


def _variance(values: Tensor) -> float:
    return float(values.detach().double().flatten(1).var(dim=0, correction=0).mean())


def _chi(made: Tensor, below: Tensor) -> float:
    """Return E_n ‖∂made/∂below‖²_F / N from random adjoints: E‖Jᵀu‖² = ‖J‖²_F for u of independent variance 1."""
    total, count = 0.0, 0
    for _ in range(_PROBES):
        direction = torch.randn_like(made)
        backs: Sequence[Tensor | None] = torch.autograd.grad(
            made, below, direction, retain_graph=True, allow_unused=True
        )
        back = backs[0]
        if back is None:  # the layer does not follow from the one before
            return math.nan
        total += float(back.double().square().sum())
        count += made.numel()
    return total / count
