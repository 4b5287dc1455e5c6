"""Batches whose gradients are gathered into one update, and other things that both libraries do."""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, final

import torch
from torch import nn
from torch.utils.data import DataLoader

from chainrule.errors import ChainruleError, DataError
from chainrule.probes.batch_stream import own_copy

_EPOCHS: Final = 10


class IntegrationError(ChainruleError):
    """A training object of another library does something that a probe cannot do in its place."""


@final
@dataclass(frozen=True)  # without slots, so that `restored` looks into it
class Grouped:
    """The batches of a loader in lists, one list for each update.

    Attributes:
        loader: of the batches.
        size: batches of one update; the last update of an epoch may have fewer.
        batches: of an epoch that are used; all when None.
    """

    loader: Iterable[Any]
    size: int
    batches: int | None = None

    def __iter__(self) -> Iterator[list[Any]]:
        used = islice(own_copy(self.loader), self.batches)
        while group := list(islice(used, self.size)):
            yield group

    def __len__(self) -> int:
        length = len(self.loader)  # type: ignore[arg-type]  # raises TypeError where there is none, as it should
        return math.ceil((length if self.batches is None else min(length, self.batches)) / self.size)


def one_loader(loader: Any, where: str) -> Any:
    """Return a loader that is one loader.

    Raises:
        DataError: it is a table or a list of several.
    """
    parts = list(loader.values()) if isinstance(loader, Mapping) else loader if isinstance(loader, list) else []
    if isinstance(loader, Mapping) or any(isinstance(part, DataLoader) for part in parts):
        raise DataError(
            what="Several loaders at once cannot be probed.",
            where=where,
            found=f"{len(parts)} loaders",
            expected="one loader",
            next_step="Use chainrule.find_lr with step=, a function of the model and a batch.",
        )
    return loader


def refuse_overridden(owner: object, base: str, names: tuple[str, ...]) -> None:
    """Refuse an object that does in its own way what a probe does in its place.

    Args:
        owner: of a class below `base`.
        base: the name of the library's class.
        names: methods that must be the library's own.

    Raises:
        IntegrationError: one is not.
    """
    kind = type(owner)
    library = next((one for one in kind.__mro__ if one.__name__ == base), kind)
    own = [name for name in names if inspect.getattr_static(kind, name, None) is not _of(library, name)]
    if own:
        raise IntegrationError(
            what=f"{kind.__name__} has a training step of its own, which a probe would pass over.",
            found=f"{', '.join(own)} of its own",
            expected=f"that of {base}",
            next_step="Use chainrule.find_lr with step=, a function of the model and a batch.",
        )


def _of(kind: type, name: str) -> object:
    return inspect.getattr_static(kind, name, None)


def clipping(
    optimizer: torch.optim.Optimizer, value: float | int | None, algorithm: str = "norm"
) -> Callable[[], object] | None:
    """Return what clips the gradients of an optimizer before each update; None where nothing is clipped."""
    if not value:
        return None
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    if algorithm == "value":
        return lambda: nn.utils.clip_grad_value_(weights, value)
    return lambda: nn.utils.clip_grad_norm_(weights, value)


def autocasting(device: torch.device, precision: str) -> Callable[[], AbstractContextManager[object]]:
    """Return the context of forward pass and loss.

    Args:
        device: of the model.
        precision: "bf16", "fp16", or anything else for the model's own.

    Raises:
        IntegrationError: float16, whose scaled gradients belong to the library.
    """
    if precision == "fp16":
        raise IntegrationError(
            what="Training in float16 scales the loss as it goes, which a probe does not do.",
            found="mixed precision with float16",
            expected="float32 or bfloat16",
            next_step="Find the rate in float32 or bfloat16: it hardly depends on the precision.",
        )
    if precision == "bf16":
        return lambda: torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext


@contextmanager
def in_training_mode(model: nn.Module) -> Iterator[None]:
    """Put a model into training mode, and put the mode of every module back."""
    modes = [(module, module.training) for module in model.modules()]
    model.train()
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training


def updates_of(batches: Grouped, steps: int | None, epochs: float | int | None) -> tuple[int, str]:
    """Return how many updates a training has, and a sentence where that is not told.

    Args:
        batches: of an epoch.
        steps: as told; None or below 1 where it is not.
        epochs: as told; the same.

    Raises:
        TypeError: only epochs are told, of a loader without a length.
    """
    bounds = []
    if steps is not None and steps > 0:
        bounds.append(steps)
    if epochs is not None and epochs > 0:
        try:
            bounds.append(math.ceil(epochs * len(batches)))
        except TypeError:
            if not bounds:
                raise
    if bounds:
        return min(bounds), ""
    return _EPOCHS * len(batches), f"The training has no end of its own; {_EPOCHS} epochs were taken."
