"""Memory that tensors use one after the other: a place is free again when its tensor was read for the last time."""

from collections.abc import Mapping
from typing import TypeVar

Name = TypeVar("Name")


class SharedMemory:
    """Places in one piece of memory; `size` is what it must hold at least."""

    def __init__(self) -> None:
        self.size = 0

    def places(self, lives: Mapping[Name, tuple[int, int, int]]) -> dict[Name, int]:
        """Return where each tensor begins, so that no two overlap that are needed in the same job.

        Args:
            lives: tensor → the first and the last job that needs it, and its bytes.
        """
        taken: list[tuple[int, int, int]] = []  # begin, end, last job
        found: dict[Name, int] = {}
        for name, (first, last, size) in sorted(lives.items(), key=lambda item: item[1][0]):
            taken = [place for place in taken if place[2] >= first]
            begin = 0
            for start, end, _ in sorted(taken):
                if begin + size <= start:
                    break
                begin = max(begin, end)
            taken.append((begin, begin + size, last))
            found[name] = begin
            self.size = max(self.size, begin + size)
        return found
