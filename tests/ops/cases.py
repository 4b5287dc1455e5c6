# ruff: noqa: A002, A006
"""The table of the tests: one row or more for every rule. A row is a call of torch with seeded float64 inputs."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

Numbers = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes:
        name: the name under which the call is recorded.
        call: takes the arguments by name.
        arguments: by torch's names, as `bind` returns them.
        number: which output is tested, where there are several.
        exact_only: leave the finite differences out, for a call at a kink.
        tolerance: relative, of the values.
        slope_tolerance: relative, of the derivatives.
        steepest: the largest that a derivative can be, where that is more than 1; the thresholds of silencers refer
            to it.
    """

    name: str
    call: Callable[..., Any]
    arguments: Numbers = field(default_factory=dict)
    number: int = 0
    exact_only: bool = False
    tolerance: float = 1e-12
    slope_tolerance: float = 1e-10
    steepest: float = 1.0

    def output(self, **changed: torch.Tensor) -> torch.Tensor:
        made = self.call(**{**self.arguments, **changed})
        return made if isinstance(made, torch.Tensor) else made[self.number]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={_shown(value)}' for key, value in self.arguments.items())})"


def _shown(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return "x".join(map(str, value.shape)) or "scalar"
    if isinstance(value, list | tuple):
        return "(" + " ".join(_shown(part) for part in value) + ")"
    return "…" if isinstance(value, slice) else str(value)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 17 * len(shape)))


def positive(*shape: int, seed: int = 0) -> torch.Tensor:
    return normal(*shape, seed=seed).abs() + 0.2


def inside(*shape: int) -> torch.Tensor:
    """Numbers within −0.9 and 0.9."""
    return 0.9 * torch.tanh(normal(*shape))


def at(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _tensor(value: Any) -> torch.Tensor:
    return value if isinstance(value, torch.Tensor) else torch.tensor(value, dtype=torch.float64)


X, Z = normal(2, 3), normal(2, 3, seed=1)
ROW, COLUMN = normal(3, seed=2), normal(2, 1, seed=3)
CUBE = normal(4, 3, 2)
TIES = at(2.0, 1.0, 2.0, 0.5).reshape(2, 2)
PLACES = torch.tensor([2, 0, 2])

PRODUCTS = [
    Case("linear", F.linear, {"input": normal(2, 3, 4), "weight": normal(5, 4), "bias": normal(5)}),
    Case("linear", F.linear, {"input": normal(4), "weight": normal(5, 4), "bias": None}),
    Case("linear", F.linear, {"input": at(1.0, 0.0, 2.0), "weight": at(1.0, 2.0, 0.0, 3.0, 1.0, 0.0).reshape(2, 3)}),
    Case(
        "bilinear",
        F.bilinear,
        {"input1": normal(2, 3), "input2": normal(2, 2), "weight": normal(4, 3, 2), "bias": normal(4)},
    ),
    Case("matmul", torch.matmul, {"input": normal(2, 3), "other": normal(3, 4)}),
    Case("matmul", torch.matmul, {"input": normal(3), "other": normal(3)}),
    Case("matmul", torch.matmul, {"input": normal(3), "other": normal(2, 3, 4)}),
    Case("matmul", torch.matmul, {"input": normal(2, 3, 4), "other": normal(4)}),
    Case("matmul", torch.matmul, {"input": normal(2, 1, 3, 4), "other": normal(5, 4, 2)}),
    Case("rmatmul", lambda input, other: other @ input, {"input": normal(3, 2), "other": normal(4, 3)}),
    Case("mm", torch.mm, {"input": normal(2, 3), "mat2": normal(3, 4)}),
    Case("bmm", torch.bmm, {"input": normal(2, 2, 3), "mat2": normal(2, 3, 2)}),
    Case("mv", torch.mv, {"input": normal(2, 3), "vec": normal(3)}),
    Case("dot", lambda input, other: torch.dot(input, other), {"input": normal(3), "other": normal(3, seed=1)}),
    Case("outer", torch.outer, {"input": normal(3), "vec2": normal(2)}),
    Case(
        "addmm", torch.addmm, {"input": normal(4), "mat1": normal(2, 3), "mat2": normal(3, 4), "beta": 0.5, "alpha": 2}
    ),
    Case("addmv", torch.addmv, {"input": normal(2), "mat": normal(2, 3), "vec": normal(3)}),
    Case("baddbmm", torch.baddbmm, {"input": normal(2, 2, 4), "batch1": normal(2, 2, 3), "batch2": normal(2, 3, 4)}),
    *(
        Case(
            "einsum",
            lambda equation, operands: torch.einsum(equation, *operands),
            {"equation": equation, "operands": tuple(operands)},
        )
        for equation, operands in (
            ("bik,bjk->bij", (normal(2, 3, 4), normal(2, 2, 4))),
            ("ij->ji", (normal(2, 3),)),
            ("ii", (normal(3, 3),)),
            ("ij, jk", (normal(2, 3), normal(3, 2))),
            ("...i,ij,...j->...", (normal(2, 3), normal(3, 4), normal(2, 4))),
        )
    ),
]
ARITHMETIC = [
    *(
        Case(name, function, {"input": first, "other": second})
        for name, function in (("add", torch.add), ("sub", torch.sub), ("mul", torch.mul), ("div", torch.div))
        for first, second in ((X, Z), (COLUMN, positive(3)), (X, 2.5))
    ),
    *(
        Case(
            name,
            lambda input, other, function=function: function(_tensor(input), _tensor(other)),
            {"input": X, "other": 3},
        )
        for name, function in (("radd", torch.add), ("rmul", torch.mul), ("iadd", torch.add), ("sub_", torch.sub))
    ),
    Case("add", torch.add, {"input": normal(4), "other": normal(5, 4), "alpha": 3}),
    Case("sub", torch.sub, {"input": X, "other": ROW, "alpha": 3}),
    Case("mul", torch.mul, {"input": at(0.0, 1.0, 2.0), "other": at(3.0, 0.0, 1.0)}),
    Case("rsub", torch.rsub, {"input": X, "other": 1.0}),
    Case("rsub", torch.rsub, {"input": X, "other": Z, "alpha": 2}),
    Case("div", torch.div, {"input": X, "other": positive(2, 3), "rounding_mode": "floor"}, exact_only=True),
    Case("div", torch.div, {"input": X, "other": positive(2, 3), "rounding_mode": "trunc"}, exact_only=True),
    Case("rdiv", lambda input, other: other / input, {"input": positive(2, 3), "other": 2.0}),
    Case("remainder", torch.remainder, {"input": 5 * X, "other": positive(2, 3)}),
    *(Case("pow", torch.pow, {"input": X, "exponent": power}) for power in (2, 3, 1, 0, -2)),
    *(Case("pow", torch.pow, {"input": positive(2, 3), "exponent": power}) for power in (0.5, 2.7, -0.5)),
    Case("pow", torch.pow, {"input": at(0.0, 1.0), "exponent": 2}),
    Case("pow", torch.pow, {"input": positive(2, 3), "exponent": ROW}),
    Case("rpow", lambda input, other: other**input, {"input": X, "other": 2.0}),
    Case("rpow", lambda input, other: other**input, {"input": positive(2, 3), "other": at(1.0, 2.0, 3.0)}),
    *(
        Case(name, function, {"input": X, "other": other})
        for name, function in (("maximum", torch.maximum), ("minimum", torch.minimum))
        for other in (Z, ROW)
    ),
    Case("maximum", torch.maximum, {"input": at(1.0, 2.0, 3.0), "other": at(1.0, 3.0, 2.0)}, exact_only=True),
    Case("minimum", torch.minimum, {"input": at(1.0, 2.0, 3.0), "other": at(1.0, 3.0, 2.0)}, exact_only=True),
    Case("clamp", torch.clamp, {"input": X, "min": -0.5, "max": 0.5}),
    Case("clamp", torch.clamp, {"input": X, "min": None, "max": 0.5}),
    Case("clamp", torch.clamp, {"input": X, "min": -0.5, "max": None}),
    Case("clamp", torch.clamp, {"input": at(-1.0, 0.0, 1.0), "min": -1.0, "max": 1.0}, exact_only=True),
    Case("clamp", torch.clamp, {"input": 3 * X, "min": -positive(2, 3), "max": positive(3)}),
    Case("clamp_min", torch.clamp_min, {"input": X, "min": 0.1}),
    Case("clamp_max", torch.clamp_max, {"input": X, "max": 0.1}),
    Case("where", torch.where, {"condition": X > 0, "input": X, "other": ROW}),
    Case("where", torch.where, {"condition": ROW > 0, "input": COLUMN, "other": 2.0}),
    Case("masked_fill", torch.masked_fill, {"input": X, "mask": ROW > 0, "value": -1.0}),
    Case("masked_fill", torch.masked_fill, {"input": X, "mask": X > 0, "value": _tensor(2.0)}),
    Case("lerp", torch.lerp, {"input": X, "end": ROW, "weight": Z}),
    Case("lerp", torch.lerp, {"input": X, "end": Z, "weight": 0.3}),
    Case("addcmul", torch.addcmul, {"input": X, "tensor1": ROW, "tensor2": Z, "value": 0.5}),
    Case("addcdiv", torch.addcdiv, {"input": X, "tensor1": ROW, "tensor2": positive(2, 3), "value": 0.5}),
    *(
        Case(name, function, {"input": X, "other": ROW})
        for name, function in (("logaddexp", torch.logaddexp), ("hypot", torch.hypot), ("atan2", torch.atan2))
    ),
    Case("pow", torch.pow, {"input": at(1.0, 2.0), "exponent": at(3.0, 0.0)}),
    Case("xlogy", torch.xlogy, {"input": at(0.0, 1.0, 2.0), "other": at(2.0, 1.0, 3.0)}),
    Case("xlogy", torch.xlogy, {"input": at(0.0), "other": at(-1.0)}, exact_only=True),
    Case("hypot", torch.hypot, {"input": at(0.0, 1.0), "other": at(2.0, 0.0)}),
    Case("atan2", torch.atan2, {"input": at(0.0, 1.0), "other": at(2.0, 0.0)}),
    Case("bilinear", F.bilinear, {"input1": at(0.0, 1.0), "input2": at(0.0, 2.0), "weight": normal(2, 2, 2)}),
    Case("addmm", torch.addmm, {"input": X, "mat1": normal(2, 2), "mat2": normal(2, 3), "beta": 0, "alpha": 0}),
    Case("logaddexp", torch.logaddexp, {"input": at(800.0, -3.0), "other": at(799.0, 800.0)}, exact_only=True),
]
_ANYWHERE = ("neg", "positive", "square", "exp", "exp2", "expm1", "abs", "sin", "cos", "tan", "atan", "sinh", "cosh")
ELEMENTARY = [
    *(
        Case(name, getattr(torch, name), {"input": CUBE})
        for name in (*_ANYWHERE, "erf", "erfc", "frac", "deg2rad", "rad2deg")
    ),
    *(
        Case(name, getattr(torch, name), {"input": positive(2, 3)})
        for name in ("log", "log2", "log10", "log1p", "sqrt")
    ),
    *(Case(name, getattr(torch, name), {"input": positive(2, 3)}) for name in ("rsqrt", "reciprocal", "lgamma")),
    *(
        Case(name, getattr(torch, name), {"input": inside(2, 3)})
        for name in ("asin", "acos", "atanh", "asinh", "erfinv")
    ),
    Case("acosh", torch.acosh, {"input": 1 + positive(2, 3)}),
    Case("digamma", torch.digamma, {"input": positive(2, 3)}),
    Case("logit", torch.logit, {"input": at(0.1, 0.4, 0.9)}),
    Case("logit", torch.logit, {"input": at(0.1, 0.4, 0.9), "eps": 0.2}),
    Case("nan_to_num", torch.nan_to_num, {"input": at(1.0, math.nan, math.inf, -math.inf), "posinf": 3.0}),
    Case("abs", torch.abs, {"input": at(0.0, -1.0, 2.0)}, exact_only=True),
    Case("square", torch.square, {"input": at(0.0, -1.0, 2.0)}),
    Case("exp", torch.exp, {"input": at(0.0, -800.0)}),
]
_FUNCTIONAL = (
    "relu",
    "relu6",
    "leaky_relu",
    "rrelu",
    "elu",
    "celu",
    "selu",
    "gelu",
    "silu",
    "mish",
    "hardswish",
    "sigmoid",
)
_FUNCTIONAL += (
    "hardsigmoid",
    "logsigmoid",
    "tanh",
    "hardtanh",
    "tanhshrink",
    "softsign",
    "softplus",
    "softshrink",
    "hardshrink",
)
_WIDE = 6 * torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(3, 4) + 0.01
ACTIVATIONS = [
    *(Case(name, getattr(F, name), {"input": _WIDE}) for name in _FUNCTIONAL if name != "hardsigmoid"),
    # PyTorch's autograd rounds the slope 1/6 to float32 on a CPU.
    Case("hardsigmoid", F.hardsigmoid, {"input": _WIDE}, slope_tolerance=1e-7),
    *(
        Case(name, getattr(F, name), {"input": at(-30.0, 30.0, 1.0)}, exact_only=True)
        for name in ("sigmoid", "tanh", "logsigmoid", "softplus", "elu", "selu", "gelu", "silu", "mish", "softsign")
    ),
    *(
        Case(name, getattr(F, name), {"input": at(-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0)}, exact_only=True)
        for name in (
            "relu",
            "relu6",
            "leaky_relu",
            "hardswish",
            "hardtanh",
            "softshrink",
            "hardshrink",
            "elu",
            "selu",
            "celu",
        )
    ),
    Case("relu_", F.relu, {"input": _WIDE}),
    Case("leaky_relu", F.leaky_relu, {"input": _WIDE, "negative_slope": 0.2}),
    Case("rrelu", F.rrelu, {"input": _WIDE, "lower": 0.1, "upper": 0.3, "training": False}),
    Case("prelu", F.prelu, {"input": normal(2, 3, 2), "weight": at(0.1, 0.2, 0.3)}),
    Case("prelu", F.prelu, {"input": normal(4), "weight": at(0.25)}),
    Case("prelu", F.prelu, {"input": at(-1.0, 0.0, 2.0), "weight": at(0.25)}, exact_only=True),
    Case("threshold", F.threshold, {"input": _WIDE, "threshold": 0.5, "value": 2.0}),
    Case("elu", F.elu, {"input": _WIDE, "alpha": 2.0}),
    Case("celu", F.celu, {"input": _WIDE, "alpha": 2.0}),
    Case("gelu", F.gelu, {"input": _WIDE, "approximate": "tanh"}),
    Case("hardtanh", F.hardtanh, {"input": _WIDE, "min_val": -2.0, "max_val": 0.5}),
    Case("softplus", F.softplus, {"input": _WIDE, "beta": 3.0, "threshold": 10.0}),
    Case("softshrink", F.softshrink, {"input": _WIDE, "lambd": 1.0}),
    Case("glu", F.glu, {"input": normal(2, 4)}),
    Case("glu", F.glu, {"input": normal(4, 3), "dim": 0}),
]
SOFTMAX = [
    *(
        Case(name, getattr(F, name), {"input": CUBE, "dim": dim})
        for name in ("softmax", "log_softmax", "softmin")
        for dim in (1, -1, -3)
    ),
    Case("softmax", F.softmax, {"input": normal(4), "dim": 0}),
    Case("softmax", F.softmax, {"input": at(1000.0, 990.0, -1000.0), "dim": 0}, exact_only=True),
    Case("log_softmax", F.log_softmax, {"input": at(1000.0, 990.0, -900.0), "dim": 0}, exact_only=True, tolerance=1e-8),
]
_REDUCING = ("sum", "mean", "var", "std", "amax", "amin", "logsumexp")
REDUCTIONS = [
    *(
        Case(name, getattr(torch, name), {"input": CUBE, "dim": dim, "keepdim": keepdim})
        for name in _REDUCING
        for dim, keepdim in ((1, False), ((0, 2), True), (-1, True))
    ),
    *(
        Case(name, getattr(torch, name), {"input": X})
        for name in ("sum", "mean", "var", "std", "max", "min", "prod", "norm")
    ),
    Case("var", torch.var, {"input": CUBE, "dim": 1, "correction": 0}),
    Case("std", torch.std, {"input": CUBE, "dim": (0, 1), "correction": 2}),
    Case("prod", torch.prod, {"input": CUBE, "dim": 1}),
    Case("prod", torch.prod, {"input": at(0.0, 2.0, 3.0)}),
    Case("prod", torch.prod, {"input": at(0.0, 2.0, 0.0)}),
    *(
        Case(name, getattr(torch, name), {"input": TIES, "dim": (0, 1), "keepdim": False}, exact_only=True)
        for name in ("amax", "amin")
    ),
    *(Case(name, getattr(torch, name), {"input": TIES}, exact_only=True) for name in ("max", "min")),
    *(Case(name, getattr(torch, name), {"input": CUBE, "dim": 1, "keepdim": True}) for name in ("max", "min")),
    *(
        Case(name, getattr(torch, name), {"input": at(*row), "dim": 0}, exact_only=True)
        for name in ("max", "min")
        for row in ((2.0, 1.0, 2.0, 0.5, 1.0, 0.5), (1.0, 1.0, 1.0))
    ),
    Case("logsumexp", torch.logsumexp, {"input": at(1000.0, 990.0, 5.0), "dim": 0}, exact_only=True),
    *(Case("norm", torch.norm, {"input": CUBE, "p": p, "dim": 1}) for p in (1, 2, 3, 2.5, math.inf, -math.inf, "fro")),
    *(
        Case("vector_norm", torch.linalg.vector_norm, {"x": CUBE, "ord": order, "dim": (0, 1)})
        for order in (2, 1, 0, 0.5, math.inf)
    ),
    *(
        Case(name, getattr(torch, name), {"input": CUBE, "dim": dim})
        for name in ("cumsum", "cumprod", "logcumsumexp")
        for dim in (1, -1)
    ),
    Case("trace", torch.trace, {"input": normal(3, 3)}),
    *(
        Case(name, getattr(torch, name), {"input": CUBE, **more}, number=number)
        for name in ("var_mean", "std_mean")
        for number in (0, 1)
        for more in ({}, {"dim": 1, "correction": 0})
    ),
    Case("linalg_norm", torch.linalg.norm, {"input": X}),
    Case("linalg_norm", torch.linalg.norm, {"input": CUBE, "dim": (0, 2)}),
    Case("linalg_norm", torch.linalg.norm, {"input": ROW, "ord": 3}),
    Case("linalg_norm", torch.linalg.norm, {"input": X, "ord": 1, "dim": 1}),
    Case("matrix_norm", torch.linalg.matrix_norm, {"input": CUBE}),
    Case("matrix_norm", torch.linalg.matrix_norm, {"input": CUBE, "ord": "fro", "dim": (0, 1)}),
]


def move(
    name: str, input: Any = CUBE, number: int = 0, function: Callable[..., Any] | None = None, **arguments: Any
) -> Case:
    return Case(name, function or getattr(torch, name), {"input": input, **arguments}, number=number)


def method(name: str, input: torch.Tensor = CUBE, number: int = 0, **arguments: Any) -> Case:
    """A call of a tensor's method whose arguments have the names of the rule."""

    def run(input: torch.Tensor, *values: Any) -> Any:
        return getattr(input, name)(*values)

    return Case(name, lambda input, **given: run(input, *_spread(given)), {"input": input, **arguments}, number=number)


def _spread(given: dict[str, Any]) -> list[Any]:
    values: list[Any] = []
    for name, value in given.items():
        values += value if name in ("dims", "shape", "size", "repeats") and isinstance(value, tuple) else [value]
    return values


MOVES = [
    method("view", shape=(2, -1)),
    method("reshape", shape=(6, 4)),
    method("view_as", other=normal(6, 4)),
    method("flatten", start_dim=1),
    move("ravel"),
    method("unflatten", dim=0, sizes=(2, 2)),
    method("permute", dims=(2, 0, 1)),
    method("transpose", dim0=0, dim1=2),
    move("movedim", source=0, destination=2),
    move("t", X),
    move("T", X, function=lambda input: input.T),
    move("mT", CUBE, function=lambda input: input.mT),
    move("H", X, function=lambda input: input.H),
    move("squeeze", normal(2, 1, 3, 1)),
    move("squeeze", normal(2, 1, 3, 1), dim=1),
    move("unsqueeze", dim=1),
    method("expand", normal(3, 1), size=(2, -1, 4)),
    move("broadcast_to", normal(3, 1), size=(2, 3, 2), function=lambda input, size: torch.broadcast_to(input, size)),
    method("expand_as", normal(3, 1), other=normal(2, 3, 2)),
    method("repeat", X, repeats=(2, 1, 2)),
    move("tile", X, dims=(2, 1)),
    move("repeat_interleave", X, repeats=2, dim=1),
    move("repeat_interleave", X, repeats=torch.tensor([1, 2]), dim=0),
    *(move("chunk", number=number, chunks=2, dim=0) for number in (0, 1)),
    *(
        move(
            "split",
            number=number,
            split_size_or_sections=[1, 2],
            dim=1,
            function=lambda input, split_size_or_sections, dim: torch.split(input, split_size_or_sections, dim),
        )
        for number in (0, 1)
    ),
    method("split_with_sizes", split_sizes=[1, 3], dim=0),
    method("tensor_split", number=1, indices_or_sections=3, dim=0),
    move("unbind", number=2, dim=1),
    move("narrow", dim=0, start=1, length=2),
    move("select", dim=1, index=-1),
    *(
        move("getitem", index=index, function=lambda input, index: input[index])
        for index in (1, (slice(None), 0), (..., None, slice(0, 1)), PLACES, (PLACES, slice(1, 3)), CUBE > 0)
    ),
    move("index_select", dim=0, index=PLACES),
    move("gather", X, dim=1, index=torch.tensor([[0, 0], [2, 1]])),
    move("take_along_dim", X, indices=torch.tensor([[0, 0], [2, 1]]), dim=1),
    move("take", X, index=PLACES),
    move("masked_select", X, mask=X > 0),
    *(Case(name, getattr(torch, name), {"tensors": (X, Z)}) for name in ("cat", "stack", "hstack", "vstack", "dstack")),
    Case("cat", torch.cat, {"tensors": (X, COLUMN), "dim": 1}),
    move("roll", shifts=1, dims=0),
    move("roll", shifts=2),
    move("flip", dims=(0, 2)),
    move("fliplr"),
    move("flipud"),
    move("rot90", X, k=1, dims=(0, 1)),
    move("pad", CUBE, pad=(1, 2), function=F.pad),
    move("pad", CUBE, pad=(1, -1, 0, 1), mode="constant", value=3.0, function=F.pad),
    *(move("pad", CUBE, pad=(1, 1), mode=mode, function=F.pad) for mode in ("reflect", "replicate", "circular")),
    method("unfold", CUBE, dimension=0, size=2, step=1),
    method("unfold", CUBE, dimension=0, size=1, step=2),
    *(move(name, normal(3, 3), diagonal=diagonal) for name in ("tril", "triu") for diagonal in (0, 1)),
    move("diagonal", normal(3, 3), offset=1),
    move("diag", normal(3)),
    move("diag", normal(3, 3)),
    move("diag_embed", X),
    move("pixel_shuffle", normal(4, 2, 2), upscale_factor=2, function=F.pixel_shuffle),
    move("pixel_unshuffle", normal(1, 4, 4), downscale_factor=2, function=F.pixel_unshuffle),
    move("contiguous", X.t(), function=lambda input: input.contiguous()),
    move("clone", X),
    move("alias", X, function=lambda input: torch.ops.aten.alias(input)),
    Case("detach", lambda input: input.detach().clone(), {"input": X}, exact_only=True),
    Case("to", lambda input, settings: input.to(*settings), {"input": X, "settings": (torch.float64,)}),
    Case("float", lambda input: input.float(), {"input": X}, exact_only=True, tolerance=1e-6),
    *(
        Case(name, lambda tensors, call=call: call(*tensors), {"tensors": tensors}, number=number)
        for name, call, tensors in (
            ("broadcast_tensors", torch.broadcast_tensors, (X, COLUMN)),
            ("meshgrid", lambda *tensors: torch.meshgrid(*tensors, indexing="ij"), (normal(3), normal(2))),
        )
        for number in (0, 1)
    ),
    move("diff", X),
    move("diff", CUBE, dim=0),
    move(
        "pack_padded_sequence",
        lengths=torch.tensor([4, 2, 1]),
        batch_first=False,
        function=lambda input, lengths, batch_first: torch._pack_padded_sequence(input, lengths, batch_first),
    ),
    Case(
        "pad_packed_sequence",
        lambda input, batch_sizes, batch_first, padding_value, total_length: torch._pad_packed_sequence(
            input, batch_sizes, batch_first, padding_value, total_length
        ),
        {
            "input": normal(5, 2),
            "batch_sizes": torch.tensor([2, 2, 1]),
            "batch_first": True,
            "padding_value": 0.5,
            "total_length": 4,
        },
    ),
    move("sort", dim=1, descending=True),
    move("topk", k=2, dim=0),
    move("kthvalue", k=2, dim=0),
    move("cummax", dim=0),
    move("cummin", dim=1),
    move("median", X),
    move("median", TIES, function=torch.median),
    move("median", dim=1),
    move("nanmedian", X),
    move("nanmedian", dim=0, keepdim=True),
    Case("mode", torch.mode, {"input": CUBE.round(), "dim": 1}, exact_only=True),
    move("im2col", normal(2, 2, 4, 3), kernel_size=(2, 3), padding=(1, 0), function=F.unfold),
    move("im2col", normal(1, 1, 5, 5), kernel_size=2, stride=2, function=F.unfold),
    move("fold", normal(2, 8, 6), output_size=(3, 4), kernel_size=2, function=F.fold),
    move("fold", normal(1, 8, 6), output_size=(4, 3), kernel_size=2, stride=2, padding=1, function=F.fold),
]


def _changed(name: str, **arguments: Any) -> Case:
    def run(input: torch.Tensor, **given: Any) -> torch.Tensor:
        return getattr(input.clone(), name)(*given.values())

    return Case(name, run, {"input": X, **arguments})


def _assigned(input: torch.Tensor, index: Any, value: Any) -> torch.Tensor:
    changed = input.clone()
    changed[index] = value
    return changed


WRITES = [
    Case("setitem", _assigned, {"input": X, "index": (0, slice(1, 3)), "value": at(5.0, 6.0)}),
    Case("setitem", _assigned, {"input": X, "index": X > 0, "value": 0.0}),
    Case("setitem", _assigned, {"input": X, "index": 1, "value": _tensor(2.0)}),
    _changed("index_put_", indices=(torch.tensor([0, 1]), torch.tensor([2, 0])), values=at(3.0, 4.0)),
    _changed("copy_", other=ROW),
    _changed("fill_", value=2.0),
    _changed("scatter_", dim=1, index=torch.tensor([[0, 2], [1, 0]]), src=normal(2, 2)),
    _changed("scatter_", dim=1, index=torch.tensor([[0], [1]]), src=1.0),
    _changed("index_copy_", dim=1, index=torch.tensor([2, 0]), source=normal(2, 2)),
    _changed("index_fill_", dim=1, index=torch.tensor([2, 0]), value=1.0),
    Case("index_add", torch.index_add, {"input": X, "dim": 1, "index": PLACES, "source": Z, "alpha": 2}),
    _changed("scatter_add_", dim=1, index=torch.tensor([[0, 0, 2], [1, 1, 1]]), src=Z),
]
STEPS = [
    Case(name, getattr(torch, name), {"input": X}, exact_only=True)
    for name in ("floor", "ceil", "round", "trunc", "sign")
]

CASES = [
    *PRODUCTS,
    *ARITHMETIC,
    *ELEMENTARY,
    *ACTIVATIONS,
    *SOFTMAX,
    *REDUCTIONS,
    *MOVES,
    *WRITES,
    *STEPS,
]
