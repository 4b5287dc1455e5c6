"""What a kernel is made for: the network, the objective, the optimizer, the data, and what varies between the runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from torch import Tensor, nn

from chainrule.lanes.mathematics import Precision

Objective: TypeAlias = Callable[[nn.Module, Mapping[str, Tensor], Mapping[str, Tensor]], Tensor | tuple[Tensor, Tensor]]
"""(network, data of this step, hyperparameters of the objective) → the loss, one number.

Two numbers where the loss that is recorded and measured is another than that whose gradient moves the parameters: the
one to follow first, then the one to record.
"""


def followed_and_recorded(found: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return what an objective came to as two losses: the one whose gradient is followed, and the one to record."""
    return found if isinstance(found, tuple) else (found, found)


@dataclass(frozen=True, slots=True)
class Varying:
    """A hyperparameter that differs from run to run.

    Attributes:
        name: under which `Kernel.run` takes its values.
        nominal: a usual value; the kernel is checked near it.
    """

    name: str
    nominal: float | int


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A setting that moves from step to step, in the same way in every run: base · factor + offset.

    Attributes:
        name: under which `Runs.schedules` has the factor and the offset of each step.
        base: what is moved: the same in every run, or different from run to run.
    """

    name: str
    base: float | int | Varying = 1.0


Setting: TypeAlias = float | int | bool | Varying | Scheduled


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that are updated with the same settings.

    Attributes:
        parameters: their names in the network.
        settings: of the optimizer, under torch's names, with `beta1` and `beta2` for `betas`; what is not given is
            torch's default.
    """

    parameters: tuple[str, ...]
    settings: Mapping[str, Setting] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepDescription:
    """One run's training step, as PyTorch has it.

    Attributes:
        network: with the initial values of parameters and buffers; it is copied, and its mode (train or eval) kept.
        objective: the loss of the network on the data of a step.
        optimizer: the name of a torch.optim class, one of `UPDATE_RULES`.
        groups: which parameters are updated how; parameters in no group stay as they are.
        samples: data with one entry for each sample along the first dimension.
        constants: data that is the same in every step.
        batch_size: the samples of a step; None: all of them, in their order.
        order: whether all runs take the samples in one order or each in its own. Without minibatches it means nothing.
        objective_settings: hyperparameters that the objective reads, such as the strength of a penalty.
        precision: what the kernel computes with.
    """

    network: nn.Module
    objective: Objective
    optimizer: str
    groups: tuple[Group, ...]
    samples: Mapping[str, Tensor]
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    batch_size: int | None = None
    order: Literal["shared", "own"] = "shared"
    objective_settings: tuple[Varying, ...] = ()
    precision: Precision = "float64"

    @property
    def varying(self) -> tuple[Varying, ...]:
        """Every hyperparameter that differs from run to run, once each, in the order of the kernel's inputs."""
        found = {item.name: item for item in self.objective_settings}
        for group in self.groups:
            for setting in group.settings.values():
                item = setting.base if isinstance(setting, Scheduled) else setting
                if isinstance(item, Varying):
                    found.setdefault(item.name, item)
        return tuple(found.values())

    @property
    def schedules(self) -> tuple[str, ...]:
        """The name of every schedule, once each, in the order of the kernel's inputs."""
        settings = [setting for group in self.groups for setting in group.settings.values()]
        return tuple(dict.fromkeys(setting.name for setting in settings if isinstance(setting, Scheduled)))

    @property
    def sample_count(self) -> int:
        """The samples that there are."""
        return len(next(iter(self.samples.values()))) if self.samples else 0

    @property
    def step_size(self) -> int:
        """The samples of a step."""
        return self.sample_count if self.batch_size is None else self.batch_size


def supervised(loss: Callable[[Tensor, Tensor], Tensor]) -> Objective:
    """Return the objective loss(network(inputs), targets) of samples named `inputs` and `targets`."""

    def objective(network: nn.Module, data: Mapping[str, Tensor], settings: Mapping[str, Tensor]) -> Tensor:
        return loss(network(data["inputs"]), data["targets"])

    return objective
