"""Which functions there are, and their definitions in LLVM's language."""

from collections.abc import Callable, Iterable

from chainrule.errors import UnknownNameError
from chainrule.lanes.mathematics.block import BEGIN, Block, Precision, Real
from chainrule.lanes.mathematics.error_function import erf, erfc
from chainrule.lanes.mathematics.exponentials import cosh, exp, exp2, expm1, sigmoid, sinh, tanh
from chainrule.lanes.mathematics.far_angles import far_angles
from chainrule.lanes.mathematics.logarithms import acosh, asinh, atanh, log, log1p, log2, log10
from chainrule.lanes.mathematics.powers import power, sign, sqrt
from chainrule.lanes.mathematics.trigonometry import acos, asin, atan, cos, sin, tan

_OF_ONE: dict[str, Callable[[Real], Real]] = {
    function.__name__: function
    for function in (
        *(acos, acosh, asin, asinh, atan, atanh, cos, cosh, erf, erfc, exp, exp2, expm1, log, log10, log1p, log2),
        *(sigmoid, sign, sin, sinh, sqrt, tan, tanh),
    )
}
_OF_TWO: dict[str, Callable[[Real, Real], Real]] = {"pow": power}
_OF_ANGLES = frozenset({"sin", "cos", "tan"})

FUNCTIONS = frozenset(_OF_ONE) | frozenset(_OF_TWO)


def definitions(names: Iterable[str], lanes: int, precision: Precision) -> str:
    """Return `define internal <LANES x T> @lane_NAME(<LANES x T> %x) alwaysinline` for each of the names.

    The second argument of a function of two is `%y`. What a function gives a lane depends on nothing but that lane's
    arguments: not on the number of lanes, not on the processor.

    Args:
        names: of `FUNCTIONS`; each is defined once.
        lanes: how many numbers a vector holds.
        precision: T is `double` or `float`.

    Raises:
        UnknownNameError: a name that is not in `FUNCTIONS`.
    """
    wanted = sorted(set(names))
    needed = [far_angles(lanes)] if _OF_ANGLES.intersection(wanted) else []
    return "\n".join([*needed, *(_definition(name, lanes, precision) for name in wanted)])


def _definition(name: str, lanes: int, precision: Precision) -> str:
    block = Block(lanes)
    x, y = Real(block, "%x", precision), Real(block, "%y", precision)
    if name in _OF_ONE:
        result, parameters = _OF_ONE[name](x), f"{x.type} %x"
    elif name in _OF_TWO:
        result, parameters = _OF_TWO[name](x, y), f"{x.type} %x, {x.type} %y"
    else:
        raise UnknownNameError.unknown_name("function of lanes", name, FUNCTIONS)
    head = f"define internal {result.type} @lane_{name}({parameters}) alwaysinline {{"
    return "\n".join([head, f"{BEGIN}:", *block.lines, f"  ret {result.type} {result.name}", "}"])
