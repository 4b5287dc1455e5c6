"""Tensors that are needed in the same job never overlap, and places are used again."""

import itertools
import random

from chainrule.lanes.shared_memory import SharedMemory


def test_no_two_overlap_while_both_are_needed() -> None:
    for seed in range(20):
        draw = random.Random(seed)  # noqa: S311 - no secret
        lives = {}
        for name in range(30):
            first = draw.randrange(20)
            lives[name] = (first, first + draw.randrange(6), 64 * draw.randint(1, 9))
        memory = SharedMemory()
        places = memory.places(lives)
        for one, other in itertools.combinations(lives, 2):
            together = lives[one][0] <= lives[other][1] and lives[other][0] <= lives[one][1]
            apart = places[one] + lives[one][2] <= places[other] or places[other] + lives[other][2] <= places[one]
            assert apart or not together
        assert memory.size == max(places[name] + lives[name][2] for name in lives)
        assert memory.size < sum(size for _, _, size in lives.values())
