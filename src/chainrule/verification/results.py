"""What a verification found: parameter by parameter, and Function by Function."""

import math
from dataclasses import dataclass
from typing import Any, Literal, final

from chainrule.documents import Shown
from chainrule.findings import Finding
from chainrule.verification.comparing import Verdict
from chainrule.verification.slopes import TOLERANCE

RecordedVerdict = Literal["same", "rounding", "differs", "not compared"]
FunctionVerdict = Literal["right", "wrong", "straight-through", "not checked"]


@dataclass(frozen=True, slots=True)
class ParameterCheck:
    """One parameter: the gradient of the backward pass beside central differences, both in float64.

    Attributes:
        name: the parameter.
        shape: its shape.
        checked: how many entries were held against central differences one by one.
        entries: how many it has.
        directions: how many random directions were looked along; 0 where all entries were.
        worst: the largest relative error, |gradient − difference| / max(|gradient|, |difference|, floor).
        floor: the smallest size that an error is held against: what central differences resolve there.
        resolution: for a parameter of which entries were left out, the relative error ‖error‖/‖gradient‖ that the
            directions miss with a probability of at most 1 %; NaN where nothing was left out.
        where: the entry with the largest error, such as "fc1.weight[0, 1]"; "fc1.weight" for a direction.
        gradient: what the backward pass says there.
        difference: what the differences say there.
        kinks: the entries at a kink, each with the op that makes it; they are not counted as errors.
        is_beside: it was (also) checked a little beside the recorded weights, because of kinks at them.
        verdict: "right"; "wrong"; "kink": nothing but kinks; "unclear": the differences are too coarse to tell.
        recorded: how the recorded gradient compares with the backward pass taken again: "same" bit for bit;
            "rounding": within what rounding explains; "differs"; "not compared".
        distance: ‖recorded − float64‖ / ‖float64‖, what rounding did to the gradient; NaN when it was not compared.
        norm: ‖float64‖, the norm of its gradient.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    entries: int
    directions: int
    worst: float
    floor: float
    resolution: float
    where: str
    gradient: float
    difference: float
    kinks: tuple[str, ...]
    is_beside: bool
    verdict: Verdict
    recorded: RecordedVerdict = "not compared"
    distance: float = math.nan
    norm: float = math.nan


@dataclass(frozen=True, slots=True)
class FunctionCheck:
    """One call of the user's own torch.autograd.Function: its backward beside differences of its forward, in float64.

    Attributes:
        function: the class.
        module: the path of the module that called it.
        source: the line that called it, such as "model.py:12"; empty when it is not known.
        backward: where its backward stands, such as "functions.py:40"; empty when it is not Python.
        op: the id of its op.
        verdict: "right", "wrong", "straight-through": its forward is flat and its backward is not; "not checked".
        argument: the number of the input whose gradient is wrong, from 0; None when none is.
        where: the entry with the largest error, such as "input 0[1, 2]".
        recorded: what the backward sends to that entry.
        true: what it should send.
        ratio: recorded / true, when it is the same at all entries that were looked at; NaN when it is not.
        reason: why it is wrong, or why it was not checked, as a sentence.
    """

    function: str
    module: str
    source: str
    backward: str
    op: int
    verdict: FunctionVerdict
    argument: int | None = None
    where: str = ""
    recorded: float = math.nan
    true: float = math.nan
    ratio: float = math.nan
    reason: str = ""


@final
@dataclass(frozen=True, slots=True)
class Verification(Shown):
    """Whether the gradients of a recorded step are the derivatives of its loss.

    Attributes:
        parameters: one for each parameter that required a gradient.
        functions: one for each call of a torch.autograd.Function of the user's own.
        findings: what is wrong, the cause first; empty when nothing is.
        notes: what a reader must know about how it was checked.
        evaluations: how often the loss was computed.
        loss: in float64.
        reason: why the parameters could not be checked; empty when they were.
    """

    parameters: tuple[ParameterCheck, ...]
    functions: tuple[FunctionCheck, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    evaluations: int
    loss: float
    reason: str = ""

    @property
    def is_right(self) -> bool:
        """Whether every parameter was checked, in derivation and in recorded numbers, and nothing was found wrong."""
        return not self.reason and not any(finding.severity != "note" for finding in self.findings)

    @property
    def worst(self) -> ParameterCheck | None:
        """The parameter with the largest error; None when none could be checked."""
        counted = [row for row in self.parameters if row.verdict in ("right", "wrong")]
        return max(counted, key=lambda row: (row.verdict == "wrong", row.worst), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able data; numbers that are not finite are None."""
        return {
            "is_right": self.is_right,
            "tolerance": TOLERANCE,
            "evaluations": self.evaluations,
            "loss": _number(self.loss),
            "reason": self.reason,
            "parameters": [_row(row) for row in self.parameters],
            "functions": [_row(check) for check in self.functions],
            "findings": [finding.to_dict() for finding in self.findings],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        if self.reason:
            lines = [f"Gradients not verified: {self.reason}"]
        elif self.is_right:
            checked = sum(row.checked for row in self.parameters)
            entries = sum(row.entries for row in self.parameters)
            directions = sum(row.directions for row in self.parameters)
            worst = self.worst
            share = f"all {entries} entries" if checked == entries else f"{checked} of {entries} entries"
            lines = [
                f"Gradients are right: {share}"
                + (f" and {directions} directions" if directions else "")
                + " agree with central differences in float64"
                + (f", largest relative error {worst.worst:.1e}" if worst is not None else "")
                + "."
            ]
        else:
            lines = ["Gradients are WRONG." if self._is_wrong else "Gradients could not be verified in full."]
        lines += [str(finding) for finding in self.findings]
        return "\n".join([*lines, *self.notes])

    @property
    def _is_wrong(self) -> bool:
        return any(finding.severity == "error" for finding in self.findings)


def _row(row: ParameterCheck | FunctionCheck) -> dict[str, Any]:
    return {name: _plain(getattr(row, name)) for name in row.__dataclass_fields__}


def _plain(part: Any) -> Any:
    if isinstance(part, float):
        return _number(part)
    return list(part) if isinstance(part, tuple) else part


def _number(number: float) -> float | None:
    return number if math.isfinite(number) else None
