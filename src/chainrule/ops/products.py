"""Rules of the ops that multiply and add up: linear, matrix products, einsum.

All of them are one contraction: y[o] = Σₖ x[k]·w[k], where k runs over every index that the output does not have. The
places follow from the equation, in einsum's letters.
"""
# ruff: noqa: A002, A006  # the parameters of a wiring bear torch's own names

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from sympy import Expr, IndexedBase, Mul, Sum

from chainrule.ops.letters import ALPHA, BETA, WS, XS, ZS, B, K, N, X
from chainrule.ops.places import Arguments, Wiring, argument_value, optional
from chainrule.ops.rule import OpRule, Silencer
from chainrule.shapes import Tensor


def contracted(equation: str, operands: Sequence[Tensor], outputs: Tensor | None = None) -> list[Tensor]:
    """Return the element numbers of every operand of a contraction: shape (outputs, K).

    Args:
        equation: as torch.einsum takes it, with letters only: "nk,ok->no". A letter of length 1 in an operand and
            longer in another is broadcast.
        operands: the tensors.
        outputs: the flat numbers of the outputs that are asked for; all unless it is said.
    """
    left, right = equation.split("->")
    terms = left.split(",")
    sizes: dict[str, int] = {}
    for term, operand in zip(terms, operands, strict=True):
        for letter, size in zip(term, operand.shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1)) if size != 0 else 0
    inner = "".join(sorted(set(sizes) - set(right)))
    asked = torch.arange(math.prod(sizes[letter] for letter in right)) if outputs is None else outputs
    summed = torch.arange(math.prod(sizes[letter] for letter in inner))
    at = _coordinates(right, asked.unsqueeze(1), sizes) | _coordinates(inner, summed, sizes)
    result = []
    for term, operand in zip(terms, operands, strict=True):
        places = torch.zeros(asked.numel(), summed.numel(), dtype=torch.int64)
        stride = operand.numel()
        for letter, size in zip(term, operand.shape, strict=True):
            stride = stride // size if size else 0
            if size > 1:
                places += at[letter] * stride
        result.append(places)
    return result


def _coordinates(letters: str, numbers: Tensor, sizes: dict[str, int]) -> dict[str, Tensor]:
    """Return the index of each letter for elements that are numbered row by row."""
    result = {}
    for letter in reversed(letters):
        size = max(sizes[letter], 1)
        result[letter] = numbers % size
        numbers = numbers // size
    return result


def _asked(argument: str, tensor: Any, output: Tensor, outputs: Tensor | None) -> dict[str, Tensor]:
    """Return the places of an argument that broadcasts to the output, of the outputs that are asked for."""
    places = optional(argument, tensor, output)
    return places if outputs is None else {name: taken[outputs] for name, taken in places.items()}


def _matrix_equation(first: int, second: int) -> str:
    """Return einsum's equation of a matrix product of tensors with that many dimensions."""
    depth = max(first - 2, second - 2, 0)
    names = "abcdefgh"[:depth]
    one = names[depth - max(first - 2, 0) :] + ("nk" if first > 1 else "k")
    two = names[depth - max(second - 2, 0) :] + ("km" if second > 1 else "k")
    return f"{one},{two}->{names}{'n' if first > 1 else ''}{'m' if second > 1 else ''}"


def _linear(
    output: Tensor, input: Tensor, weight: Tensor, bias: Tensor | None = None, *, outputs: Tensor | None = None
) -> Wiring:
    names = "abcdefgh"[: input.dim() - 1]
    equation = f"{names}k,ok->{names}o" if weight.dim() > 1 else f"{names}k,k->{names}"
    first, second = contracted(equation, (input, weight), outputs)
    return Wiring({"input": first, "weight": second} | _asked("bias", bias, output, outputs))


def _bilinear(
    output: Tensor,
    input1: Tensor,
    input2: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    outputs: Tensor | None = None,
) -> Wiring:
    names = "abcdefgh"[: input1.dim() - 1]
    first, second, third = contracted(f"{names}k,{names}l,okl->{names}o", (input1, input2, weight), outputs)
    return Wiring({"input1": first, "input2": second, "weight": third} | _asked("bias", bias, output, outputs))


def _matmul(output: Tensor, input: Tensor, other: Tensor, *, outputs: Tensor | None = None) -> Wiring:
    first, second = contracted(_matrix_equation(input.dim(), other.dim()), (input, other), outputs)
    return Wiring({"input": first, "other": second})


def _reflected(output: Tensor, input: Tensor, other: Tensor, *, outputs: Tensor | None = None) -> Wiring:
    places = _matmul(output, other, input, outputs=outputs).places
    return Wiring({"input": places["other"], "other": places["input"]})


def _outer(output: Tensor, input: Tensor, vec2: Tensor) -> Wiring:
    first, second = contracted("n,m->nm", (input, vec2))
    return Wiring({"input": first.reshape(-1), "vec2": second.reshape(-1)})


def _added(
    output: Tensor,
    input: Tensor,
    factors: dict[str, Tensor],
    settings: tuple[Any, Any],
    outputs: Tensor | None,
) -> Wiring:
    first, second = factors.values()
    found = contracted(_matrix_equation(first.dim(), second.dim()), (first, second), outputs)
    places = dict(zip(factors, found, strict=True)) | _asked("input", input, output, outputs)
    return Wiring(places, {BETA: settings[0], ALPHA: settings[1]})


def _addmm(
    output: Tensor,
    input: Tensor,
    mat1: Tensor,
    mat2: Tensor,
    *,
    beta: int | float = 1,
    alpha: int | float = 1,
    outputs: Tensor | None = None,
) -> Wiring:
    return _added(output, input, {"mat1": mat1, "mat2": mat2}, (beta, alpha), outputs)


def _addmv(
    output: Tensor,
    input: Tensor,
    mat: Tensor,
    vec: Tensor,
    *,
    beta: int | float = 1,
    alpha: int | float = 1,
    outputs: Tensor | None = None,
) -> Wiring:
    return _added(output, input, {"mat": mat, "vec": vec}, (beta, alpha), outputs)


def _baddbmm(
    output: Tensor,
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: int | float = 1,
    alpha: int | float = 1,
    outputs: Tensor | None = None,
) -> Wiring:
    return _added(output, input, {"batch1": batch1, "batch2": batch2}, (beta, alpha), outputs)


def _einsum(output: Tensor, equation: str, *operands: Tensor) -> Wiring:
    places = contracted(_spelled_out(equation, operands), operands)
    return Wiring({f"operands[{number}]": numbers for number, numbers in enumerate(places)})


def _spelled_out(equation: str, operands: Sequence[Tensor]) -> str:
    """Return an equation of einsum without spaces and ellipses, and with its right side."""
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    free = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in equation]
    widths = [
        operand.dim() - len(term.replace("...", "")) if "..." in term else 0
        for term, operand in zip(terms, operands, strict=True)
    ]
    dots = "".join(free[: max(widths, default=0)])
    terms = [term.replace("...", dots[len(dots) - width :]) for term, width in zip(terms, widths, strict=True)]
    if not arrow:
        letters = "".join(terms)
        right = "..." + "".join(
            sorted({letter for letter in letters if letters.count(letter) == 1 and letter not in dots})
        )
    return f"{','.join(terms)}->{right.replace('...', dots)}"


def zero_factors(argument: str, compute: Callable[[Arguments], Tensor]) -> Silencer:
    """Return the silencer of a sum of products: an element is silent when all that it is multiplied with is 0.

    Then its derivative with the sizes of all factors, which cannot cancel, adds up to 0.

    Args:
        argument: the input whose gradient is silenced.
        compute: the op, from its arguments by name.
    """

    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        sizes = {key: _size(value) for key, value in arguments.items()}
        moving = argument_value(sizes, argument).requires_grad_()
        with torch.enable_grad():
            total = compute(sizes).sum()
        slope: Tensor = torch.autograd.grad(total, moving)[0]
        return slope == 0

    return Silencer("multiplied by zeros", "multiplied by zeros only, or not used", argument, find)


def _size(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().abs()
    if isinstance(value, list | tuple):
        return [_size(part) for part in value]
    return value


def _silencers(arguments: tuple[str, str], call: Callable[[Tensor, Tensor], Tensor]) -> tuple[Silencer, ...]:
    first, second = arguments
    return tuple(zero_factors(name, lambda sizes: call(sizes[first], sizes[second])) for name in arguments)


@cache
def _einsum_of(count: int) -> OpRule:
    bases = [IndexedBase(letter, real=True) for letter in ("x", "w", "z", "u", "v", "a", "b", "c")[:count]]
    slots: dict[str, Expr] = {f"operands[{number}]": base[K] for number, base in enumerate(bases)}
    product = Sum(Mul(*slots.values()), (K, 1, N))
    silencers = tuple(
        zero_factors(name, lambda sizes: torch.einsum(sizes["equation"], *sizes["operands"])) for name in slots
    )
    return OpRule("einsum", product, slots, _einsum, silencers=silencers)


def _choose_einsum(arguments: Arguments) -> OpRule:
    return _einsum_of(len(arguments["operands"]))


_DOT = Sum(XS[K] * WS[K], (K, 1, N))
_BILINEAR = ("input1", "input2", "weight")


def _adding(name: str, wire: Callable[..., Wiring], first: str, second: str) -> OpRule:
    def factor_is_zero(argument: str, factor: str) -> Silencer:
        def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
            return torch.tensor(arguments.get(factor, 1) == 0)

        return Silencer("multiplied by 0", f"multiplied by {factor} = 0", argument, find)

    return OpRule(
        name,
        BETA * B + ALPHA * _DOT,
        {"input": B, first: XS[K], second: WS[K]},
        wire,
        silencers=(
            *_silencers((first, second), torch.matmul),
            factor_is_zero("input", "beta"),
            factor_is_zero(first, "alpha"),
            factor_is_zero(second, "alpha"),
        ),
    )


PRODUCTS: tuple[OpRule, ...] = (
    OpRule(
        "linear",
        _DOT + B,
        {"input": XS[K], "weight": WS[K], "bias": B},
        _linear,
        silencers=_silencers(("input", "weight"), torch.nn.functional.linear),
    ),
    OpRule(
        "bilinear",
        Sum(XS[K] * ZS[K] * WS[K], (K, 1, N)) + B,
        {"input1": XS[K], "input2": ZS[K], "weight": WS[K], "bias": B},
        _bilinear,
        silencers=tuple(
            zero_factors(name, lambda sizes: torch.nn.functional.bilinear(*(sizes[key] for key in _BILINEAR)))
            for name in _BILINEAR
        ),
        note="k runs over all pairs of an element of the first and one of the second input.",
    ),
    OpRule(
        "matmul",
        _DOT,
        {"input": XS[K], "other": WS[K]},
        _matmul,
        silencers=_silencers(("input", "other"), torch.matmul),
    ),
    OpRule(
        "rmatmul",
        _DOT,
        {"input": XS[K], "other": WS[K]},
        _reflected,
        silencers=_silencers(("input", "other"), lambda first, second: second @ first),
    ),
    OpRule(
        "mm",
        _DOT,
        {"input": XS[K], "mat2": WS[K]},
        lambda output, input, mat2, *, outputs=None: Wiring(
            _renamed(_matmul(output, input, mat2, outputs=outputs), other="mat2")
        ),
        silencers=_silencers(("input", "mat2"), torch.mm),
    ),
    OpRule(
        "bmm",
        _DOT,
        {"input": XS[K], "mat2": WS[K]},
        lambda output, input, mat2, *, outputs=None: Wiring(
            _renamed(_matmul(output, input, mat2, outputs=outputs), other="mat2")
        ),
        silencers=_silencers(("input", "mat2"), torch.bmm),
    ),
    OpRule(
        "mv",
        _DOT,
        {"input": XS[K], "vec": WS[K]},
        lambda output, input, vec, *, outputs=None: Wiring(
            _renamed(_matmul(output, input, vec, outputs=outputs), other="vec")
        ),
        silencers=_silencers(("input", "vec"), torch.mv),
    ),
    OpRule(
        "dot",
        _DOT,
        {"input": XS[K], "other": WS[K]},
        _matmul,
        aliases=("vdot",),
        silencers=_silencers(("input", "other"), torch.matmul),
    ),
    OpRule(
        "outer",
        X * B,
        {"input": X, "vec2": B},
        _outer,
        aliases=("ger",),
        silencers=_silencers(("input", "vec2"), torch.outer),
    ),
    _adding("addmm", _addmm, "mat1", "mat2"),
    _adding("addmv", _addmv, "mat", "vec"),
    _adding("baddbmm", _baddbmm, "batch1", "batch2"),
    OpRule(
        "einsum",
        _DOT,
        {"operands[0]": XS[K], "operands[1]": WS[K]},
        _einsum,
        choose=_choose_einsum,
        note="k runs over every index that the output does not have.",
    ),
)


def _renamed(wiring: Wiring, **names: str) -> dict[str, Tensor]:
    return {names.get(argument, argument): places for argument, places in wiring.places.items()}
