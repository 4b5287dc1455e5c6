"""All lowerings, by the name of the function that was called."""

from chainrule.queries.lowerings.attention import ATTENTION
from chainrule.queries.lowerings.classification import CLASSIFICATION
from chainrule.queries.lowerings.convolution import CONVOLUTION
from chainrule.queries.lowerings.losses import LOSSES
from chainrule.queries.lowerings.lowering import Lowering
from chainrule.queries.lowerings.normalisation import NORMALISATION
from chainrule.queries.lowerings.pointwise import POINTWISE
from chainrule.queries.lowerings.pooling import POOLING
from chainrule.queries.lowerings.probabilities import PROBABILITIES
from chainrule.queries.lowerings.products import PRODUCTS
from chainrule.queries.lowerings.recurrence import RECURRENCE
from chainrule.trace import Op

LOWERINGS: tuple[Lowering, ...] = (
    *PRODUCTS,
    *PROBABILITIES,
    *ATTENTION,
    *NORMALISATION,
    *POINTWISE,
    *LOSSES,
    *CLASSIFICATION,
    *CONVOLUTION,
    *POOLING,
    *RECURRENCE,
)

_BY_FUNCTION = {name: lowering for lowering in LOWERINGS for name in lowering.functions}


def lowering_for(op: Op) -> Lowering | None:
    """Return the lowering of a recorded op, or None when there is none."""
    return _BY_FUNCTION.get(op.function or op.name)
