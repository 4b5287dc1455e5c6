"""What the optimizer does, by torch's own step hooks: each parameter and its state before and after."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.hooks import RemovableHandle

from chainrule.recorder.graph import own_work
from chainrule.recorder.keeping import Keeper
from chainrule.recorder.standing_aside import StandingAside
from chainrule.trace import Op, Trace, Update, Value


class UpdateWatch:
    """Records optimizer steps; while one runs, `is_stepping` is True and its operations are not recorded.

    Args:
        model: whose step it is.
        trace: gets the updates.
        keeper: decides what is kept.
        value_of: returns the value that a parameter is.
        name_of: returns the name of a known leaf; "" for others.
        aside: sets the recorder aside while the optimizer works.
        new_op: makes an op of the update phase with a name.
    """

    def __init__(
        self,
        model: nn.Module,
        trace: Trace,
        keeper: Keeper,
        value_of: Callable[[Tensor], Value],
        name_of: Callable[[Tensor], str],
        aside: StandingAside,
        new_op: Callable[[str], Op],
    ) -> None:
        self._model = model
        self._trace = trace
        self._keeper = keeper
        self._value_of = value_of
        self._name_of = name_of
        self._aside = aside
        self._new_op = new_op
        self._handles: list[RemovableHandle] = []
        self._begun: list[tuple[Update, Tensor, dict[str, Any]]] = []
        self._running: Optimizer | None = None
        self.is_stepping = False
        self.touched: list[Tensor] = []

    def enter(self) -> None:
        """Begin to look on."""
        self._handles.append(register_optimizer_step_pre_hook(self._before))
        self._handles.append(register_optimizer_step_post_hook(self._after))

    def leave(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._begun.clear()
        self._running, self.is_stepping = None, False

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self.is_stepping:
            return
        closure = bool(args[1:] or kwargs)  # args[0] is the optimizer
        if closure:
            self._trace.notes.append("The optimizer evaluates the loss itself (closure); its passes are not recorded.")
        with own_work(), torch.no_grad():
            op = self._new_op(type(optimizer).__name__)
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            states = [tensor for each in parameters for _, tensor in _tensors(optimizer.state.get(each, {}))]
            self._keeper.expect_copies(
                self._model, [each for each in parameters if each.grad is not None or closure] + states
            )
            for group in optimizer.param_groups:
                settings = {name: value for name, value in group.items() if name != "params"}
                for parameter in group["params"]:
                    self._begin(op, optimizer, settings, parameter, closure)
        self._running, self.is_stepping = optimizer, True
        self._aside.begin()

    def _begin(self, op: Op, optimizer: Optimizer, settings: dict[str, Any], parameter: Tensor, closure: bool) -> None:
        value = self._value_of(parameter)
        state = optimizer.state.get(parameter, {})
        if parameter.grad is not None or closure:
            self._keeper.will_be_overwritten(parameter, op.id)
        update = Update(
            parameter=self._name_of(parameter) or value.name or f"%{value.id}",
            value=value.id,
            op=op.id,
            optimizer=type(optimizer).__name__,
            hyperparameters=dict(settings),
            kept_before=value.kept,
            kept_after=value.kept,
            kept_gradient=None if parameter.grad is None else self._keeper.keep(parameter.grad, op.id),
            kept_state_before={name: self._keeper.copy(tensor, op.id) for name, tensor in _tensors(state)},
        )
        self._trace.updates.append(update)
        self._begun.append((update, parameter, state))

    def _after(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        if optimizer is not self._running:
            return  # one that another one calls
        with own_work(), torch.no_grad():
            for update, parameter, _ in self._begun:
                if parameter.grad is None:
                    continue
                update.kept_after = self._keeper.keep(parameter, update.op)
                state = optimizer.state.get(parameter, {})
                update.kept_state_after = {
                    name: self._keeper.keep(tensor, update.op) for name, tensor in _tensors(state)
                }
                self.touched += [parameter, *(tensor for _, tensor in _tensors(state))]
        self._begun.clear()
        self._running, self.is_stepping = None, False
        self._aside.end()


def _tensors(state: dict[str, Any]) -> list[tuple[str, Tensor]]:
    """Return the numbers of an optimizer's state for one parameter as tensors."""
    found = []
    for name, entry in state.items():
        if isinstance(entry, Tensor):
            found.append((name, entry))
        elif isinstance(entry, bool | int | float):
            found.append((name, torch.tensor(entry)))
    return found
