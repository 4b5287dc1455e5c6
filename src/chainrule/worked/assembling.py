"""A recorded training step as a program of scalar assignments."""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from sympy import Symbol

from chainrule.programs import Assignment, Evaluator, Program, derivative_name, with_gradients
from chainrule.programs.gradients import LOSS
from chainrule.programs.layered import assembled
from chainrule.shapes import Tensor
from chainrule.trace import Trace
from chainrule.worked.attention import Attention
from chainrule.worked.calls import Call, call_of, cuts_off, data_of, is_number, needed_ops
from chainrule.worked.forward import Forward
from chainrule.worked.layers import layers_of
from chainrule.worked.ledger import Ledger
from chainrule.worked.losses import Losses
from chainrule.worked.names import Names
from chainrule.worked.naming import Namer, samples_of
from chainrule.worked.normalisation import Normalisation
from chainrule.worked.optimizers import updates_of
from chainrule.worked.refusals import WorkedExampleError, refuse_unfit, too_many

_TOLERANCE = {"float64": 1e-9, "float32": 1e-3}


def program_of(trace: Trace, *, title: str = "", names: Names | None = None, most_scalars: int = 5000) -> Program:
    """Return a recorded step of a small network as a program: every number's formula, gradient and update.

    A chain of dense layers has the names of `programs.layered_program`; other networks have names by path and place,
    conv.weight[0,0,1,2]. With several samples in the batch, what belongs to one bears its number: h1⁽²⁾.

    Every line is checked against the numbers of the recording.

    Args:
        trace: a step that was recorded with `keep="values"`, now or loaded; best in float64.
        title: of the program; the task's name, or the model's class, when not given.
        names: the user's own names of inputs, targets and classes.
        most_scalars: the most numbers, of inputs, parameters and what ops compute, that are written out.

    Returns:
        The program with the values of this step. Where the optimizer has no formulas, it has no lines of an update and
        a note that says why.

    Raises:
        WorkedExampleError: the trace has statistics only; the network is too large; an op has no formula; or the
            formulas do not give what was recorded.
    """
    refuse_unfit(trace)
    calls = [call_of(trace, op) for op in needed_ops(trace)]
    _refuse_large(trace, _computed(trace, calls), most_scalars)
    names = names or Names()
    ledger = Ledger(samples_of(trace))
    loss = _before_moves(trace, calls)
    forward = Forward(trace, ledger, Namer(trace, ledger, layers_of(trace, calls), names, loss))
    for value in trace.values:
        if value.kind in ("input", "target") and value.producer is None and is_number(value):
            forward.elements(value.id)
    losses = Losses(trace, calls, forward, loss, names.of_class)
    openings = (losses, Normalisation(forward), Attention(forward))
    for call in calls:
        if not any(opening.write(call) for opening in openings):
            forward.write(call)
    program = _assembled(trace, ledger, loss, title or str(trace.about.get("task") or trace.about.get("model", "")))
    return _with_values(trace, ledger, program)


def _refuse_large(trace: Trace, computed: int, most: int) -> None:
    leaves = [value for value in trace.values if value.producer is None and is_number(value)]
    found = {
        what: sum(math.prod(value.shape) for value in leaves if value.kind in kinds)
        for what, kinds in (("inputs", ("input",)), ("targets", ("target",)), ("parameters", ("parameter",)))
    }
    found["results of ops"] = computed
    if sum(found.values()) > most:
        raise too_many(found, most)


def _computed(trace: Trace, calls: Iterable[Call]) -> int:
    made = [
        trace.values[output]
        for call in calls
        if call.rule.move is None and not cuts_off(call.op)
        for output in call.op.outputs
    ]
    return sum(math.prod(value.shape) for value in made if is_number(value))


def _before_moves(trace: Trace, calls: Iterable[Call]) -> int:
    """Return the id of the loss before ops that only move it, such as squeeze."""
    assert trace.loss is not None  # noqa: S101  # refused before
    makers = {output: call for call in calls for output in call.op.outputs}
    loss = trace.loss
    while loss in makers and makers[loss].rule.move is not None and not makers[loss].rule.cuts:
        loss = makers[loss].op.inputs[0].value
    return loss


def _assembled(trace: Trace, ledger: Ledger, loss: int, title: str) -> Program:
    end = ledger.elements[loss][0]
    if not isinstance(end, Symbol) or end.name not in ledger.trained:
        raise WorkedExampleError(
            what="The loss of this step depends on no parameter.",
            found=f"a loss of {end}",
            expected="a loss that is computed of parameters which require a gradient",
        )
    lines, quantities = ledger.ordered_lines(), ledger.ordered_quantities()
    trained = [name for name, quantity in quantities.items() if quantity.kind == "parameter"]
    gradients = with_gradients(lines, end.name, trained, ledger.constant_sums)
    updates, notes = updates_of(trace, ledger.elements)
    program = assembled(title, quantities, (*lines, *gradients), updates)
    return replace(program, loss=end.name, notes=(*ledger.notes, *notes))


def _with_values(trace: Trace, ledger: Ledger, program: Program) -> Program:
    """Return the program with this step's numbers: those of the recording where it has them, the rest computed.

    Raises:
        WorkedExampleError: what the lines compute is not what was recorded.
    """
    recorded = _recorded(trace, ledger, program)
    computed = {name: float(number) for name, number in Evaluator(program)({}).items()}
    for line in program.assignments:
        if line.name in recorded:
            _compare(trace, ledger, line, recorded[line.name], computed[line.name])
    adjoints = {derivative_name(LOSS, name): quantity.sample for name, quantity in program.quantities.items()}
    quantities = {
        name: replace(
            quantity,
            value=recorded.get(name, computed[name]),
            sample=adjoints.get(name) if quantity.sample is None else quantity.sample,
        )
        for name, quantity in program.quantities.items()
    }
    return replace(program, quantities=quantities)


def _recorded(trace: Trace, ledger: Ledger, program: Program) -> dict[str, float]:
    """Return the recorded numbers of what the program computes, by name."""
    found: dict[str, float] = {}
    for name, (number, flat) in ledger.recorded.items():
        value = trace.values[number]
        if name in program.by_name:
            found[name] = float(data_of(trace, number).reshape(-1)[flat])
        adjoint = value.adjoint
        if isinstance(adjoint, Tensor) and derivative_name(LOSS, name) in program.by_name:
            found[derivative_name(LOSS, name)] = float(adjoint.to_dense().reshape(-1)[flat])
    for update in trace.updates:
        after = update.after
        if not isinstance(after, Tensor):
            continue
        for flat, element in enumerate(ledger.elements.get(update.value, ())):
            if isinstance(element, Symbol) and element.name in program.updated:
                found[program.updated[element.name]] = float(after.reshape(-1)[flat])
    return found


def _compare(trace: Trace, ledger: Ledger, line: Assignment, recorded: float, computed: float) -> None:
    dtype = trace.values[trace.loss].dtype if trace.loss is not None else ""
    tolerance = _TOLERANCE.get(dtype, 1e-1)
    if np.isclose(computed, recorded, rtol=tolerance, atol=tolerance * 1e-3, equal_nan=True):
        return
    raise WorkedExampleError(
        what=f"The formula of {line.name} does not give what was recorded.",
        found=f"{computed:.9g} by the formula, {recorded:.9g} in the recording",
        expected="the same number",
        cause="Something happened in the step that its ops do not show, such as a hook that changed a gradient.",
        next_step="chainrule verify says which gradient of the step is changed, and where.",
    )
