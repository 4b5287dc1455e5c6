import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from chainrule.errors import ChainruleError, UnknownNameError
from chainrule.queries import open_op, why
from chainrule.queries.asking import check_arguments, check_question
from chainrule.recorder import record
from chainrule.trace import Trace

from .faults import bad_row, batch, take

HEALTHY = take()


def test_a_healthy_step_has_nothing_to_tell() -> None:
    answer = why(HEALTHY())
    assert answer.findings == answer.limits == answer.path == ()
    assert answer.question == "Is anything wrong with this step?"
    assert re.fullmatch(
        r"4 ops and 4 parameters were looked at, 4 of them with a gradient; the loss is \d\.\d+\.", answer.summary
    )


@pytest.mark.parametrize(
    ("trace", "name", "question"),
    [
        (take(lambda h: h.detach()), "fc1.weight", "Why is the gradient of fc1.weight zero, missing or small?"),
        (take(lambda h: torch.relu(h - 99)), "fc1.bias", "Why is the gradient of fc1.bias zero, missing or small?"),
        (take(torch.relu), "fc1.linear", "Why are entries of the gradient of fc1.linear zero?"),
        (take(inputs=bad_row), "fc2.weight", "Why is fc2.weight, or its gradient, not finite?"),
        (take(targets=lambda t: t * 1e6), "fc2.bias", "Why is the gradient of fc2.bias large?"),
        (HEALTHY, "fc2.bias", "Is anything wrong with the gradient of fc2.bias?"),
    ],
)
def test_the_question_follows_from_the_numbers(trace: object, name: str, question: str) -> None:
    assert why(trace(), name).question == question  # type: ignore[operator]


def test_a_value_may_be_named_in_every_way() -> None:
    trace = take(lambda h: torch.relu(h - 99))()
    value = trace.value("fc1.weight")
    answers = [why(trace, name) for name in ("fc1.weight", f"%{value.id}", value.id, value)]
    assert all(answer == answers[0] for answer in answers)


def test_the_gravest_finding_stands_first() -> None:
    def middle(h: torch.Tensor) -> torch.Tensor:
        return torch.round(h) * torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.0])

    severities = [one.severity for one in why(take(middle)()).findings]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)


def test_an_answer_is_json_able_and_readable() -> None:
    answer = why(take(lambda h: torch.relu(h - 99))(), "fc1.weight")
    data = json.loads(json.dumps(answer.to_dict()))
    assert data["findings"][0]["code"] == "dead-units"
    assert [step["name"] for step in data["path"]] == ["mse_loss", "linear", "relu", "sub", "linear"]
    assert str(answer).splitlines()[0] == answer.question
    assert answer.findings[0].claim in str(answer)


def test_a_question_that_there_is_not_is_refused() -> None:
    with pytest.raises(UnknownNameError) as caught:
        check_question("hugh")
    assert str(caught.value) == (
        "There is no question 'hugh'.\n  found:    hugh\n  expected: one of huge, nan, zero\nDid you mean 'huge'?"
    )


@pytest.mark.parametrize("name", [3.5, [], True])
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(ChainruleError) as caught:
        check_arguments(HEALTHY(), name)
    assert str(caught.value) == (
        "why takes the name of a value of the trace.\n"
        f"  found:    an object of class {type(name).__name__}\n"
        '  expected: a name such as "fc1.weight", a number such as 7 or "%7", a Value, or nothing for the whole step'
    )


def test_what_is_no_trace_is_refused() -> None:
    with pytest.raises(ChainruleError) as caught:
        check_arguments(nn.Linear(2, 3), None)
    assert str(caught.value) == (
        "why explains a recorded step.\n  found:    an object of class Linear\n  expected: a Trace\n"
        "Record a step first: trace = chainrule.record(model, loss_fn, inputs, targets)."
    )


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"The trace has no value 'fc1.weigth'\."):
        why(HEALTHY(), "fc1.weigth")


def large() -> Trace:
    torch.manual_seed(0)
    layers = [part for _ in range(60) for part in (nn.Linear(256, 256), nn.ReLU())]
    model = nn.Sequential(nn.Linear(4, 256), *layers, nn.Linear(256, 3))
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    return record(model, functional.mse_loss, *batch())


def test_asking_changes_nothing() -> None:
    trace = large()
    before = [(value.adjoint.clone(), value.adjoint) for value in trace.parameters if value.adjoint is not None]
    state = torch.get_rng_state()
    why(trace)
    why(trace, "0.weight")
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(old, new) for old, new in before)  # type: ignore[arg-type]


SCRIPT = """\
import torch
from chainrule.queries import open_op, why
from chainrule.recorder import record


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = torch.nn.Linear(2, 3)
        self.fc2 = torch.nn.Linear(3, 1)

    def forward(self, x):
        h = self.fc1(x)
        h = torch.relu(h - 9.0)
        return self.fc2(h)


torch.manual_seed(0)
print(why(record(Net(), torch.nn.functional.mse_loss, torch.ones(4, 2), torch.ones(4, 1)), "fc1.weight"))
"""

ANSWER = """\
Why is the gradient of fc1.weight zero, missing or small?
The gradient of fc1.weight [3, 2] has a norm of 0, 100.0% of its entries are exactly zero, all are finite.
The gradient of fc1.weight is exactly zero: relu (net.py:14) lets nothing through on all 4 samples, because its input \
is negative, where ReLU is flat.
  where:    op 2: relu, the model, net.py:14: h = torch.relu(h - 9.0)
  evidence: op = relu, op number = 2, module = , values = 1, norm above = NORM, norm below = 0.0, input from = LOW, \
input to = HIGH
Lower the learning rate, raise the biases, initialise by kaiming_normal_, or use LeakyReLU: its slope is nowhere 0.
"""


def test_a_whole_answer_with_the_line_of_the_user(tmp_path: Path) -> None:
    """In a process of its own: the checks of shapes that run with these tests stand between the user and the ops."""
    (tmp_path / "net.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "net.py")]
    shown = subprocess.run(
        command, capture_output=True, check=True, encoding="utf-8", env={**os.environ, "PYTHONUTF8": "1"}
    )
    text = re.sub(r"(norm above|input from|input to) = -?[\d.]+", lambda found: f"{found[1]} = N", shown.stdout)
    expected = ANSWER.replace("NORM", "N").replace("LOW", "N").replace("HIGH", "N")
    assert text == expected


def test_the_inside_of_an_op_is_not_told_that_it_had_no_backward_pass() -> None:
    torch.manual_seed(0)
    x, t = batch()
    trace = record(nn.Sequential(nn.Linear(4, 5), nn.LayerNorm(5), nn.Linear(5, 3)), functional.mse_loss, x, t)
    inner = open_op(trace, next(op.id for op in trace.ops if op.name == "layer_norm"))
    answer = why(inner)
    assert answer.summary.startswith("This is the inside of layer_norm in 1")
    assert answer.limits == (
        "The loss lies outside of this op: ask the trace of the whole step which gradients are zero, missing or huge.",
    )
