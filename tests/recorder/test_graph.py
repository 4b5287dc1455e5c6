"""Edges of autograd's graph, hidden values, values that share an edge."""

from typing import Any

import torch
from recorder_checks import batch, lawless, network, op_named
from torch import Tensor, nn
from unusual_models import Around, Odd

from chainrule.recorder import Recorder, record
from chainrule.recorder.graph import edge_of, is_leaf_node, name_of


def test_edges() -> None:
    leaf = torch.ones(2, requires_grad=True)
    assert edge_of(torch.ones(2)) is None
    edge = edge_of(leaf)
    assert edge is not None
    assert is_leaf_node(edge[0])
    assert edge == edge_of(leaf)
    made = leaf * 2
    assert edge_of(made) == (made.grad_fn, 0)
    with torch.inference_mode():
        assert edge_of(torch.ones(2).requires_grad_()) is None


def test_a_node_with_the_users_attributes_is_no_leaf() -> None:
    node = Odd.apply(torch.ones(2, requires_grad=True)).grad_fn
    assert node.name == "mine"
    assert name_of(node) == "OddBackward"
    assert not is_leaf_node(node)


def test_one_tensor_at_several_places() -> None:
    trace = record(Around(lambda self, x: torch.mul(self.linear(x), self.linear(x)).sum()), None, batch()[0])
    assert lawless(trace) == []

    def forward(self: Any, x: Tensor) -> Tensor:
        hidden = self.linear(x)
        return (hidden * hidden).sum()

    trace = record(Around(forward), None, batch()[0])
    uses = trace.value("linear.linear").uses
    assert [use.place for use in uses] == [(0,), (1,)]
    assert all(isinstance(use.contribution, Tensor) for use in uses)
    assert lawless(trace) == []


def test_the_gradient_of_a_leaf_that_is_written_over_stays_with_it() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        hidden = self.linear(x)
        with torch.no_grad():
            self.linear.bias.mul_(3)
        return (hidden + self.linear(x)).sum()

    model = Around(forward)
    trace = record(model, None, batch()[0])
    before, after = trace.value("linear.bias"), trace.values[op_named(trace, "mul_").outputs[0]]
    assert torch.equal(before.adjoint, model.linear.bias.grad)  # type: ignore[arg-type]
    assert torch.equal(after.adjoint, torch.full((4,), 3.0))  # type: ignore[arg-type]  # 3 samples, one of two uses
    assert torch.equal(before.data * 3, after.data)  # type: ignore[operator, arg-type]
    assert lawless(trace) == []


def test_hooks_on_nodes_are_gone_afterwards() -> None:
    model = network()
    inputs, targets = batch()
    with Recorder(model) as recorder:
        loss = nn.functional.mse_loss(model(inputs), targets)
        loss.backward(retain_graph=True)
    adjoint = recorder.trace.value("1.tanh").adjoint
    assert isinstance(adjoint, Tensor)
    before = adjoint.clone()
    loss.backward()
    assert torch.equal(recorder.trace.value("1.tanh").adjoint, before)  # type: ignore[arg-type]
