"""Rules of the losses that choose a class: cross-entropy, negative log likelihood, and margins between classes.

For cross-entropy with class numbers, ∂y/∂x[m,l] = (p[m,l] − δ[l,t[m]])/n with the softmax p: the prediction less the
target, the form in which it is taught.
"""
# ruff: noqa: A002  # the parameters of a wiring bear torch's own names

import torch
from sympy import IndexedBase, KroneckerDelta, Sum, Symbol, exp, log

from chainrule.formulas import Softplus
from chainrule.ops.differentiation import Largest
from chainrule.ops.hinges import StrictHinge
from chainrule.ops.letters import ALPHA, AS, XS, ZS, C, J, K, M, N, X
from chainrule.ops.loss_reductions import by_reduction, choosing, listed_letter, one_of, reduction_of, wired
from chainrule.ops.places import Arguments, Wiring, numbered
from chainrule.ops.rule import Hazard, OpRule, Silencer
from chainrule.shapes import Tensor

CLASS = Symbol("t", integer=True)
SHARE = IndexedBase("p", real=True)
CS = IndexedBase("c", real=True)
TOTAL = Symbol("s", real=True)
MARGIN = Symbol("m", real=True)
CLASSES = Symbol("n_c", positive=True)
OTHER, SHIFTED = Symbol("q", integer=True), Symbol("r", integer=True)


def _by_sample(scores: Tensor) -> Tensor:
    """Return element numbers (samples, classes) of scores whose classes are on axis 1, or on the only one."""
    places = numbered(scores)
    return places.reshape(1, -1) if scores.dim() == 1 else places.movedim(1, -1).reshape(-1, scores.shape[1])


def _class_facts(
    scores: Tensor, target: Tensor, weight: Tensor | None, ignore_index: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each sample its class, the weight of that class, and whether it counts."""
    labels = target.reshape(-1)
    counts = labels != ignore_index
    labels = labels.where(counts, torch.zeros_like(labels))
    weights = torch.ones(labels.shape, dtype=torch.float64) if weight is None else weight.detach().double()[labels]
    return labels, weights * counts, counts


def _nll(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    labels, weights, counts = _class_facts(input, target, weight, ignore_index)
    places = _by_sample(input).gather(1, labels.unsqueeze(1)).squeeze(1)
    return wired(how, {"input": torch.where(counts, places, -1)}, {C: weights})


def _cross_entropy(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: int | float = 0.0,
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    places = {"input": _by_sample(input)}
    samples, classes = places["input"].shape
    shares = torch.softmax(input.detach().reshape(-1).to(torch.float64)[places["input"]], -1)
    of_class = torch.ones(classes, dtype=torch.float64) if weight is None else weight.detach().double()
    if target.is_floating_point():
        places["target"] = _by_sample(target)
        return wired(
            how,
            places,
            {SHARE: shares, CS: of_class.expand(samples, -1), ALPHA: label_smoothing, CLASSES: float(classes)},
        )
    labels, weights, counts = _class_facts(input, target, weight, ignore_index)
    wanted = torch.nn.functional.one_hot(labels, classes).double() * (1 - label_smoothing) + label_smoothing / classes
    return wired(
        how,
        places,
        {
            SHARE: shares,
            CLASS: labels,
            C: weights,
            AS: wanted * of_class * counts[:, None],
            TOTAL: float(weights.sum()),
        },
    )


def _multi_margin(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: int | float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    labels, weights, _ = _class_facts(input, target, weight, -1)
    rows = _by_sample(input)
    return wired(
        how,
        {"input": rows},
        {CLASS: labels, C: weights, MARGIN: margin, CLASSES: float(rows.shape[1])},
    )


def _label_counts(target: Tensor, classes: int) -> Tensor:
    """Return how often each class is named in the targets of a sample, up to the first −1: (samples, classes)."""
    rows = target.reshape(-1, classes)
    is_named = (rows >= 0).cummin(1).values
    counts = torch.zeros(rows.shape[0], classes + 1, dtype=torch.float64)
    counts.scatter_add_(1, torch.where(is_named, rows, classes), torch.ones(rows.shape, dtype=torch.float64))
    return counts[:, :classes]


def _multilabel_margin(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    classes = input.shape[-1]
    counts = _label_counts(target, classes)
    return wired(
        how,
        {"input": numbered(input).reshape(-1, classes)},
        {AS: counts, CS: (counts == 0).to(torch.float64), CLASSES: float(classes)},
    )


def _multilabel(
    output: Tensor,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Wiring:
    how = reduction_of({"size_average": size_average, "reduce": reduce, "reduction": reduction})
    classes = input.shape[-1]
    weights = torch.ones(()) if weight is None else weight.detach()
    return wired(
        how,
        {"input": numbered(input).reshape(-1, classes), "target": numbered(target).reshape(-1, classes)},
        {CS: weights.to(torch.float64).expand(input.shape).reshape(-1, classes), CLASSES: float(classes)},
    )


def _ignored(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    scores, target = arguments["input"], arguments["target"]
    if target.is_floating_point():
        return torch.zeros((), dtype=torch.bool)
    is_ignored: Tensor = target == arguments.get("ignore_index", -100)
    return is_ignored.unsqueeze(1 if scores.dim() > 1 else 0)


def _class_has_no_weight(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    target, weight = arguments["target"], arguments.get("weight")
    if weight is None or target.is_floating_point():
        return torch.zeros((), dtype=torch.bool)
    _, weights, counts = _class_facts(arguments["input"], target, weight, arguments.get("ignore_index", -100))
    has_none = (weights == 0) & counts
    # Smoothing wants a little of the other classes too, each with its own weight.
    is_smooth = bool(arguments.get("label_smoothing", 0.0)) and bool(weight.any())
    return (has_none & (not is_smooth)).reshape(target.shape).unsqueeze(1 if arguments["input"].dim() > 1 else 0)


def _own_class_impossible(arguments: Arguments, output: Tensor) -> Tensor:
    scores, target = arguments["input"].detach(), arguments["target"]
    if target.is_floating_point():
        return torch.zeros((), dtype=torch.bool)
    found: Tensor = scores.isneginf() & ~_other_class(arguments, output, 0.0) & ~_ignored(arguments, output, 0.0)
    return found


def _other_class(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    scores, target = arguments["input"], arguments["target"]
    axis = 1 if scores.dim() > 1 else 0
    numbers = torch.arange(scores.shape[axis]).reshape(-1, *(1,) * (scores.dim() - axis - 1))
    is_other: Tensor = numbers != target.unsqueeze(axis)
    return is_other


def _already_right(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    """∂y/∂x is p·Σₖ a[k] − a, where a is the target times the weights of the classes."""
    scores, target = arguments["input"].detach(), arguments["target"]
    axis = 1 if scores.dim() > 1 else 0
    classes, smoothing = scores.shape[axis], arguments.get("label_smoothing", 0.0)
    wanted = target.detach() if target.is_floating_point() else ~_other_class(arguments, output, threshold)
    wanted = wanted.to(scores.dtype) * (1 - smoothing) + smoothing / classes
    if (smoothing or target.is_floating_point()) and arguments.get("weight") is not None:
        wanted = wanted * arguments["weight"].detach().reshape(-1, *(1,) * (scores.dim() - axis - 1))
    slopes: Tensor = torch.softmax(scores, axis) * wanted.sum(axis, keepdim=True) - wanted
    return slopes.abs() <= threshold


def _is_certain(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    scores, target = arguments["input"].detach(), arguments["target"]
    if not target.is_floating_point():
        return torch.zeros((), dtype=torch.bool)
    is_certain: Tensor = torch.log_softmax(scores, 1 if scores.dim() > 1 else 0) >= -threshold
    return is_certain


def _all_ignored(arguments: Arguments, output: Tensor) -> Tensor:
    target = arguments["target"]
    if target.is_floating_point() or reduction_of(arguments) != "mean":
        return torch.zeros((), dtype=torch.bool)
    is_ignored: Tensor = target == arguments.get("ignore_index", -100)
    return is_ignored.all()


_IGNORED = Silencer("ignored", "of a sample whose target is ignore_index", "input", _ignored)
_NO_WEIGHT = Silencer("weight 0", "of a sample whose class has a weight of 0", "input", _class_has_no_weight)
_IMPOSSIBLE = Hazard(
    "log of 0", "−∞ for the sample's own class, whose probability is then 0", "input", "forward", _own_class_impossible
)
_OTHER = Silencer("another class", "of a class that is not the sample's own", "input", _other_class)
_RIGHT = Silencer("already right", "already so near to its target that p − t is about 0", "input", _already_right)
_CERTAIN = Silencer("certain", "of a class whose probability is 1, so that its logarithm is 0", "target", _is_certain)
_NOTHING_LEFT = Hazard(
    "mean of nothing",
    "of samples that are all ignored, so that the mean is 0/0",
    "input",
    "forward",
    _all_ignored,
)

_ALL_WEIGHTS = Sum(listed_letter(C)[K], (K, 1, N))
_ALL_SAMPLE_WEIGHTS = Sum(listed_letter(C)[J], (J, 1, N))

_NLL = by_reduction(
    "nll_loss",
    -X,
    {"input": X},
    _nll,
    note="x is the log-probability of the sample's own class. After log_softmax, the two slopes make p − t.",
    silencers=(_IGNORED, _OTHER, _NO_WEIGHT),
    hazards=(_NOTHING_LEFT,),
)
_NLL_WEIGHTED = by_reduction(
    "nll_loss",
    -C * X,
    {"input": X},
    _nll,
    letters=(C,),
    divisor=_ALL_WEIGHTS,
    note="c is the weight of the sample's own class, 0 for an ignored sample.",
    silencers=(_IGNORED, _OTHER, _NO_WEIGHT),
    hazards=(_NOTHING_LEFT,),
)

_LOG_OF_SUM = log(Sum(exp(XS[OTHER]), (OTHER, 1, N)))
_LARGEST = Largest(XS[SHIFTED], SHIFTED, N)
_SHIFTED_LOG_OF_SUM = _LARGEST + log(Sum(exp(XS[OTHER] - _LARGEST), (OTHER, 1, N)))
_SCORES = {"input": XS[K]}
_BOTH = {"input": XS[K], "target": ZS[K]}
_LESS_TARGET = SHARE[M] - KroneckerDelta(M, CLASS)

_HARD = by_reduction(
    "cross_entropy",
    _LOG_OF_SUM - XS[CLASS],
    _SCORES,
    _cross_entropy,
    letters=(CLASS, SHARE[K]),
    school={"input": _LESS_TARGET},
    stable=_SHIFTED_LOG_OF_SUM - XS[CLASS],
    note="t is the sample's class, p the softmax of x. The slope is p − t: the prediction less the target.",
    silencers=(_IGNORED, _RIGHT, _NO_WEIGHT),
    hazards=(_NOTHING_LEFT, _IMPOSSIBLE),
)
_HARD_WEIGHTED = by_reduction(
    "cross_entropy",
    C * (_LOG_OF_SUM - XS[CLASS]),
    _SCORES,
    _cross_entropy,
    letters=(CLASS, C, SHARE[K]),
    divisor=_ALL_SAMPLE_WEIGHTS,
    school={"input": C * _LESS_TARGET},
    stable=C * (_SHIFTED_LOG_OF_SUM - XS[CLASS]),
    note="t is the sample's class, c the weight of that class, 0 for an ignored sample; p is the softmax of x.",
    silencers=(_IGNORED, _RIGHT, _NO_WEIGHT),
    hazards=(_NOTHING_LEFT, _IMPOSSIBLE),
)
_SMOOTHED = by_reduction(
    "cross_entropy",
    Sum(AS[K] * (_LOG_OF_SUM - XS[K]), (K, 1, N)),
    _SCORES,
    _cross_entropy,
    letters=(AS[K], SHARE[K]),
    divisor=TOTAL,
    stable=Sum(AS[K] * (_SHIFTED_LOG_OF_SUM - XS[K]), (K, 1, N)),
    note="a is the smoothed target times the weight of the class, 0 for an ignored sample; s is the sum of the "
    "weights of the samples' own classes.",
    silencers=(_IGNORED, _RIGHT, _NO_WEIGHT),
    hazards=(_NOTHING_LEFT, _IMPOSSIBLE),
)
_SOFT = by_reduction(
    "cross_entropy",
    Sum(ZS[K] * (_LOG_OF_SUM - XS[K]), (K, 1, N)),
    _BOTH,
    _cross_entropy,
    letters=(SHARE[K],),
    stable=Sum(ZS[K] * (_SHIFTED_LOG_OF_SUM - XS[K]), (K, 1, N)),
    note="z is the target, a probability for every class. Where those sum to 1, the slope is p − z.",
    silencers=(_RIGHT, _CERTAIN),
    hazards=(_NOTHING_LEFT, _IMPOSSIBLE),
)
_WANTED = CS[K] * ((1 - ALPHA) * ZS[K] + ALPHA / CLASSES)
_SOFT_WEIGHTED = by_reduction(
    "cross_entropy",
    Sum(_WANTED * (_LOG_OF_SUM - XS[K]), (K, 1, N)),
    _BOTH,
    _cross_entropy,
    letters=(CS[K], SHARE[K]),
    stable=Sum(_WANTED * (_SHIFTED_LOG_OF_SUM - XS[K]), (K, 1, N)),
    note="z is the target, c the weight of a class, α label_smoothing and n_c the number of classes.",
    silencers=(_RIGHT, _CERTAIN),
    hazards=(_NOTHING_LEFT, _IMPOSSIBLE),
)


def _is_weighted(arguments: Arguments) -> bool:
    return arguments.get("weight") is not None or bool(
        (arguments["target"] == arguments.get("ignore_index", -100)).any()
    )


def _choose_nll(arguments: Arguments) -> OpRule:
    return (_NLL_WEIGHTED if _is_weighted(arguments) else _NLL)[reduction_of(arguments)]


def _choose_cross_entropy(arguments: Arguments) -> OpRule:
    is_smoothed = bool(arguments.get("label_smoothing", 0.0))
    if arguments["target"].is_floating_point():
        chosen = _SOFT_WEIGHTED if is_smoothed or arguments.get("weight") is not None else _SOFT
    elif is_smoothed:
        chosen = _SMOOTHED
    else:
        chosen = _HARD_WEIGHTED if _is_weighted(arguments) else _HARD
    return chosen[reduction_of(arguments)]


def _out_of_reach(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    scores, target = arguments["input"].detach(), arguments["target"]
    axis = scores.dim() - 1
    own = scores.gather(axis, target.unsqueeze(axis))
    is_far = arguments.get("margin", 1.0) - own + scores <= 0
    is_own = torch.arange(scores.shape[axis]) == target.unsqueeze(axis)
    return torch.where(is_own, (is_far | is_own).all(axis, keepdim=True), is_far)


_GAP = StrictHinge(MARGIN - XS[CLASS] + XS[K])
_MULTI_MARGIN, _MULTI_MARGIN_SQUARED = (
    by_reduction(
        "multi_margin_loss",
        C / CLASSES * Sum((1 - KroneckerDelta(K, CLASS)) * _GAP**power, (K, 1, N)),
        _SCORES,
        _multi_margin,
        letters=(CLASS, C),
        silencers=(Silencer("margin met", "beyond the margin, where the loss is 0 and flat", "input", _out_of_reach),),
        note="t is the sample's class, c the weight of that class, 1 unless it is given; m is the margin and n_c the "
        "number of classes.",
    )
    for power in (1, 2)
)


def _choose_multi_margin(arguments: Arguments) -> OpRule:
    return (_MULTI_MARGIN_SQUARED if arguments.get("p", 1) == 2 else _MULTI_MARGIN)[reduction_of(arguments)]


def _pairs_met(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    scores: Tensor = arguments["input"].detach()
    rows = scores.reshape(-1, scores.shape[-1])
    is_named = _label_counts(arguments["target"], rows.shape[1]) > 0
    is_active = is_named.unsqueeze(2) & ~is_named.unsqueeze(1) & (1 - rows.unsqueeze(2) + rows.unsqueeze(1) > 0)
    return ~(is_active.any(1) | is_active.any(2)).reshape(scores.shape)


_MULTILABEL_MARGIN = by_reduction(
    "multilabel_margin_loss",
    Sum(AS[OTHER] * CS[K] * StrictHinge(1 - XS[OTHER] + XS[K]), (K, 1, N), (OTHER, 1, N)) / CLASSES,
    _SCORES,
    _multilabel_margin,
    letters=(AS[K], CS[K]),
    silencers=(Silencer("margin met", "beyond the margin, where the loss is 0 and flat", "input", _pairs_met),),
    note="a is how often the target names a class, c is 1 for a class that it does not name, and n_c is the number of "
    "classes.",
)


def _labels_met(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    scores, weight = arguments["input"].detach(), arguments.get("weight")
    slopes: Tensor = torch.sigmoid(scores) - arguments["target"]
    return (slopes if weight is None else slopes * (weight != 0)).abs() <= threshold


def _label_has_no_weight(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
    weight = arguments.get("weight")
    return torch.zeros((), dtype=torch.bool) if weight is None else weight == 0


_MULTILABEL = by_reduction(
    "multilabel_soft_margin_loss",
    Sum(CS[K] * (Softplus(XS[K]) - ZS[K] * XS[K]), (K, 1, N)) / CLASSES,
    _BOTH,
    _multilabel,
    letters=(CS[K],),
    silencers=(
        Silencer("already right", "already so near to its target that σ(x) − t is about 0", "input", _labels_met),
        Silencer("weight 0", "of a class whose weight is 0", "target", _label_has_no_weight),
    ),
    note="The sum over k runs over the n_c classes; c is the weight of a class, 1 unless it is given.",
)

CLASS_LOSSES: tuple[OpRule, ...] = (
    choosing(_NLL, _choose_nll),
    choosing(_HARD, _choose_cross_entropy),
    choosing(_MULTI_MARGIN, _choose_multi_margin),
    one_of(_MULTILABEL_MARGIN),
    one_of(_MULTILABEL),
)
