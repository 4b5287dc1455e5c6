"""Rules of the ops that multiply and add up: linear, matrix products, outer products."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from sympy import Sum

from chainrule.ops.letters import WS, XS, B, K, N
from chainrule.ops.rule import OpRule, Wiring, aligned, numbered, optional
from chainrule.shapes import Tensor


def _linear(output: Tensor, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Wiring:
    shape = (*output.shape, weight.shape[-1])
    return Wiring(
        {
            "input": aligned(
                numbered(input).unsqueeze(-2) if weight.dim() > 1 else numbered(input), shape, output.dim()
            ),
            "weight": aligned(numbered(weight), shape, output.dim()),
        }
        | optional("bias", bias, output)
    )


PRODUCTS: tuple[OpRule, ...] = (
    OpRule(
        "linear",
        Sum(XS[K] * WS[K], (K, 1, N)) + B,
        {"input": XS[K], "weight": WS[K], "bias": B},
        _linear,
    ),
)
