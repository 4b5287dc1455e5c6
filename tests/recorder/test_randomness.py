"""Ops that draw random numbers, and drawing them again."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from unusual_models import Around

from chainrule.recorder import drawn_again, random_state, random_states, record

DRAWS = {
    "randn": lambda x: torch.randn(4, 4),
    "rand_like": torch.rand_like,
    "bernoulli": lambda x: torch.bernoulli(torch.full((4, 4), 0.5)),
    "dropout": lambda x: functional.dropout(x, 0.5),
    "multinomial": lambda x: torch.multinomial(torch.ones(4), 2).float().sum(),
    "normal_": lambda x: torch.empty(4, 4).normal_(),
    "randperm": lambda x: torch.randperm(4).float(),
}


@pytest.mark.parametrize("name", list(DRAWS))
def test_an_op_that_draws_can_draw_again(name: str) -> None:
    drawn: list[Tensor] = []

    def forward(self: Any, x: Tensor) -> Tensor:
        drawn.append(DRAWS[name](x))
        return (self.linear(x) * drawn[0]).sum()

    inputs = torch.ones(4, 4)
    trace = record(Around(forward), None, inputs)
    (op,) = [op for op in trace.ops if op.random_state is not None]
    assert op.name == name
    assert op.random_state is not None
    before = torch.get_rng_state()
    with drawn_again({"cpu": op.random_state}):
        again = DRAWS[name](inputs)
    assert torch.equal(again, drawn[0])
    assert torch.equal(torch.get_rng_state(), before)


def test_ops_that_do_not_draw_have_no_state() -> None:
    trace = record(
        Around(lambda self, x: functional.dropout(self.linear(x), 0.5, training=False).sum()), None, torch.ones(1, 4)
    )
    assert [op.random_state for op in trace.ops] == [None] * len(trace.ops)


def test_a_generator_of_the_users_is_looked_at() -> None:
    generator = torch.Generator().manual_seed(3)
    state = generator.get_state()
    trace = record(
        Around(lambda self, x: (self.linear(x) + torch.rand(4, generator=generator)).sum()), None, torch.ones(1, 4)
    )
    (op,) = [op for op in trace.ops if op.random_state is not None]
    assert op.name == "rand"
    assert torch.equal(op.random_state, state)  # type: ignore[arg-type]


def test_generators_are_put_back_after_an_error() -> None:
    before = random_states([])

    def draw_and_fail() -> None:
        with drawn_again(before):
            torch.rand(3)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        draw_and_fail()
    assert torch.equal(torch.get_rng_state(), before["cpu"])
    assert random_state(torch.device("meta")) is None
