"""Are the gradients of a recorded step the derivatives of its loss?"""

import math
from collections.abc import Callable, Sequence

from chainrule.errors import ChainruleError
from chainrule.findings import Finding
from chainrule.shapes import Tensor
from chainrule.trace import Trace
from chainrule.verification.comparing import Comparison, Look, Plan, Surface, compare
from chainrule.verification.conclusions import (
    function_findings,
    hook_findings,
    is_reentrant,
    parameter_findings,
    recorded_findings,
)
from chainrule.verification.custom_functions import check_functions
from chainrule.verification.hooks import hook_effects, hooked_parameters
from chainrule.verification.recorded import RecordedCheck, check_recorded
from chainrule.verification.results import FunctionCheck, ParameterCheck, Verification
from chainrule.verification.spectral import under_spectral_norm
from chainrule.verification.twin import Twin

ENTRIES = 100
DIRECTIONS = 2

_COARSE = 0.1  # of the norm of a gradient: a reader should know that rounding did so much to it
_NEGLIGIBLE = 1e-6  # of the largest norm: a gradient that is 0 but for rounding

Progress = Callable[[int, int], None]


def verify(
    trace: Trace,
    *,
    entries: int = ENTRIES,
    directions: int = DIRECTIONS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Verification:
    """Compare the recorded gradients of a step with central differences in float64.

    The step is taken again on copies of model, loss and inputs, with the parameters, buffers and random numbers that
    it began with. Three comparisons are made:

    1. the backward pass in float64 beside central differences of the loss in float64: is the derivation right?
    2. the recorded gradients beside the backward pass taken again in the recording's dtypes: are they of this pass?
    3. the recorded gradients beside float64: does rounding explain the distance?

    Every torch.autograd.Function of the user's own is checked by itself, so that the one that is wrong is named.

    Nothing of the user's is changed: model, gradients, buffers, generators and training flags are as before.

    >>> import torch
    >>> from chainrule.recorder import record
    >>> model = torch.nn.Linear(2, 1)
    >>> trace = record(model, torch.nn.functional.mse_loss, torch.ones(3, 2), torch.zeros(3, 1))
    >>> verify(trace).is_right
    True

    Args:
        trace: a step that `record` returned in this process.
        entries: how many single entries to check at most, over all parameters; in each parameter its largest gradient,
            then entries drawn evenly. The loss is computed 4 times for an entry, and up to 30 times near a kink.
        directions: how many random directions to check in each parameter of which not all entries are.
        seed: decides entries and directions.
        progress: told how many parameters are done, and how many there are.

    Raises:
        ChainruleError: the trace has no model, no loss, or no parameters of before the update; or an argument is out
            of range.
    """
    _refuse(trace, entries, directions)
    plan = Plan(entries, directions, seed)
    wide, own = Twin(trace, is_wide=True), Twin(trace, is_wide=False)
    functions = check_functions(trace, plan)
    causes = function_findings(functions)
    started = _start(wide)
    if isinstance(started, str):
        return Verification((), functions, (*causes, _not_verified(started)), (), wide.evaluations, math.nan, started)
    surface, gradients = started
    comparisons = compare(surface, plan, progress)
    causes += hook_findings(hook_effects(wide, gradients, comparisons))
    recorded = check_recorded(trace, wide, gradients, own)
    rows = tuple(
        _row(comparison, recorded.checks.get(name), _norm(gradients[name])) for name, comparison in comparisons.items()
    )
    findings = (
        *causes,
        *parameter_findings(trace, rows, bool(causes), under_spectral_norm(wide.original)),
        *recorded_findings(rows, recorded.reason, hooked_parameters(wide.original)),
    )
    evaluations = wide.evaluations + own.evaluations
    return Verification(
        rows, functions, findings, (*_notes(trace, rows, functions), *recorded.notes), evaluations, surface.value
    )


def _refuse(trace: Trace, entries: int, directions: int) -> None:
    if entries < 0 or directions < 0 or entries + directions == 0:
        raise ChainruleError(
            what="Entries and directions to verify are numbers from 0, and not both 0.",
            found=f"entries={entries}, directions={directions}",
            expected=f"such as entries={ENTRIES}, directions={DIRECTIONS}",
        )
    if trace.recipe is not None and trace.loss is None:
        raise ChainruleError(
            what="This trace cannot be verified: the step has no loss.", next_step="Record a step that ends in a loss."
        )


def _start(wide: Twin) -> tuple[Surface, dict[str, Tensor | None]] | str:
    """Return loss and gradients in float64, or why there are none."""
    try:
        surface = Surface(wide.parameters, wide.evaluate, wide.watched, lambda: wide.gradients()[1])
        gradients = surface.gradients()
    except Exception as error:  # whatever a model that was not written for float64 raises
        lines = str(error).strip().splitlines()
        said = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        return f"the model does not run in float64 ({said})"
    if not wide.parameters:
        return "no parameter requires a gradient"
    if wide.reaches_original:
        return (
            "the loss or a hook uses parameters of the model without being given the model, so that no copy of the "
            "model can be measured"
        )
    if not math.isfinite(surface.value):
        return f"the loss is {surface.value} in float64, which has no derivative"
    if not surface.is_repeatable:
        return (
            "computed twice at the same weights, the loss is not the same: the model draws random numbers from "
            "elsewhere than torch, NumPy's global generator and random, or keeps a state that is not put back"
        )
    return surface, dict(gradients)


def _row(comparison: Comparison, recorded: RecordedCheck | None, norm: float) -> ParameterCheck:
    look = comparison.worst
    place = "" if look is None or not look.place else f"[{', '.join(map(str, look.place))}]"
    return ParameterCheck(
        name=comparison.name,
        shape=comparison.shape,
        checked=comparison.checked,
        entries=comparison.count,
        directions=comparison.directions,
        worst=math.nan if look is None else look.error,
        floor=comparison.floor,
        resolution=comparison.resolution,
        where=comparison.name + place,
        gradient=math.nan if look is None else look.gradient,
        difference=math.nan if look is None else look.slope.value,
        kinks=tuple(_kink(comparison.name, look) for look in comparison.kinks),
        is_beside=comparison.is_beside,
        verdict=comparison.verdict,
        recorded="not compared" if recorded is None else recorded.verdict,
        distance=math.nan if recorded is None else recorded.distance,
        norm=norm,
    )


def _norm(gradient: Tensor | None) -> float:
    return 0.0 if gradient is None else float(gradient.norm())


def _kink(name: str, look: Look) -> str:
    place = f"[{', '.join(map(str, look.place))}]" if look.place else ""
    ops = ", ".join(map(str, look.slope.kinks)) or "an op that was not seen"
    return f"{name}{place}: {ops}"


def _not_verified(reason: str) -> Finding:
    return Finding("not-verified", "warning", f"The gradients could not be verified: {reason}.", "loss", {}, "")


def _notes(trace: Trace, rows: Sequence[ParameterCheck], functions: Sequence[FunctionCheck]) -> list[str]:
    notes = [
        f"{check.function} ({check.source or 'op ' + str(check.op)}) was not checked by itself. {check.reason}"
        for check in functions
        if check.verdict == "not checked"
    ]
    if any(map(is_reentrant, trace.ops)):
        notes.append(
            "Functions inside of a reentrant checkpoint were not checked one by one: their calls are not recorded. "
            "With use_reentrant=False they are."
        )
    kinks = sum(len(row.kinks) for row in rows)
    if kinks:
        notes.append(
            f"{kinks} entries are at a kink, where the loss has no derivative; they are not counted as errors."
        )
    largest = max((row.norm for row in rows), default=0.0)
    coarse = [row.name for row in rows if row.distance > _COARSE and row.norm > _NEGLIGIBLE * largest]
    if coarse:
        notes.append(
            f"Rounding in the recorded dtype has changed the gradient by more than {_COARSE:.0%} of its norm: "
            f"{', '.join(coarse)}."
        )
    if any(row.is_beside for row in rows):
        notes.append("Parameters at kinks were checked again a little beside the recorded weights.")
    return notes
