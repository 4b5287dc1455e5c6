"""Deep copies of a model with its loss, and with the functions that hang on them.

`copy.deepcopy` leaves functions as they are. A hook or a loss that is a closure over the model would then work on the
user's own model while the copy runs, and write into the user's own lists; so such functions are copied too, with what
they close over.
"""

import copy
from collections.abc import Iterator
from types import CellType, CodeType, FunctionType
from typing import Any

import torch
from torch import nn

from chainrule.errors import ChainruleError
from chainrule.shapes import Tensor

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_DEPTH = 6  # how deep objects are looked into
_WIDTH = 10_000  # how many parts of one container are looked at


def copy_model(module: nn.Module, loss_fn: Any) -> tuple[nn.Module, Any, list[Any]]:
    """Return deep copies of a model and its loss, and everything that was copied for them.

    Raises:
        ChainruleError: the model cannot be copied.
    """
    memo: dict[int, Any] = {}
    try:
        for part in (module, loss_fn):
            _note_results(part, memo)
        with torch.no_grad():  # a torch.jit module is copied by an operation that autograd would follow
            twin = copy.deepcopy(module, memo)
        for own, other in zip(module.parameters(), twin.parameters(), strict=True):
            other.requires_grad_(own.requires_grad)
        twin_loss = _function(loss_fn, memo) if isinstance(loss_fn, FunctionType) else copy.deepcopy(loss_fn, memo)
        for part in (twin, twin_loss):
            if isinstance(part, nn.Module):
                _copy_functions(part, memo)
    except Exception as error:
        lines = str(error).strip().splitlines()
        raise ChainruleError(
            what="The model cannot be verified, because it cannot be copied.",
            where=type(module).__name__,
            found=f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__,
            expected="a module that copy.deepcopy copies",
            next_step="Keep open files, locks and processes out of the module, or give it a __deepcopy__.",
        ) from error
    return twin, twin_loss, list(memo.values())


def _copy_functions(module: nn.Module, memo: dict[int, Any]) -> None:
    for inner in module.modules():
        if isinstance(inner, torch.jit.ScriptModule):
            continue
        for name in _HOOKS:
            hooks = inner.__dict__.get(name) or {}
            for key, hook in hooks.items():
                if isinstance(hook, FunctionType):
                    hooks[key] = _function(hook, memo, always=True)
        for name, part in inner.__dict__.items():
            if isinstance(part, FunctionType):
                inner.__dict__[name] = _function(part, memo)


def _function(function: FunctionType, memo: dict[int, Any], always: bool = False) -> FunctionType:
    """Return a function with copies of what it closes over, and of the model where it takes that from its module.

    Args:
        function: any.
        memo: what has been copied.
        always: copy it even when it does not reach what has been copied.
    """
    known = memo.get(id(function))
    if known is not None:
        found: FunctionType = known
        return found
    cells = function.__closure__ or ()
    contents = [cell.cell_contents for cell in cells if cell != CellType()]
    used = {name: function.__globals__[name] for name in _names(function.__code__) if name in function.__globals__}
    taken = {name: part for name, part in used.items() if isinstance(part, nn.Module | Tensor)}
    memo[id(function)] = function  # as long as it is looked at: functions may call one another
    called = {
        name: _function(part, memo)
        for name, part in used.items()
        if isinstance(part, FunctionType) and part.__globals__ is function.__globals__
    }
    del memo[id(function)]
    called = {name: part for name, part in called.items() if part is not used[name]}
    reaches = bool(called) or any(_reaches(part, memo, _DEPTH) for part in (*contents, *taken.values()))
    if not reaches and not (always and contents):
        return function
    replaced = called | {name: _copy(part, memo) for name, part in taken.items()}
    twin = FunctionType(
        function.__code__,
        {**function.__globals__, **replaced} if replaced else function.__globals__,
        function.__name__,
        _copy(function.__defaults__, memo),
        tuple(cell if cell == CellType() else CellType() for cell in cells),
    )
    twin.__kwdefaults__ = _copy(function.__kwdefaults__, memo)
    memo[id(function)] = twin
    for cell, new in zip(cells, twin.__closure__ or (), strict=True):
        if cell != CellType():
            new.cell_contents = _copy(cell.cell_contents, memo)
    return twin


def _copy(part: Any, memo: dict[int, Any]) -> Any:
    if isinstance(part, FunctionType):
        return _function(part, memo)
    _note_results(part, memo)
    return copy.deepcopy(part, memo)


def _note_results(part: Any, memo: dict[int, Any]) -> None:
    """Let deepcopy copy tensors that an earlier forward left behind: it refuses those that have a graph."""
    for found in _inside(part, _DEPTH, set()):
        if isinstance(found, Tensor) and found.grad_fn is not None and id(found) not in memo:
            memo[id(found)] = found.detach().clone()


def _reaches(part: Any, memo: dict[int, Any], depth: int) -> bool:
    return any(id(found) in memo for found in _inside(part, depth, set()) if isinstance(found, nn.Module | Tensor))


def _inside(part: Any, depth: int, seen: set[int]) -> Iterator[Any]:
    """Yield an object and what it holds."""
    if id(part) in seen or isinstance(part, str | bytes | int | float | bool | type | None):
        return
    seen.add(id(part))
    yield part
    if depth == 0 or isinstance(part, Tensor):
        return
    if isinstance(part, FunctionType):
        inner = [cell.cell_contents for cell in part.__closure__ or () if cell != CellType()]
    elif isinstance(part, dict):
        inner = list(part.values())[:_WIDTH]
    elif isinstance(part, list | tuple | set | frozenset):
        inner = list(part)[:_WIDTH]
    else:
        inner = list(getattr(part, "__dict__", {}).values())
        slots = [name for kind in type(part).__mro__ for name in getattr(kind, "__slots__", ())]
        inner += [getattr(part, name) for name in slots if isinstance(name, str) and hasattr(part, name)]
    for each in inner:
        yield from _inside(each, depth - (not isinstance(part, nn.Module)), seen)


def _names(code: CodeType) -> set[str]:
    """Return the global names that a function and the functions inside it use."""
    inner = [part for part in code.co_consts if isinstance(part, CodeType)]
    return set(code.co_names).union(*(_names(part) for part in inner))
