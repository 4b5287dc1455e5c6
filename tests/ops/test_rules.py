import pytest
import torch
from torch.autograd.functional import jacobian

from chainrule.ops import RULES, OpRule, rule_for
from chainrule.ops.rule import flat

from .cases import CASES, Case

STEP = 1e-5


def chosen(case: Case) -> OpRule:
    rule = rule_for(case.name)
    assert rule is not None
    return rule.chosen(case.arguments)


def differentiable(case: Case) -> list[str]:
    """The arguments of a case that its rule has a derivative for, and that are tensors in it."""
    found = []
    for argument in chosen(case).slots:
        value = case.arguments.get(argument)
        tensors = [value] if isinstance(value, torch.Tensor) else value if isinstance(value, list | tuple) else []
        if tensors and all(isinstance(tensor, torch.Tensor) and tensor.is_floating_point() for tensor in tensors):
            found.append(argument)
    return found


def rebuilt(case: Case, argument: str, elements: torch.Tensor) -> object:
    value = case.arguments[argument]
    if isinstance(value, torch.Tensor):
        return elements.reshape(value.shape)
    parts = elements.split([tensor.numel() for tensor in value])
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, value, strict=True)]


def autograd_jacobian(case: Case, argument: str) -> torch.Tensor:
    elements = flat(case.arguments[argument])
    return jacobian(lambda moved: case.output(**{argument: rebuilt(case, argument, moved)}).reshape(-1), elements)


def central_differences(case: Case, argument: str) -> torch.Tensor:
    elements = flat(case.arguments[argument]).clone()
    columns = []
    for place in range(elements.numel()):
        sides = []
        for step in (STEP, -STEP):
            moved = elements.clone()
            moved[place] += step
            sides.append(case.output(**{argument: rebuilt(case, argument, moved)}).reshape(-1))
        columns.append((sides[0] - sides[1]) / (2 * STEP))
    return torch.stack(columns, dim=1)


pytestmark = pytest.mark.filterwarnings("error")
each_case = pytest.mark.parametrize("case", CASES, ids=str)


@each_case
def test_formula_gives_the_values_of_torch(case: Case) -> None:
    output = case.output()
    rule = chosen(case)
    if rule.formula is None:
        return
    torch.testing.assert_close(
        rule.forward(case.arguments, output, case.number), output.to(torch.float64), rtol=1e-12, atol=1e-14
    )


@each_case
def test_derivative_is_that_of_autograd(case: Case) -> None:
    output = case.output()
    rule = chosen(case)
    for argument in differentiable(case):
        ours = rule.jacobian(argument, case.arguments, output, case.number)
        torch.testing.assert_close(ours, autograd_jacobian(case, argument), rtol=1e-10, atol=1e-12)
        if argument in rule.school:
            school = rule.jacobian(argument, case.arguments, output, case.number, school=True)
            torch.testing.assert_close(school, ours, rtol=1e-9, atol=1e-11)


@each_case
def test_derivative_is_that_of_central_differences(case: Case) -> None:
    if case.exact_only:
        return
    output = case.output()
    for argument in differentiable(case):
        ours = chosen(case).jacobian(argument, case.arguments, output, case.number)
        torch.testing.assert_close(ours, central_differences(case, argument), rtol=1e-6, atol=1e-7)


def test_every_rule_has_a_row() -> None:
    tested = {rule.name for case in CASES if (rule := rule_for(case.name))}
    assert [rule.name for rule in RULES if rule.name not in tested] == []
