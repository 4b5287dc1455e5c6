"""Rules of the ops that only move elements: views, indexing, joining, padding."""
# ruff: noqa: A002  # the parameters of a move bear torch's own names

from chainrule.ops.rule import OpRule, moving
from chainrule.shapes import Tensor


def _permute(input: Tensor, *dims: int) -> Tensor:
    return input.permute(*dims)


MOVES: tuple[OpRule, ...] = (moving("permute", _permute),)
