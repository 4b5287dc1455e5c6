"""The tables of a task: model, components, stop rule and run."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from chainrule.registry import ACTIVATIONS, INITIALISERS, LOSSES, OPTIMIZERS, SCHEDULERS, Catalogue
from chainrule.tasks.numbers import AboveZero, Count, Number


class Component(BaseModel):
    """A component of torch by name, with its own keyword arguments beside the name.

    In TOML a component without arguments may be written as its name alone: `loss = "MSELoss"`.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the component, as the task gives them."""
        return dict(self.model_extra or {})


class ScheduleSpec(Component):
    """A scheduler of torch.optim.lr_scheduler.

    Attributes:
        per: step the scheduler once per epoch or once per batch; as the scheduler wants it when not given.
    """

    per: Literal["epoch", "batch"] | None = None


def _named(catalogue: Catalogue) -> BeforeValidator:
    """Read "name" as {name = "name"}, and spell a known name as torch does; unknown ones are reported later."""

    def expand(value: Any) -> Any:
        if isinstance(value, Component):
            value = value.model_dump(exclude_none=True)
        value = {"name": value} if isinstance(value, str) else value
        if isinstance(value, dict) and isinstance(value.get("name"), str):
            value = {**value, "name": catalogue.spelling(value["name"]) or value["name"]}
        if isinstance(value, dict) and isinstance(value.get("schedulers"), list):
            value = {**value, "schedulers": [expand(inner) for inner in value["schedulers"]]}
        return value

    return BeforeValidator(expand)


Activation = Annotated[Component, _named(ACTIVATIONS)]
Initialiser = Annotated[Component, _named(INITIALISERS)]
Loss = Annotated[Component, _named(LOSSES)]
Optimizer = Annotated[Component, _named(OPTIMIZERS)]


class ModelSpec(BaseModel):
    """The model: layer sizes, or a module of the user's own.

    Attributes:
        layers: the size of each layer after the inputs; the last is the output layer. The number of inputs comes
            from the data.
        activation: of the hidden layers; one for all, or a list with one for each.
        output_activation: of the output layer; one for all outputs, or a list with one for each output.
        bias: whether a layer has biases; one for all, or a list with one for each layer.
        bias_convention: "separate" (one bias for each unit, trained), "shared" (one for the layer, trained) or
            "fixed" (held at their values).
        init: how weights are initialised; as torch.nn.Linear does when not given.
        bias_init: how biases are initialised; as torch.nn.Linear does when not given.
        weights: the weights written out: for each layer a row for each unit, with one weight for each input.
        biases: the biases written out: for each layer one number, or one for each unit.
        module: the user's own torch.nn.Module, as "file.py:Class" or "package.module:Class".
        arguments: keyword arguments of that class.
        initial: a .safetensors file with the initial value of every parameter, under its name in the model; such as
            the weights that a run has written.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    layers: Annotated[list[Count], Field(min_length=1)] | None = None
    activation: Activation | list[Activation] = Component(name="ReLU")
    output_activation: Activation | list[Activation] = Component(name="Identity")
    bias: bool | list[bool] = True
    bias_convention: Literal["separate", "shared", "fixed"] = "separate"
    init: Initialiser | None = None
    bias_init: Initialiser | None = None
    weights: list[list[list[Number]]] | None = None
    biases: list[Number | list[Number]] | None = None
    module: str | None = None
    arguments: dict[str, Any] = {}
    initial: str | None = None


class StopSpec(BaseModel):
    """When a run ends: at the first of these that holds.

    Attributes:
        epochs: passes over the training part.
        steps: updates.
        target_loss: the mean loss of an epoch is at most this.
        tolerance: converged: the mean loss of an epoch moved by less than this, `patience` epochs in a row.
        patience: see tolerance.
        early_stopping: the validation loss has not improved for this many epochs; the best weights are kept.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Count = 100
    steps: Count | None = None
    target_loss: Number | None = None
    tolerance: AboveZero | None = None
    patience: Count = 10
    early_stopping: Count | None = None


class RunSpec(BaseModel):
    """Where and how exactly a task runs.

    Attributes:
        device: "auto" takes CUDA, then MPS, then the CPU.
        precision: of parameters and data; "bf16" is float32 with bfloat16 autocast where the device has it.
        checkpoint_seconds: at least this long between two checkpoints; one is also written when the run ends.
        checkpoint_steps: write a checkpoint after every so many updates as well.
        threads: how many CPU threads torch computes with. When not given, one for a small network of layers, which is
            fastest and gives the same numbers on every machine; as many as torch likes for all others.
        recorded_loss: which loss of a step is recorded, and read by stop rules: that of its "batch"; or that of the
            whole "training" part, in evaluation mode, with the weights before the update. Gradients are the batch's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["float64", "float32", "bf16"] = "float32"
    checkpoint_seconds: AboveZero = 30.0
    checkpoint_steps: Count | None = None
    threads: Count | None = None
    recorded_loss: Literal["batch", "training"] = "batch"


class MapSpec(BaseModel):
    """The map that a task is made for: what varies along its two sides, and the colour of a run.

    Attributes:
        x: key and values of the horizontal axis, as on the command line: "lr.0=log:1e-3:1e6".
        y: those of the vertical axis.
        measure: the number of each run; the usual one when not given.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    x: str
    y: str
    measure: str | None = None

    @field_validator("x", "y")
    @classmethod
    def _names_a_key_and_values(cls, side: str) -> str:
        key, _, values = side.partition("=")
        if not key.strip() or not values.strip():
            raise ValueError("a key and its values, such as 'lr.0=log:1e-3:1e6'")
        return side


Schedule = Annotated[ScheduleSpec, _named(SCHEDULERS)]
