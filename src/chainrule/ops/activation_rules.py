"""Rules of the activations of torch.nn, with the formulas of the catalogue."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from chainrule.formulas import Sigmoid
from chainrule.ops.letters import X, Y
from chainrule.ops.rule import OpRule, Silencer, Wiring, optional
from chainrule.shapes import Tensor


def _one(output: Tensor, input: Tensor) -> Wiring:
    return Wiring(optional("input", input, output))


ACTIVATIONS: tuple[OpRule, ...] = (
    OpRule(
        "sigmoid",
        Sigmoid(X),
        {"input": X},
        _one,
        school={"input": Y * (1 - Y)},
        silencers=(
            Silencer(
                "saturated",
                "so far from 0 that the sigmoid is flat (saturated)",
                "input",
                lambda arguments, output, threshold: output * (1 - output) <= threshold / 4,
            ),
        ),
    ),
)
