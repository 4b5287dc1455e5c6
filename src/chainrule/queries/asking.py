"""`why`: why a gradient is zero, huge or not a number; and whether anything is wrong with a step at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, final

from chainrule.documents import Shown
from chainrule.errors import ChainruleError, UnknownNameError
from chainrule.findings import Finding
from chainrule.queries.cuts import explain_gaps, unused_parameters
from chainrule.queries.growth import (
    PathStep,
    explain_growth,
    explain_vanishing,
    is_huge,
    path_of,
    tiny_parameters,
)
from chainrule.queries.measured import Measured, Size
from chainrule.queries.not_finite import explain_not_finite, is_not_finite
from chainrule.queries.saying import name_of
from chainrule.queries.units import explain_inputs, explain_units
from chainrule.queries.updating import explain_updates
from chainrule.queries.zeros import (
    cancelling_op,
    cancelling_parameters,
    explain_saturation,
    explain_zeros,
    is_zero,
)
from chainrule.trace import Trace, Value

Question = Literal["zero", "huge", "nan"]
_QUESTIONS: tuple[Question, ...] = ("zero", "huge", "nan")
_ORDER = {"error": 0, "warning": 1, "note": 2}


@final
@dataclass(frozen=True, slots=True)
class Answer(Shown):
    """What `why` found.

    Attributes:
        question: what was asked, as a sentence.
        name: the value that it was asked about; "" when it was the whole step.
        findings: what was found, the gravest first; empty when nothing is wrong.
        summary: what was looked at, and what it looks like, as a sentence.
        path: the ops from the loss to the value, with what each does to the norm; empty for the whole step.
        limits: what could not be answered, and what it would need, as sentences.
    """

    question: str
    name: str
    findings: tuple[Finding, ...]
    summary: str
    path: tuple[PathStep, ...] = ()
    limits: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [self.question, self.summary, *(str(finding) for finding in self.findings), *self.limits]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-able data."""
        fields = PathStep.__dataclass_fields__
        return {
            "question": self.question,
            "name": self.name,
            "summary": self.summary,
            "findings": [finding.to_dict() for finding in self.findings],
            "path": [{**{name: getattr(step, name) for name in fields}, "gain": step.gain} for step in self.path],
            "limits": list(self.limits),
        }


def why(trace: Trace, name: str | int | Value | None = None, *, question: Question | None = None) -> Answer:
    """Say why a gradient is zero, huge or not finite.

    Without a name it looks at the whole step: first at what is not finite; where all is finite, at gradients that are
    zero, missing or next to zero, and then at those that are huge. With a name it answers for that value; which
    question is meant follows from its numbers unless it is said.

    Args:
        trace: a recorded step. One that keeps statistics is answered as far as they go; `Answer.limits` says what is
            missing.
        name: of a parameter or any other value, as `trace.value` takes it.
        question: "zero" (or tiny, or missing), "huge" or "nan" (or infinite).

    Returns:
        The findings. A severity of "error" means that the step cannot train what it should.

    Raises:
        UnknownNameError: there is no such value or question.
        ChainruleError: what was given is no trace, or no name.
    """
    check_question(question)
    check_arguments(trace, name)
    measured = Measured(trace)
    if name is None:
        return _about_step(measured, question)
    if isinstance(name, str):
        missing = [finding for finding in unused_parameters(measured, name) if question in (None, "zero")]
        if missing:
            return Answer(f"Why has {name} no gradient?", name, tuple(missing), f"No op of this step uses {name}.")
    return _about_value(measured, trace.value(name), question)


def check_question(question: object) -> None:
    """Refuse a question that there is not.

    Raises:
        UnknownNameError: it is none of "zero", "huge" and "nan", nor None.
    """
    if question is not None and question not in _QUESTIONS:
        raise UnknownNameError.unknown_name("question", str(question), _QUESTIONS)


def check_arguments(trace: object, name: object) -> None:
    """Refuse what `why` cannot be asked about.

    Raises:
        ChainruleError: it is no trace, or no name of a value.
    """
    if not isinstance(trace, Trace):
        raise ChainruleError(
            what="why explains a recorded step.",
            found=f"an object of class {type(trace).__name__}",
            expected="a Trace",
            next_step="Record a step first: trace = chainrule.record(model, loss_fn, inputs, targets).",
        )
    if name is not None and (isinstance(name, bool) or not isinstance(name, str | int | Value)):
        raise ChainruleError(
            what="why takes the name of a value of the trace.",
            found=f"an object of class {type(name).__name__}",
            expected='a name such as "fc1.weight", a number such as 7 or "%7", a Value, or nothing for the whole step',
        )


def _about_step(measured: Measured, question: Question | None) -> Answer:
    findings: list[Finding] = []
    if question in (None, "nan"):
        findings += explain_not_finite(measured)
    huge = [value for value in measured.parameters if is_huge(measured, value)]
    if question == "zero" or (question is None and not any(one.severity == "error" for one in findings)):
        findings += _zeros(measured, huge)
    if question == "huge" or (question is None and not any(one.severity == "error" for one in findings)):
        findings += explain_growth(measured, huge)
    if question is None:
        findings += explain_updates(measured)
    asked = {
        None: "Is anything wrong with this step?",
        "nan": "Is anything in this step not finite?",
        "zero": "Is any gradient of this step zero, missing or next to zero?",
        "huge": "Is any gradient of this step huge?",
    }[question]
    return Answer(asked, "", _sorted(findings), _step_summary(measured), (), _limits(measured))


def _zeros(measured: Measured, huge: Sequence[Value]) -> list[Finding]:
    """Return why parameters have no gradient, one of exactly zero, or next to zero; whole ones, then single units."""
    trace = measured.trace
    trainable = measured.parameters
    if trace.loss is None:
        return []
    absent = [value for value in trainable if value.adjoint is None]
    frozen = [value for value in trace.parameters if not value.requires_grad]
    findings = explain_gaps(measured, [*absent, *frozen]) + unused_parameters(measured)
    zero = [value for value in trainable if is_zero(measured, value)]
    findings += explain_zeros(measured, zero)
    accused = {finding.evidence.get("op number") for finding in findings}
    findings += [one for one in explain_saturation(measured) if one.evidence["op number"] not in accused]
    accused = {finding.evidence.get("op number") for finding in findings}
    findings += [one for one in explain_units(measured) if one.evidence["op number"] not in accused]
    idle = [value for value in trainable if cancelling_op(measured, value) is not None]
    findings += cancelling_parameters(measured, idle)
    if not huge and not any(finding.code == "saturated" for finding in findings):
        tiny = [value for value in tiny_parameters(measured, trainable) if value not in idle]
        findings += explain_vanishing(measured, tiny)
    return findings


def _about_value(measured: Measured, value: Value, question: Question | None) -> Answer:
    name, adjoint = name_of(value), measured.adjoint(value)
    question = question or _question_of(measured, value)
    findings: list[Finding] = []
    if question == "nan":
        among = measured.ancestors([value.id])
        if is_not_finite(adjoint) and measured.trace.loss is not None:
            among |= measured.before_loss
        findings = explain_not_finite(measured, among)
        asked = f"Why is {name}, or its gradient, not finite?"
    elif question == "zero":
        findings = _zero_of(measured, value)
        some = adjoint is not None and 0.0 < adjoint.nonzero < 1.0
        asked = f"Why is the gradient of {name} zero, missing or small?"
        asked = f"Why are entries of the gradient of {name} zero?" if some else asked
    elif question == "huge":
        findings = explain_growth(measured, [value]) if adjoint is not None else []
        asked = f"Why is the gradient of {name} large?"
    else:
        asked = f"Is anything wrong with the gradient of {name}?"
    path = path_of(measured, value) if adjoint is not None else ()
    return Answer(asked, name, _sorted(findings), _value_summary(name, value, adjoint), path, _limits(measured))


def _question_of(measured: Measured, value: Value) -> Question | None:
    adjoint = measured.adjoint(value)
    if is_not_finite(measured.data(value)) or is_not_finite(adjoint):
        return "nan"
    if adjoint is None or adjoint.nonzero < 1.0 or value in tiny_parameters(measured, measured.parameters):
        return "zero"
    if is_huge(measured, value):
        return "huge"
    return None


def _zero_of(measured: Measured, value: Value) -> list[Finding]:
    if measured.adjoint(value) is None:
        return explain_gaps(measured, [value])
    if is_zero(measured, value):
        return explain_zeros(measured, [value])
    layers = [op for _, op in measured.users(value)]
    findings = explain_units(measured, layers) + explain_inputs(measured, value)
    if cancelling_op(measured, value) is not None:
        return findings + cancelling_parameters(measured, [value])
    on_path = {step.op for step in path_of(measured, value)}
    findings += [one for one in explain_saturation(measured) if one.evidence["op number"] in on_path]
    if not findings and value in tiny_parameters(measured, [*measured.parameters, value]):
        findings = explain_vanishing(measured, [value])
    return findings


def _sorted(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity]))


def _step_summary(measured: Measured) -> str:
    trace = measured.trace
    if "opened" in trace.about:
        text = f"This is the inside of {trace.about['opened']}: {len(measured.computing_ops)} ops were looked at"
        return text + ("." if trace.loss is None else "; the loss is among them.")
    loss = measured.loss_number
    with_gradient = sum(1 for value in measured.parameters if value.adjoint is not None)
    text = f"{len(measured.computing_ops)} ops and {len(trace.parameters)} parameters were looked at, "
    text += f"{with_gradient} of them with a gradient; "
    return text + (f"the loss is {loss:.6g}." if loss is not None else "the loss is not finite or not there.")


def _value_summary(name: str, value: Value, size: Size | None) -> str:
    if size is None:
        return f"{name} {list(value.shape)} has no gradient."
    text = f"The gradient of {name} {list(value.shape)} has a norm of {size.norm:.4g}, "
    text += f"{1 - size.nonzero:.1%} of its entries are exactly zero"
    return text + (f", {size.not_finite} are not finite." if size.not_finite else ", all are finite.")


def _limits(measured: Measured) -> tuple[str, ...]:
    trace, limits = measured.trace, []
    if trace.keep == "statistics" or trace.left_out is not None:
        limits.append(
            "This trace keeps statistics: which element, which sample and which unit it is, and whether it is NaN or "
            'infinite, is known with keep="values" (and a byte budget that holds them). Single dead '
            "units are not looked at."
        )
    if trace.loss is None and "opened" in trace.about:
        limits.append(
            "The loss lies outside of this op: ask the trace of the whole step which gradients are zero, missing or "
            "huge."
        )
    elif trace.loss is None:
        limits.append("No backward pass was recorded, so there are no gradients to ask about.")
    return tuple(limits)
