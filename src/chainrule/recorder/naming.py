"""Names that a reader can say: "fc1.linear", "add#2", "lstm:1", given when the recording is over."""

from collections import Counter

from chainrule.trace import Trace


def name_values(trace: Trace) -> None:
    """Name every value that has none: module, op, output number where there are several, a number where it repeats."""
    taken: Counter[str] = Counter()
    for value in trace.values:
        if value.name:  # a leaf; when it has changed during the recording, there are several of its name
            taken[value.name] += 1
            value.name = value.name if taken[value.name] == 1 else f"{value.name}#{taken[value.name]}"
    for value in trace.values:
        if value.name:
            continue
        if value.producer is None:
            base: str = value.kind
        else:
            op = trace.ops[value.producer]
            base = f"{op.module}.{op.name}" if op.module else op.name
            if value.kind == "hidden":
                base += ".hidden"
            elif len(op.outputs) > 1:
                base += f":{value.output}"
        taken[base] += 1
        value.name = base if taken[base] == 1 else f"{base}#{taken[base]}"
