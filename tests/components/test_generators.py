"""Global generators: begun at a seed, put back, and kept as tensors."""

import random

import numpy as np
import torch

from chainrule.components import (
    generators_kept,
    generators_outside_torch,
    restore_generators_outside_torch,
    seed_generators,
)


def drawn(count: int) -> list[float]:
    # Normal numbers come in pairs, so an odd count leaves one in store.
    of_python = [random.gauss(0, 1) for _ in range(count)] + [random.random()]  # noqa: S311 - no secret
    of_numpy = [*np.random.randn(count), np.random.rand()]
    return [*of_python, *of_numpy, *torch.rand(count).tolist()]


def test_a_seed_decides_what_is_drawn() -> None:
    with generators_kept():
        found = []
        for seed in (3, 3, 4, 2**32 + 3):
            seed_generators(seed)
            found.append(drawn(5))
    assert found[0] == found[1]
    assert len({tuple(each) for each in found[1:]}) == 3


def test_generators_are_put_back() -> None:
    with generators_kept():
        seed_generators(1)
        expected = drawn(3)
        seed_generators(1)
        with generators_kept():
            seed_generators(2)
            drawn(7)
        assert drawn(3) == expected


def test_states_go_on_where_they_were() -> None:
    with generators_kept():
        for count in (0, 1, 2, 313):
            seed_generators(9, cuda=False)
            drawn(count)
            states, of_torch = generators_outside_torch(), torch.get_rng_state()
            expected = drawn(700)
            seed_generators(10)
            restore_generators_outside_torch(states)
            torch.set_rng_state(of_torch)
            assert drawn(700) == expected
