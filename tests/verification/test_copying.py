"""Copies take along the functions that close over a model, and leave all others alone."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from chainrule.shapes import Tensor
from chainrule.verification.copying import copy_model

MODEL = nn.Linear(2, 2)


def penalty() -> Tensor:
    return MODEL.weight.square().sum()


def global_loss(output: Tensor) -> Tensor:
    return output.sum() + penalty()


def plain_loss(output: Tensor) -> Tensor:
    return output.sum()


def closure(model: nn.Module) -> Callable[[Tensor], Tensor]:
    def loss(output: Tensor) -> Tensor:
        return output.sum() + sum(parameter.sum() for parameter in model.parameters())

    return loss


def holder(loss: Any, name: str) -> Any:
    return dict(zip(loss.__code__.co_freevars, loss.__closure__, strict=True))[name].cell_contents


def test_a_closure_over_the_model_is_over_the_copy() -> None:
    model = nn.Linear(2, 2)
    loss = closure(model)
    twin, twin_loss, _ = copy_model(model, loss)
    assert holder(twin_loss, "model") is twin
    assert holder(loss, "model") is model
    assert twin.weight is not model.weight


def test_a_model_that_is_found_in_a_module_is_the_copy_there() -> None:
    twin, twin_loss, _ = copy_model(MODEL, global_loss)
    with torch.no_grad():
        twin.weight.fill_(1.0)
    assert float(twin_loss(torch.zeros(1)).detach()) == 4.0
    assert float(global_loss(torch.zeros(1)).detach()) != 4.0


def test_a_loss_that_does_not_know_the_model_is_itself() -> None:
    assert copy_model(nn.Linear(2, 2), plain_loss)[1] is plain_loss
    assert copy_model(nn.Linear(2, 2), torch.nn.functional.mse_loss)[1] is torch.nn.functional.mse_loss


def test_a_method_of_the_model_is_the_copy_s() -> None:
    model = nn.Linear(2, 2)
    twin, twin_forward, _ = copy_model(model, model.forward)
    assert twin_forward.__self__ is twin


def test_hooks_write_into_lists_of_their_own() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    seen: list[Tensor] = []
    model[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
    model(torch.ones(1, 2))
    twin, _, _ = copy_model(model, None)
    twin(torch.ones(1, 2))
    assert len(seen) == 1


def test_results_that_a_forward_left_behind_are_copied_without_their_graph() -> None:
    model = nn.Linear(2, 2)
    model.kept = {"last": [model(torch.ones(1, 2))]}  # type: ignore[assignment]
    twin, _, copies = copy_model(model, None)
    kept: Any = twin.kept
    assert torch.equal(kept["last"][0], model(torch.ones(1, 2)))
    assert kept["last"][0].grad_fn is None
    assert any(part is twin.weight for part in copies)
