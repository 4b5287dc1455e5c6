"""What the leaves and modules of a step are called."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn

from chainrule.recorder.tensors import Named
from chainrule.trace import walk

LOSS = "loss_fn"


def module_paths(model: nn.Module, loss_fn: object) -> dict[nn.Module, str]:
    """Return the path of every module, the model's own as `named_modules` has them, the loss's under "loss_fn"."""
    paths: dict[nn.Module, str] = {}
    for path, module in model.named_modules():
        paths.setdefault(module, path)
    if isinstance(loss_fn, nn.Module):
        for path, module in loss_fn.named_modules():
            paths.setdefault(module, f"{LOSS}.{path}" if path else LOSS)
    return paths


def parameters_of(paths: Mapping[nn.Module, str]) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield name and parameter as `named_parameters` does, of modules that have been walked through already."""
    for module, path in paths.items():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                yield f"{path}.{name}" if path else name, parameter


def buffers_of(paths: Mapping[nn.Module, str]) -> Iterator[tuple[str, Tensor]]:
    """Yield name and buffer as `named_buffers` does, of modules that have been walked through already."""
    for module, path in paths.items():
        for name, buffer in module._buffers.items():
            if buffer is not None:
                yield f"{path}.{name}" if path else name, buffer


def leaf_names(paths: Mapping[nn.Module, str]) -> dict[int, Named]:
    """Return kind and name of every parameter and buffer; a tied one has the name that comes first."""
    names: dict[int, Named] = {}
    for name, parameter in parameters_of(paths):
        names.setdefault(id(parameter), ("parameter", name))
    for name, buffer in buffers_of(paths):
        names.setdefault(id(buffer), ("buffer", name))
    return names


def named_tensors(structure: object, kind: str) -> list[tuple[Tensor, str]]:
    """Return the tensors of a step's inputs or targets with their names.

    One tensor is "input", several are "input[0]", "input[1]"; those of a dictionary have its keys for names.
    """
    if isinstance(structure, Tensor):
        return [(structure, kind)]
    found = []
    for place, part in walk(structure):
        if isinstance(part, Tensor):
            first, *rest = place
            name = first if isinstance(first, str) else f"{kind}[{first}]"
            found.append((part, name + "".join(f"[{key}]" for key in rest)))
    return found
