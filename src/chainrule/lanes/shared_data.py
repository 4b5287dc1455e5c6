"""The tensors that all runs share, computed by torch, as kernels read them."""

import ctypes
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from chainrule.lanes.building import evaluate_shared
from chainrule.lanes.description import StepDescription
from chainrule.lanes.graph import Kind, Node, Source
from chainrule.lanes.plan import Plan
from chainrule.lanes.tracing import StepInputs

_ELEMENTS = {"float64": np.float64, "float32": np.float32}
GROUP = 32  # steps whose shared tensors are computed together
_KEPT_BYTES = 256 * 2**20  # of the tensors of several steps


@dataclass(frozen=True, slots=True)
class Steps:
    """The shared tensors of some steps: their addresses for a kernel, and what owns the memory."""

    addresses: Any
    owners: list[NDArray[Any]]


@dataclass(slots=True)
class SharedData:
    """The shared tensors of a kernel, for the steps of a run.

    Attributes:
        description: what is trained.
        inputs: of the traced step.
        traced: it.
        plan: which shared tensors the kernel reads.
        order: [step, sample of the step]: which sample; None without minibatches, or when each run has its own.
        schedules: schedule → [step, 2], its factor and its offset.
    """

    description: StepDescription
    inputs: StepInputs
    traced: fx.GraphModule
    plan: Plan
    order: NDArray[np.int64] | None
    schedules: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    _known: dict[tuple[int, int], Steps] = field(default_factory=dict)
    _fixed: dict[Node, Tensor] = field(default_factory=dict)
    _is_batched: bool = True
    _lock: Any = field(default_factory=threading.Lock)

    @property
    def step_bytes(self) -> int:
        """The memory that the tensors of one step take."""
        return sum(node.size * 8 for node in self.plan.shared if node.changes and not node.is_lane)

    def steps(self, first: int, count: int) -> Steps:
        """Return the tensors of `count` steps from `first` on, which is a multiple of `GROUP`."""
        with self._lock:
            key = (first, count)
            if key not in self._known:
                if sum(step[1] for step in self._known) * self.step_bytes > _KEPT_BYTES:
                    self._known.clear()
                self._known[key] = self._computed(first, count)
            return self._known[key]

    def _computed(self, first: int, count: int) -> Steps:
        shared = self.plan.shared
        if not self._fixed:
            fixed = [node for node in shared if not node.changes and not node.is_lane]
            self._fixed = evaluate_shared(self.plan.graph, fixed, self._inputs(None), self.traced)
            self._fixed |= {node: self._samples(node.number, None) for node in shared if node.is_lane}
        changing = [node for node in shared if node.changes and not node.is_lane]
        groups = [self._group(changing, step) for step in range(first, first + count, GROUP)] if changing else []
        columns = {node: [group[number] for group in groups] for number, node in enumerate(changing)}
        owners = [
            self._array(node, np.concatenate(columns[node])[:count] if node in columns else self._fixed[node].numpy())
            for node in shared
        ]
        addresses = (ctypes.c_void_p * max(len(owners), 1))(*[owner.ctypes.data for owner in owners])
        return Steps(addresses, owners)

    def _group(self, changing: list[Node], first: int) -> list[NDArray[Any]]:
        """Return shared tensors of `GROUP` steps, the first dimension over steps.

        Groups are always whole, so that a step has the same bits whichever steps are asked for beside it: torch's
        functions of a vector can differ in the last bit from those of its rest.
        """
        inputs = self._inputs(range(first, first + GROUP))
        names, stacked = list(inputs), list(inputs.values())

        def of_one(*values: Tensor) -> tuple[Tensor, ...]:
            known = self._fixed | dict(zip(names, values, strict=True))
            found = evaluate_shared(self.plan.graph, changing, known, self.traced)
            return tuple(found[node] for node in changing)

        if self._is_batched:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # that an op is slow to batch
                    return [found.numpy() for found in torch.vmap(of_one)(*stacked)]
            except (RuntimeError, ValueError, NotImplementedError):
                self._is_batched = False  # torch cannot batch one of the ops: one step after the other
        each = [of_one(*[values[number] for values in stacked]) for number in range(GROUP)]
        return [np.stack([found[number].numpy() for found in each]) for number in range(len(changing))]

    def _array(self, node: Node, values: NDArray[Any]) -> NDArray[Any]:
        element = _ELEMENTS[self.description.precision] if node.kind is Kind.FLOAT else np.int64
        return np.ascontiguousarray(values, dtype=element)

    def _inputs(self, steps: range | None) -> dict[Node, Tensor]:
        """Return the values of the shared inputs in some steps, [step, ...]; without steps, of those that stay."""
        constants = list(self.inputs.constants.values())
        found: dict[Node, Tensor] = {}
        for node in self.plan.graph.nodes:
            if node.is_lane or node.changes is (steps is None):
                continue
            if node.source is Source.STEP and steps is not None:
                found[node] = torch.tensor([step + 1 for step in steps], dtype=torch.float64)
            elif node.source is Source.MOVE and steps is not None:
                table = self.schedules[self.description.schedules[node.number // 2]]
                found[node] = torch.from_numpy(_rows(np.asarray(table, np.float64)[:, node.number % 2], steps))
            elif node.source is Source.CONSTANT:
                found[node] = constants[node.number]
            elif node.source is Source.SAMPLES:
                found[node] = self._samples(node.number, steps)
        return found

    def _samples(self, number: int, steps: range | None) -> Tensor:
        values = list(self.description.samples.values())[number]
        if steps is not None and self.order is not None:
            values = values[torch.from_numpy(_rows(self.order, steps))]
        return values.detach().to(torch.float64) if values.is_floating_point() else values.detach()


def _rows(table: NDArray[Any], steps: range) -> NDArray[Any]:
    """Return the rows of some steps; beyond the last one it again, for the rest of a group."""
    rows: NDArray[Any] = table[np.minimum(np.array(steps), len(table) - 1)]
    return rows
