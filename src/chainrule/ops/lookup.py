"""All rules, and how one is found by the name of a recorded op."""

from chainrule.ops.activation_rules import ACTIVATIONS
from chainrule.ops.arithmetic import ARITHMETIC
from chainrule.ops.attention import ATTENTION
from chainrule.ops.class_losses import CLASS_LOSSES
from chainrule.ops.convolution import CONVOLUTION
from chainrule.ops.dropout import DROPOUT
from chainrule.ops.elementary import ELEMENTARY
from chainrule.ops.embedding import EMBEDDING
from chainrule.ops.folding import FOLDING
from chainrule.ops.likelihoods import LIKELIHOODS
from chainrule.ops.losses import LOSSES
from chainrule.ops.moves import MOVES
from chainrule.ops.normalisation import NORMALISATION
from chainrule.ops.pooling import POOLING
from chainrule.ops.powers import POWERS
from chainrule.ops.products import PRODUCTS
from chainrule.ops.reductions import REDUCTIONS
from chainrule.ops.rule import OpRule
from chainrule.ops.selections import SELECTIONS
from chainrule.ops.softmax_rules import SOFTMAX
from chainrule.ops.steps import STEPS
from chainrule.ops.vector_losses import VECTOR_LOSSES
from chainrule.ops.without_formula import WITHOUT_FORMULA
from chainrule.ops.writes import WRITES

RULES: tuple[OpRule, ...] = (
    *PRODUCTS,
    *ARITHMETIC,
    *POWERS,
    *ELEMENTARY,
    *ACTIVATIONS,
    *REDUCTIONS,
    *SOFTMAX,
    *MOVES,
    *SELECTIONS,
    *FOLDING,
    *WRITES,
    *STEPS,
    *CONVOLUTION,
    *POOLING,
    *NORMALISATION,
    *DROPOUT,
    *EMBEDDING,
    *ATTENTION,
    *LOSSES,
    *LIKELIHOODS,
    *CLASS_LOSSES,
    *VECTOR_LOSSES,
    *WITHOUT_FORMULA,
)

_BY_NAME = {name: rule for rule in RULES for name in (*rule.aliases, rule.name)}

# x += z is recorded as iadd, 2 + x as radd.
_SAME = {"radd": "add", "rmul": "mul", "rmod": "remainder"}
_SAME |= {f"i{name}": name for name in ("add", "sub", "mul", "div", "truediv", "pow", "matmul", "mod", "floordiv")}
_SAME |= {"floordiv": "floor_divide", "ifloordiv": "floor_divide"}


def rule_for(name: str) -> OpRule | None:
    """Return the rule for the name of a recorded op, or None when there is none.

    Args:
        name: torch's function name without prefixes: "linear", "relu_", "iadd", "rsub". The names of in-place and of
            reflected calls also find the rule of the plain call, where that computes the same.
    """
    plain = name.strip("_") if name.startswith("__") else name.removesuffix("_")
    for candidate in (name, plain, _SAME.get(plain, plain)):
        if candidate in _BY_NAME:
            return _BY_NAME[candidate]
    return None
