"""What a check or a query concludes, with its evidence."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """A conclusion that stands on numbers.

    Attributes:
        code: a stable name for the kind of finding, such as "loss-not-finite".
        severity: "error" makes a command exit with 1.
        claim: one sentence that says what is so.
        where: the step, module or tensor.
        evidence: the numbers that show it, by name.
        remedy: what to try, as a sentence.
    """

    code: str
    severity: Literal["note", "warning", "error"]
    claim: str
    where: str
    evidence: dict[str, float | int | str]
    remedy: str

    def __str__(self) -> str:
        numbers = ", ".join(f"{name} = {value}" for name, value in self.evidence.items())
        lines = [self.claim, f"  where:    {self.where}"]
        lines += [f"  evidence: {numbers}"] if numbers else []
        lines += [self.remedy] if self.remedy else []
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON-able data."""
        return dataclasses.asdict(self)
