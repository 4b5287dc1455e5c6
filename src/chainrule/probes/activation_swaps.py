"""The activations of a live model: which are found, and copies of it with others in their place."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from chainrule.activations import activation_names
from chainrule.errors import TaskError
from chainrule.probes.candidates import Candidate, candidate_of
from chainrule.shapes import Tensor
from chainrule.training.evaluation import evaluating

_WEIGHTS: Final = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS: Final = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


@dataclass(frozen=True, slots=True)
class Swaps:
    """What is replaced in a model.

    Attributes:
        paths: of the activations that candidates take the place of, in the order in which they are called.
        present: what they are now, each once.
        kept: activations that stay, with the reason.
        feeding: paths of the layers whose outputs go into a replaced activation; their weights get its gain.
        has_norm: whether a layer normalises on the way.
    """

    paths: tuple[str, ...]
    present: tuple[Candidate, ...]
    kept: tuple[str, ...]
    feeding: tuple[str, ...]
    has_norm: bool


@torch.no_grad()
def find_swaps(
    model: nn.Module, inputs: Any, only: Sequence[str] = (), call: Callable[[nn.Module, Any], Any] | None = None
) -> Swaps:
    """Return which activations of a model can be replaced, from one forward pass.

    Left as they are: the activation that makes the model's output; those that take several inputs (Softmax); and
    gates, which are activations like Sigmoid beside others that are not.

    Args:
        model: as it is; nothing of it changes but what a forward pass changes.
        inputs: of one batch.
        only: paths of the activations to replace, when not all of those found are meant.
        call: how the model is called with what is given as `inputs`, where that is not `model(inputs)`; which
            activation makes the output is then not known.

    Raises:
        TaskError: none is found, or a path of `only` is none.
    """
    known = {name: module for name, module in model.named_modules() if type(module).__name__ in _names(module)}
    called, outputs, feeding = _called(model, inputs, known, call)
    kept: list[str] = []
    found: dict[str, Candidate] = {}
    for path in dict.fromkeys(called):
        candidate = _candidate(known[path])
        if path in outputs:
            kept.append(f"{path} ({type(known[path]).__name__}): it makes the model's output")
        elif candidate is None:
            kept.append(f"{path} ({type(known[path]).__name__}): it does not map each number by itself")
        else:
            found[path] = candidate
    if only:
        if unknown := [path for path in only if path not in found]:
            raise TaskError.unknown_name("activation that can be replaced", unknown[0], found, "replace")
        found = {path: found[path] for path in found if path in only}
    elif len({each.is_sigmoid for each in found.values()}) == 2:
        gates = [path for path, each in found.items() if each.is_sigmoid]
        kept += [f"{path} ({found.pop(path).label}): a gate beside other activations" for path in gates]
    if not found:
        raise TaskError(
            what="No activation of this model can be replaced.",
            where=type(model).__name__,
            found="; ".join(kept) or "no module that is an activation of torch.nn",
            expected="activations of the hidden layers as modules, such as self.activation = nn.ReLU()",
            cause="Functional activations (torch.relu, F.gelu) inside forward() cannot be seen or replaced.",
            next_step="Make them modules, and compare again.",
        )
    return Swaps(
        tuple(found),
        tuple({each.label: each for each in found.values()}.values()),
        tuple(kept),
        tuple(dict.fromkeys(layer for path in found for layer in feeding.get(path, ()))),
        any(isinstance(module, _NORMS) for module in model.modules()),
    )


def with_activation(model: nn.Module, swaps: Swaps, candidate: Candidate, *, has_own_init: bool) -> nn.Module:
    """Put a candidate in the place of a model's activations, and scale the weights before them to its gain.

    Args:
        model: changed and returned; give a copy.
        swaps: what is replaced.
        candidate: what takes its place.
        has_own_init: multiply the weights of the layers before the activations so that their variance is
            gain²/inputs of a unit.
    """
    like = next(model.parameters(), torch.zeros(()))
    for path in swaps.paths:
        parent, _, name = path.rpartition(".")
        made = getattr(nn, candidate.name)(**dict(candidate.arguments)).to(like.device, like.dtype)
        made.train(model.get_submodule(path).training)
        setattr(model.get_submodule(parent), name, made)
    if has_own_init:
        with torch.no_grad():
            for path in swaps.feeding:
                weight: Any = model.get_submodule(path).weight
                spread = float(weight.double().square().mean().sqrt())
                if spread > 0:
                    weight.mul_(candidate.gain / (weight[0].numel() ** 0.5 * spread))
    return model


def fresh_copy(model: nn.Module, seed: int) -> nn.Module:
    """Return a copy of a model whose layers draw new weights, each by its own `reset_parameters`.

    Args:
        model: stays as it is.
        seed: decides the weights; torch's generator is seeded with it, and left to the caller to put back.
    """
    made = copy.deepcopy(model)
    draw_anew(made, seed)
    return made


def draw_anew(model: nn.Module, seed: int) -> None:
    """Let the layers of a model draw new weights, each by its own `reset_parameters`; see `fresh_copy`."""
    torch.manual_seed(seed)
    for module in model.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()


def unreset_parameters(model: nn.Module) -> list[str]:
    """Return the parameters of modules that have no `reset_parameters`, so that every seed keeps their values."""
    return [
        f"{path}.{name}".removeprefix(".")
        for path, module in model.named_modules()
        if not callable(getattr(module, "reset_parameters", None))
        for name, parameter in module.named_parameters(recurse=False)
        if parameter.requires_grad
    ]


def _names(module: nn.Module) -> frozenset[str]:
    return frozenset(activation_names()) if type(module).__module__.startswith("torch.nn.modules") else frozenset()


def _candidate(module: nn.Module) -> Candidate | None:
    name = type(module).__name__
    given = {}
    for key in ("negative_slope", "alpha", "beta", "threshold", "lambd", "min_val", "max_val", "approximate"):
        value = getattr(module, key, None)
        if isinstance(value, int | float | str):
            given[key] = value
    try:
        defaults = candidate_of(name)
        plain = getattr(nn, name)()
        changed = {key: value for key, value in given.items() if getattr(plain, key, None) != value}
        return candidate_of(name, changed) if changed else defaults
    except (TaskError, TypeError):  # it has no gain, or needs arguments that are not in its formula
        return None


def _called(
    model: nn.Module, inputs: Any, known: dict[str, nn.Module], call: Callable[[nn.Module, Any], Any] | None
) -> tuple[list[str], set[str], dict[str, set[str]]]:
    """Run the model once; return activations in the order of their calls, those of the output, and what feeds each."""
    called: list[str] = []
    made: dict[str, Tensor] = {}
    feeding: dict[str, set[str]] = {}
    last: list[str] = []

    def of_weights(path: str) -> Any:
        def hook(module: nn.Module, taken: Any, result: Any) -> None:
            last[:] = [path]

        return hook

    def of_activation(path: str) -> Any:
        def hook(module: nn.Module, taken: Any, result: Any) -> None:
            called.append(path)
            made[path] = result
            feeding.setdefault(path, set()).update(last)

        return hook

    handles = [module.register_forward_hook(of_activation(path)) for path, module in known.items()]
    handles += [
        module.register_forward_hook(of_weights(path))
        for path, module in model.named_modules()
        if isinstance(module, _WEIGHTS)
    ]
    try:
        with evaluating(model):
            output = model(inputs) if call is None else call(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return called, {path for path, each in made.items() if each is output}, feeding
