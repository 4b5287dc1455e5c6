import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from chainrule.queries import why
from chainrule.queries.growth import path_of, repetitions
from chainrule.queries.measured import Measured
from chainrule.recorder import record
from chainrule.trace import Trace

from .faults import Recurrent, Sequence, Stack, step_of

STEPS = {
    "recurrence": step_of(lambda: Recurrent(1.5), (2, 9, 3), 1),
    "stack": step_of(lambda: Stack(6, nn.Tanh, 1.0), (16, 8)),
}


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_gains_multiply_to_the_gradient_where_there_is_one_path(step: object) -> None:
    trace = step()  # type: ignore[operator]
    measured = Measured(trace)
    for value in trace.values:
        adjoint = value.adjoint
        if not isinstance(adjoint, Tensor) or value.id == trace.loss:
            continue
        path = path_of(measured, value)
        assert path[0].above == 1.0  # the loss
        assert path[-1].value == value.name
        product = math.prod(one.gain for one in path)
        assert product == pytest.approx(path[-1].below, rel=1e-5)
        if len(value.uses) == 1:
            assert product == pytest.approx(float(adjoint.norm()), rel=1e-5)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_repetitions_hold_every_op_of_the_path_once(step: object) -> None:
    trace = step()  # type: ignore[operator]
    measured = Measured(trace)
    path = path_of(measured, trace.parameters[0])
    groups = repetitions(measured, path)
    assert sorted(one.op for group in groups for one in group.steps) == sorted(one.op for one in path)
    total = sum(group.total for group in groups)
    assert total == pytest.approx(math.log(path[-1].below), rel=1e-5)


def test_a_recurrence_is_said_once() -> None:
    trace = step_of(lambda: Recurrent(3.0), (2, 30, 3), 1)()
    (finding,) = (one for one in why(trace).findings if one.code == "exploding")
    assert "linear in h ×3, 29 times" in finding.claim
    assert (finding.evidence["gain"], finding.evidence["times"]) == (3.0, 29)
    assert finding.evidence["spectral norm of h.weight"] == 3.0


def test_a_gradient_that_is_not_huge_is_told_of_without_blame() -> None:
    trace = step_of(lambda: Stack(4, nn.Tanh, 1.0), (16, 8))()
    (finding,) = why(trace, "layers.0.weight", question="huge").findings
    assert (finding.severity, finding.remedy) == ("note", "")
    assert finding.claim.startswith("The gradient of layers.0.weight has a norm of 0.")


class Root(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.full((4,), 1e-7))

    def forward(self, x: Tensor) -> Tensor:
        return (self.w * x).abs().sqrt().sqrt()


def steep() -> Trace:
    torch.manual_seed(0)
    return record(Root(), functional.l1_loss, torch.full((3, 4), 1e-5), torch.zeros(3, 4))


def test_an_op_that_is_steep_is_named_with_how_near_its_input_comes() -> None:
    (finding,) = why(steep()).findings
    assert (finding.code, finding.evidence["op"]) == ("steep", "sqrt")
    assert "its input comes as near as 1e-12" in finding.claim


def test_vanishing_depth_says_how_often_and_by_how_much() -> None:
    trace = step_of(lambda: Stack(14, nn.Sigmoid, None), (16, 8))()
    (finding,) = why(trace).findings
    assert (finding.code, finding.evidence["op"], finding.evidence["times"]) == ("vanishing", "sigmoid", 14)
    assert finding.evidence["gain"] == pytest.approx(0.24, abs=0.02)
    assert "slope of a sigmoid is at most ¼" in finding.remedy


def test_a_recurrent_network_explodes_through_its_recurrent_weights() -> None:
    trace = step_of(lambda: Sequence(60.0), (8, 60, 3), 1)()
    (finding,) = why(trace).findings
    assert (finding.code, finding.evidence["op"]) == ("exploding", "lstm")
    assert float(finding.evidence["spectral norm of rnn.weight_hh_l0"]) > 20.0
    assert "clip_grad_norm_" in finding.remedy
    assert "multiplies by its recurrent weights at every step" in finding.claim
