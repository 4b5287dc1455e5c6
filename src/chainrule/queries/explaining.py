"""One gradient, explained: the sum of products that the chain rule says it is, with the numbers in it."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from chainrule.errors import ChainruleError, ShapeError
from chainrule.queries.again import Index, data_of
from chainrule.queries.asked import check_asked, numbers_of
from chainrule.queries.explained import Explanation, Rest, SampleShare, Term, UseExplanation
from chainrule.queries.explained_paths import find_paths
from chainrule.queries.explained_products import ChainRule, Product, UseProducts, formula_of
from chainrule.queries.recorded import is_smooth
from chainrule.shapes import Tensor
from chainrule.trace import Trace, Value

MOST_ELEMENTS = 400  # that are taken apart for one explanation, the largest products first

_Key = tuple[int, Index]


def explain(
    trace: Trace,
    name: str | int | Value,
    index: int | Sequence[int] | None = None,
    *,
    depth: int = 1,
    top: int = 5,
) -> Explanation:
    """Explain the gradient of one element of a parameter, an activation or an input.

    Forward:   every op that takes the element x makes outputs y[j] of it
    Backward:  ∂L/∂x = Σ over those ops Σⱼ ∂L/∂y[j] · ∂y[j]/∂x

    The products are found by running the recorded ops again, so any op can be explained, with or without a formula.

    >>> import torch
    >>> from chainrule.recorder import record
    >>> model = torch.nn.Linear(1, 1)
    >>> trace = record(model, torch.nn.functional.mse_loss, torch.tensor([[2.0]]), torch.tensor([[1.0]]))
    >>> term = explain(trace, "weight").uses[0].terms[0]
    >>> (term.output, term.derivative)
    ('linear', 2.0)

    Args:
        trace: a trace that keeps values.
        name: the value: "fc1.weight", "input", the path of a module for what it returned, "%7" for an id.
        index: the element, one number for each dimension; negative ones count from the end. None takes the only
            element, or the one whose gradient is the largest.
        depth: how many levels of adjoints are explained in turn; 1 explains the element alone.
        top: how many products of a use are shown, how many uses are taken apart, and how many paths are followed.

    Returns:
        The explanation. Its terms and rests add up to the recorded gradient; `difference` is the rounding. In float16
        and bfloat16 (autocast) recorded gradients are rounded to 3 or 4 digits, and the sum agrees to these.

    Raises:
        UnknownNameError: the trace has no such value.
        ShapeError: the index does not fit the value's shape.
        RunAgainError: the trace keeps only statistics of what is needed.
        ChainruleError: the value can have no gradient, or an argument is not what it has to be.
    """
    check_asked(trace, name, index, depth=depth, top=top)
    value = trace.value(name)
    _refuse_without_gradient(value)
    rule = ChainRule(trace, top)
    gradient = rule.adjoints.of(value)
    dense = None if gradient is None else gradient.to_dense() if gradient.is_sparse else gradient
    element, is_chosen = _element(value, index, dense)
    if dense is None:
        return Explanation(
            value=value.name,
            index=element,
            kind=value.kind,
            precision=value.dtype,
            number=_number(trace, value, element),
            gradient=0.0,
            is_recorded=False,
            chosen=is_chosen,
            note="Nothing comes back to it: no path along which gradients flow leads from it to the loss.",
        )
    explanation = _explain_levels(rule, value, element, depth)
    explanation = _with_inside(rule, value, replace(explanation, chosen=is_chosen, gradient=float(dense[element])))
    paths = find_paths(rule, value, element, explanation.gradient, top)
    others = explanation.gradient - sum(path.product for path in paths)
    return replace(
        explanation,
        by_sample=_by_sample(rule, value, element),
        paths=paths,
        other_paths=Rest(others, 0),
        note=_note(trace, value, explanation),
    )


def _note(trace: Trace, value: Value, explanation: Explanation) -> str:
    if value.id == trace.loss:
        return "It is the loss itself: ∂L/∂L = 1."
    if not explanation.uses:
        return "No op in the trace takes it: its gradient was handed in, as a checkpoint does when it computes again."
    return ""


# -- which element


def _refuse_without_gradient(value: Value) -> None:
    if value.kind == "hidden":
        raise ChainruleError(
            what=f"{value.name} cannot be explained.",
            cause="It was made inside of an op, and the trace has only its gradient.",
            next_step="Explain an input or an output of that op.",
        )
    if value.dtype.startswith("complex"):
        raise ChainruleError(what=f"{value.name} cannot be explained.", found=value.dtype, expected="real numbers")
    if not is_smooth(value):
        raise ChainruleError(
            what=f"{value.name} has no gradient.",
            found=value.dtype,
            expected="floating-point numbers",
            cause="Nothing can be differentiated by whole numbers or truth values.",
        )


def _element(value: Value, index: int | Sequence[int] | None, gradient: Tensor | None) -> tuple[Index, bool]:
    """Return which element is meant, and whether it had to be chosen."""
    shape = value.shape
    if index is None:
        if 0 in shape:
            raise ShapeError(what=f"{value.name} has no elements.", found=f"shape {list(shape)}")
        if gradient is None or gradient.numel() == 1:
            return (0,) * len(shape), gradient is None and bool(shape)
        sizes = gradient.abs().nan_to_num(nan=torch.inf, posinf=torch.inf)
        places = torch.unravel_index(sizes.argmax(), shape)
        return tuple(int(place) for place in places), True
    numbers = numbers_of(index) or ()
    if len(numbers) != len(shape):
        raise ShapeError(
            what=f"The index does not fit {value.name}.",
            found=f"{len(numbers)} number{'s' * (len(numbers) != 1)}: {_listed(numbers)}",
            expected=f"{len(shape)}, one for each dimension of its shape {list(shape)}",
        )
    for number, size in zip(numbers, shape, strict=True):
        if not -size <= number < size:
            raise ShapeError(
                what=f"{value.name} has no element [{_listed(numbers)}].",
                found=str(number),
                expected=f"0 to {size - 1} there, as its shape is {list(shape)}",
            )
    return tuple(number % size for number, size in zip(numbers, shape, strict=True)), False


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(str(number) for number in numbers) or "none"


def _number(trace: Trace, value: Value, index: Index) -> float:
    return float(data_of(trace, value.id)[index].item())


# -- level by level


def _explain_levels(rule: ChainRule, value: Value, index: Index, depth: int) -> Explanation:
    """Explain an element, the adjoints in its terms, the adjoints in theirs, and so on.

    Each level is taken apart once, the largest products first; an element that several terms have in common is
    explained once.
    """
    levels: list[dict[_Key, Value]] = [{(value.id, index): value}]
    left = MOST_ELEMENTS - 1
    while len(levels) < depth and left > 0:
        sizes: dict[_Key, float] = {}
        found: dict[_Key, Value] = {}
        for (_, place), known in levels[-1].items():
            for product in _shown(rule, known, place):
                key = (product.value.id, product.index)
                if product.adjoint != 0 and product.value.id != rule.trace.loss:
                    found[key] = product.value
                    sizes[key] = max(sizes.get(key, 0.0), abs(product.number))
        keys = sorted(found, key=lambda key: -sizes[key])[:left]
        if not keys:
            break
        left -= len(keys)
        levels.append({key: found[key] for key in keys})
    below: dict[_Key, Explanation] = {}
    for level in reversed(levels):
        below = {key: _explain_one(rule, known, key[1], below) for key, known in level.items()}
    return below[value.id, index]


def _shown(rule: ChainRule, value: Value, index: Index) -> list[Product]:
    return [product for part in rule.sources(value, index).taken_apart for product in part.largest]


def _explain_one(rule: ChainRule, value: Value, index: Index, below: dict[_Key, Explanation]) -> Explanation:
    sources = rule.sources(value, index)
    adjoint = rule.adjoint(value)
    return Explanation(
        value=value.name,
        index=index,
        kind=value.kind,
        precision=_precision(rule, value),
        number=_number(rule.trace, value, index),
        gradient=0.0 if adjoint is None else float(adjoint.to_dense()[index] if adjoint.is_sparse else adjoint[index]),
        is_recorded=value.adjoint is not None,
        uses=tuple(_explain_use(rule, value, part, below) for part in sources.taken_apart),
        others=Rest(sum(sources.others, 0.0), len(sources.others)),
    )


def _precision(rule: ChainRule, value: Value) -> str:
    names = [value.dtype]
    for op in rule.users_of(value):
        names += [op.autocast] if op.autocast else []
        names += [rule.trace.values[output].dtype for output in op.outputs if is_smooth(rule.trace.values[output])]
    return max(names, key=lambda name: torch.finfo(getattr(torch, name)).eps)


def _explain_use(rule: ChainRule, value: Value, part: UseProducts, below: dict[_Key, Explanation]) -> UseExplanation:
    op = part.op
    formula, derivative, note = ("", "", "") if value.producer == op.id else formula_of(rule.trace, op, value)
    terms = tuple(
        Term(
            output=product.value.name,
            index=product.index,
            adjoint=product.adjoint,
            derivative=product.derivative,
            product=product.number,
            further=below.get((product.value.id, product.index)),
        )
        for product in part.largest
    )
    total = part.contribution if part.note else part.total
    return UseExplanation(
        op=op.id,
        name=op.name,
        module=op.module,
        source="" if op.source is None else str(op.source),
        formula=formula,
        derivative=derivative,
        note=part.note or " ".join(text for text in (note, _silence(rule, value, part, derivative)) if text),
        contribution=part.contribution,
        terms=terms,
        rest=Rest(total - sum(term.product for term in terms), part.count - len(terms) if terms else 0),
    )


def _silence(rule: ChainRule, value: Value, part: UseProducts, derivative: str) -> str:
    """Say which factor is 0 where every product of a use is; "" where one is not."""
    if part.note or part.largest or part.contribution != 0:
        return ""
    if not part.reached:
        factor = derivative.partition(" = ")[2]
        if value.kind == "parameter" and rule.batch is not None and factor:
            return f"Every product is 0, because the local derivative, {factor}, is 0 in all {rule.batch} samples."
        return f"Every product is 0, because the local derivative is 0 for every element that {part.op.name} made."
    made = " and ".join(rule.trace.values[output].name for output in part.op.outputs) or f"what {part.op.name} made"
    elements = "the one element" if part.reached == 1 else f"all {part.reached:,} elements"
    if part.arrived:
        return (
            f"Every product is 0, though {part.arrived:,} of {elements} of {made} that it reaches have an adjoint: "
            f"adjoint times local derivative is too small for {value.dtype}."
        )
    return (
        f"Every product is 0, because ∂L/∂y is 0 for {elements} of {made} that it reaches. "
        f"Ask why it is 0 there: chainrule.why(trace, {rule.trace.values[part.op.outputs[0]].name!r})."
    )


def _with_inside(rule: ChainRule, value: Value, explanation: Explanation) -> Explanation:
    """Add what came back to an output inside the op that made it: the state of an LSTM cell."""
    inside = rule.inside(value, explanation.index)
    if inside is None:
        return explanation
    return replace(explanation, uses=(*explanation.uses, _explain_use(rule, value, inside, {})))


def _by_sample(rule: ChainRule, value: Value, index: Index) -> tuple[SampleShare, ...]:
    sources = rule.sources(value, index)
    parts = [part.by_sample for part in sources.taken_apart if part.contribution != 0]
    known = [part for part in parts if part is not None]
    if not known or len(known) < len(parts) or sources.others or rule.inside(value, index) is not None:
        return ()
    shares = torch.stack(known).sum(0).tolist()
    return tuple(SampleShare(sample, share) for sample, share in enumerate(shares))
