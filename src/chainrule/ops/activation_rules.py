"""Rules of the activations of torch.nn, with the formulas of the catalogue."""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from sympy import Expr, Max, Min, Symbol, exp

from chainrule.activations.elementwise import ALPHA, BETA, ELEMENTWISE, FILL, HIGH, LAMBDA, LIMIT, LOW
from chainrule.formulas import Sigmoid, Softplus
from chainrule.ops.differentiation import differentiate
from chainrule.ops.evaluation import Numbers, evaluate
from chainrule.ops.letters import XS, K, W, X, Y
from chainrule.ops.places import Arguments, Wiring, aligned, numbered, optional, tensor_argument
from chainrule.ops.rule import OpRule, Silencer
from chainrule.shapes import Tensor

_FORMULAS = {(rule.name, rule.option[1] if rule.option else ""): rule for rule in ELEMENTWISE}
_GRID = torch.linspace(-40.0, 40.0, 8001, dtype=torch.float64)


def _one(output: Tensor, input: Tensor, inplace: bool = False) -> Wiring:
    return Wiring(optional("input", input, output))


def _leaky(output: Tensor, input: Tensor, negative_slope: int | float = 0.01, inplace: bool = False) -> Wiring:
    return Wiring(optional("input", input, output), {ALPHA: negative_slope})


def _elu(output: Tensor, input: Tensor, alpha: int | float = 1.0, inplace: bool = False) -> Wiring:
    return Wiring(optional("input", input, output), {ALPHA: alpha})


def _selu(output: Tensor, input: Tensor, inplace: bool = False) -> Wiring:
    constants = {symbol: float(value) for symbol, value in _FORMULAS["SELU", ""].constants}
    return Wiring(optional("input", input, output), constants)


def _gelu(output: Tensor, input: Tensor, *, approximate: str = "none") -> Wiring:
    return _one(output, input)


def _prelu(output: Tensor, input: Tensor, weight: Tensor) -> Wiring:
    channels = weight.numel() if input.dim() > 1 else 1
    place = numbered(weight).reshape([channels if axis == 1 else 1 for axis in range(max(input.dim(), 1))])
    return Wiring(optional("input", input, output) | {"weight": aligned(place, output.shape)})


def _rrelu(
    output: Tensor,
    input: Tensor,
    lower: int | float = 1.0 / 8,
    upper: int | float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Wiring:
    slope: Tensor | float = (lower + upper) / 2
    if training:  # drawn at random for each element: read off the output
        slope = torch.where(input < 0, output / input, slope).reshape(-1).to(torch.float64)
    return Wiring(optional("input", input, output), {ALPHA: slope})


def _threshold(
    output: Tensor, input: Tensor, threshold: int | float, value: int | float, inplace: bool = False
) -> Wiring:
    return Wiring(optional("input", input, output), {LIMIT: threshold, FILL: value})


def _hardtanh(
    output: Tensor, input: Tensor, min_val: int | float = -1.0, max_val: int | float = 1.0, inplace: bool = False
) -> Wiring:
    return Wiring(optional("input", input, output), {LOW: min_val, HIGH: max_val})


def _softplus(output: Tensor, input: Tensor, beta: int | float = 1.0, threshold: int | float = 20.0) -> Wiring:
    return Wiring(optional("input", input, output), {BETA: beta, LIMIT: threshold})


def _shrink(output: Tensor, input: Tensor, lambd: int | float = 0.5) -> Wiring:
    return Wiring(optional("input", input, output), {LAMBDA: lambd})


def _glu(output: Tensor, input: Tensor, dim: int = -1) -> Wiring:
    first, second = numbered(input).chunk(2, dim)
    # One argument stands in two slots: the halves are an axis of two.
    return Wiring({"input": torch.stack([first.reshape(-1), second.reshape(-1)], dim=1)})


def _ungated(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    dim = arguments.get("dim", -1)
    value, gate = arguments["input"].chunk(2, dim)
    opened = torch.sigmoid(gate)
    return torch.cat([opened <= threshold, (value * opened * (1 - opened)).abs() <= threshold / 4], dim)


def _unused_slope(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    slopes, moved = tensor_argument(arguments, "weight"), tensor_argument(arguments)
    places = _prelu(output, moved, slopes).places["weight"]
    used = torch.zeros(slopes.numel(), dtype=torch.bool)
    used[places[(moved < 0).reshape(-1)]] = True
    return ~used.reshape(slopes.shape)


@cache
def _slope(expression: Expr) -> Expr:
    """Return the derivative; taken when it is first needed, because all of them take longer than the rest of import."""
    return differentiate(expression, X, (X,))


def _flat(expression: Expr, name: str, words: str, wire: Callable[..., Wiring]) -> Silencer:
    """A silencer where the slope is below a share of the largest that the activation has anywhere."""

    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        given = {key: value for key, value in arguments.items() if key not in ("input", "inplace", "weight")}
        settings = {
            key: number
            for key, number in wire(output, arguments["input"], **given).numbers.items()
            if isinstance(key, Symbol)
        }

        def size_at(points: Tensor, scale: Mapping[Symbol, Any]) -> Tensor:
            return evaluate(_slope(expression), Numbers({X: points, **scale}, {}, points.numel())).abs()

        plain = {key: float(number.max()) if isinstance(number, Tensor) else number for key, number in settings.items()}
        largest = float(size_at(_GRID, plain).nan_to_num().max())
        sizes = size_at(arguments["input"].detach().reshape(-1).to(torch.float64), settings)
        return (sizes <= threshold * largest).reshape(arguments["input"].shape)

    return Silencer(name, words, "input", find)


def _catalogued(
    name: str,
    kind: str,
    words: str = "",
    wire: Callable[..., Wiring] = _one,
    *,
    silencer: str = "saturated",
    school: Expr | None = None,
    stable: Expr | None = None,
    formula: Expr | None = None,
    option: str = "",
    note: str = "",
    choose: Callable[[Arguments], OpRule] | None = None,
) -> OpRule:
    expression = _FORMULAS[kind, option].expression if formula is None else formula
    return OpRule(
        name,
        expression,
        {"input": X},
        wire,
        stable=stable,
        school={} if school is None else {"input": school},
        choose=choose,
        silencers=(_flat(expression, silencer, words, wire),) if words else (),
        note=note,
    )


_RAMP = Max(0, X) + ALPHA * Min(0, X)
_PRELU = Max(0, X) + W * Min(0, X)
_TAILS = "so far below 0 that it is flat, or at its lowest point"
_CENTRE = "between −λ and λ, where the output is 0"

_GELU_TANH = _catalogued("gelu", "GELU", f"where GELU is flat: {_TAILS}", _gelu, option="tanh")
_GELU = _catalogued("gelu", "GELU", f"where GELU is flat: {_TAILS}", _gelu, option="none")


def _choose_gelu(arguments: Arguments) -> OpRule:
    return _GELU_TANH if arguments.get("approximate", "none") == "tanh" else _GELU


ACTIVATIONS: tuple[OpRule, ...] = (
    _catalogued("relu", "ReLU", "negative, where ReLU is flat", silencer="ReLU is flat"),
    _catalogued("relu6", "ReLU6", "negative or above 6, where ReLU6 is flat", silencer="ReLU6 is flat"),
    _catalogued("leaky_relu", "LeakyReLU", "negative, where the slope is only α", _leaky, silencer="small slope"),
    OpRule(
        "prelu",
        _PRELU,
        {"input": X, "weight": W},
        _prelu,
        silencers=(
            Silencer("no negative input", "a slope that no input of its channel uses", "weight", _unused_slope),
            Silencer(
                "slope 0",
                "negative, where PReLU's slope is 0",
                "input",
                lambda arguments, output, threshold: (
                    (arguments["input"] <= 0)
                    & (
                        arguments["weight"]
                        .flatten()[_prelu(output, arguments["input"], arguments["weight"]).places["weight"]]
                        .reshape(output.shape)
                        .abs()
                        <= threshold
                    )
                ),
            ),
        ),
        note="w is the slope for negative inputs: one for all, or one for each channel.",
    ),
    _catalogued(
        "rrelu",
        "RReLU",
        "negative, where the slope is only α",
        _rrelu,
        silencer="small slope",
        formula=_RAMP,
        note="α is drawn for each element in training; in evaluation it is the middle of lower and upper.",
    ),
    _catalogued("threshold", "Threshold", "not above the threshold", _threshold, silencer="below the threshold"),
    _catalogued("elu", "ELU", "so far below 0 that ELU is flat (saturated)", _elu),
    _catalogued("celu", "CELU", "so far below 0 that CELU is flat (saturated)", _elu),
    _catalogued("selu", "SELU", "so far below 0 that SELU is flat (saturated)", _selu),
    _catalogued("gelu", "GELU", f"where GELU is flat: {_TAILS}", _gelu, option="none", choose=_choose_gelu),
    _catalogued("silu", "SiLU", f"where SiLU is flat: {_TAILS}"),
    _catalogued("mish", "Mish", f"where Mish is flat: {_TAILS}"),
    _catalogued("hardswish", "Hardswish", "at most −3, or −1.5, where Hardswish is flat", silencer="Hardswish is flat"),
    _catalogued(
        "sigmoid",
        "Sigmoid",
        "so far from 0 that the sigmoid is flat (saturated)",
        formula=Sigmoid(X),
        school=Y * (1 - Y),
    ),
    _catalogued("hardsigmoid", "Hardsigmoid", "outside of −3 to 3, where it is flat (saturated)"),
    _catalogued(
        "logsigmoid",
        "LogSigmoid",
        "so far above 0 that it is flat (saturated)",
        stable=-Softplus(-X),
        school=1 - exp(Y),
    ),
    _catalogued("tanh", "Tanh", "so far from 0 that tanh is flat (saturated)", school=1 - Y**2),
    _catalogued("hardtanh", "Hardtanh", "outside of its bounds, where Hardtanh is flat (saturated)", _hardtanh),
    _catalogued("tanhshrink", "Tanhshrink", "so near 0 that Tanhshrink is flat", silencer="flat at 0"),
    _catalogued("softsign", "Softsign", "so far from 0 that Softsign is flat (saturated)"),
    _catalogued("softplus", "Softplus", "so far below 0 that Softplus is flat (saturated)", _softplus),
    _catalogued("softshrink", "Softshrink", _CENTRE, _shrink, silencer="shrunk to 0"),
    _catalogued("hardshrink", "Hardshrink", _CENTRE, _shrink, silencer="shrunk to 0"),
    OpRule(
        "glu",
        XS[0] * Sigmoid(XS[1]),
        {"input": XS[K]},
        _glu,
        silencers=(
            Silencer("gate closed", "behind a gate that is closed, or before one that gates 0", "input", _ungated),
        ),
        note="x[0] is an element of the first half of the input, x[1] the one at the same place of the second half.",
    ),
)
