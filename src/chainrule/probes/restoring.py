"""Everything that a probe may touch, noted down and put back bit for bit.

Noted are the bytes of parameters, buffers, gradients and optimizer state; which of them exist; training mode and
requires_grad; attributes of modules, optimizer, loader, sampler and data set, and the lists and tables in them; and
every generator of random numbers: torch's on all devices, NumPy's, Python's, and those that the parts hold.

What a probe cannot put back is not looked at: batches that are used up by looking are refused. Tensors and arrays of a
data set are not copied, they may be large; batches are handed to the model as copies instead.
"""

import functools
import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final, final

import numpy as np
import torch
from torch import nn
from torch.utils.data import IterableDataset

from chainrule.errors import DataError, TaskError
from chainrule.probes.batch_stream import refuse_used_up
from chainrule.probes.subject import Subject
from chainrule.shapes import Tensor

_DEPTH: Final = 6  # attributes of attributes: a data set in a Subset in a loader, and its transforms' generators
_ENTRIES: Final = 1000  # a longer list is data: its order is noted, what is in it is not looked through
_LEAVES: Final = (str, bytes, int, float, complex, bool, type(None), type, ModuleType, np.ndarray, np.generic)

PutBack = Callable[[], object]


@contextmanager
def restored(subject: Subject) -> "Iterator[Snapshot]":
    """Leave a subject as it was, bit for bit, also after an exception or Ctrl-C.

    Yields:
        What was noted; its `put_back` begins anew from there as often as wanted.

    Raises:
        DataError: its batches are used up by looking.
        TaskError: its model has weights without a shape yet.
    """
    snapshot = Snapshot(subject)
    with _putting_back(snapshot):
        yield snapshot


@contextmanager
def kept(*owners: object, depth: int, apart: tuple[object, ...] = ()) -> Iterator[None]:
    """Leave objects of another library as they were: attributes, lists and tables, modules, and all generators.

    Args:
        owners: a trainer, say.
        depth: how many attributes of attributes are looked through.
        apart: what is not looked into, such as a model that `restored` takes care of.
    """
    snapshot = Snapshot(apart=apart)
    for owner in owners:
        snapshot.keep(owner, depth)
    with _putting_back(snapshot):
        yield


@contextmanager
def _putting_back(snapshot: "Snapshot") -> Iterator[None]:
    interrupt: KeyboardInterrupt | None = None
    try:
        yield
    finally:
        is_done = False
        while not is_done:
            try:
                snapshot.put_back()
                is_done = True
            except KeyboardInterrupt as again:  # a second Ctrl-C waits until all is as it was
                interrupt = again
    if interrupt is not None:
        raise interrupt


@final
class Snapshot:
    """How things were at one moment: all global generators, a subject, and what else is then given to be kept.

    Args:
        subject: what is noted down; None for the generators alone.
        apart: what is passed over.

    Raises:
        DataError, TaskError: see `restored`.
    """

    def __init__(self, subject: Subject | None = None, *, apart: tuple[object, ...] = ()) -> None:
        # By identity, with the objects, so that no other can take their place.
        self._seen: dict[int, object] = {id(one): one for one in apart}
        self._storages: dict[int, object] = {}
        self._actions: list[PutBack] = []
        self._keep_global_generators()
        if subject is not None:
            self._keep_subject(subject)

    def _keep_subject(self, subject: Subject) -> None:
        for batches in (subject.batches, subject.validation):
            if batches is not None:
                refuse_used_up(batches)
        self.keep_module(subject.model)
        self.keep_table(vars(subject.optimizer), _DEPTH, keeps_tensors=True)
        for part in (subject.batches, subject.validation, subject.loss_fn, subject.step, subject.validation_step):
            self.keep(part, _DEPTH)

    def put_back(self) -> None:
        """Put everything back; this can be done again and again."""
        for action in self._actions:
            action()

    # Generators

    def _keep_global_generators(self) -> None:
        self._later(torch.set_rng_state, torch.get_rng_state())
        if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch leaves it so
            self._later(torch.cuda.set_rng_state_all, torch.cuda.get_rng_state_all())
        if torch.backends.mps.is_available():
            self._later(torch.mps.set_rng_state, torch.mps.get_rng_state())
        self._later(np.random.set_state, np.random.get_state())
        self._later(random.setstate, random.getstate())

    def _keep_generator(self, value: object) -> bool:
        """Note the state of a generator of random numbers; False where the value is none."""
        if isinstance(value, torch.Generator):
            self._later(value.set_state, value.get_state().clone())
        elif isinstance(value, np.random.Generator):
            self._keep_generator(value.bit_generator)
        elif isinstance(value, np.random.BitGenerator):
            bits, state = value, value.state
            self._actions.append(lambda: setattr(bits, "state", state))
        elif isinstance(value, np.random.RandomState):
            self._later(value.set_state, value.get_state())
        elif isinstance(value, random.Random):
            self._later(value.setstate, value.getstate())
        else:
            return False
        return True

    def _later(self, put: Callable[[Any], object], state: Any) -> None:
        self._actions.append(lambda: put(state))

    # Tensors

    def _keep_tensor(self, tensor: Tensor) -> None:
        if nn.parameter.is_lazy(tensor):
            raise TaskError(
                what="The model has weights without a shape yet, which its first forward pass gives it for good.",
                found=f"a lazy module with an {type(tensor).__name__}",
                expected="weights with a shape",
                next_step="Run the model once on a batch before the probe.",
            )
        gradient = tensor.grad if tensor.is_leaf else None
        if gradient is not None and self._is_new(gradient):
            self._keep_tensor(gradient)
        self._keep_bytes(tensor)
        if tensor.is_leaf:
            needs = tensor.requires_grad

            def put() -> None:
                if tensor.requires_grad != needs:
                    tensor.requires_grad_(needs)
                if tensor.grad is not gradient:
                    tensor.grad = gradient

            self._actions.append(put)

    def _keep_bytes(self, tensor: Tensor) -> None:
        """Note the numbers of a tensor: its whole storage, so that views and tied weights stay what they are."""
        alias = tensor.detach()
        is_plain = tensor.layout == torch.strided and type(alias) in (Tensor, nn.Parameter)
        if not is_plain:
            copied = alias.clone()
            self._actions.append(lambda: alias.copy_(copied))
            return
        storage = tensor.untyped_storage()
        place = (storage.data_ptr(), storage.nbytes())

        def put_pointer() -> None:
            now = tensor.untyped_storage()
            if (now.data_ptr(), now.nbytes()) != place or tensor.shape != alias.shape:
                tensor.data = alias

        self._actions.append(put_pointer)
        if storage._cdata not in self._storages:
            self._storages[storage._cdata] = storage
            self._later(storage.copy_, storage.clone())  # type: ignore[no-untyped-call]  # torch leaves it without types

    # Modules, tables and objects

    def keep_module(self, module: nn.Module) -> None:
        """Note a module with all inside it; raises TaskError for weights without a shape."""
        for inner in module.modules():
            if self._is_new(inner):
                self._keep_attributes(inner)

    def _keep_attributes(self, module: nn.Module) -> None:
        self.keep_table(vars(module), 3, keeps_tensors=True, follows_objects=False)

    def keep(self, value: object, depth: int, keeps_tensors: bool = False, follows_objects: bool = True) -> None:
        """Note an object and what it holds, down to a depth.

        Args:
            value: anything.
            depth: how many attributes of attributes are looked through.
            keeps_tensors: note the numbers of tensors, too; those of modules always are.
            follows_objects: look into objects that are no lists, tables or modules.

        Raises:
            DataError: an IterableDataset holds an open iterator.
            TaskError: see `restored`.
        """
        if depth < 0 or isinstance(value, _LEAVES) or not self._is_new(value):
            return
        if isinstance(value, Tensor):
            if keeps_tensors:
                self._keep_tensor(value)
        elif isinstance(value, nn.Module):
            self._keep_attributes(value)
            self.keep_module(value)
        elif self._keep_generator(value):
            return
        elif isinstance(value, dict):
            self.keep_table(value, depth - 1, keeps_tensors, follows_objects)
        elif isinstance(value, list | tuple | set | deque):
            self._keep_members(value, depth - 1, keeps_tensors, follows_objects)
        elif follows_objects:
            self._keep_object(value, depth - 1, keeps_tensors)

    def keep_table(self, table: dict[Any, Any], depth: int, keeps_tensors: bool, follows_objects: bool = True) -> None:
        """Note what a dictionary holds, and what that holds; see `keep`."""
        before = dict(table)

        def put() -> None:
            if len(table) == len(before) and all(
                key is old and table[key] is value for key, (old, value) in zip(table, before.items(), strict=True)
            ):
                return
            table.clear()
            table.update(before)

        self._actions.append(put)
        if len(before) <= _ENTRIES or keeps_tensors:
            for key, value in before.items():
                if isinstance(key, Tensor):  # an optimizer's state is kept by parameter
                    self.keep(key, depth, keeps_tensors, follows_objects)
                self.keep(value, depth, keeps_tensors, follows_objects)

    def _keep_members(self, members: Any, depth: int, keeps_tensors: bool, follows_objects: bool) -> None:
        before = list(members)
        if not isinstance(members, tuple):
            put_all = members.update if isinstance(members, set) else members.extend

            def put() -> None:
                if len(members) != len(before) or any(now is not old for now, old in zip(members, before, strict=True)):
                    members.clear()
                    put_all(before)

            self._actions.append(put)
        if len(before) <= _ENTRIES or keeps_tensors:
            for value in before:
                self.keep(value, depth, keeps_tensors, follows_objects)

    def _keep_object(self, value: object, depth: int, keeps_tensors: bool) -> None:
        if isinstance(value, MethodType):
            self.keep(value.__self__, depth, keeps_tensors)
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self.keep(part, depth, keeps_tensors)
        elif isinstance(value, FunctionType):
            for cell in value.__closure__ or ():
                try:
                    content = cell.cell_contents
                except ValueError:  # a name that is bound later
                    continue
                self.keep(content, depth, keeps_tensors)
        elif hasattr(value, "__dict__"):
            if isinstance(value, IterableDataset):
                _refuse_open_iterators(value)
            self.keep_table(vars(value), depth, keeps_tensors)

    def _is_new(self, value: object) -> bool:
        if id(value) in self._seen:
            return False
        self._seen[id(value)] = value
        return True


def _refuse_open_iterators(dataset: object) -> None:
    for name, value in vars(dataset).items():
        if isinstance(value, Iterator):
            raise DataError(
                what="The data set holds an iterator that is used up by looking at it.",
                where=f"{type(dataset).__name__}.{name}",
                found=type(value).__name__,
                expected="an iterator that __iter__ makes anew each time",
            )
