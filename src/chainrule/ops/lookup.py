"""All rules, and how one is found by the name of a recorded op.

The files of rules are imported when a name is looked for that stands in none before them: all of their formulas
together take longer to make than a small network takes to record.
"""

import importlib
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from chainrule.ops.rule import OpRule

if TYPE_CHECKING:
    RULES: tuple[OpRule, ...]

# Each file and its tuple of rules, in the order in which they are searched: what most networks are made of first.
_FILES = {
    "products": "PRODUCTS",
    "arithmetic": "ARITHMETIC",
    "moves": "MOVES",
    "activation_rules": "ACTIVATIONS",
    "powers": "POWERS",
    "reductions": "REDUCTIONS",
    "softmax_rules": "SOFTMAX",
    "elementary": "ELEMENTARY",
    "losses": "LOSSES",
    "class_losses": "CLASS_LOSSES",
    "selections": "SELECTIONS",
    "folding": "FOLDING",
    "writes": "WRITES",
    "steps": "STEPS",
    "convolution": "CONVOLUTION",
    "pooling": "POOLING",
    "normalisation": "NORMALISATION",
    "dropout": "DROPOUT",
    "embedding": "EMBEDDING",
    "attention": "ATTENTION",
    "likelihoods": "LIKELIHOODS",
    "vector_losses": "VECTOR_LOSSES",
    "without_formula": "WITHOUT_FORMULA",
}

# x += z is recorded as iadd, 2 + x as radd.
_SAME = {"radd": "add", "rmul": "mul", "rmod": "remainder"}
_SAME |= {f"i{name}": name for name in ("add", "sub", "mul", "div", "truediv", "pow", "matmul", "mod", "floordiv")}
_SAME |= {"floordiv": "floor_divide", "ifloordiv": "floor_divide"}


@cache
def rule_for(name: str) -> OpRule | None:
    """Return the rule for the name of a recorded op, or None when there is none.

    Args:
        name: torch's function name without prefixes: "linear", "relu_", "iadd", "rsub". The names of in-place and of
            reflected calls also find the rule of the plain call, where that computes the same.
    """
    plain = name.strip("_") if name.startswith("__") else name.removesuffix("_")
    for candidate in dict.fromkeys((name, plain, _SAME.get(plain, plain))):
        for file in _FILES:
            if candidate in _rules_of(file):
                return _rules_of(file)[candidate]
    return None


def is_activation(name: str) -> bool:
    """Return whether an op is an activation of torch.nn, by the name of its rule."""
    return any(name in _rules_of(file) for file in ("activation_rules", "softmax_rules"))


@cache
def _rules_of(file: str) -> Mapping[str, OpRule]:
    return {name: rule for rule in _tuple_of(file) for name in (*rule.aliases, rule.name)}


def _tuple_of(file: str) -> tuple[OpRule, ...]:
    rules: tuple[OpRule, ...] = getattr(importlib.import_module(f"chainrule.ops.{file}"), _FILES[file])
    return rules


def __getattr__(name: str) -> Any:
    if name != "RULES":
        raise AttributeError(f"module 'chainrule.ops.lookup' has no attribute '{name}'")
    return tuple(rule for file in _FILES for rule in _tuple_of(file))
