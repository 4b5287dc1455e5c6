import pytest
import torch
from sympy import Sum
from torch.autograd.functional import jacobian

from chainrule.ops import RULES, OpRule, rule_for
from chainrule.ops.places import argument_value, flat
from chainrule.ops.rule import THRESHOLD

from .cases import CASES as PLAIN_CASES
from .cases import Case
from .layer_cases import LAYERS
from .loss_cases import LOSSES

CASES = [*PLAIN_CASES, *LAYERS, *LOSSES]

STEP = 1e-5


def chosen(case: Case) -> OpRule:
    rule = rule_for(case.name)
    assert rule is not None
    return rule.chosen(case.arguments)


def value_of(case: Case, argument: str) -> object:
    return argument_value(case.arguments, argument) if "[" in argument else case.arguments.get(argument)


def differentiable(case: Case) -> list[str]:
    """The arguments of a case that its rule has a derivative for, and that are tensors in it."""
    found = []
    for argument in chosen(case).slots:
        value = value_of(case, argument)
        tensors = [value] if isinstance(value, torch.Tensor) else value if isinstance(value, list | tuple) else []
        if tensors and all(isinstance(tensor, torch.Tensor) and tensor.is_floating_point() for tensor in tensors):
            found.append(argument)
    return found


def with_elements(case: Case, argument: str, elements: torch.Tensor) -> torch.Tensor:
    """The output of a case as a function of the elements of one argument."""
    value = value_of(case, argument)
    if isinstance(value, torch.Tensor):
        changed: object = elements.reshape(value.shape)
    else:
        parts = elements.split([tensor.numel() for tensor in value])
        changed = tuple(part.reshape(tensor.shape) for part, tensor in zip(parts, value, strict=True))
    whole, _, number = argument.removesuffix("]").partition("[")
    if number:
        listed = list(case.arguments[whole])
        listed[int(number)] = changed
        changed = tuple(listed)
    return case.output(**{whole: changed}).reshape(-1)


def autograd_jacobian(case: Case, argument: str) -> torch.Tensor:
    return jacobian(lambda moved: with_elements(case, argument, moved), flat(value_of(case, argument)))


def central_differences(case: Case, argument: str) -> torch.Tensor:
    elements = flat(value_of(case, argument))
    columns = []
    for place in range(elements.numel()):
        sides = []
        for step in (STEP, -STEP):
            moved = elements.clone()
            moved[place] += step
            sides.append(with_elements(case, argument, moved))
        columns.append((sides[0] - sides[1]) / (2 * STEP))
    return torch.stack(columns, dim=1)


pytestmark = pytest.mark.filterwarnings("error")
each_case = pytest.mark.parametrize("case", CASES, ids=str)


@each_case
def test_values_and_derivatives_are_those_of_torch(case: Case) -> None:
    output, rule = case.output(), chosen(case)
    if rule.of_output(case.number).formula is not None:
        ours = rule.forward(case.arguments, output, case.number)
        torch.testing.assert_close(ours, output.to(torch.float64), rtol=case.tolerance, atol=1e-14)
    for argument in differentiable(case):
        expected = autograd_jacobian(case, argument).to(torch.float64)
        forms = [None] if case.exact_only and not (rule.stable and rule.stable.has(Sum)) else [None, False]
        forms += [True] if argument in rule.school and not case.exact_only else []
        for school in forms:
            ours = rule.jacobian(argument, case.arguments, output, case.number, school)
            torch.testing.assert_close(ours, expected, rtol=case.slope_tolerance, atol=1e-12)


@each_case
def test_derivative_is_that_of_central_differences(case: Case) -> None:
    if case.exact_only:
        return
    output = case.output()
    for argument in differentiable(case):
        ours = chosen(case).jacobian(argument, case.arguments, output, case.number)
        torch.testing.assert_close(ours, central_differences(case, argument), rtol=1e-6, atol=1e-7)


ONE_OF_EACH = {case.name: case for case in reversed(CASES)}.values()


@pytest.mark.parametrize("case", ONE_OF_EACH, ids=str)
def test_chosen_outputs_have_the_rows_of_all(case: Case) -> None:
    output, rule = case.output(), chosen(case)
    outputs = torch.arange(output.numel()).flip(0)[::3]
    for argument in differentiable(case):
        every = rule.local(argument, case.arguments, output, case.number)
        some = rule.local(argument, case.arguments, output, case.number, outputs=outputs)
        assert torch.equal(some[0], every[0][outputs])
        torch.testing.assert_close(some[1], every[1][outputs], rtol=1e-15, atol=0.0)


def test_every_rule_has_a_row() -> None:
    tested = {rule.name for case in CASES if (rule := rule_for(case.name))}
    assert [rule.name for rule in RULES if rule.name not in tested and rule.formula is not None] == []


def silenced(case: Case, output: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the silencers of a case find, joined for each argument that is a tensor."""
    found: dict[str, torch.Tensor] = {}
    for silencer in chosen(case).silencers:
        if silencer.argument in differentiable(case):
            mask = silencer.mask(case.arguments, output)
            found[silencer.argument] = found.get(silencer.argument, torch.zeros_like(mask)) | mask
    return found


@each_case
def test_silencers_are_where_the_derivative_is_0_or_small_and_hazards_where_it_is_not_finite(case: Case) -> None:
    output, rule = case.output(), chosen(case)
    masks = silenced(case, output)
    # Another output of several may carry what does not go through this one.
    is_all = isinstance(case.call(**case.arguments), torch.Tensor) and not rule.cuts
    for argument in differentiable(case):
        value = value_of(case, argument)
        if not isinstance(value, torch.Tensor):
            continue
        slopes = autograd_jacobian(case, argument)
        sizes = slopes.abs().amax(0).reshape(value.shape)
        mask = masks.get(argument, torch.zeros(value.shape, dtype=torch.bool))
        assert not mask.any() or sizes[mask].max() <= 1.01 * THRESHOLD * max(case.steepest, float(sizes.max()))
        unexplained = (sizes == 0) & ~mask
        assert not (is_all and unexplained.any()), (argument, unexplained)
        for hazard in rule.hazards:
            if hazard.argument == argument and hazard.mask(case.arguments, output).any():
                found = output if hazard.hits == "forward" else slopes
                assert not found.isfinite().all(), hazard.name
