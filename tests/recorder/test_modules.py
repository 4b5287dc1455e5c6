"""In which module an op runs, and in which call of it."""

from threading import Thread
from typing import Any

import torch
from recorder_checks import network
from torch import Tensor, nn
from unusual_models import Around

from chainrule.recorder import record
from chainrule.trace import Op, Trace


def _places(trace: Trace) -> list[tuple[str, str, int]]:
    def place(op: Op) -> tuple[str, str, int]:
        return op.name, op.module, op.call

    return [place(op) for op in trace.ops_in("forward")]


def test_calls_of_one_module_are_counted() -> None:
    model = Around(lambda self, x: self.linear(self.linear(x)).sum())
    assert _places(record(model, None, torch.ones(1, 4))) == [
        ("linear", "linear", 0),
        ("linear", "linear", 1),
        ("sum", "", 0),
    ]


def test_a_shared_module_has_its_first_path() -> None:
    layer = nn.Linear(4, 4)
    trace = record(nn.Sequential(layer, nn.Tanh(), layer), torch.sum, torch.ones(1, 4))
    assert _places(trace) == [("linear", "0", 0), ("tanh", "1", 0), ("linear", "0", 1)]


def test_a_module_that_calls_itself() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        return self.linear(x) if len(x) == 1 else self(x[1:]) + 1

    trace = record(Around(forward), torch.sum, torch.ones(3, 4))
    adds = [op.call for op in trace.ops_in("forward") if op.name == "add"]
    assert adds == [1, 0]
    assert trace.modules[""].outputs == tuple(
        op.outputs[0] for op in trace.ops_in("forward") if op.name in ("linear", "add")
    )


def test_a_module_that_is_not_the_models() -> None:
    trace = record(Around(lambda self, x: nn.Tanh()(self.linear(x)).sum()), None, torch.ones(1, 4))
    assert _places(trace)[1] == ("tanh", "(Tanh)", 0)


def test_the_loss_has_its_own_path() -> None:
    trace = record(network(), nn.MSELoss(), torch.ones(2, 4), torch.ones(2, 1))
    (loss,) = trace.ops_in("loss")
    assert (loss.module, loss.module_class) == ("loss_fn", "MSELoss")


def test_modules_on_another_thread_are_not_mixed_in() -> None:
    other = nn.Linear(4, 4)

    def forward(self: Any, x: Tensor) -> Tensor:
        class Slow(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                thread = Thread(target=lambda: other(x))
                thread.start()
                hidden = x * 2
                thread.join()
                return hidden + 1

        return self.linear(Slow()(x)).sum()

    assert _places(record(Around(forward), None, torch.ones(1, 4))) == [
        ("mul", "(Slow)", 0),
        ("add", "(Slow)", 0),
        ("linear", "linear", 0),
        ("sum", "", 0),
    ]


def test_what_a_module_returns() -> None:
    model = Around(lambda self, x: {"loss": self.linear(x).sum(), "inputs": [x]})
    trace = record(model, None, torch.ones(1, 4))
    assert [trace.values[value].name for value in trace.modules["linear"].outputs] == ["linear.linear"]
    assert [trace.values[value].name for value in trace.modules[""].outputs] == ["sum", "input"]
    assert trace.modules["linear"].training


def test_a_module_that_fails_inside_is_left() -> None:
    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ValueError("mine")

    def forward(self: Any, x: Tensor) -> Tensor:
        try:
            nn.Sequential(nn.Tanh(), Failing())(x)
        except ValueError:
            x = x * 2
        return self.linear(x).sum()

    assert _places(record(Around(forward), None, torch.ones(1, 4)))[1] == ("mul", "", 0)
