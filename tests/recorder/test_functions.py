"""Functions of torch: names, roles, and what they write over."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from recorder_checks import names
from torch import Tensor, nn
from torch.nn import functional
from unusual_models import Around

from chainrule.recorder import record
from chainrule.recorder.functions import Role, facts_of

NAMES = {
    functional.linear: ("linear", "torch.nn.functional.linear"),
    torch.add: ("add", "torch.add"),
    Tensor.add_: ("add_", "torch.Tensor.add_"),
    Tensor.__getitem__: ("getitem", "torch.Tensor.__getitem__"),
    Tensor.__iadd__: ("iadd", "torch.Tensor.__iadd__"),
    Tensor.__pow__: ("pow", "torch.Tensor.__pow__"),
    Tensor.T.__get__: ("T", "torch.Tensor.T.__get__"),
    Tensor.data.__set__: ("data =", "torch.Tensor.data.__set__"),  # type: ignore[attr-defined]
    torch.ops.aten.mul.Tensor: ("mul", "torch.ops.aten.mul"),
    torch.ops.aten.mul_: ("mul_", "torch.ops.aten.mul_"),
}


@pytest.mark.parametrize("function", list(NAMES))
def test_names(function: Callable[..., Any]) -> None:
    facts = facts_of(function)
    assert (facts.name, facts.full_name) == NAMES[function]


ROLES = {
    Tensor.backward: Role.BACKWARD,
    torch.autograd.backward: Role.BACKWARD,
    torch.autograd.grad: Role.GRADIENTS,
    Tensor.item: Role.DECISION,
    Tensor.__bool__: Role.DECISION,
    Tensor.size: Role.SKIP,
    Tensor.requires_grad_: Role.SKIP,
    Tensor.shape.__get__: Role.SKIP,
    Tensor.grad.__get__: Role.SKIP,  # type: ignore[attr-defined]
    Tensor.data.__get__: Role.OP,  # type: ignore[attr-defined]
    torch.relu: Role.OP,
}


@pytest.mark.parametrize("function", list(ROLES))
def test_roles(function: Callable[..., Any]) -> None:
    assert facts_of(function).role is ROLES[function]


x, y, m, v, w = "x", "y", "mean", "var", "weight"  # what is written over is told by place; tensors are not looked at
WRITTEN = [
    (torch.relu, (x,), {}, ()),
    (torch.relu_, (x,), {}, (x,)),
    (Tensor.__setitem__, (x, 0, y), {}, (x,)),
    (Tensor.data.__set__, (x, y), {}, (x,)),  # type: ignore[attr-defined]
    (functional.relu, (x,), {"inplace": True}, (x,)),
    (functional.relu, (x, True), {}, (x,)),
    (functional.relu, (x, False), {}, ()),
    (functional.dropout, (x, 0.5, True, True), {}, (x,)),
    (functional.dropout, (), {"input": x, "inplace": True}, (x,)),
    (functional.batch_norm, (x, m, v), {}, (m, v)),
    (functional.batch_norm, (x,), {"running_mean": m, "running_var": v}, (m, v)),
    (torch.batch_norm, (x, w, y, m, v), {}, (m, v)),
    (torch.add, (x, y), {"out": w}, (w,)),
    (functional.embedding, (x, w), {"max_norm": 1.0}, (w,)),
    (functional.embedding, (x, w, None, 1.0), {}, (w,)),
    (functional.embedding, (x, w, None, None), {}, ()),
    (functional.embedding_bag, (x,), {"weight": w, "max_norm": 1.0}, (w,)),
    (nn.init.constant_, (), {"tensor": x, "val": 1.0}, (x,)),
    (torch.ops.aten.mul_.Tensor, (x, y), {}, (x,)),
    (torch.ops.aten.mul.Tensor, (x, y), {}, ()),
    (torch._foreach_mul_, ([x, y], 2), {}, ([x, y],)),
]


@pytest.mark.parametrize(("function", "args", "kwargs", "expected"), WRITTEN)
def test_what_is_written_over(function: Any, args: Any, kwargs: Any, expected: Any) -> None:
    assert facts_of(function).written_over(args, kwargs) == expected


def _statistics(self: Any, x: Tensor) -> Tensor:
    functional.batch_norm(x, self.mean, self.variance, training=True)
    return self.linear(x).sum()


def _views(self: Any, x: Tensor) -> Tensor:
    hidden = self.linear(x)
    first, second = hidden[:1].clone(), hidden.clone()
    part = second[:, 0]
    second.mul_(2)
    return (part + second[:, 1]).sum() + first.sum()


WRITERS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "relu_": lambda self, x: self.linear(x).relu_().sum(),
    "F.dropout, by position": lambda self, x: functional.dropout(self.linear(x), 0.5, True, True).sum(),
    "out=": lambda self, x: self.linear(x).sum() + torch.add(x, x, out=torch.empty(4, 4)).sum(),
    "views": _views,
    "x.data": lambda self, x: self.linear(x).sum() + x.clone().data.add_(1).sum(),
}


@pytest.mark.parametrize("name", list(WRITERS))
def test_values_from_before_a_write_are_there_after_it(name: str) -> None:
    trace = record(Around(WRITERS[name]), None, torch.randn(4, 4, generator=torch.Generator().manual_seed(0)))
    writers = [op for op in trace.ops if op.overwrites]
    assert writers
    for op in writers:
        for before in op.overwrites:
            value = trace.values[before]
            assert isinstance(value.data, Tensor)
            after = trace.values[op.outputs[0]].data
            assert isinstance(after, Tensor)
            assert name == "out=" or not torch.equal(value.data, after)
    linear = trace.value("linear.linear").data
    model_linear = trace.value("linear.weight").data, trace.value("linear.bias").data
    given = trace.value("input").data
    assert all(isinstance(part, Tensor) for part in (linear, given, *model_linear))
    assert torch.equal(linear, functional.linear(given, *model_linear))  # type: ignore[arg-type]


def test_running_statistics_are_kept_from_before() -> None:
    norm = nn.BatchNorm1d(4)
    trace = record(norm, torch.sum, torch.arange(8.0).view(2, 4))
    before = trace.value("running_mean").data
    assert isinstance(before, Tensor)
    assert torch.equal(before, torch.zeros(4))
    assert not torch.equal(norm.running_mean, before)  # type: ignore[arg-type]
    assert names(trace, "forward") == ["add_", "batch_norm"]
