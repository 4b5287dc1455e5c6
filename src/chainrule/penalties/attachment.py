"""Penalties on a model: hooks that collect the terms while the model runs, and are removed afterwards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import final

import torch
from pydantic import ValidationError
from torch import nn
from torch.utils.hooks import RemovableHandle

from chainrule.errors import TaskError
from chainrule.penalties.selection import select_modules, shown_path
from chainrule.penalties.terms import activation_term, formula, known_time_dimension, missing_time_dimension
from chainrule.shapes import Float, Tensor
from chainrule.tasks.penalty_spec import Normalisation, PenaltyKind, PenaltySpec
from chainrule.tasks.problems import problems_of

Hook = Callable[[nn.Module, tuple[object, ...], object], None]


@final
class ActivationPenalty:
    """A penalty on activations, for a training loop of one's own.

    Example:
        >>> penalty = ActivationPenalty("L2", 1e-3, modules="hidden.*")
        >>> with penalty.attach(model) as attached:
        ...     loss = loss_fn(model(inputs), targets) + attached.value()
        ...     loss.backward()

    Args:
        kind: "L1", "L2", "AR" or "TAR".
        strength: the factor in front, finite and at least 0.
        modules: glob patterns over module paths ("hidden.*"), or "type:" and a class name ("type:ReLU").
        normalisation: "sum", "mean" or "per-sample"; per-sample for L1 and L2 and mean for AR and TAR if not given.
        time_dimension: the dimension of the output that counts the steps, where `batch_first` does not say it.

    Raises:
        TaskError: an argument has a value that cannot be used.
    """

    def __init__(
        self,
        kind: PenaltyKind,
        strength: float,
        *,
        modules: str | list[str],
        normalisation: Normalisation | None = None,
        time_dimension: int | None = None,
    ) -> None:
        given = {
            "kind": kind,
            "strength": strength,
            "modules": modules,
            "normalisation": normalisation,
            "time_dimension": time_dimension,
        }
        try:
            self.spec = PenaltySpec.model_validate(given)
        except ValidationError as error:
            raise TaskError(
                what="An activation penalty cannot be made from these arguments.",
                problems=tuple(problems_of(error, PenaltySpec)),
            ) from None

    def attach(self, model: nn.Module) -> "AttachedPenalties":
        """Put the penalty on a model; see `attach_penalties`."""
        return attach_penalties(model, [self.spec])


def attach_penalties(model: nn.Module, specs: Sequence[PenaltySpec]) -> "AttachedPenalties":
    """Put forward hooks for several penalties on a model, until the result is removed or its `with` block ends.

    A forward pass counts when `model` is in training mode and gradients are enabled; an evaluation collects nothing.
    Every use of a chosen module counts, so a module that runs twice in one forward pass counts twice. Hooks are all
    that the modules carry: no attributes, no buffers. A copy of the model that is made meanwhile collects nothing.

    Args:
        model: any module; inside a wrapper such as DistributedDataParallel, the model that was wrapped.
        specs: the penalties; none at all is fine.

    Raises:
        UnknownNameError: a pattern chooses no module.
        TaskError: a TAR penalty does not know the time dimension of a module.
    """
    collections: list[_Collection] = []
    for spec in specs:
        label, times = spec.label, sum(collection.spec.label == spec.label for collection in collections)
        modules = select_modules(model, spec.patterns, where=f"penalty {label}")
        untimed = [path for path, module in modules.items() if known_time_dimension(spec, module) is None]
        if spec.kind == "TAR" and untimed:
            raise missing_time_dimension(spec, untimed)
        collections.append(_Collection(spec, f"{label} ({times + 1})" if times else label, modules))
    return AttachedPenalties(model, collections)


@dataclass(slots=True)
class _Collection:
    """The terms of one penalty since they were last taken, and how often each module has given one."""

    spec: PenaltySpec
    label: str
    modules: dict[str, nn.Module]
    terms: list[Tensor] = field(default_factory=list)
    uses: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.uses = dict.fromkeys(self.modules, 0)

    def take(self) -> Tensor:
        terms, self.terms = self.terms, []
        total = terms[0] if terms else torch.zeros(())
        for term in terms[1:]:
            total = total + term.to(total.device)
        return total


@final
class AttachedPenalties:
    """Penalties that sit on a model; made by `attach_penalties` and `ActivationPenalty.attach`."""

    def __init__(self, model: nn.Module, collections: list[_Collection]) -> None:
        self._model = model
        self._collections = collections
        self._forwards = 0
        self._is_attached = True
        self._handles: list[RemovableHandle] = [model.register_forward_hook(self._counting_hook())]
        for collection in collections:
            for path, module in collection.modules.items():
                self._handles.append(module.register_forward_hook(self._collecting_hook(collection, path, module)))

    def __enter__(self) -> "AttachedPenalties":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def value(self) -> Float[Tensor, ""]:
        """Return the sum of all penalties; see `values`, which this takes from."""
        total = torch.zeros(())
        for index, penalty in enumerate(self.values().values()):
            total = total + penalty.to(total.device) if index else penalty
        return total

    def values(self) -> dict[str, Float[Tensor, ""]]:
        """Take the penalties of the forward passes since the last `value`, `values` or `clear`, by label.

        Each is a scalar that can be differentiated, and can be taken once. A penalty whose modules all stayed idle
        in these passes, having run in earlier ones, is 0.

        Raises:
            TaskError: no forward pass was collected, a penalty's modules have never run, or the hooks are removed.
        """
        if not self._is_attached:
            raise TaskError(
                what="The penalties are no longer on the model, so they have no value.",
                where=self._labels(),
                next_step="Take value() inside the with block, or attach again.",
            )
        if self._collections and not self._forwards and not any(collection.terms for collection in self._collections):
            raise TaskError(
                what="The penalties have no value, for no forward pass was collected since the last one was taken.",
                where=self._labels(),
                cause="A forward pass counts once, in training mode (model.train()) and with gradients enabled.",
                next_step="Call the model before value(); to have the parts and the sum, take values() and add them.",
            )
        for collection in self._collections:
            if not any(collection.uses.values()):
                raise _never_called(collection)
        self._forwards = 0
        return {collection.label: collection.take() for collection in self._collections}

    def clear(self) -> None:
        """Forget the terms that were collected, for example after a forward pass that was not for training."""
        self._forwards = 0
        for collection in self._collections:
            collection.terms.clear()

    def remove(self) -> None:
        """Take all hooks off the model and forget the terms. Doing it twice is fine."""
        for handle in self._handles:
            handle.remove()
        self.clear()
        self._is_attached = False

    def uses(self) -> dict[str, dict[str, int]]:
        """Return, by label and module path, how many outputs were collected since attaching; 0 says never called."""
        return {collection.label: dict(collection.uses) for collection in self._collections}

    def describe(self) -> list[str]:
        """Return one sentence for each penalty: formula, strength, normalisation and the modules that matched."""
        return [_sentence(collection) for collection in self._collections]

    def _labels(self) -> str:
        return "; ".join(f"penalty {collection.label}" for collection in self._collections)

    def _counts(self) -> bool:
        return self._model.training and torch.is_grad_enabled()

    def _counting_hook(self) -> Hook:
        def count(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            if module is self._model and self._counts() and not _is_recomputing():
                self._forwards += 1

        return count

    def _collecting_hook(self, collection: _Collection, path: str, watched: nn.Module) -> Hook:
        def collect(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            # A deep copy of the model carries these hooks too, with another module.
            if module is not watched or not self._counts():
                return
            term = activation_term(collection.spec, path, module, output)
            # Checkpointing compares what a recomputation saves, so the term is computed there too, and dropped.
            if not _is_recomputing():
                collection.terms.append(term)
                collection.uses[path] += 1

        return collect


def _is_recomputing() -> bool:
    # Activation checkpointing runs modules again inside the backward pass. Torch has no public name for this.
    return torch._C._current_graph_task_id() != -1


def _sentence(collection: _Collection) -> str:
    sentence = f"{collection.label}: {formula(collection.spec)}"
    paths = list(collection.modules)
    if paths != list(collection.spec.patterns) or len(paths) > 1:
        sentence += f", {'summed over' if len(paths) > 1 else 'on'} {', '.join(map(shown_path, paths))}"
    if collection.spec.kind == "TAR":
        times = {path: known_time_dimension(collection.spec, module) for path, module in collection.modules.items()}
        if len(set(times.values())) == 1:
            sentence += f"; t is dimension {times[paths[0]]}"
        else:
            sentence += "; t is " + ", ".join(f"dimension {time} of {shown_path(path)}" for path, time in times.items())
    return sentence


def _never_called(collection: _Collection) -> TaskError:
    return TaskError(
        what="The model ran, but none of the modules of a penalty did.",
        where=f"penalty {collection.label}",
        found=f"no call of {', '.join(map(shown_path, collection.modules))}",
        cause="A hook sees only modules that are called; some models read a module's weights and never call it.",
        next_step="Choose a module that the forward pass calls.",
    )
