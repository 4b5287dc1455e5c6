"""The network of a run, drawn: layers of units when it is built from layers, else a table of its modules."""

from collections.abc import Callable
from dataclasses import replace

from torch import nn

from chainrule.components import SharedBiasLinear, leaf_modules
from chainrule.documents import Block, Column, Edge, Heading, NetworkDrawing, Node, Table
from chainrule.reports.unit_names import UnitNames, name_units
from chainrule.shapes import Tensor
from chainrule.training import Run, State
from chainrule.training.evaluation import evaluating

_MOST_UNITS = 12  # of a layer; the renderer cuts larger ones, and edges to units that are not drawn are left out
_MOST_LABELS = 24


def network_blocks(run: Run, state: State) -> list[Block]:
    """Return the drawing of a run's network with its final weights, and what it says about the first sample."""
    outputs = module_outputs(run.model, state.batches.inputs[:1])
    names = name_units(run.model, state.batches.inputs[0].numel(), outputs)
    heading = Heading("The network")
    if not names.formulas:
        return [heading, _module_table(run.model, outputs)]
    drawing = draw_network(run.model, state.batches.inputs[0], outputs, names)
    if run.state.best_weights:
        best = f"Weights of epoch {run.progress.best_epoch}, the best on the validation part"
        drawing = replace(drawing, caption=drawing.caption.replace("Weights after the last update", best))
    return [heading, drawing]


def module_outputs(model: nn.Module, inputs: Tensor) -> dict[str, Tensor]:
    """Return what every module without modules inside returns for a batch, in evaluation mode, by path.

    Outputs without a row for each sample are left out.
    """
    outputs: dict[str, Tensor] = {}

    def keep(path: str) -> Callable[[nn.Module, object, object], None]:
        def hook(module: nn.Module, arguments: object, output: object) -> None:
            if isinstance(output, Tensor) and output.shape[:1] == inputs.shape[:1]:
                outputs[path] = output.detach().clone()

        return hook

    handles = [module.register_forward_hook(keep(path)) for path, module in leaf_modules(model).items()]
    try:
        with evaluating(model):
            model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return outputs


def draw_network(model: nn.Module, sample: Tensor, outputs: dict[str, Tensor], names: UnitNames) -> NetworkDrawing:
    """Draw a network of layers in columns, with the values of one sample at its units."""
    inputs = tuple(
        Node(name, (f"{value:.4g}",)) for name, value in zip(names.inputs, sample.reshape(-1).tolist(), strict=True)
    )
    columns, titles, edges = [inputs], ["inputs"], []
    linear = [
        (path, module) for path, module in model.named_children() if isinstance(module, nn.Linear | SharedBiasLinear)
    ]
    scalars = sum(module.weight.numel() for _, module in linear)
    for number, (path, module) in enumerate(linear):
        columns.append(_units(path, outputs, names))
        titles.append(path)
        edges += _edges(number, module.weight.detach(), names.parameters[f"{path}.weight"], scalars <= _MOST_LABELS)
    return NetworkDrawing(
        key="network",
        title="The network after training",
        layers=tuple(columns),
        layer_names=tuple(titles),
        edges=tuple(edges),
        caption="Weights after the last update; at the units, what the first training sample makes of them.",
    )


def _units(path: str, outputs: dict[str, Tensor], names: UnitNames) -> tuple[Node, ...]:
    before = outputs[path][0].reshape(-1).tolist()
    activated = outputs.get(f"{path}_activation")
    after = activated[0].reshape(-1).tolist() if activated is not None else []
    nodes = []
    for place, (name, value) in enumerate(zip(names.outputs[path], before, strict=True)):
        lines = [f"{value:.4g}"]
        if place < len(after):
            lines.append(f"a {after[place]:.4g}")
        nodes.append(Node(name, tuple(lines)))
    return tuple(nodes)


def _edges(layer: int, weight: Tensor, names: tuple[str, ...], is_labelled: bool) -> list[Edge]:
    edges = []
    rows, columns = weight.shape
    values = weight.tolist()
    for unit in _drawn(rows):
        for source in _drawn(columns):
            value = values[unit][source]
            label = f"{names[unit * columns + source]} {value:.4g}" if is_labelled else ""
            edges.append(Edge((layer, source), (layer + 1, unit), value, label))
    return edges


def _drawn(count: int) -> list[int]:
    """Return the units of a layer that a drawing may show: all of a small one, both ends of a large one."""
    if count <= 2 * _MOST_UNITS:
        return list(range(count))
    return [*range(_MOST_UNITS), *range(count - _MOST_UNITS, count)]


def _module_table(model: nn.Module, outputs: dict[str, Tensor]) -> Table:
    rows = []
    for path, module in model.named_modules():
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        shape = str(tuple(outputs[path].shape[1:])) if path in outputs else ""
        rows.append((path or "(the model)", type(module).__name__, own, shape))
    columns = (Column("module"), Column("kind"), Column("parameters", "d"), Column("output shape of a sample"))
    return Table(columns, tuple(rows), "The modules of the model.")
