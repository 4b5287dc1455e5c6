import math

import numpy as np
import pytest
import sympy
import torch
from sympy import Expr, IndexedBase

from chainrule.activations import describe, sample_curves
from chainrule.activations.rule import VectorRule
from chainrule.activations.vector import VECTOR, i, j, n

COUNT = 4


def run(rule: VectorRule, numbers: torch.Tensor) -> torch.Tensor:
    if rule.name == "Softmax2d":
        return torch.nn.Softmax2d()(numbers[:, None, None])[:, 0, 0]
    module: torch.nn.Module = getattr(torch.nn, rule.name)(dim=0)
    return module(numbers)


def filled(expression: Expr, numbers: dict[str, list[float]], row: int, column: int) -> float:
    """Put numbers in: row and column (from 1) for i and j, and the entries of each vector."""
    at = expression.subs({i: row, j: column, n: COUNT}).doit()
    bases = {name: IndexedBase(name) for name in numbers}
    entries = {bases[name][place + 1]: value for name, values in numbers.items() for place, value in enumerate(values)}
    for kind in at.atoms(sympy.Function):
        if hasattr(kind, "definition"):
            at = at.subs(kind, kind.definition(kind.args[0]))
    return float(at.xreplace(entries).evalf())


@pytest.mark.parametrize("rule", VECTOR, ids=lambda rule: rule.name)
def test_formula_and_jacobian_agree_with_torch_and_autograd(rule: VectorRule) -> None:
    inputs = torch.randn(2 * COUNT if rule.name == "GLU" else COUNT, generator=torch.manual_seed(3)).double()
    outputs = run(rule, inputs)
    jacobian = torch.autograd.functional.jacobian(lambda numbers: run(rule, numbers), inputs)
    numbers = {"x": inputs.tolist(), "y": outputs.tolist(), "a": inputs[:COUNT].tolist(), "b": inputs[COUNT:].tolist()}
    for row in range(COUNT):
        assert filled(rule.expression, numbers, row + 1, 1) == pytest.approx(float(outputs[row]), abs=1e-12)
        for block, (_, entry) in enumerate(rule.jacobian):
            for column in range(COUNT):
                expected = float(jacobian[row, block * COUNT + column])
                assert filled(entry, numbers, row + 1, column + 1) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rule", VECTOR, ids=lambda rule: rule.name)
def test_the_slice_is_one_output_over_its_own_input(rule: VectorRule) -> None:
    value, slope = sample_curves(rule.name)
    # The other input is 0, so that log Σ e^x over the others is 0; a gate of 40 is open in float64.
    other = 40.0 if rule.name == "GLU" else 0.0
    for place, expected, expected_slope in list(zip(value.x, value.y, slope.y, strict=True))[::10]:
        inputs = torch.tensor([place, other], dtype=torch.float64, requires_grad=True)
        output = run(rule, inputs)[0]
        (gradient,) = torch.autograd.grad(output, inputs)
        assert expected == pytest.approx(output.item(), abs=1e-14)
        assert expected_slope == pytest.approx(float(gradient[0]), abs=1e-14)


def test_facts_of_vector_activations() -> None:
    facts = {rule.name: describe(rule.name) for rule in VECTOR}
    shown = {name: (fact.range_text, fact.monotone, str(fact.vanishing)) for name, fact in facts.items()}
    assert shown == {
        "GLU": ("(−∞, ∞)", "rising", "nowhere"),
        "Softmax": ("(0, 1)", "rising", "x → ±∞"),
        "Softmax2d": ("(0, 1)", "rising", "x → ±∞"),
        "Softmin": ("(0, 1)", "falling", "x → ±∞"),
        "LogSoftmax": ("(−∞, 0)", "rising", "x → ∞"),
    }
    assert [fact.gain_forward is None for fact in facts.values()] == [False, True, True, True, True]
    assert [fact.is_zero_centred for fact in facts.values()] == [True, False, False, False, False]


def test_the_gain_of_glu_keeps_the_mean_square_of_its_outputs() -> None:
    inputs = torch.randn(2, 2_000_000, generator=torch.manual_seed(0), dtype=torch.float64)
    mean_square = float(torch.nn.functional.glu(inputs, dim=0).square().mean())
    gain = describe("GLU").gain_forward
    assert gain is not None
    assert gain == pytest.approx(1.0 / math.sqrt(mean_square), rel=3e-3)


def test_outputs_of_any_count_lie_in_the_range() -> None:
    inputs = torch.randn(1000, 7, generator=torch.manual_seed(1), dtype=torch.float64) * 5
    for rule in VECTOR[1:]:
        if rule.name == "Softmax2d":
            continue
        outputs = getattr(torch.nn, rule.name)(dim=1)(inputs).numpy()
        (span,) = describe(rule.name).output_range
        assert np.all((outputs > span.lower) & (outputs < span.upper))
