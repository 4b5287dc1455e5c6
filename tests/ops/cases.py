"""The table of the tests: one row or more for every rule. A row is a call of torch with seeded float64 inputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes:
        name: the name under which the call is recorded.
        call: takes the arguments by name.
        arguments: by torch's names, as `bind` returns them.
        number: which output is tested, where there are several.
        exact_only: leave the finite differences out, for a call at a kink.
    """

    name: str
    call: Callable[..., Any]
    arguments: Numbers = field(default_factory=dict)
    number: int = 0
    exact_only: bool = False

    def output(self, **changed: torch.Tensor) -> torch.Tensor:
        made = self.call(**{**self.arguments, **changed})
        return made if isinstance(made, torch.Tensor) else made[self.number]

    def __str__(self) -> str:
        shapes = [
            "x".join(map(str, value.shape)) if isinstance(value, torch.Tensor) else f"{key}={value}"
            for key, value in self.arguments.items()
            if not isinstance(value, list | tuple) or not isinstance(value[0], torch.Tensor)
        ]
        return f"{self.name}({','.join(shapes)})"


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 17 * len(shape)))


PRODUCTS = [
    Case("linear", F.linear, {"input": normal(2, 3, 4), "weight": normal(5, 4), "bias": normal(5)}),
    Case("linear", F.linear, {"input": normal(4), "weight": normal(5, 4), "bias": None}),
]
ARITHMETIC = [Case("add", torch.add, {"input": normal(4), "other": normal(5, 4), "alpha": 3})]
ACTIVATIONS = [Case("sigmoid", torch.sigmoid, {"input": normal(2, 3)})]
SOFTMAX = [
    Case("softmax", torch.softmax, {"input": normal(4, 3, 2), "dim": 1}),
    Case("softmax", torch.softmax, {"input": normal(4, 3, 2), "dim": -3}),
]
REDUCTIONS = [
    Case("sum", torch.sum, {"input": normal(4, 3, 2), "dim": (0, 2)}),
    Case("sum", torch.sum, {"input": normal(3, 2)}),
]
MOVES = [Case("permute", torch.permute, {"input": normal(4, 3, 2), "dims": (2, 0, 1)})]

CASES = [*PRODUCTS, *ARITHMETIC, *ACTIVATIONS, *SOFTMAX, *REDUCTIONS, *MOVES]
