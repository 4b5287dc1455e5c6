"""Updates: what the optimizer did to one parameter."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chainrule.trace.numbers import Kept, Number, read


@dataclass(slots=True, eq=False)
class Update:
    """One parameter before and after `optimizer.step()`.

    Attributes:
        parameter: its name.
        value: the id of the parameter's value before the update.
        op: the id of the update's op.
        optimizer: the optimizer's class, such as "AdamW".
        hyperparameters: of the parameter's group, without the parameters: "lr", "betas", ...
        kept_before: the parameter before.
        kept_after: the parameter after.
        kept_gradient: its `.grad` as the optimizer saw it; None when it had none.
        kept_state_before: the optimizer's state for it before, by name ("momentum_buffer", "exp_avg", "step"); empty
            at the first step. Numbers that are not tensors are kept as tensors without dimensions.
        kept_state_after: the state after.
    """

    parameter: str
    value: int
    op: int
    optimizer: str
    hyperparameters: Mapping[str, object]
    kept_before: Kept
    kept_after: Kept
    kept_gradient: Kept | None
    kept_state_before: dict[str, Kept] = field(default_factory=dict)
    kept_state_after: dict[str, Kept] = field(default_factory=dict)

    @property
    def before(self) -> Number | None:
        """The parameter before the update."""
        return read(self.kept_before)

    @property
    def after(self) -> Number | None:
        """The parameter after the update."""
        return read(self.kept_after)

    @property
    def gradient(self) -> Number | None:
        """The gradient that the optimizer saw; None when there was none, and the parameter was left alone."""
        return read(self.kept_gradient)

    @property
    def state_before(self) -> dict[str, Number | None]:
        """The optimizer's state for this parameter before the update."""
        return {name: read(kept) for name, kept in self.kept_state_before.items()}

    @property
    def state_after(self) -> dict[str, Number | None]:
        """The optimizer's state for this parameter after the update."""
        return {name: read(kept) for name, kept in self.kept_state_after.items()}
