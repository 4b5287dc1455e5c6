"""The chain rule, scalar by scalar: ∂E/∂x = Σ over the uses y of x of ∂E/∂y · ∂y/∂x.

This explains gradients; it does not train. A test holds that it gives autograd's numbers.
"""

from collections.abc import Mapping, Sequence

from sympy import Add, Expr, Integer, Mul, expand, factor_terms

from chainrule.programs.naming import derivative_name
from chainrule.programs.program import Assignment, Term, symbol_of

LOSS = "E"  # in the names of derivatives, whatever the loss is called
_SHORT = 4  # operations


def with_gradients(
    forward: Sequence[Assignment], loss: str, wanted: Sequence[str], constant_sums: Sequence[tuple[Expr, Expr]] = ()
) -> tuple[Assignment, ...]:
    """Return the assignments of all adjoints and gradients, the loss's own side first.

    An adjoint that is a number (∂E_total/∂E1 = 1) gets no line: it stands in the products as that number.

    Args:
        forward: the assignments of forward pass and loss, with their partial derivatives.
        loss: the name of the loss.
        wanted: the names of the parameters, in the order in which their gradients are listed.
        constant_sums: what is known of the targets, as (sum, number): the targets of a sample in cross-entropy add
            up to 1. It lets p·(t1 + t2) − t1 become p − t1, and the assignment's `stages` show that it did.
    """
    uses: dict[str, list[Assignment]] = {}
    for assignment in forward:
        for name in assignment.partials:
            uses.setdefault(name, []).append(assignment)
    needed = _depending(forward, wanted)
    depths = _depths(forward, loss)
    adjoints: dict[str, Expr] = {loss: Integer(1)}
    made: list[Assignment] = []
    for assignment in reversed(forward):
        if assignment.name == loss or assignment.name not in needed:
            continue
        line = _line(assignment.name, uses.get(assignment.name, []), adjoints, constant_sums)
        if _stands_in_products(assignment, line.formula):
            adjoints[assignment.name] = line.formula
        else:
            made.append(line)
            adjoints[assignment.name] = symbol_of(line.name)
    places = {derivative_name(LOSS, line.name): (depths.get(line.name, 0), place) for place, line in enumerate(forward)}
    made.sort(key=lambda line: places[line.name])
    made += [_line(name, uses.get(name, []), adjoints, constant_sums) for name in wanted]
    return tuple(made)


def _stands_in_products(assignment: Assignment, adjoint: Expr) -> bool:
    """Say whether an adjoint needs no line of its own: ∂E_total/∂E1 = 1, and in cross-entropy ∂E/∂p1 = −t1/p1.

    With −t1/p1 written into the products of ∂E/∂o1, p1 cancels there; as a number of its own it would be divided by 0
    when p1 is.
    """
    return bool(adjoint.is_number) or (assignment.step == "loss" and adjoint.count_ops() <= _SHORT)


def _depending(forward: Sequence[Assignment], wanted: Sequence[str]) -> set[str]:
    """Return the names of what the wanted ones have an influence on; adjoints of anything else are never used."""
    reached = set(wanted)
    for assignment in forward:
        if reached & set(assignment.partials):
            reached.add(assignment.name)
    return reached


def _depths(forward: Sequence[Assignment], loss: str) -> dict[str, int]:
    """Return how far each quantity is from the loss, by the longest way: ∂E/∂o1 and ∂E/∂o2 come one after the other."""
    depths = {loss: 0}
    for assignment in reversed(forward):
        for name in assignment.partials:
            depths[name] = max(depths.get(name, 0), depths.get(assignment.name, 0) + 1)
    return depths


def _line(
    name: str, uses: Sequence[Assignment], adjoints: Mapping[str, Expr], constant_sums: Sequence[tuple[Expr, Expr]]
) -> Assignment:
    terms = tuple(
        Term(use.name, adjoints.get(use.name, Integer(0)), use.partials[name])
        for use in uses
        if adjoints.get(use.name, Integer(0)) != 0 and use.partials[name] != 0
    )
    formula = Add(*(Mul(term.upstream, term.partial) for term in terms))
    stages = _cancelled(formula, constant_sums)
    return Assignment(
        derivative_name(LOSS, name), stages[-1] if stages else formula, "gradients", terms=terms, stages=stages
    )


def _cancelled(formula: Expr, constant_sums: Sequence[tuple[Expr, Expr]]) -> tuple[Expr, ...]:
    """Return the forms on the way to a shorter one that uses what is known of the targets; nothing if there is none.

    What is known is Σt = number: where all t have a coefficient c in common, c·Σt is c·number.
    """
    stages: tuple[Expr, ...] = ()
    for total, number in constant_sums:
        members = total.free_symbols & formula.free_symbols
        if not members:
            continue
        spread = expand(formula)
        candidates = [spread.coeff(member) for member in sorted(members, key=str)]
        shorter = [expand(spread - common * total) + common * number for common in dict.fromkeys(candidates)]
        best = factor_terms(min(shorter, key=lambda form: int(form.count_ops())))
        if best.count_ops() < formula.count_ops():
            stages = (*stages, formula, spread, best)
            formula = best
    return tuple(dict.fromkeys(stages))
