"""What a trace file says, as pydantic checks it: the JSON beside the numbers.

Whatever is kept of a tensor is one of three: a number is the tensor of that number, text is the reason why nothing is
there, and a list is its statistics in the order of `Statistics`, with "nan", "inf" and "-inf" as text.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, with_config

from chainrule.trace.ops import Phase
from chainrule.trace.step_trace import Keep
from chainrule.trace.values import ValueKind

FORMAT = "chainrule trace"
VERSION = 1

_STRICT = ConfigDict(strict=True, extra="forbid")

Float = float | Literal["nan", "inf", "-inf"]
KeptStatistics = tuple[int, Float, Float, Float, Float, Float, Float | None, int]
KeptRecord = int | str | KeptStatistics


@dataclass(frozen=True, slots=True)
class HeadRecord:
    """What is read first; the rest depends on it."""

    format: str
    version: int


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ViewRecord:
    """A tensor: which elements of which block; offset and strides count elements."""

    block: int
    dtype: str
    shape: list[int]
    strides: list[int]
    offset: int


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class SourceRecord:
    """A `Source`."""

    file: str
    line: int
    function: str
    text: str


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class UseRecord:
    """A `Use`."""

    value: int
    op: int
    place: list[int | str]
    sent: list[KeptRecord] = field(default_factory=list)


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ValueRecord:
    """A `Value`; its id is its position, and `uses` are positions among all uses."""

    kind: ValueKind
    name: str
    shape: list[int]
    dtype: str
    device: str
    kept: KeptRecord
    producer: int | None = None
    output: int = 0
    requires_grad: bool = False
    adjoint: KeptRecord | None = None
    uses: list[int] = field(default_factory=list)


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class OpRecord:
    """An `Op`; its id is its position, `source` a position among all sources and `inputs` among all uses."""

    name: str
    phase: Phase
    module: str = ""
    module_class: str = ""
    call: int = 0
    source: int | None = None
    function: str = ""
    arguments: list[Any] = field(default_factory=list)
    keywords: dict[str, Any] = field(default_factory=dict)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    overwrites: list[int] = field(default_factory=list)
    gradients_on: bool = True
    autocast: str = ""
    random_state: int | None = None
    opaque: str = ""
    of: int | None = None
    nodes: list[str] = field(default_factory=list)
    recomputed: bool = False


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class UpdateRecord:
    """An `Update`."""

    parameter: str
    value: int
    op: int
    optimizer: str
    before: KeptRecord
    after: KeptRecord
    gradient: KeptRecord | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    state_before: dict[str, KeptRecord] = field(default_factory=dict)
    state_after: dict[str, KeptRecord] = field(default_factory=dict)


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class ModuleRecord:
    """A `ModuleNote`."""

    class_name: str
    training: bool
    outputs: list[int] = field(default_factory=list)


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """A `Decision`."""

    what: str
    value: int
    result: Any = None
    source: int | None = None


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class LeftOutRecord:
    """A `LeftOut`."""

    op: int
    budget: int


@with_config(_STRICT)
@dataclass(frozen=True, slots=True)
class TraceRecord:
    """A `Trace`."""

    format: str
    version: int
    keep: Keep
    loss: int | None
    about: dict[str, Any]
    notes: list[str]
    left_out: LeftOutRecord | None
    modules: dict[str, ModuleRecord]
    sources: list[SourceRecord]
    ops: list[OpRecord]
    values: list[ValueRecord]
    uses: list[UseRecord]
    updates: list[UpdateRecord]
    decisions: list[DecisionRecord]
    tensors: list[ViewRecord]


HEAD = TypeAdapter(HeadRecord)
TRACE = TypeAdapter(TraceRecord)
