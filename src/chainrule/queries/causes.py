"""What an op does that keeps a gradient from coming through, from its rule or from the numbers around it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from chainrule.ops import OpRule, Silencer, argument_name, bind, rule_of
from chainrule.queries.again import pull_back
from chainrule.queries.measured import Measured
from chainrule.queries.recorded import MISFITS, RunAgainError, does_not_fit, is_smooth
from chainrule.queries.saying import Evidence, Severity, call_of, name_of, names, number
from chainrule.shapes import Tensor
from chainrule.trace import Op, Use, Value, ValueRef, walk

FLAT = 1e-3  # times the largest that a local derivative can be: below it, an activation is called flat
_RECTIFIERS = frozenset(
    {"relu", "relu6", "threshold", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "softplus", "prelu"}
)
_BOUNDED = frozenset({"sigmoid", "tanh", "softmax", "softmin", "log_softmax", "hardsigmoid", "hardtanh", "softsign"})
_ELEMENTWISE = _RECTIFIERS | {"sigmoid", "tanh", "hardsigmoid", "hardtanh", "softsign"}
_RECURRENT = frozenset({"lstm", "gru", "rnn_tanh", "rnn_relu"})
_SOFTMAX = frozenset({"softmax", "softmin", "log_softmax"})
_DROPOUTS = frozenset({"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"})
_PRODUCTS = frozenset(
    {
        "linear",
        "matmul",
        "mm",
        "bmm",
        "mv",
        "dot",
        "addmm",
        "baddbmm",
        "addmv",
        "addbmm",
        "einsum",
        "outer",
        "mul",
        "multiply",
        "bilinear",
        "batch_norm",
        "layer_norm",
        "group_norm",
        "instance_norm",
        "rms_norm",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
    }
)
_LOSSES = frozenset(
    {
        "cross_entropy",
        "nll_loss",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "binary_cross_entropy",
        "soft_margin_loss",
        "binary_cross_entropy_with_logits",
        "kl_div",
        "poisson_nll_loss",
        "gaussian_nll_loss",
        "hinge_embedding_loss",
        "ctc_loss",
        "margin_ranking_loss",
        "multi_margin_loss",
        "multilabel_margin_loss",
        "triplet_margin_loss",
        "cosine_embedding_loss",
    }
)
_CODES = {
    "saturated": "saturated",
    "clamped": "saturated",
    "gate closed": "saturated",
    "decided query": "saturated",
    "underflow": "saturated",
    "dropped": "dropped",
    "overwritten": "overwritten",
    "masked": "masked",
    "not chosen": "masked",
    "masked key": "masked",
    "masked value": "masked",
    "fully masked query": "masked",
    "ignored": "all-ignored",
    "already right": "at-minimum",
    "margin met": "at-minimum",
    "flat": "flat",
    "multiplied by 0": "multiplied-by-zero",
    "multiplied by zeros": "multiplied-by-zero",
    "weight 0": "multiplied-by-zero",
}
_SELECTIONS = frozenset({"left out", "not selected", "not the largest", "not the smallest", "not the largest of any"})
_REMEDIES = {
    "dead-units": "Lower the learning rate, raise the biases, initialise by kaiming_normal_, or use LeakyReLU: its "
    "slope is nowhere 0.",
    "saturated": "Make its input smaller: normalise what comes in, initialise by xavier_normal_ with the gain of the "
    "activation, or use an activation that does not saturate.",
    "single-entry": "For one logit use sigmoid, or BCEWithLogitsLoss without it; else check dim.",
    "dropped": "Lower the probability of dropout below 1, or switch it off.",
    "masked": "Look at the mask: it lets none of these values through.",
    "not-selected": "Nothing is wrong if another batch selects it; otherwise look at what chooses.",
    "overwritten": "What is written over cannot reach the loss; write to a new tensor instead.",
    "all-ignored": "Look at the targets: every one of them is ignore_index.",
    "at-minimum": "",
    "flat": "Replace it by something with a slope, or pass the gradient straight through: x + (round(x) − x).detach().",
    "multiplied-by-zero": "Find out why the factor is 0; nothing that it is multiplied with can learn.",
    "zero-input": "Find out why its input is 0; a weight learns nothing from inputs of 0.",
    "zero-weights": "Initialise it to something else than 0, unless this is meant: it has a gradient itself, so it "
    "moves with the next update.",
    "underflow": "Scale the loss (torch.amp.GradScaler), or compute this part in float32.",
    "custom-backward": "Check the backward of the Function against finite differences: chainrule.verify.",
    "silenced": "",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an op lets nothing (or next to nothing) through.

    Attributes:
        code: the finding's code.
        words: a clause: "its input is negative, where ReLU is flat".
        severity: how bad it is when a whole parameter is hit.
        evidence: numbers that show it.
    """

    code: str
    words: str
    severity: Severity = "error"
    evidence: Evidence = field(default_factory=dict)

    @property
    def remedy(self) -> str:
        """What to try."""
        if self.code == "zero-weights" and self.severity == "error":
            return "Initialise it to something else than 0: neither it nor what lies below can ever move."
        return _REMEDIES.get(self.code, "")


def cause_of(measured: Measured, op: Op, use: Use, *, is_exact: bool) -> Cause:
    """Return why an op sends back zeros, or next to nothing, of an adjoint that is not zero.

    Args:
        measured: the trace.
        op: the op.
        use: the use of the value that gets nothing.
        is_exact: whether it gets exactly zero.
    """
    plain = op.name.rstrip("_")
    for find in (
        _lost_precision,
        _of_single_entry,
        _of_own_function,
        _of_dropout,
        _of_loss,
        _of_factor,
        _of_rule,
        _of_numbers,
    ):
        cause = find(measured, op, use, plain, is_exact)
        if cause is not None:
            return cause
    words = "its local derivative is zero at these values" if is_exact else "its local derivative is next to zero there"
    return _at_minimum(measured, Cause("silenced", words, "error", _range(measured, use)))


def cause_of_units(measured: Measured, op: Op, use: Use, axis: int, units: Sequence[int]) -> Cause:
    """Return why an op sends nothing back to some units of its input, which `stopped_units` has returned."""
    value, plain = measured.trace.values[use.value], op.name.rstrip("_")
    places = torch.tensor(units)
    if isinstance(value.data, Tensor) and bool(
        (value.data.index_select(axis, places.to(value.data.device)) == -torch.inf).all()
    ):
        return Cause("masked", f"{'its' if len(units) == 1 else 'their'} input is −∞, masked out", "note")
    for silencer, mask in silencing(measured, op, use, FLAT):
        part = mask.index_select(axis, places.to(mask.device))
        if bool(part.all()):
            code = _code_of(plain, silencer)
            whose = "its" if len(units) == 1 else "their"
            return Cause(code, f"{whose} {_role(op, use)} is {silencer.words}", "warning")
    for other in _other_factors(measured, op, use):
        data = other.data
        if isinstance(data, Tensor) and data.shape == (value.shape[axis],) and not bool(data[list(units)].any()):
            own = other.adjoint
            moves = isinstance(own, Tensor) and bool(own[list(units)].all())
            words = f"it multiplies by entries of {name_of(other)} that are 0"
            return Cause("zero-weights", words, "note" if moves else "warning")
    code = "dead-units" if plain in _RECTIFIERS else "saturated" if plain in _BOUNDED else "silenced"
    return Cause(code, "its local derivative is zero at these values, or next to zero", "warning")


def stopped_units(measured: Measured, op: Op, use: Use, axis: int, units: Sequence[int]) -> tuple[int, ...]:
    """Return those of some units that an op stops, whatever comes back to it.

    An activation that is not flat everywhere has not stopped a unit, though nothing may come back where it is steep.
    `axis` is the units' own.
    """
    if op.name.rstrip("_") not in _ELEMENTWISE:
        return tuple(units)
    masks = silencing(measured, op, use, FLAT)
    if not masks:
        return tuple(units)
    flat = torch.stack([mask for _, mask in masks]).any(0)
    flat = flat.movedim(axis, 0).reshape(flat.shape[axis], -1).all(1)
    return tuple(unit for unit in units if bool(flat[unit]))


def is_bounded(name: str) -> bool:
    """Whether an op is an activation that can saturate."""
    return name.rstrip("_") in _BOUNDED or name.rstrip("_") in _RECTIFIERS or name.startswith("clamp")


def is_recurrent(name: str) -> bool:
    """Whether an op is a whole recurrent network."""
    return name in _RECURRENT


def bound_arguments(measured: Measured, op: Op) -> dict[str, Any] | None:
    """Return an op's arguments by name, with their tensors; None when a tensor is not kept."""
    numbers = {use.value: measured.trace.values[use.value].data for use in op.inputs}
    needed = {leaf.value for _, leaf in walk((op.arguments, dict(op.keywords))) if isinstance(leaf, ValueRef)}
    if not all(isinstance(numbers.get(value), Tensor) for value in needed):
        return None
    return bind(op, lambda value: numbers[value])


def silencing(measured: Measured, op: Op, use: Use, threshold: float = 0.0) -> list[tuple[Silencer, Tensor]]:
    """Return what silences an argument of an op by its rule, each with its mask, as far as tensors are kept."""
    rule: OpRule | None = rule_of(op)
    made = measured.made(op)
    if rule is None or not rule.silencers or not made or op.opaque:
        return []
    output, arguments = made[0].data, bound_arguments(measured, op)
    if arguments is None or not isinstance(output, Tensor):
        return []
    name = argument_name(op, use.place)
    try:
        silencers = [one for one in rule.chosen(arguments).silencers or rule.silencers if one.argument == name]
        return [(one, one.mask(arguments, output, threshold)) for one in silencers]
    except MISFITS as error:
        if op.run is not None:
            raise
        raise does_not_fit(op, error) from error


# -- one after the other, the surest first


def _lost_precision(measured: Measured, op: Op, use: Use, plain: str, is_exact: bool) -> Cause | None:
    """Underflow: the exact product is not zero, but below the smallest number of its dtype.

    What an op sends back is linear in the adjoint, so it is asked again with the adjoint scaled up to 1.
    """
    above, value, made = measured.above(op), measured.trace.values[use.value], measured.made(op)
    if not is_exact or above is None or above.largest == 0 or not value.dtype.startswith(("float", "bfloat")):
        return None
    facts = torch.finfo(getattr(torch, value.dtype))
    adjoints = {one.id: one.adjoint for one in made}
    if above.largest > facts.smallest_normal * 1e6:
        return None
    scaled = {key: one / above.largest for key, one in adjoints.items() if isinstance(one, Tensor)}
    is_lost = False
    try:
        sent = pull_back(measured.trace, op, scaled, [value.id]).get(value.id)
        is_lost = sent is not None and bool(sent.count_nonzero())
    except RunAgainError:
        scaled = {}
    if not scaled:  # of statistics, only the size is known
        is_lost = above.largest <= facts.smallest_normal
    if not is_lost:
        return None
    words = (
        f"the adjoint that comes to it is at most {above.largest:.3g}, and its product with the local derivative is "
        f"below the smallest number of {value.dtype}, so it becomes 0 (underflow)"
    )
    return Cause("underflow", words, "error", {"largest adjoint above": number(above.largest), "dtype": value.dtype})


def _of_own_function(measured: Measured, op: Op, use: Use, plain: str, is_exact: bool) -> Cause | None:
    if not op.opaque or op.name == "view again":
        return None
    return Cause("custom-backward", "its backward, which is written by hand, returns zeros")


def _of_single_entry(measured: Measured, op: Op, use: Use, plain: str, is_exact: bool) -> Cause | None:
    """Softmax over a dimension of size 1."""
    shape = measured.trace.values[use.value].shape
    if use.place not in ((0,), ("input",)) or not shape:
        return None
    if plain in _SOFTMAX:
        given = op.keywords.get("dim", op.arguments[1] if len(op.arguments) > 1 else None)
        implicit = 0 if len(shape) in (1, 3) else 1  # what PyTorch takes where dim is not given
        dim = given if isinstance(given, int) else implicit
        if -len(shape) <= dim < len(shape) and shape[dim] == 1:
            words = f"each row has one entry (dim {dim} of its input {list(shape)} has size 1), so {plain} is "
            words += f"{0 if plain.startswith('log') else 1} whatever the entry is"
            return Cause("single-entry", words, "error", {"dim": dim})
    if plain == "cross_entropy" and (shape[1] if len(shape) > 1 else shape[0]) == 1:
        words = f"there is one class (its input is {list(shape)}), whose probability is 1 whatever the logit is"
        return Cause("single-entry", words)
    return None


def _of_dropout(measured: Measured, op: Op, use: Use, plain: str, is_exact: bool) -> Cause | None:
    if plain not in _DROPOUTS or not is_exact:
        return None
    chance = _argument(op, "p", 1, 0.5)
    return Cause("dropped", f"dropout sets everything to 0 (p = {chance:g})", "error", {"p": chance})


def _of_loss(measured: Measured, op: Op, use: Use, plain: str, is_exact: bool) -> Cause | None:
    made = measured.made(op)
    if plain not in _LOSSES or not made:
        return None
    found = [silencer for silencer, mask in silencing(measured, op, use) if bool(mask.all())]
    if plain in ("cross_entropy", "nll_loss") and (
        any(one.name == "ignored" for one in found) or _is_all_ignored(measured, op)
    ):
        return Cause("all-ignored", "every target is ignore_index, so no sample takes part in the loss")
    loss = measured.data(made[0])
    if loss is not None and loss.nonzero == 0:
        words = "the loss is exactly 0 there, its minimum: nothing is left to learn from this batch"
        return Cause("at-minimum", words, "note", {"loss": 0.0})
    return None


def _is_all_ignored(measured: Measured, op: Op) -> bool:
    targets = [measured.trace.values[use.value] for use in op.inputs if use.place in ((1,), ("target",))]
    ignored = _argument(op, "ignore_index", 4, -100)
    size = measured.data(targets[0]) if targets and not is_smooth(targets[0]) else None
    return size is not None and size.count > 0 and size.lowest == size.highest == ignored


def _of_factor(measured: Measured, op: Op, use: Use, plain: str, is_exact: bool) -> Cause | None:
    """A product of which the other factor is zero."""
    if plain.lstrip("ir") not in _PRODUCTS and plain not in _PRODUCTS and plain not in ("imul", "rmul"):
        return None
    factors = _other_factors(measured, op, use)
    zero = [value for value in factors if (size := measured.data(value)) is not None and size.nonzero == 0]
    if not zero:
        scalar = [leaf for _, leaf in walk(op.arguments[:2]) if isinstance(leaf, int | float)]
        if plain.endswith("mul") and 0 in scalar:
            return Cause("multiplied-by-zero", "it multiplies by the number 0")
        return None
    value = zero[0]
    if value.kind != "parameter" and measured.trace.values[use.value].kind == "parameter":
        maker = _maker_of_zeros(measured, value)
        words = f"what it is multiplied with, {name_of(value)}, is zero everywhere"
        words += f" (made so by {call_of(maker)})" if maker is not None else ""
        return Cause("zero-input", words, "warning" if maker is None else "note")
    if value.kind != "parameter":
        return Cause("multiplied-by-zero", f"what it is multiplied with, {name_of(value)}, is zero everywhere")
    own = measured.adjoint(value)
    moves = own is not None and own.nonzero > 0
    words = f"it multiplies by {name_of(value)}, and every entry of that parameter is 0"
    words += "; it has a gradient itself, so the next update ends this" if moves else ""
    return Cause("zero-weights", words, "note" if moves else "error", {"parameter": name_of(value)})


def _maker_of_zeros(measured: Measured, value: Value) -> Op | None:
    """Return the op that made a value zero of inputs that are not; None where it was given as zeros."""
    while value.producer is not None:
        op = measured.trace.ops[value.producer]
        taken = [measured.trace.values[use.value] for use in op.inputs if use.value not in op.outputs]
        first = next((one for one in taken if is_smooth(one) and one.kind != "parameter"), None)
        size = None if first is None else measured.data(first)
        if first is None or size is None or size.nonzero > 0:
            return op
        value = first
    return None


def _other_factors(measured: Measured, op: Op, use: Use) -> list[Value]:
    """Return what an op multiplies an input with: its other inputs, but for biases and running statistics."""
    factors = []
    for other in op.inputs:
        value = measured.trace.values[other.value]
        name = argument_name(op, other.place)
        if other is use or name in ("bias", "running_mean", "running_var") or name.startswith("add"):
            continue
        factors.append(value)
    return factors


def _of_rule(measured: Measured, op: Op, use: Use, plain: str, is_exact: bool) -> Cause | None:
    value = measured.trace.values[use.value]
    zeros = _of_zeros(measured, value) if plain in _RECTIFIERS else None
    for silencer, mask in silencing(measured, op, use, 0.0 if is_exact else FLAT):
        share = _explained(measured, op, value, mask)
        if share >= (1.0 if is_exact else 0.5):
            code = _code_of(plain, silencer)
            severity: Severity = "warning" if code == "not-selected" else "error"
            words = f"its {_role(op, use)} is {silencer.words}"
            if silencer.name == "flat":
                words = f"{op.name} is a staircase, flat between its jumps: its derivative is 0 everywhere"
            return _at_minimum(measured, zeros or Cause(code, words, severity, _range(measured, use)))
    return None


def _of_zeros(measured: Measured, value: Value) -> Cause | None:
    """What made the input of an activation 0 everywhere; None where it is not."""
    size = measured.data(value)
    if size is None or size.count == 0 or size.nonzero > 0:
        return None
    maker = _maker_of_zeros(measured, value)
    inputs = [] if maker is None else [measured.trace.values[use.value] for use in maker.inputs]
    parameters = [one for one in inputs if one.kind == "parameter" and (own := measured.data(one)) and own.nonzero == 0]
    if parameters:
        found = [name_of(one) for one in parameters]
        words = f"its input is 0 everywhere: {names(found)} {'is' if len(found) == 1 else 'are'} 0"
        return Cause("zero-weights", words, "error", {"parameter": names(found)})
    words = "its input is 0 everywhere" + (f" (made so by {call_of(maker)})" if maker is not None else "")
    return Cause("zero-input", words)


def _code_of(plain: str, silencer: Silencer) -> str:
    if plain in _RECTIFIERS:
        return "dead-units"
    return "not-selected" if silencer.name in _SELECTIONS else _CODES.get(silencer.name, "silenced")


def _role(op: Op, use: Use) -> str:
    name = argument_name(op, use.place)
    return "input" if name.startswith(("input", "other", "tensor")) else name


def _explained(measured: Measured, op: Op, value: Value, mask: Tensor) -> float:
    """Return the share of the elements that a gradient comes to of which a mask says that none goes through."""
    made = measured.made(op)
    above = made[0].adjoint if made else None
    if isinstance(above, Tensor) and above.shape == mask.shape:
        arrives = above != 0
        count = int(arrives.sum())
        return 1.0 if count == 0 else int((mask & arrives).sum()) / count
    return float(mask.to(torch.float32).mean())


def _of_numbers(measured: Measured, op: Op, use: Use, plain: str, is_exact: bool) -> Cause | None:
    """Without tensors, or without a rule: what the name of the op and the range of its input say."""
    rule = rule_of(op)
    if rule is not None and rule.cuts:
        return Cause("flat", f"{op.name} is a staircase, flat between its jumps: its derivative is 0 everywhere")
    value = measured.trace.values[use.value]
    size = measured.data(value)
    evidence = _range(measured, use)
    if plain in _RECURRENT and "weight_hh" in name_of(value):
        words = "the states that it multiplies and that the loss can see are the initial ones, which are 0"
        return Cause("zero-input", words, "warning")
    zeros = _of_zeros(measured, value) if plain in _RECTIFIERS else None
    if zeros is not None:
        return zeros
    if plain in _RECTIFIERS and size is not None and size.highest <= 0:
        return Cause("dead-units", "its input is negative, where it is flat", "error", evidence)
    if plain in _RECTIFIERS or plain in _BOUNDED or plain.startswith("clamp"):
        code = "dead-units" if plain == "relu" else "saturated"
        return Cause(code, "its input lies where the activation is flat", "error", evidence)
    if plain in ("where", "masked_fill", "scaled_dot_product_attention"):
        return Cause("masked", "its mask lets none of these values through", "error", evidence)
    if plain in ("max_pool1d", "max_pool2d", "max_pool3d", "embedding", "scatter", "put"):
        return Cause("not-selected", "it takes none of these values", "warning", evidence)
    return None


def _at_minimum(measured: Measured, cause: Cause) -> Cause:
    """A loss that is 0 has a slope of 0, whatever op it is written with."""
    loss = measured.loss_number
    if loss == 0.0 and cause.code in ("silenced", "saturated", "flat", "dead-units"):
        words = "the loss is exactly 0, its minimum: nothing is left to learn from this batch"
        return Cause("at-minimum", words, "note", {"loss": 0.0})
    return cause


def _range(measured: Measured, use: Use) -> Evidence:
    size = measured.data(measured.trace.values[use.value])
    if size is None:
        return {}
    return {"input from": number(size.lowest), "input to": number(size.highest)}


def _argument(op: Op, name: str, position: int, default: float) -> float:
    named: Mapping[str, Any] = op.keywords
    found = named.get(name, op.arguments[position] if position < len(op.arguments) else default)
    return float(found) if isinstance(found, int | float) else default
