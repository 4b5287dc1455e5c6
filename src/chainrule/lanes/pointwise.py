"""Ops of one element at a time: one record for each ATen op, from the operands' vectors to the result's.

What a comparison or a selection gives for NaN, and for 0 against −0, is what PyTorch gives.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from chainrule.lanes.graph import Kind, Node
from chainrule.lanes.mathematics import FUNCTIONS
from chainrule.lanes.unsupported import Unsupported
from chainrule.lanes.writer import Value, Writer

Emit: TypeAlias = Callable[[Writer, list[Value], Node], Value]


@dataclass(frozen=True, slots=True)
class PointwiseOp:
    """How an ATen op computes an element.

    Attributes:
        operands: how many of its arguments are operands; a number among them counts.
        emit: writes the instructions.
        kind: what the operands are made before; None: as the op wants them.
        is_cheap: worth computing again at each use, rather than keeping.
    """

    operands: int
    emit: Emit
    kind: Kind | None = None
    is_cheap: bool = True


def convert(writer: Writer, value: Value, kind: Kind) -> Value:
    """Write a vector's numbers as another kind, as torch's type promotion does."""
    if value.kind is kind:
        return value
    if kind is Kind.BOOL:
        if value.kind is Kind.FLOAT:
            return Value(writer.value(f"fcmp une {writer.vector} {value.name}, zeroinitializer"), kind)
        return Value(writer.value(f"icmp ne {writer.whole} {value.name}, zeroinitializer"), kind)
    if value.kind is Kind.BOOL:
        instruction = "uitofp" if kind is Kind.FLOAT else "zext"
    else:
        instruction = "sitofp" if kind is Kind.FLOAT else "fptosi"
    return Value(writer.value(f"{instruction} {writer.type(value.kind)} {value.name} to {writer.type(kind)}"), kind)


def promoted(values: list[Value]) -> Kind:
    """Return the kind that operands of several kinds are computed in."""
    kinds = {value.kind for value in values}
    return next(kind for kind in (Kind.FLOAT, Kind.INT, Kind.BOOL) if kind in kinds)


def _binary(writer: Writer, instruction: str, left: Value, right: Value) -> Value:
    kind = writer.type(left.kind)
    return Value(writer.value(f"{instruction} {kind} {left.name}, {right.name}"), left.kind)


def _arithmetic(of_floats: str, of_whole: str) -> Emit:
    def emit(writer: Writer, values: list[Value], node: Node) -> Value:
        kind = promoted(values)
        left, right = (convert(writer, value, Kind.INT if kind is Kind.BOOL else kind) for value in values)
        alpha = node.options.get("alpha", 1)
        if alpha != 1:
            right = _binary(writer, "fmul" if kind is Kind.FLOAT else "mul", right, writer.constant(alpha, right.kind))
        if kind is Kind.BOOL:
            return convert(writer, _binary(writer, of_whole, left, right), node.kind)
        return _binary(writer, of_floats if kind is Kind.FLOAT else of_whole, left, right)

    return emit


def _subtract_from(writer: Writer, values: list[Value], node: Node) -> Value:
    return _arithmetic("fsub", "sub")(writer, values[::-1], node)


def _divide(writer: Writer, values: list[Value], node: Node) -> Value:
    if node.options.get("rounding_mode") is not None:
        raise Unsupported.because("It divides with rounding.", node.op)
    divisor = node.arguments[1]
    if isinstance(divisor, (int, float)) and _has_exact_inverse(float(divisor)):
        return _binary(writer, "fmul", values[0], writer.constant(1.0 / divisor))
    return _binary(writer, "fdiv", *values)


def _has_exact_inverse(number: float) -> bool:
    """Return whether dividing by a number is multiplying by another one, bit by bit: it is a power of two."""
    return abs(math.frexp(number)[0]) == 0.5 and 2.0**-100 < abs(number) < 2.0**100


def _compare(of_floats: str, of_whole: str) -> Emit:
    def emit(writer: Writer, values: list[Value], node: Node) -> Value:
        kind = promoted(values)
        kind = Kind.INT if kind is Kind.BOOL else kind
        left, right = (convert(writer, value, kind) for value in values)
        instruction = f"fcmp {of_floats}" if kind is Kind.FLOAT else f"icmp {of_whole}"
        return Value(_binary(writer, instruction, left, right).name, Kind.BOOL)

    return emit


def choose(writer: Writer, condition: Value, one: Value, other: Value) -> Value:
    """Write the selection of `one` where the condition holds and `other` elsewhere."""
    kind = writer.type(one.kind)
    instruction = f"select {writer.mask} {condition.name}, {kind} {one.name}, {kind} {other.name}"
    return Value(writer.value(instruction), one.kind)


def test(writer: Writer, relation: str, left: Value, right: Value) -> Value:
    """Write a comparison of floats; `relation` is LLVM's."""
    return Value(writer.value(f"fcmp {relation} {writer.vector} {left.name}, {right.name}"), Kind.BOOL)


def _where(writer: Writer, values: list[Value], node: Node) -> Value:
    condition, one, other = values
    one, other = (convert(writer, value, node.kind) for value in (one, other))
    return choose(writer, convert(writer, condition, Kind.BOOL), one, other)


def greater(writer: Writer, one: Value, other: Value, relation: str = "ogt") -> Value:
    """Write the maximum ("ogt") or minimum ("olt"); NaN when either is NaN."""
    chosen = choose(writer, test(writer, relation, one, other), one, other)
    return choose(writer, test(writer, "uno", one, one), one, chosen)


def _extreme(relation: str) -> Emit:
    def emit(writer: Writer, values: list[Value], node: Node) -> Value:
        return greater(writer, values[0], values[1], relation)

    return emit


def _clamp(writer: Writer, values: list[Value], node: Node) -> Value:
    given = [argument for argument in node.arguments if argument is not None]
    result = values[0]
    tensors = [value for value, limit in zip(values[1:], given[1:], strict=False) if isinstance(limit, Node)]
    low = node.argument(1, node.options.get("min"))
    high = node.argument(2, node.options.get("max"))
    if node.op == "clamp_max":
        low, high = None, node.arguments[1]
    for limit, relation in ((low, "olt"), (high, "ogt")):
        if limit is None:
            continue
        bound = tensors.pop(0) if isinstance(limit, Node) else writer.constant(limit)
        if isinstance(limit, Node):
            result = greater(writer, result, bound, "ogt" if relation == "olt" else "olt")
            continue
        result = choose(writer, test(writer, relation, result, bound), bound, result)
    return result


def _negative(writer: Writer, values: list[Value], node: Node) -> Value:
    if values[0].kind is Kind.FLOAT:
        return Value(writer.value(f"fneg {writer.vector} {values[0].name}"), Kind.FLOAT)
    return _binary(writer, "sub", writer.constant(0, Kind.INT), values[0])


def _relu(writer: Writer, values: list[Value], node: Node) -> Value:
    zero = writer.constant(0.0)
    return choose(writer, test(writer, "ole", values[0], zero), zero, values[0])


def _absolute(writer: Writer, values: list[Value], node: Node) -> Value:
    return writer.intrinsic("fabs", values[0])


def _sign(writer: Writer, values: list[Value], node: Node) -> Value:
    zero, one, minus = (writer.constant(number) for number in (0.0, 1.0, -1.0))
    below = choose(writer, test(writer, "olt", values[0], zero), minus, zero)
    return choose(writer, test(writer, "ogt", values[0], zero), one, below)


def _intrinsic(name: str) -> Emit:
    def emit(writer: Writer, values: list[Value], node: Node) -> Value:
        return writer.intrinsic(name, *values)

    return emit


def _function(name: str) -> Emit:
    def emit(writer: Writer, values: list[Value], node: Node) -> Value:
        if name not in FUNCTIONS:
            raise Unsupported.because(f"The function {name} is not written yet.", node.op)
        return writer.function(name, *values)

    return emit


def _over_one(writer: Writer, values: list[Value], node: Node) -> Value:
    return _binary(writer, "fdiv", writer.constant(1.0), values[-1])


def _over_root(writer: Writer, values: list[Value], node: Node) -> Value:
    return _over_one(writer, [writer.intrinsic("sqrt", *values)], node)


def _power(writer: Writer, values: list[Value], node: Node) -> Value:
    exponent = node.arguments[1]
    base = values[0]
    if isinstance(exponent, Node):
        return _function("pow")(writer, values, node)
    if exponent == 0:
        return writer.constant(1.0)
    if exponent in (0.5, -0.5):
        return _intrinsic("sqrt")(writer, [base], node) if exponent > 0 else _over_root(writer, [base], node)
    if exponent not in (1, 2, 3, -1, -2):
        return _function("pow")(writer, values, node)
    product = base
    for _ in range(int(abs(exponent)) - 1):
        product = _binary(writer, "fmul", product, base)
    return product if exponent > 0 else _over_one(writer, [product], node)


def _logical(instruction: str) -> Emit:
    def emit(writer: Writer, values: list[Value], node: Node) -> Value:
        return _binary(writer, instruction, *values)

    return emit


def _bitwise(instruction: str) -> Emit:
    def emit(writer: Writer, values: list[Value], node: Node) -> Value:
        kind = promoted(values)
        return _binary(writer, instruction, *(convert(writer, value, kind) for value in values))

    return emit


def _not(writer: Writer, values: list[Value], node: Node) -> Value:
    return _binary(writer, "xor", values[0], writer.constant(1, Kind.BOOL))


def _unordered(writer: Writer, values: list[Value], node: Node) -> Value:
    return test(writer, "uno", values[0], values[0])


def _infinite(writer: Writer, values: list[Value], node: Node) -> Value:
    return test(writer, "oeq", writer.intrinsic("fabs", values[0]), writer.constant(float("inf")))


def _to_copy(writer: Writer, values: list[Value], node: Node) -> Value:
    return convert(writer, values[0], node.kind)


def _copy(writer: Writer, values: list[Value], node: Node) -> Value:
    return convert(writer, values[1], node.kind)


_FLOAT, _BOOL = Kind.FLOAT, Kind.BOOL
_OF_FLOATS = {
    "div": (2, _divide), "true_divide": (2, _divide), "maximum": (2, _extreme("ogt")), "minimum": (2, _extreme("olt")),
    "clamp": (3, _clamp), "clamp_min": (2, _clamp), "clamp_max": (2, _clamp), "relu": (1, _relu),
    "abs": (1, _absolute), "sign": (1, _sign), "sgn": (1, _sign), "sqrt": (1, _intrinsic("sqrt")),
    "rsqrt": (1, _over_root), "reciprocal": (1, _over_one), "floor": (1, _intrinsic("floor")),
    "ceil": (1, _intrinsic("ceil")), "trunc": (1, _intrinsic("trunc")), "round": (1, _intrinsic("roundeven")),
    "isnan": (1, _unordered), "isinf": (1, _infinite), "copysign": (2, _intrinsic("copysign")),
}  # fmt: skip
_BY_NAME = (
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "tanh", "sigmoid", "erf", "erfc", "sin", "cos", "tan",
    "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh",
)  # fmt: skip

POINTWISE: dict[str, PointwiseOp] = {
    "add": PointwiseOp(2, _arithmetic("fadd", "add")),
    "sub": PointwiseOp(2, _arithmetic("fsub", "sub")),
    "rsub": PointwiseOp(2, _subtract_from),
    "mul": PointwiseOp(2, _arithmetic("fmul", "mul")),
    "neg": PointwiseOp(1, _negative),
    "pow": PointwiseOp(2, _power, _FLOAT, is_cheap=False),
    "where": PointwiseOp(3, _where),
    "lt": PointwiseOp(2, _compare("olt", "slt")),
    "le": PointwiseOp(2, _compare("ole", "sle")),
    "gt": PointwiseOp(2, _compare("ogt", "sgt")),
    "ge": PointwiseOp(2, _compare("oge", "sge")),
    "eq": PointwiseOp(2, _compare("oeq", "eq")),
    "ne": PointwiseOp(2, _compare("une", "ne")),
    "bitwise_and": PointwiseOp(2, _bitwise("and")),
    "bitwise_or": PointwiseOp(2, _bitwise("or")),
    "bitwise_xor": PointwiseOp(2, _bitwise("xor")),
    "bitwise_not": PointwiseOp(1, _not, _BOOL),
    "logical_not": PointwiseOp(1, _not, _BOOL),
    "logical_and": PointwiseOp(2, _logical("and"), _BOOL),
    "logical_or": PointwiseOp(2, _logical("or"), _BOOL),
    "logical_xor": PointwiseOp(2, _logical("xor"), _BOOL),
    "_to_copy": PointwiseOp(1, _to_copy),
    "copy": PointwiseOp(2, _copy),
    **{name: PointwiseOp(operands, emit, _FLOAT) for name, (operands, emit) in _OF_FLOATS.items()},
    **{name: PointwiseOp(1, _function(name), _FLOAT, is_cheap=False) for name in _BY_NAME},
}
"""Every op of one element at a time that kernels can compute."""
