"""One run's training step as a graph: what is computed from what, and what differs between the runs.

A node is *shared* when all runs have the same values of it (it depends on data only) and of the *lanes* when it
depends on a state, a hyperparameter or a random number. Shared nodes are computed once, by torch; kernels are made of
the others.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
from torch import fx


class Kind(Enum):
    """What kind of number a tensor holds."""

    FLOAT = "float"
    INT = "int"
    BOOL = "bool"

    @classmethod
    def of(cls, dtype: torch.dtype) -> "Kind":
        """Return the kind of a tensor's numbers."""
        if dtype is torch.bool:
            return cls.BOOL
        return cls.FLOAT if dtype.is_floating_point else cls.INT


class Source(Enum):
    """Where the number of an input comes from."""

    STATE = "state"  # what a step changes: parameters, buffers, what the optimizer remembers
    SETTING = "setting"  # a hyperparameter, one number for each run
    STEP = "step"  # the number of the step, from 1
    MOVE = "move"  # factor or offset of a schedule in this step
    SAMPLES = "samples"  # data of the samples of this step
    CONSTANT = "constant"  # data that is the same in every step


@dataclass(frozen=True, slots=True)
class Batch:
    """Which dimension of a tensor runs over the samples; each sample has `inner` places of it, side by side."""

    dimension: int
    inner: int = 1


@dataclass(eq=False, slots=True)
class Node:
    """One tensor of the step.

    Attributes:
        name: its name in the traced graph.
        op: the ATen op that makes it, without namespace and overload; "input" for an input.
        arguments: the op's arguments by position; tensors among them are nodes.
        options: its arguments by name.
        shape: its extents.
        kind: what kind of number it holds.
        traced: the node of torch.fx that it stands for.
        source: of an input, where it comes from; `number` says which of them.
        is_lane: runs differ in it.
        changes: it is another one in each step, though shared.
        batch: its dimension over samples.
        users: the nodes that read it.
    """

    name: str
    op: str
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    shape: tuple[int, ...]
    kind: Kind
    traced: fx.Node
    source: Source | None = None
    number: int = 0
    is_lane: bool = False
    changes: bool = False
    batch: Batch | None = None
    users: list["Node"] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"{self.name}: {self.op}{list(self.shape)}"

    @property
    def inputs(self) -> list["Node"]:
        """The nodes that it reads, once each, in the order of the arguments."""
        return list(dict.fromkeys(_nodes_in((self.arguments, tuple(self.options.values())))))

    def argument(self, position: int, default: Any) -> Any:
        """Return an argument of the op, or its default when it was not given."""
        return self.arguments[position] if position < len(self.arguments) else default

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        total = 1
        for extent in self.shape:
            total *= extent
        return total


@dataclass(frozen=True, slots=True)
class Graph:
    """A step: its nodes in the order of computation, the new value of every state, and the loss."""

    nodes: tuple[Node, ...]
    states: tuple[Node, ...]
    updates: tuple[Node, ...]
    loss: Node
    samples: int


def _nodes_in(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _nodes_in(item)
