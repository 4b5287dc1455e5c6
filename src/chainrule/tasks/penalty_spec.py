"""A `[[penalty]]` table of a task: what is added to the loss for the outputs of which modules."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from chainrule.tasks.numbers import AtLeastZero, Whole

PenaltyKind = Literal["L1", "L2", "AR", "TAR"]
Normalisation = Literal["sum", "mean", "per-sample"]


# What "L1", "L2" mean in Keras, and "AR" and "TAR" in AWD-LSTM.
DEFAULT_NORMALISATIONS: dict[str, Normalisation] = {"L1": "per-sample", "L2": "per-sample", "AR": "mean", "TAR": "mean"}


class PenaltySpec(BaseModel):
    """Which activations a task penalises, and how.

    With a the output of a module, the penalty is strength · Σ m, where m is |a| (L1), a² (L2 and AR) or
    (a[t+1] − a[t])² (TAR), divided as `normalisation` says. Several modules add up.

    Attributes:
        kind: "L1", "L2", "AR" (activation regularisation) or "TAR" (temporal activation regularisation).
        strength: the factor in front, finite and at least 0.
        modules: the modules whose outputs count: glob patterns over the paths that `named_modules` gives, where *
            crosses dots ("hidden.*"), or "type:" and a class name ("type:ReLU").
        normalisation: "sum" divides by nothing, "mean" by the number of terms, "per-sample" by the batch size. Not
            given, it is per-sample for L1 and L2 (as in Keras) and mean for AR and TAR (as in AWD-LSTM).
        time_dimension: the dimension of the output that counts the steps; the batch is then the first of the others.
            Not given, it is read from `batch_first` of nn.RNN, nn.LSTM, nn.GRU and nn.MultiheadAttention; outputs of
            other modules have none, and TAR needs one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: PenaltyKind
    strength: AtLeastZero
    modules: str | list[str]
    normalisation: Normalisation = "per-sample"  # replaced by the kind's own when it is not given
    time_dimension: Whole | None = None

    @model_validator(mode="before")
    @classmethod
    def _normalise_as_the_kind_does(cls, given: Any) -> Any:
        # A default factory that reads the kind would report a second error whenever the kind is wrong.
        if not isinstance(given, dict) or given.get("normalisation") is not None:
            return given
        kind = given.get("kind")
        by_kind = DEFAULT_NORMALISATIONS.get(kind, "mean") if isinstance(kind, str) else "mean"
        return given | {"normalisation": by_kind}

    @field_validator("modules")
    @classmethod
    def _names_something(cls, modules: str | list[str]) -> str | list[str]:
        patterns = [modules] if isinstance(modules, str) else modules
        if not patterns or not all(pattern.removeprefix("type:").strip() for pattern in patterns):
            raise ValueError("at least one pattern, and none of them empty, such as 'hidden.*' or 'type:ReLU'")
        return modules

    @property
    def patterns(self) -> tuple[str, ...]:
        """The patterns of `modules`, also when there is only one."""
        return (self.modules,) if isinstance(self.modules, str) else tuple(self.modules)

    @property
    def label(self) -> str:
        """The penalty's name in reports, such as 'L2 on hidden.*'."""
        return f"{self.kind} on {', '.join(self.patterns)}"
