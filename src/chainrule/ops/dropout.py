"""Rules of dropout: y = x·m/(1 − p), with a mask m of zeros and ones that was drawn at random.

The mask is read off from the output: where it is 0 and the input is not, the element was dropped. Where the input is 0
itself, both masks give 0; `draw_mask` draws the mask again from the generator's recorded state, and whoever has it
passes it as the argument `mask`.
"""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from sympy import Symbol

from chainrule.ops.letters import ALPHA, P, X
from chainrule.ops.places import Arguments, Wiring, numbered
from chainrule.ops.rule import OpRule, Silencer
from chainrule.shapes import Bool, Tensor

KEPT = Symbol("m", real=True)
SCALE = Symbol("s", real=True)
SELU_LIMIT = 1.7580993408473766  # α·λ of SELU, which alpha dropout puts in place of what it drops


def draw_mask(name: str, arguments: Arguments, random_state: Tensor) -> Bool[Tensor, "..."]:
    """Return which elements a recorded dropout kept, by running it again on ones with the generator's state.

    Args:
        name: torch's function name: "dropout", "dropout2d", "alpha_dropout", ...; or "scaled_dot_product_attention",
            whose mask is that of its shares, (..., queries, keys). Only on a CPU does it draw it in this way.
        arguments: of the recorded call, by torch's names.
        random_state: of the generator of the input's device before the call. The generator is left as it was.
    """
    if name == "scaled_dot_product_attention":
        ones = _scores_of(arguments)
        name, settings = "dropout", {"p": arguments["dropout_p"], "training": True}
    else:
        ones = torch.ones_like(arguments["input"].detach())
        settings = {"p": arguments.get("p", 0.5), "training": arguments.get("training", name in _ON_BY_DEFAULT)}
    device, drop = ones.device, getattr(F, name.removesuffix("_"))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        if device.type == "cuda":
            torch.cuda.set_rng_state(random_state, device)
        else:
            torch.set_rng_state(random_state)
        drawn: Tensor = drop(ones, **settings)
    # What is kept of a one stays positive, and what is dropped does not.
    return drawn > 0


def _scores_of(arguments: Arguments) -> Tensor:
    """Return ones in the shape and type of the shares of an attention."""
    query: Tensor = arguments["query"].detach()
    key: Tensor = arguments["key"].detach()
    if arguments.get("enable_gqa"):  # heads of queries share one of the keys
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    return torch.ones_like(query @ key.transpose(-1, -2))


_ON_BY_DEFAULT = ("dropout", "dropout1d", "dropout2d", "dropout3d")


def _dropping(dropped_to: Callable[[float], float], is_on: bool) -> Callable[..., Wiring]:
    def wire(
        output: Tensor,
        input: Tensor,
        p: int | float = 0.5,
        training: bool = is_on,
        inplace: bool = False,
        mask: Tensor | None = None,
    ) -> Wiring:
        kept = _kept(output, input, dropped_to(p)) if mask is None else mask
        numbers: dict[Symbol, Tensor | float] = {KEPT: kept.reshape(-1).to(torch.float64), P: float(p)}
        numbers[ALPHA] = SELU_LIMIT
        numbers[SCALE] = _alpha_scale(p)
        return Wiring({"input": numbered(input).reshape(-1)}, numbers)

    return wire


def _kept(output: Tensor, input: Tensor, dropped: float) -> Tensor:
    if dropped == 0.0:
        return (output.detach() != 0) | (input.detach() == 0)
    rounding = 4 * torch.finfo(output.dtype).eps
    return (output.detach().to(torch.float64) - dropped).abs() > rounding * abs(dropped)


def _alpha_scale(p: int | float) -> float:
    return 0.0 if p >= 1 else 1 / math.sqrt((1 - p) * (1 + p * SELU_LIMIT**2))


def _alpha_dropped(p: int | float) -> float:
    return _alpha_scale(p) * SELU_LIMIT * (p - 1)


def _dropped(wire: Callable[..., Wiring]) -> Silencer:
    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        return (wire(output, **arguments).numbers[KEPT] == 0).reshape(output.shape)  # type: ignore[union-attr]

    return Silencer("dropped", "dropped at random (dropout)", "input", find)


def _rule(name: str) -> OpRule:
    is_on, is_alpha = name in _ON_BY_DEFAULT, "alpha" in name
    wire = _dropping(_alpha_dropped if is_alpha else lambda p: 0.0, is_on)
    silencers = (_dropped(wire),)
    unit = "channel" if _by_channel(name) else "element"
    note = f"m is 1 where the {unit} was kept and 0 where it was dropped."
    if is_alpha:
        note += " α = 1.7581, and s = 1/√((1 − p)·(1 + p·α²)) keeps mean 0 and variance 1."
    formula = SCALE * (X * KEPT + ALPHA * (KEPT - 1 + P)) if is_alpha else X * KEPT / (1 - P)
    idle = OpRule(name, X, {"input": X}, wire, note="It does nothing in evaluation mode and with p = 0.")
    all_dropped = OpRule(name, X * KEPT, {"input": X}, wire, silencers=silencers, note="p = 1 drops everything: m = 0.")

    def choose(arguments: Arguments) -> OpRule:
        share = arguments.get("p", 0.5)
        if not arguments.get("training", is_on) or share == 0:
            return idle
        return all_dropped if share == 1 else dropping

    dropping = OpRule(name, formula, {"input": X}, wire, choose=choose, silencers=silencers, note=note)
    return dropping


def _by_channel(name: str) -> bool:
    return name.startswith("feature") or name[-2:] in ("1d", "2d", "3d")


DROPOUT: tuple[OpRule, ...] = tuple(
    _rule(name) for name in ("dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
)
