"""The program of a dense network: its lines, and that PyTorch computes the same numbers."""

import numpy as np
import pytest
import torch

from chainrule.programs import Layer, layered_program, program_text, run_program

WEIGHTS = dict(
    zip([f"w{number}" for number in range(1, 9)], [0.15, 0.20, 0.25, 0.30, 0.40, 0.45, 0.50, 0.55], strict=True)
)
GIVEN = {"i1": 0.05, "i2": 0.10, "t1": 0.01, "t2": 0.99}


def test_the_worked_example_line_by_line() -> None:
    program = layered_program(2, [Layer(2), Layer(2)])
    lines = [f"{line.name} = {program_text(line.formula)}" for line in program.assignments]
    assert lines[:11] == [
        "h1 = w1·i1 + w2·i2",
        "h2 = w3·i1 + w4·i2",
        "a_h1 = σ(h1)",
        "a_h2 = σ(h2)",
        "o1 = w5·a_h1 + w6·a_h2",
        "o2 = w7·a_h1 + w8·a_h2",
        "a_o1 = σ(o1)",
        "a_o2 = σ(o2)",
        "E1 = ½·(t1 − a_o1)²",
        "E2 = ½·(t2 − a_o2)²",
        "E_total = E1 + E2",
    ]
    assert lines[11:17] == [
        "∂E/∂a_o1 = a_o1 − t1",
        "∂E/∂a_o2 = a_o2 − t2",
        "∂E/∂o1 = ∂E/∂a_o1·a_o1(1 − a_o1)",
        "∂E/∂o2 = ∂E/∂a_o2·a_o2(1 − a_o2)",
        "∂E/∂a_h1 = ∂E/∂o1·w5 + ∂E/∂o2·w7",
        "∂E/∂a_h2 = ∂E/∂o1·w6 + ∂E/∂o2·w8",
    ]
    assert lines[-8] == "w1⁺ = w1 − η·∂E/∂w1"


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.8, 1.0, 2.0])
def test_a_hundred_updates_are_those_of_pytorch(rate: float) -> None:
    rows = run_program(layered_program(2, [Layer(2), Layer(2)]), 100, GIVEN | WEIGHTS | {"η": rate})
    weights = [torch.tensor([[0.15, 0.20], [0.25, 0.30]]), torch.tensor([[0.40, 0.45], [0.50, 0.55]])]
    first, second = (weight.double().requires_grad_() for weight in map(_exact, weights))
    inputs, targets = torch.tensor([0.05, 0.10], dtype=torch.float64), torch.tensor([0.01, 0.99], dtype=torch.float64)
    losses = []
    for _ in range(101):
        outputs = torch.sigmoid(second @ torch.sigmoid(first @ inputs))
        loss = 0.5 * (targets - outputs).square().sum()
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, [first, second])
        with torch.no_grad():
            first -= rate * gradients[0]
            second -= rate * gradients[1]
    assert np.allclose(rows["E_total"], losses, rtol=1e-13, atol=0)


def _exact(weight: torch.Tensor) -> torch.Tensor:
    return torch.tensor([[round(number, 2) for number in row] for row in weight.tolist()], dtype=torch.float64)


def test_softmax_and_cross_entropy_cancel_to_p_minus_t() -> None:
    program = layered_program(2, [Layer(3, "relu"), Layer(3, "softmax")], "cross-entropy")
    line = program.by_name["∂E/∂o2"]
    assert [program_text(stage) for stage in line.stages] == [
        "p2·t1 + p2·t3 − t2(1 − p2)",
        "p2·t1 + p2·t2 + p2·t3 − t2",
        "p2 − t2",
    ]
    assert [(term.through, program_text(term.upstream), program_text(term.partial)) for term in line.terms] == [
        ("p1", "−t1/p1", "−p1·p2"),
        ("p2", "−t2/p2", "p2(1 − p2)"),
        ("p3", "−t3/p3", "−p2·p3"),
    ]
