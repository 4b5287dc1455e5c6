"""Which modules of a model a pattern chooses."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from torch import nn
from torch.nn.utils.parametrize import type_before_parametrizations

from chainrule.errors import UnknownNameError, did_you_mean

TYPE_PREFIX = "type:"
SHOWN_NAMES = 30


def select_modules(model: nn.Module, patterns: Iterable[str], where: str) -> dict[str, nn.Module]:
    """Return the modules that at least one pattern chooses, by path, in the model's own order.

    A module that has several paths appears once, under the first that is chosen. Modules that cannot be called
    (nn.ModuleList) are never chosen. An nn.Sequential is left out when the module it ends in is chosen as well: both
    give the same tensor, which would count twice. The model itself, whose path is empty, is chosen by type only.

    Args:
        model: the model whose modules are looked through.
        patterns: globs over module paths ("hidden.*"), or "type:" and a glob over class names ("type:ReLU").
        where: what the patterns belong to, for the error.

    Raises:
        UnknownNameError: a pattern chooses no module.
    """
    callable_modules = {
        path: module
        for path, module in model.named_modules(remove_duplicate=False)
        if type(module).forward is not nn.Module.forward
    }
    patterns = tuple(patterns)
    for pattern in patterns:
        if not any(_matches(pattern, path, module) for path, module in callable_modules.items()):
            raise _no_match(pattern, callable_modules, where)
    chosen: dict[nn.Module, str] = {}
    for path, module in callable_modules.items():
        if any(_matches(pattern, path, module) for pattern in patterns):
            chosen.setdefault(module, path)
    return {path: module for module, path in chosen.items() if not _ends_in_one_of(module, chosen)}


def shown_path(path: str) -> str:
    """Return a module's path for people to read; the model itself has an empty one."""
    return path or "(the model)"


def class_name(module: nn.Module) -> str:
    """Return the name of a module's class, as it was before torch.nn.utils.parametrize replaced the class."""
    return type_before_parametrizations(module).__name__


def _matches(pattern: str, path: str, module: nn.Module) -> bool:
    if pattern.startswith(TYPE_PREFIX):
        return fnmatchcase(class_name(module), pattern.removeprefix(TYPE_PREFIX))
    return path != "" and fnmatchcase(path, pattern)


def _ends_in_one_of(module: nn.Module, chosen: dict[nn.Module, str]) -> bool:
    while type(module).forward is nn.Sequential.forward and len(children := list(module.children())) > 0:
        module = children[-1]
        if module in chosen:
            return True
    return False


def _no_match(pattern: str, modules: dict[str, nn.Module], where: str) -> UnknownNameError:
    if pattern.startswith(TYPE_PREFIX):
        known = sorted({TYPE_PREFIX + class_name(module) for module in modules.values()})
    else:
        known = [path for path in modules if path]
    more = f" and {len(known) - SHOWN_NAMES} more" if len(known) > SHOWN_NAMES else ""
    expected = f"a pattern that matches one of {', '.join(known[:SHOWN_NAMES])}{more}"
    if not known:
        names = " or ".join(TYPE_PREFIX + class_name(module) for module in modules.values())
        expected = f"{names}; the model has no modules inside, so it is chosen by its type"
    return UnknownNameError(
        what=f"No module of the model matches '{pattern}'.",
        where=where,
        found=pattern,
        expected=expected,
        next_step=did_you_mean(pattern, known),
    )
