"""What to try where an op makes NaN or infinity, in words, by the op's name."""

_FORWARD = {
    "log": "Clamp its input above 0 (x.clamp(min=1e-12).log()), or stay with logarithms: log_softmax, logsumexp, a "
    "loss that takes logits.",
    "sqrt": "Clamp its input at 0 or above: x.clamp(min=0).sqrt().",
    "exp": "Subtract the largest input first, or use softmax, logsumexp or softplus, which do.",
    "div": "Keep the divisor away from 0: add a small number, or clamp it.",
    "softmax": "See to it that at least one place of every row is not masked.",
    "pow": "Clamp the base above 0, or use a whole exponent.",
    "std": "Take it of more than one number, or use unbiased=False.",
    "acos": "Clamp its input to −1 ... 1.",
}
_BACKWARD = {
    "sqrt": "Add a small number under the root: (x + 1e-12).sqrt().",
    "norm": "Add a small number under the root: (x.square().sum() + 1e-12).sqrt().",
    "std": "Where all are equal, the spread has no slope: take (x.var() + 1e-12).sqrt().",
    "pow": "An exponent between 0 and 1 is infinitely steep at 0: clamp the base, x.clamp(min=1e-12).",
    "log": "Clamp its input above 0: x.clamp(min=1e-12).log().",
    "div": "Keep the divisor away from 0: add a small number, or clamp it.",
    "acos": "It is infinitely steep at ±1: clamp its input to −1 + 1e-6 ... 1 − 1e-6.",
    "atan2": "At (0, 0) it has no direction: add a small number to one of its inputs.",
    "binary_cross_entropy": "Use binary_cross_entropy_with_logits, which takes what stands before the sigmoid.",
    "cdist": "The distance of equal points has no slope: add a small number, or leave out the diagonal.",
    "exp": "Subtract the largest input first, or use softmax, logsumexp or softplus, which do.",
}
_SAME = {
    "log2": "log",
    "log10": "log",
    "log1p": "log",
    "truediv": "div",
    "rdiv": "div",
    "itruediv": "div",
    "reciprocal": "div",
    "rsqrt": "sqrt",
    "exp2": "exp",
    "expm1": "exp",
    "sinh": "exp",
    "cosh": "exp",
    "log_softmax": "softmax",
    "softmin": "softmax",
    "scaled_dot_product_attention": "softmax",
    "var": "std",
    "asin": "acos",
    "vector_norm": "norm",
    "rpow": "pow",
}


def forward_remedy(name: str, hazard: str, dtype: str) -> str:
    """Return what to try where an op's value is NaN or infinite.

    Args:
        name: the op's.
        hazard: the name of the rule's hazard, "overflow" or "" when that is not known.
        dtype: of the output.
    """
    if dtype in ("float16", "bfloat16") and "overflow" in hazard:
        return "Compute this part in float32, or in bfloat16 (its range is that of float32); scale it down before."
    plain = _plain(name)
    if plain in _FORWARD:
        return _FORWARD[plain]
    if "overflow" in hazard:
        return "Find out what made its inputs so large: weights, a missing normalisation, the scale of the data."
    return "Look at the numbers that it was given."


def backward_remedy(name: str, *, is_masked: bool) -> str:
    """Return what to try where an op's local derivative is not finite.

    Args:
        name: the op's.
        is_masked: whether the adjoint that came to it there is 0.
    """
    if is_masked:
        return (
            f"A mask or where() after {name} does not protect it from its own input: 0 × ∞ is NaN. Make the input "
            f"harmless before {name} (clamp it, or use where twice: once before {name}, once after)."
        )
    return _BACKWARD.get(_plain(name), "Keep its input away from the place where its derivative is infinite.")


def _plain(name: str) -> str:
    plain = name.rstrip("_")
    return _SAME.get(plain, plain)
