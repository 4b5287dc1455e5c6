"""How answers name ops, values and numbers."""

from collections.abc import Sequence
from typing import Literal

from chainrule.trace import Op, Source, Trace, Value

Severity = Literal["note", "warning", "error"]
Evidence = dict[str, float | int | str]


def name_of(value: Value) -> str:
    """Name a value: by its name, or by its number."""
    return value.name or f"%{value.id}"


def call_of(op: Op) -> str:
    """Name an op with its module and line: "relu in act1 (net.py:12)"."""
    place = f"{op.name} in {op.module}" if op.module else op.name
    return f"{place} ({op.source})" if op.source else place


def where_of(op: Op) -> str:
    """Say where an op stands, with the line of code itself."""
    module = f"module {op.module}" if op.module else "the model"
    module += f" ({op.module_class})" if op.module_class and op.module else ""
    return f"op {op.id}: {op.name}, {module}" + (f", {line_of(op.source)}" if op.source else "")


def line_of(source: Source | None) -> str:
    """Say which line of code: "net.py:12: h = torch.relu(h)"."""
    if source is None:
        return ""
    return f"{source}: {source.text}" if source.text else str(source)


def evidence_of(op: Op, **numbers: float | int | str) -> Evidence:
    """Return the evidence of a finding about an op: which one it is, then its numbers, by name."""
    known: Evidence = {"op": op.name, "op number": op.id, "module": op.module}
    return known | {name.replace("_", " "): number for name, number in numbers.items()}


def number(value: float) -> float:
    """Round a number to four digits, for reading."""
    return float(f"{value:.4g}")


def names(items: Sequence[str], shown: int = 4) -> str:
    """Join names: "a", "a and b", "a, b and 3 more"."""
    if len(items) <= 1:
        return "".join(items)
    if len(items) <= shown:
        return ", ".join(items[:-1]) + f" and {items[-1]}"
    return ", ".join(items[: shown - 1]) + f" and {len(items) - shown + 1} more"


def index_text(index: Sequence[int]) -> str:
    """Write an index: "[3, 0]"; nothing for a number without dimensions."""
    return str(list(index)) if index else ""


def layer_of(trace: Trace, op: Op) -> str:
    """Name a layer: its module, or the parameter that its op uses."""
    parameters = [trace.values[use.value] for use in op.inputs if trace.values[use.value].kind == "parameter"]
    if parameters and name_of(parameters[0]).rpartition(".")[0] in (op.module, ""):
        return op.module or name_of(parameters[0])
    return name_of(parameters[0]).rpartition(".")[0] if parameters else op.module or op.name
