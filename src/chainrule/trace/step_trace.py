"""A trace: everything that one training step did."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, final

from chainrule.documents import Shown
from chainrule.errors import UnknownNameError, nearest
from chainrule.shapes import Tensor
from chainrule.trace.numbers import Statistics
from chainrule.trace.ops import Op, Phase, Source
from chainrule.trace.updates import Update
from chainrule.trace.values import Value

if TYPE_CHECKING:
    import polars

Keep = Literal["values", "statistics"]

# Loaded when a trace is saved or made a table: they need libraries that a first trace must not wait for.
_FILES = "chainrule.trace.files"
_TABLES = "chainrule.trace.tables"


@dataclass(frozen=True, slots=True)
class ModuleNote:
    """A module of the model: its class, whether it was training, and the values that its calls returned."""

    class_name: str
    training: bool
    outputs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """A tensor left torch and became a Python number, which may have steered the program.

    Attributes:
        what: "bool", "item", "tolist", "numpy", ...
        value: the id of the tensor's value.
        result: the number, when it is one.
        source: the line of code.
    """

    what: str
    value: int
    result: float | int | bool | None
    source: Source | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """The byte budget was used up: from this op on, only statistics are kept."""

    op: int
    budget: int


@dataclass(slots=True, eq=False)
class Recipe:
    """How to take the step again; it lives only as long as the objects that were recorded.

    Attributes:
        model: the user's own module (its parameters have moved on since when there was an update).
        compute_loss: runs forward and loss of a model like it, as the recorded step did.
        random_states: the generators' states before the step, by device ("cpu", "cuda:0").
        buffers: the model's buffers before the step, by name; those of before, because a step may change them.
    """

    model: Any
    compute_loss: Callable[[Any], Any]
    random_states: Mapping[str, Any]
    buffers: Mapping[str, Any]


@final
@dataclass(slots=True, eq=False, repr=False)
class Trace(Shown):
    """Everything that one training step did. Read it; do not change it.

    Attributes:
        ops: every operation, in the order in which they ran.
        values: every value, by id.
        updates: what the optimizer did, one for each parameter; empty when there was no update.
        loss: the id of the loss's value; None when the step failed before it had one.
        modules: the model's modules, by path; "" is the model itself.
        keep: whether tensors or their statistics are kept.
        decisions: where tensors became Python numbers.
        notes: what a reader must know: "torch.compile was set aside: ...".
        about: facts of the recording, by name: "torch", "model", "optimizer", "device", "seconds".
        left_out: set when the byte budget was used up.
        recipe: how to take the step again; None in a trace that was loaded.
    """

    ops: list[Op]
    values: list[Value]
    updates: list[Update]
    loss: int | None
    modules: dict[str, ModuleNote]
    keep: Keep
    decisions: list[Decision] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    about: dict[str, str | int | float] = field(default_factory=dict)
    left_out: LeftOut | None = None
    recipe: Recipe | None = None

    def __repr__(self) -> str:
        model = self.modules[""].class_name if "" in self.modules else "nothing"
        loss = self.values[self.loss].data if self.loss is not None else None
        end = "no loss"
        if isinstance(loss, Tensor) and loss.numel() == 1:
            end = f"loss {loss.item():.4g}"
        elif isinstance(loss, Statistics):
            end = f"loss {loss.mean:.4g}"
        elif loss is not None:
            end = "its loss is missing"
        return f"Trace({model}, {len(self.ops)} ops, {len(self.values)} values, {end})"

    def save(self, path: str | Path) -> None:
        """Write the trace to one file, which `Trace.load` reads on any machine.

        The file holds no code: `recipe` and `Op.run` are not stored. What an op was called with and has no form in
        JSON is stored as text; sparse tensors are stored with their zeros, and a note says so.

        Raises:
            OutputError: the file cannot be written; what stood there before is still there.
        """
        importlib.import_module(_FILES).write_trace(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> "Trace":
        """Read a trace that `save` wrote. Nothing of the file is executed, and its tensors are on the CPU.

        Raises:
            TraceFileError: the file is not there, is something else, is damaged or is of another version.
        """
        trace: Trace = importlib.import_module(_FILES).read_trace(Path(path))
        return trace

    def to_polars(self) -> "polars.DataFrame":
        """Return a table with one row for each op; `chainrule.trace.tables` lists its columns."""
        table: polars.DataFrame = importlib.import_module(_TABLES).ops_table(self)
        return table

    def values_table(self) -> "polars.DataFrame":
        """Return a table with one row for each value: its numbers and those of its adjoint."""
        table: polars.DataFrame = importlib.import_module(_TABLES).values_table(self)
        return table

    def uses_table(self) -> "polars.DataFrame":
        """Return a table with one row for each use of a value: what it sends back of the value's adjoint."""
        table: polars.DataFrame = importlib.import_module(_TABLES).uses_table(self)
        return table

    def to_pandas(self) -> Any:
        """Return the table of `to_polars` as a pandas.DataFrame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return importlib.import_module(_TABLES).pandas_table(self)

    def write_parquet(self, path: str | Path) -> None:
        """Write the table of `to_polars` as a Parquet file.

        Raises:
            OutputError: the file cannot be written; what stood there before is still there.
        """
        importlib.import_module(_TABLES).write_parquet(self, Path(path))

    def ops_in(self, phase: Phase) -> Iterator[Op]:
        """Yield the ops of one phase, in order."""
        return (op for op in self.ops if op.phase == phase)

    @property
    def parameters(self) -> list[Value]:
        """The parameters' values before the update."""
        return [value for value in self.values if value.kind == "parameter"]

    def value(self, name: str | int | Value) -> Value:
        """Return a value by its name, its id, "%7" for id 7, or the path of the module that returned it.

        Raises:
            UnknownNameError: there is none; the message lists the nearest names.
        """
        if isinstance(name, Value):
            return name
        if isinstance(name, int) or (name.startswith("%") and name[1:].isdigit()):
            number = int(str(name).removeprefix("%"))
            if 0 <= number < len(self.values):
                return self.values[number]
            raise UnknownNameError(
                what=f"The trace has no value %{number}.",
                found=f"%{number}",
                expected=f"%0 to %{len(self.values) - 1}",
            )
        found = next((value for value in self.values if name and value.name == name), None)
        if found is not None:
            return found
        note = self.modules.get(name)
        if note is not None and len(note.outputs) == 1:
            return self.values[note.outputs[0]]
        known = [value.name for value in self.values if value.name]
        raise UnknownNameError(
            what=f"The trace has no value '{name}'.",
            found=name,
            expected="one of " + ", ".join(nearest(name, known, 8) or known[:8]),
            next_step="All names stand in its table of values: trace.values_table().",
        )
