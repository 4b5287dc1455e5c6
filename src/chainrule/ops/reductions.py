"""Rules of the ops that make one number of several: sum, mean, variance, norm, the largest; and running sums.

At ties the derivative is PyTorch's: amax, amin, and max and min of a whole tensor share it equally; max and min along
a dimension give it to the one place that they return. Where a standard deviation or a norm is 0, PyTorch takes the
derivative to be 0, and the formula has none.
"""
# ruff: noqa: A002, A006  # the parameters of a wiring bear torch's own names

import math
from dataclasses import replace
from functools import cache
from typing import Any

import sympy
import torch
from sympy import Abs, Expr, Ne, Sum, Symbol, exp, log, sqrt

from chainrule.ops.differentiation import (
    Largest,
    LargestShared,
    ProductOver,
    Smallest,
    SmallestShared,
)
from chainrule.ops.letters import XS, J, K, M, N, Y
from chainrule.ops.places import Arguments, Wiring, numbered, tensor_argument
from chainrule.ops.rule import Hazard, OpRule, Silencer
from chainrule.ops.selections import places_of
from chainrule.shapes import Tensor

Dimensions = int | tuple[int, ...] | list[int] | torch.Size | None
CORRECTION = Symbol("c", real=True)


def reduced(input: Tensor, dim: Dimensions = None) -> Tensor:
    """Return the element numbers that each output of a reduction takes: shape (outputs, K)."""
    chosen = (dim,) if isinstance(dim, int) else tuple(dim) if dim else tuple(range(input.dim()))
    behind = sorted(axis % max(input.dim(), 1) for axis in chosen) if input.dim() else []
    kept = [axis for axis in range(input.dim()) if axis not in behind]
    count = math.prod(input.shape[axis] for axis in behind)
    return numbered(input).permute(*kept, *behind).reshape(-1, count)


def _reduce(
    output: Tensor, input: Tensor, dim: Dimensions = None, keepdim: bool = False, *, dtype: Any = None
) -> Wiring:
    return Wiring({"input": reduced(input, dim)})


def _spread(
    output: Tensor,
    input: Tensor,
    dim: Dimensions = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: int | float | None = None,
) -> Wiring:
    if isinstance(dim, bool):  # var(input, unbiased)
        return Wiring({"input": reduced(input)}, {CORRECTION: float(dim)})
    taken = float(unbiased) if correction is None else correction
    return Wiring({"input": reduced(input, dim)}, {CORRECTION: taken})


def _mean_beside(output: Tensor, input: Tensor, dim: Dimensions = None, **settings: Any) -> Wiring:
    return _reduce(output, input, None if isinstance(dim, bool) else dim)


def _norm(
    output: Tensor,
    input: Tensor,
    p: int | float | str | None = "fro",
    dim: Dimensions = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Wiring:
    return Wiring({"input": reduced(input, dim)})


def _vector_norm(
    output: Tensor,
    x: Tensor,
    ord: int | float | str | None = 2,
    dim: Dimensions = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Wiring:
    return Wiring({"x": reduced(x, dim)})


def _running(output: Tensor, input: Tensor, dim: int, *, dtype: Any = None) -> Wiring:
    return Wiring({"input": _up_to(input, dim)})


def _running_product(output: Tensor, input: Tensor, dim: int, *, dtype: Any = None) -> Wiring:
    return Wiring({"input": _up_to(input, dim)}, fills={"input": 1.0})


def _running_log_sum(output: Tensor, input: Tensor, dim: int) -> Wiring:
    return Wiring({"input": _up_to(input, dim)}, fills={"input": -math.inf})


def _up_to(input: Tensor, dim: int) -> Tensor:
    size = input.shape[dim]
    rows = numbered(input).movedim(dim, -1).unsqueeze(-2).expand(*input.movedim(dim, -1).shape, size)
    rows = torch.where(torch.ones(size, size, dtype=torch.bool).tril(), rows, -1)
    return rows.movedim(-2, dim % input.dim()).reshape(-1, size)


def _along(output: Tensor, found: Tensor, arguments: Arguments) -> Tensor:
    """Return a value per output, given back to the shape of the input that was reduced."""
    source = tensor_argument(arguments)
    places = reduced(source, arguments.get("dim"))
    result = torch.zeros(source.numel(), dtype=found.dtype)
    result[places] = found.reshape(-1, 1).expand(places.shape)
    return result.reshape(source.shape)


def _not_the(word: str, sign: int) -> Silencer:
    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        source = tensor_argument(arguments)
        places = reduced(source, arguments.get("dim"))
        elements = (sign * source.detach()).reshape(-1)
        rows = elements[places]
        best = rows == rows.amax(1, keepdim=True)
        if isinstance(arguments.get("dim"), int) and arguments.get("one_place", False):
            best = torch.arange(rows.shape[1]) == rows.argmax(1, keepdim=True)
        result = torch.ones(source.numel(), dtype=torch.bool)
        result[places] = ~best
        return result.reshape(source.shape)

    return Silencer(f"not the {word}", f"not the {word} of those that are compared", "input", find)


def _not_the_one(word: str, sign: int) -> Silencer:
    shared = _not_the(word, sign)
    return Silencer(
        shared.name, shared.words, "input", lambda a, output, t: shared.find({**a, "one_place": True}, output, t)
    )


def _zeros_elsewhere(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    source = tensor_argument(arguments)
    rows = (source.detach() == 0).reshape(-1)[reduced(source, arguments.get("dim"))]
    result = torch.zeros(source.numel(), dtype=torch.bool)
    result[reduced(source, arguments.get("dim"))] = rows.sum(1, keepdim=True) - rows.int() > 0
    return result.reshape(source.shape)


def _underflown(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    share = torch.exp(tensor_argument(arguments) - _along(output, output.detach(), arguments))
    return share <= threshold


def _all_minus_infinity(arguments: Arguments, output: Tensor) -> Tensor:
    return _along(output, output.isneginf(), arguments)


_MEAN = Sum(XS[J], (J, 1, N)) / N
_VARIANCE = Sum((XS[K] - _MEAN) ** 2, (K, 1, N)) / (N - CORRECTION)
_LARGEST = LargestShared(XS[K], K, N)
_SMALLEST = SmallestShared(XS[K], K, N)
_SHIFT = Largest(XS[J], J, N)
_LOG_SUM = log(Sum(exp(XS[K]), (K, 1, N)))
_STABLE_LOG_SUM = _SHIFT + log(Sum(exp(XS[K] - _SHIFT), (K, 1, N)))


def _too_few(arguments: Arguments, output: Tensor) -> Tensor:
    return _along(output, output.isnan(), arguments) & tensor_argument(arguments).isfinite()


def _norm_formula(order: float) -> tuple[Expr, dict[str, Expr]]:
    size = Abs(XS[K])
    if order == 2:
        return sqrt(Sum(XS[K] ** 2, (K, 1, N))), {"": XS[M] / Y}
    if order == 1:
        return Sum(size, (K, 1, N)), {}
    if order == math.inf:
        return LargestShared(size, K, N), {}
    if order == -math.inf:
        return SmallestShared(size, K, N), {}
    if order == 0:
        return Sum(sympy.Piecewise((1, Ne(XS[K], 0)), (0, True)), (K, 1, N)), {}
    exact = sympy.Rational(order).limit_denominator(1000)
    return Sum(size**exact, (K, 1, N)) ** (1 / exact), {}


@cache
def _norm_of(name: str, argument: str, order: float) -> OpRule:
    formula, school = _norm_formula(order)

    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        renamed = {
            "input": tensor_argument(arguments, argument),
            "dim": arguments.get("dim", (-2, -1) if name == "matrix_norm" else None),
        }
        if order == 0:
            return torch.ones_like(tensor_argument(arguments, argument), dtype=torch.bool)
        if order == 2:
            scale = _along(output, output.detach(), renamed)
            return tensor_argument(arguments, argument).abs() <= threshold * scale
        if math.isinf(order):
            word = _not_the("largest", 1 if order > 0 else -1)
            found = word.find({**renamed, "input": tensor_argument(arguments, argument).abs()}, output, threshold)
            return found | (tensor_argument(arguments, argument) == 0)
        return tensor_argument(arguments, argument) == 0

    words = {
        math.inf: "0, or not the largest",
        -math.inf: "0, or not the smallest",
        2: "0, or small beside the others",
        0: "only counted",
    }
    return OpRule(
        name,
        formula,
        {argument: XS[K]},
        {"norm": _norm, "vector_norm": _vector_norm, "matrix_norm": _matrix_norm, "linalg_norm": _linalg_norm}[name],
        school={argument: school[""]} if school else {},
        silencers=(Silencer("0", words.get(order, "0, where the size is flat"), argument, find),),
        note="Where the norm is 0, PyTorch takes the derivative to be 0.",
    )


def _choose_norm(arguments: Arguments) -> OpRule:
    order = arguments.get("p", "fro")
    if order == "nuc":
        return _SINGULAR
    return _norm_of("norm", "input", 2.0 if order in ("fro", None) else float(order))


def _choose_vector_norm(arguments: Arguments) -> OpRule:
    order = arguments.get("ord", 2)
    return _norm_of("vector_norm", "x", 2.0 if order in ("fro", None) else float(order))


def _choose_largest(arguments: Arguments) -> OpRule:
    return _BY_NAME["max"] if arguments.get("dim") is None else _MAX_ALONG


def _choose_smallest(arguments: Arguments) -> OpRule:
    return _BY_NAME["min"] if arguments.get("dim") is None else _MIN_ALONG


def _matrix_norm(
    output: Tensor,
    input: Tensor,
    ord: int | float | str | None = "fro",
    dim: Dimensions = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Wiring:
    return Wiring({"input": reduced(input, (-2, -1) if dim is None else dim)})


def _choose_matrix_norm(arguments: Arguments) -> OpRule:
    order = arguments.get("ord", "fro")
    if order in ("fro", None):
        return _norm_of("matrix_norm", "input", 2.0)
    return _SINGULAR if order in ("nuc", 2, -2) else _BY_LINES


def _linalg_norm(
    output: Tensor,
    input: Tensor,
    ord: int | float | str | None = None,
    dim: Dimensions = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Wiring:
    return Wiring({"input": reduced(input, dim)})


def _choose_linalg_norm(arguments: Arguments) -> OpRule:
    """torch.linalg.norm is the norm of a matrix where two dimensions are left and an order is given."""
    order, dim = arguments.get("ord"), arguments.get("dim")
    axes = arguments["input"].dim() if dim is None else 1 if isinstance(dim, int) else len(dim)
    if order in (None, "fro"):
        return _norm_of("linalg_norm", "input", 2.0)
    return _norm_of("linalg_norm", "input", float(order)) if axes == 1 else _choose_matrix_norm({"ord": order})


_SINGULAR = OpRule("norm", None, note="This norm is made of singular values, which have no formula by element.")
_BY_LINES = OpRule("norm", None, note="This norm is the largest or smallest of the sums of |x| by rows or columns.")
_ONE_PLACE = "At a tie, the one whose place is returned."
_SHARED = "At a tie, all of them share equally."
_MAX_ALONG = OpRule(
    "max",
    Largest(XS[K], K, N),
    {"input": XS[K]},
    _reduce,
    silencers=(_not_the_one("largest", 1),),
    note=_ONE_PLACE,
    others=(places_of("max"),),
)
_MIN_ALONG = OpRule(
    "min",
    Smallest(XS[K], K, N),
    {"input": XS[K]},
    _reduce,
    silencers=(_not_the_one("smallest", -1),),
    note=_ONE_PLACE,
    others=(places_of("min"),),
)

_MEAN_OF_ALL = OpRule("mean", Sum(XS[K], (K, 1, N)) / N, {"input": XS[K]}, _reduce)


def _spread_rule(name: str, formula: Expr) -> OpRule:
    what = "variance" if name.startswith("var") else "spread"
    note = "c is the correction: 1 unless it is given."
    if what == "spread":
        note += " Where all are equal, PyTorch takes the derivative to be 0."
    has_mean = name.endswith("_mean")

    def is_mean(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        return tensor_argument(arguments) == _along(output, _mean(arguments), arguments)

    return OpRule(
        name,
        formula,
        {"input": XS[K]},
        _spread,
        # What is at the mean still moves the mean itself, where that is an output too.
        silencers=()
        if has_mean
        else (Silencer("at the mean", f"equal to the mean, where the {what} is flat", "input", is_mean),),
        hazards=(Hazard("0/0", f"alone, and one number has no {what}: 0/0", "input", "forward", _too_few),),
        note=note + " The second output is the mean." * has_mean,
        others=(replace(_MEAN_OF_ALL, name=name, wire=_mean_beside),) if has_mean else (),
    )


REDUCTIONS: tuple[OpRule, ...] = (
    OpRule("sum", Sum(XS[K], (K, 1, N)), {"input": XS[K]}, _reduce, aliases=("nansum", "sum_to_size")),
    _MEAN_OF_ALL,
    _spread_rule("var", _VARIANCE),
    _spread_rule("std", sqrt(_VARIANCE)),
    _spread_rule("var_mean", _VARIANCE),
    _spread_rule("std_mean", sqrt(_VARIANCE)),
    OpRule("amax", _LARGEST, {"input": XS[K]}, _reduce, silencers=(_not_the("largest", 1),), note=_SHARED),
    OpRule("amin", _SMALLEST, {"input": XS[K]}, _reduce, silencers=(_not_the("smallest", -1),), note=_SHARED),
    OpRule(
        "max",
        _LARGEST,
        {"input": XS[K]},
        _reduce,
        choose=_choose_largest,
        silencers=(_not_the("largest", 1),),
        note=_SHARED,
    ),
    OpRule(
        "min",
        _SMALLEST,
        {"input": XS[K]},
        _reduce,
        choose=_choose_smallest,
        silencers=(_not_the("smallest", -1),),
        note=_SHARED,
    ),
    OpRule(
        "prod",
        ProductOver(XS[K], K, N),
        {"input": XS[K]},
        _reduce,
        silencers=(Silencer("multiplied by 0", "multiplied by 0", "input", _zeros_elsewhere),),
    ),
    OpRule(
        "logsumexp",
        _LOG_SUM,
        {"input": XS[K]},
        _reduce,
        stable=_STABLE_LOG_SUM,
        school={"input": exp(XS[M] - Y)},
        silencers=(Silencer("far below the largest", "far below the largest of its group", "input", _underflown),),
        hazards=(Hazard("log of 0", "−∞ like all others of its group", "input", "forward", _all_minus_infinity),),
    ),
    OpRule(
        "norm",
        sqrt(Sum(XS[K] ** 2, (K, 1, N))),
        {"input": XS[K]},
        _norm,
        choose=_choose_norm,
        school={"input": XS[M] / Y},
    ),
    OpRule(
        "vector_norm",
        sqrt(Sum(XS[K] ** 2, (K, 1, N))),
        {"x": XS[K]},
        _vector_norm,
        aliases=("linalg_vector_norm",),
        choose=_choose_vector_norm,
        school={"x": XS[M] / Y},
    ),
    *(
        OpRule(
            name,
            sqrt(Sum(XS[K] ** 2, (K, 1, N))),
            {"input": XS[K]},
            wire,
            aliases=aliases,
            choose=choose,
            school={"input": XS[M] / Y},
        )
        for name, wire, aliases, choose in (
            ("matrix_norm", _matrix_norm, ("linalg_matrix_norm",), _choose_matrix_norm),
            ("linalg_norm", _linalg_norm, (), _choose_linalg_norm),
        )
    ),
    OpRule(
        "cumsum",
        Sum(XS[K], (K, 1, N)),
        {"input": XS[K]},
        _running,
        note="k runs over the places up to the output's own.",
    ),
    OpRule(
        "cumprod",
        ProductOver(XS[K], K, N),
        {"input": XS[K]},
        _running_product,
        note="k runs over the places up to the output's own.",
    ),
    OpRule(
        "logcumsumexp",
        _LOG_SUM,
        {"input": XS[K]},
        _running_log_sum,
        stable=_STABLE_LOG_SUM,
        school={"input": exp(XS[M] - Y)},
        note="k runs over the places up to the output's own.",
    ),
    OpRule(
        "trace",
        Sum(XS[K], (K, 1, N)),
        {"input": XS[K]},
        lambda output, input: Wiring({"input": numbered(input).diagonal().reshape(1, -1)}),
        silencers=(
            Silencer(
                "off the diagonal",
                "off the diagonal",
                "input",
                lambda a, _, __: ~torch.eye(*tensor_argument(a).shape, dtype=torch.bool),
            ),
        ),
    ),
)

_BY_NAME = {rule.name: rule for rule in REDUCTIONS}


def _mean(arguments: Arguments) -> Tensor:
    source = tensor_argument(arguments)
    return source.reshape(-1)[reduced(source, arguments.get("dim"))].mean(1)
