"""What tests of the recorder ask of a trace, and the small network that most of them record."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_hooks
from torch.optim import Optimizer
from torch.optim import optimizer as optimizer_hooks
from torch.overrides import _get_current_function_mode_stack

from chainrule.trace import Op, Trace


def dense(tensor: Tensor) -> Tensor:
    return (tensor.to_dense() if tensor.is_sparse else tensor).detach()


def lawless(trace: Trace, ulps: float = 8) -> list[str]:
    """Return the names of the values whose contributions do not add up to their adjoint."""
    wrong = []
    for value in trace.values:
        parts = [use.contribution for use in value.uses if use.contribution is not None]
        if value.adjoint is None or not parts:
            continue
        if not isinstance(value.adjoint, Tensor) or not all(isinstance(part, Tensor) for part in parts):
            wrong.append(f"{value.name}: {value.adjoint}, {parts}")
            continue
        tensors = [dense(part) for part in parts if isinstance(part, Tensor)]
        total, adjoint = sum(tensors[1:], tensors[0]), dense(value.adjoint)
        largest = torch.stack([tensor.abs() for tensor in tensors]).amax(0)
        if not bool(((total - adjoint).abs() <= ulps * torch.finfo(largest.dtype).eps * largest).all()):
            wrong.append(value.name)
    return wrong


def names(trace: Trace, *phases: Any) -> list[str]:
    """Return the names of the ops of some phases, of all when none is given."""
    return [op.name for op in trace.ops if not phases or op.phase in phases]


def op_named(trace: Trace, name: str) -> Op:
    (op,) = [op for op in trace.ops if op.name == name]
    return op


def what_torch_holds() -> tuple[int, ...]:
    """Return how many hooks and modes torch has, for the whole process."""
    return (
        len(module_hooks._global_forward_hooks),
        len(module_hooks._global_forward_pre_hooks),
        len(module_hooks._global_forward_hooks_always_called),
        len(module_hooks._global_backward_hooks),
        len(optimizer_hooks._global_optimizer_pre_hooks),
        len(optimizer_hooks._global_optimizer_post_hooks),
        len(_get_current_function_mode_stack()),
    )


def network() -> nn.Sequential:
    """Return a 4-5-1 network, always the same one."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1))


def batch() -> tuple[Tensor, Tensor]:
    """Return inputs and targets of three samples."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(3, 4, generator=generator), torch.randn(3, 1, generator=generator)


def step(model: nn.Module, optimizer: Optimizer | None = None) -> None:
    """Take a step that nobody looks at."""
    inputs, targets = batch()
    model.zero_grad()
    nn.functional.mse_loss(model(inputs), targets).backward()
    if optimizer is not None:
        optimizer.step()
