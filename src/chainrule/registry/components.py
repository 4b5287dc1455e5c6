"""What a task can name: the activations, losses, optimizers, schedulers and initialisers of torch.

The lists are read from torch, so a component of a later torch is there without a change here. What is left out is
left out for a stated reason.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import init
from torch.nn.modules import activation as torch_activations
from torch.nn.modules import loss as torch_losses
from torch.optim import lr_scheduler

from chainrule.errors import UnknownNameError
from chainrule.registry.half_squares import HalfSumOfSquares


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The components of one kind, by name.

    Attributes:
        kind: what an error calls one of them.
        members: class or function by its torch name.
        left_out: names that torch has and a task cannot use, with the reason.
        given_by_us: arguments that chainrule passes itself, or that torch has deprecated.
    """

    kind: str
    members: dict[str, Callable[..., Any]]
    left_out: dict[str, str]
    given_by_us: frozenset[str]

    def spelling(self, name: str) -> str | None:
        """Return torch's own spelling of `name`, or None when nothing has that name."""
        return {_folded(member): member for member in self.members}.get(_folded(name))

    def canonical(self, name: str, where: str = "") -> str:
        """Return torch's own spelling of `name`; case, "_" and "-" do not count.

        Raises:
            UnknownNameError: nothing has that name, or a task cannot use it; says which names are near.
        """
        if (spelling := self.spelling(name)) is not None:
            return spelling
        reasons = {_folded(member): reason for member, reason in self.left_out.items()}
        if _folded(name) in reasons:
            raise UnknownNameError(
                what=f"The {self.kind} '{name}' cannot be used in a task.",
                where=where,
                found=name,
                expected="one of " + ", ".join(sorted(self.members, key=str.lower)),
                cause=reasons[_folded(name)],
            )
        raise UnknownNameError.unknown_name(self.kind, name, self.members, where)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self.members[self.canonical(name)]


def _folded(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _classes(module: Any, names: Iterable[str], without: Iterable[str]) -> dict[str, Callable[..., Any]]:
    return {name: getattr(module, name) for name in names if name not in set(without)}


_DEPRECATED = frozenset({"size_average", "reduce"})

_NOT_ACTIVATIONS = {
    "MultiheadAttention": "It is a layer with weights and three inputs; use it in a module of your own.",
}

_PAIRS = "It compares several inputs with one another; a task has one prediction and one target."
_NOT_LOSSES = {
    "NLLLoss2d": "torch has deprecated it; use NLLLoss.",
    "CTCLoss": "It needs the lengths of the sequences; use it in a module of your own.",
    "CosineEmbeddingLoss": _PAIRS,
    "MarginRankingLoss": _PAIRS,
    "TripletMarginLoss": _PAIRS,
    "TripletMarginWithDistanceLoss": _PAIRS,
    "LinearCrossEntropyLoss": "It holds a layer with weights of its own; put the layer into the model "
    "and use CrossEntropyLoss.",
}

ACTIVATIONS = Catalogue(
    kind="activation",
    members=_classes(nn, [*torch_activations.__all__, "Identity"], _NOT_ACTIVATIONS),
    left_out=_NOT_ACTIVATIONS,
    given_by_us=frozenset({"inplace", "device", "dtype", "min_value", "max_value"}),
)

LOSSES = Catalogue(
    kind="loss",
    members={**_classes(nn, torch_losses.__all__, _NOT_LOSSES), "HalfSumOfSquares": HalfSumOfSquares},
    left_out=_NOT_LOSSES,
    given_by_us=_DEPRECATED,
)

OPTIMIZERS = Catalogue(
    kind="optimizer",
    members={
        name: member
        for name, member in vars(torch.optim).items()
        if inspect.isclass(member) and issubclass(member, torch.optim.Optimizer) and member is not torch.optim.Optimizer
    },
    left_out={},
    given_by_us=frozenset({"params"}),
)

SCHEDULERS = Catalogue(
    kind="scheduler",
    members=_classes(lr_scheduler, lr_scheduler.__all__, {"LRScheduler"}),
    left_out={"LRScheduler": "It is the base class of the others."},
    given_by_us=frozenset({"optimizer", "last_epoch"}),
)

INITIALISERS = Catalogue(
    kind="initialiser",
    members={
        name: member
        for name, member in vars(init).items()
        if name.endswith("_") and not name.startswith("_") and inspect.isfunction(member)
    },
    left_out={},
    given_by_us=frozenset({"tensor", "generator"}),
)
