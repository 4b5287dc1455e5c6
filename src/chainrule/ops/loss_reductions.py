"""A loss of one element or sample, made into the sum and the mean over all of them."""

from collections.abc import Callable, Mapping
from typing import Any

from sympy import Expr, Indexed, IndexedBase, Integer, Sum, Symbol
from torch.nn import _reduction as legacy

from chainrule.ops.letters import J, K, L, M, N
from chainrule.ops.places import Arguments, Wiring
from chainrule.ops.rule import OpRule
from chainrule.shapes import Tensor

LossNumbers = Mapping[Symbol | IndexedBase, Tensor | float]


def reduction_of(arguments: Arguments) -> str:
    """Return "none", "mean", "sum" or "batchmean", with torch's two deprecated arguments taken into account."""
    size_average, reduce = arguments.get("size_average"), arguments.get("reduce")
    if size_average is not None or reduce is not None:
        return str(legacy.legacy_get_string(size_average, reduce, emit_warning=False))
    return str(arguments.get("reduction", "mean"))


def by_reduction(
    name: str,
    element: Expr,
    slots: Mapping[str, Expr],
    wire: Callable[..., Wiring],
    *,
    letters: tuple[Expr, ...] = (),
    divisor: Expr = N,
    school: Mapping[str, Expr] | None = None,
    stable: Expr | None = None,
    **more: Any,
) -> dict[str, OpRule]:
    """Return the rules of a loss without reduction, of its sum and of its mean.

    Args:
        name: torch's function name.
        element: the loss of one element or sample.
        slots: as `OpRule` has them; x[k] is a vector of one sample.
        wire: the wiring; `wired` makes it for all three.
        letters: what else differs from element to element, such as a weight.
        divisor: what the mean divides by.
        school: as `OpRule` has it, for one element.
        stable: as `OpRule` has it, for one element.
        **more: further fields of the rules.
    """
    varying = (*slots.values(), *letters)
    over = J if any(isinstance(letter, Indexed) for letter in varying) else K
    total_slots = {argument: _listed(slot, varying, over) for argument, slot in slots.items()}
    forms = school or {}
    rules = {"none": OpRule(name, element, slots, wire, stable=stable, school=forms, **more)}
    for reduction, below in (("sum", Integer(1)), ("mean", divisor)):
        rules[reduction] = OpRule(
            name,
            Sum(_listed(element, varying, over), (over, 1, N)) / below,
            total_slots,
            wire,
            stable=None if stable is None else Sum(_listed(stable, varying, over), (over, 1, N)) / below,
            # The derivative is taken at place l of sample m.
            school={argument: _listed(form.subs(M, L), varying, M) / below for argument, form in forms.items()},
            **more,
        )
    return rules


def choosing(rules: Mapping[str, OpRule], choose: Callable[[Arguments], OpRule], **more: Any) -> OpRule:
    """Return the rule that stands in the catalogue for several: it reads as their mean, and chooses among them."""
    shown = rules["mean"]
    return OpRule(
        shown.name,
        shown.formula,
        shown.slots,
        shown.wire,
        stable=shown.stable,
        school=shown.school,
        choose=choose,
        silencers=shown.silencers,
        hazards=shown.hazards,
        note=shown.note,
        **more,
    )


def one_of(rules: Mapping[str, OpRule]) -> OpRule:
    """Return the rule that chooses by the reduction alone."""
    return choosing(rules, lambda arguments: rules[reduction_of(arguments)])


def _listed(expression: Expr, varying: tuple[Expr, ...], index: Symbol) -> Expr:
    """Return an expression of one element as that of the element number `index`: x → x[index], x[k] → x[index,k]."""
    vectors = {letter.base for letter in varying if isinstance(letter, Indexed)}
    plain = {letter: listed_letter(letter)[index] for letter in varying if letter.is_Symbol}
    indexed = {
        place: place.base[(index, *(part.xreplace(plain) for part in place.indices))]
        for place in expression.atoms(Indexed)
        if place.base in vectors
    }
    return expression.xreplace({**plain, **indexed})


def listed_letter(letter: Symbol) -> IndexedBase:
    """Return the letter with brackets for a plain one: c → c[...]."""
    return IndexedBase(letter.name, integer=True) if letter.is_integer else IndexedBase(letter.name, real=True)


def wired(reduction: str, places: Mapping[str, Tensor], numbers: LossNumbers) -> Wiring:
    """Return the wiring of a loss, without reduction or with one.

    Args:
        reduction: as `reduction_of` returns it.
        places: element numbers for every sample: (samples,) or (samples, K).
        numbers: what else stands in the formula: tensors (samples, ...) differ from sample to sample, numbers do not.
    """
    if reduction == "none":
        return Wiring(places, numbers)
    every: dict[Symbol | IndexedBase, Tensor | float] = {}
    for letter, number in numbers.items():
        if not isinstance(number, Tensor):
            every[letter] = number
        else:
            every[listed_letter(letter) if isinstance(letter, Symbol) else letter] = number.unsqueeze(0)
    return Wiring({argument: taken.unsqueeze(0) for argument, taken in places.items()}, every)
