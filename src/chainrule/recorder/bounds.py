"""The ranges of the bounded activations, for the share of a tensor that is saturated.

The recorder knows no op by name but for this: statistics are taken while the step runs, and afterwards the tensor is
gone. A test holds the ranges to those that the catalogue of activations computes from the formulas.
"""

BOUNDS: dict[str, tuple[float, float]] = {
    "sigmoid": (0.0, 1.0),
    "hardsigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "softmin": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softsign": (-1.0, 1.0),
    "relu6": (0.0, 6.0),
}


def bounds_of(op_name: str) -> tuple[float, float] | None:
    """Return the range of a bounded activation by the name of its op; None for every other op."""
    return BOUNDS.get(op_name.rstrip("_"))
