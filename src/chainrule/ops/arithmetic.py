"""Rules of the ops that map numbers one by one: sums, products, powers, exp, log and their like."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from chainrule.ops.letters import ALPHA, X, Z
from chainrule.ops.rule import OpRule, Scalar, Wiring, optional
from chainrule.shapes import Tensor


def _scaled_pair(output: Tensor, input: Scalar, other: Scalar, *, alpha: int | float = 1) -> Wiring:
    return Wiring(optional("input", input, output) | optional("other", other, output), {ALPHA: alpha})


ARITHMETIC: tuple[OpRule, ...] = (
    OpRule("add", X + ALPHA * Z, {"input": X, "other": Z}, _scaled_pair, note="α is 1 unless it is given."),
)
