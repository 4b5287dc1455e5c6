"""The network of a program, drawn: units in columns, weights at the lines between them."""

from chainrule.documents import Edge, NetworkDrawing, Node
from chainrule.programs import Assignment, Program
from chainrule.programs.naming import plain_digits

_MOST_UNITS = 40
_MOST_LABELS = 24


def network_of(program: Program, *, with_values: bool = True) -> NetworkDrawing | None:
    """Return a drawing of a program's first sample, or None where it is not made of layers of a drawable size.

    Args:
        program: with the numbers of its step.
        with_values: whether the units show what they take and give, and not the inputs alone.
    """
    sample = 1 if program.samples > 1 else None
    inputs = [each.name for each in program.of_kind("input") if each.sample == sample]
    parameters = set(program.parameters) | {each.name for each in program.of_kind("constant")}
    places: dict[str, tuple[int, int]] = {name: (0, place) for place, name in enumerate(inputs)}
    columns: list[list[list[str]]] = [[[name] for name in inputs]]
    edges: list[Edge] = []
    for line in program.in_step("forward"):
        if program.quantities[line.name].sample != sample:
            continue
        below = [name for name in line.partials if name not in parameters]
        if not below or any(name not in places for name in below):
            return None
        layer, place = places[below[0]]
        if len(below) == 1 and not parameters & set(line.partials):
            columns[layer][place].append(line.name)  # an activation belongs to its unit
            places[line.name] = (layer, place)
            continue
        if len({places[name][0] for name in below}) > 1:
            return None
        if len(columns) == layer + 1:
            columns.append([])
        places[line.name] = (layer + 1, len(columns[layer + 1]))
        columns[layer + 1].append([line.name])
        edges += _edges(program, line, below, places)
    if len(columns) < 2 or max(map(len, columns)) > _MOST_UNITS:
        return None
    is_labelled = len(edges) <= _MOST_LABELS
    names = ["inputs", *(f"layer {number}" for number in range(1, len(columns)))]
    nodes = tuple(
        tuple(_node(program, unit, with_values or layer == 0) for unit in column)
        for layer, column in enumerate(columns)
    )
    shown = tuple(edge if is_labelled else Edge(edge.start, edge.end, edge.value) for edge in edges)
    caption = "Before the update." if sample is None else "The first sample, before the update."
    return NetworkDrawing("network", "The network", nodes, tuple(names), shown, caption)


def _edges(program: Program, line: Assignment, below: list[str], places: dict[str, tuple[int, int]]) -> list[Edge]:
    edges = []
    for name in below:
        weight = line.partials[name]
        if weight.is_Symbol:
            value = program.quantities[weight.name].value
            edges.append(Edge(places[name], places[line.name], value, f"{weight.name} {value:.4g}"))
    return edges


def _node(program: Program, unit: list[str], with_values: bool) -> Node:
    name = plain_digits(unit[0]).removesuffix("(1)")
    if not with_values:
        return Node(name)
    lines = [f"{program.quantities[name].value:.4g}" for name in unit]
    if len(unit) == 2:
        lines[1] = f"a {lines[1]}"
    return Node(name, tuple(lines))
