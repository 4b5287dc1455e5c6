"""Derivations: paths, uses and adjoints give the gradients of the program; digits are enough to type them in again."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from chainrule.errors import UnknownNameError
from chainrule.programs import Layer, Program, count_paths, layered_program, program_text, sample_name
from chainrule.programs.derivation import (
    Derivation,
    derivable,
    derive,
    digits_to_retype,
    find_name,
    is_exact,
    known_name,
)
from chainrule.programs.evaluating import evaluate, loss_after
from chainrule.programs.program import symbol_of
from chainrule.programs.written_out import at_step

ADAM = {"η": 0.1, "β1": 0.9, "β2": 0.999, "ε": 1e-8}
TWO = [Layer(2), Layer(2)]
GIVEN = {"i1": 0.05, "i2": 0.10, "t1": 0.01, "t2": 0.99}
GIVEN |= {f"w{number}": weight for number, weight in enumerate([0.15, 0.2, 0.25, 0.3, 0.4, 0.45, 0.5, 0.55], 1)}


def numbered(program: Program, seed: int = 3) -> Program:
    """Return a program with random numbers; targets of a classification are one-hot."""
    generator = np.random.default_rng(seed)
    numbers = {each.name: float(generator.normal()) for each in program.of_kind("input", "parameter", "target")}
    if any(line.words == "softmax" for line in program.assignments):
        for place, target in enumerate(program.of_kind("target")):
            numbers[target.name] = float(int(target.name[1]) == 1 + (place // 3) % 3)
    return at_step(program, numbers)


PROGRAMS = {
    "2-2-2": at_step(layered_program(2, TWO, title="two-two-two"), GIVEN),
    "3-4-3 softmax": numbered(
        layered_program(
            3, [Layer(4, "relu", "separate"), Layer(3, "softmax", "separate")], "cross-entropy",
            optimizer="Adam", settings=ADAM,
        )
    ),
    "3-4-3 softmax, 4 samples": numbered(
        layered_program(
            3, [Layer(4, "relu", "separate"), Layer(3, "softmax", "shared")], "cross-entropy", samples=4,
            optimizer="Adam", settings=ADAM,
        )
    ),
    "deep": numbered(
        layered_program(
            2, [Layer(3, "tanh", "separate"), Layer(2, "softplus", "shared"), Layer(2, "leaky_relu")], "mean",
            samples=2, settings={"η": 0.1, "μ": 0.9},
        )
    ),
}  # fmt: skip
CASES = [(title, name) for title, program in PROGRAMS.items() for name in program.parameters]


@pytest.mark.parametrize(("title", "name"), CASES)
def test_every_derivation_gives_the_gradient(title: str, name: str) -> None:
    program = PROGRAMS[title]
    derivation = derive(program, name, most_paths=100)
    gradient = program.quantities[f"∂E/∂{name}"].value
    size = sum(abs(path.value) for path in derivation.paths)
    assert derivation.gradient == gradient
    assert len(derivation.paths) == derivation.path_count == count_paths(program, name)
    assert sum(path.value for path in derivation.paths) == pytest.approx(gradient, rel=1e-12, abs=1e-15 * size)
    assert sum(use.shared.value for use in derivation.uses) == pytest.approx(gradient, rel=1e-12, abs=1e-15 * size)
    products = [each.upstream.value * each.partial.value for each in derivation.adjoint.products]
    assert sum(products) == pytest.approx(gradient, rel=1e-12, abs=1e-15 * size)


@pytest.mark.parametrize("title", PROGRAMS)
def test_formulas_have_the_numbers_that_stand_beside_them(title: str) -> None:
    program = PROGRAMS[title]
    numbers = {name: quantity.value for name, quantity in program.quantities.items()}
    seen = 0
    for name in program.parameters[::3]:
        derivation = derive(program, name)
        equations = [factor.equation for path in derivation.paths for factor in path.factors]
        equations += [*derivation.update, *(each.equation for each in derivation.needed)]
        values = evaluate([each.formula for each in equations], numbers)
        for equation, value in zip(equations, values, strict=True):
            assert equation.value == pytest.approx(float(value), rel=1e-12, abs=1e-16)
            seen += 1
        for adjoint in (derivation.adjoint, *derivation.needed):
            stages = evaluate(adjoint.stages, numbers) if adjoint.stages else []
            assert all(float(stage) == pytest.approx(adjoint.equation.value, rel=1e-12, abs=1e-15) for stage in stages)
    assert seen > 20


def test_gradients_are_those_of_pytorch() -> None:
    program = PROGRAMS["3-4-3 softmax, 4 samples"]
    value = {name: quantity.value for name, quantity in program.quantities.items()}

    def tensor(*rows: list[str]) -> torch.Tensor:
        return torch.tensor([[value[name] for name in row] for row in rows], dtype=torch.float64, requires_grad=True)

    first = tensor(*([f"w{3 * unit + k}" for k in (1, 2, 3)] for unit in range(4)))
    below = tensor([f"b{k}" for k in (1, 2, 3, 4)])
    second, shared = tensor(*([f"w{12 + 4 * unit + k}" for k in (1, 2, 3, 4)] for unit in range(3))), tensor(["b5"])
    inputs = tensor(*([sample_name(f"i{k}", sample) for k in (1, 2, 3)] for sample in (1, 2, 3, 4)))
    targets = tensor(*([sample_name(f"t{k}", sample) for k in (1, 2, 3)] for sample in (1, 2, 3, 4)))
    outputs = torch.relu(inputs @ first.T + below) @ second.T + shared
    torch.nn.functional.cross_entropy(outputs, targets.detach()).backward()
    expected = torch.cat([part.grad.flatten() for part in (first, second) if part.grad is not None])
    gradients = [derive(program, f"w{number}").gradient for number in range(1, 25)]
    assert np.allclose(gradients, expected.numpy(), rtol=1e-12, atol=1e-16)


def w1() -> Derivation:
    return derive(PROGRAMS["2-2-2"], "w1")


def test_the_parts_of_a_derivation() -> None:
    derivation = w1()
    assert (derivation.name, derivation.value, derivation.meaning) == ("∂E/∂w1", 0.15, "weight from i1 into h1")
    assert [path.branches for path in derivation.paths] == [("o1",), ("o2",)]
    assert [path.through for path in derivation.paths] == [("a_o1", "o1", "a_h1", "h1"), ("a_o2", "o2", "a_h1", "h1")]
    assert [factor.equation.name for factor in derivation.uses[0].shared.factors] == [
        "∂E/∂a_h1",
        "∂a_h1/∂h1",
        "∂h1/∂w1",
    ]
    assert [each.equation.name for each in derivation.needed] == [
        "∂E/∂a_o1", "∂E/∂a_o2", "∂E/∂o1", "∂E/∂o2", "∂E/∂a_h1", "∂E/∂h1",
    ]  # fmt: skip
    assert [(each.name, program_text(each.formula)) for each in derivation.update] == [("w1⁺", "w1 − η·∂E/∂w1")]


def test_where_factors_come_from() -> None:
    first, second, *_ = w1().paths[0].factors
    assert [(line.name, program_text(line.formula)) for line in first.source] == [("E1", "½·(t1 − a_o1)²")]
    assert [(line.name, program_text(line.formula)) for line in second.source] == [("a_o1", "σ(o1)")]
    assert first.adjoint is not None
    assert [(each.upstream.name, each.partial.name) for each in first.adjoint.products] == [("∂E/∂E1", "∂E1/∂a_o1")]


def test_the_cancellation_of_softmax_and_cross_entropy() -> None:
    adjoint = derive(PROGRAMS["3-4-3 softmax"], "w13").paths[0].factors[0].adjoint
    assert adjoint is not None
    assert [program_text(stage) for stage in adjoint.stages] == [
        "p1·t2 + p1·t3 − t1(1 − p1)",
        "p1·t1 + p1·t2 + p1·t3 − t1",
        "p1 − t1",
    ]


def test_the_update_of_adam_in_the_order_in_which_it_runs() -> None:
    update = derive(PROGRAMS["3-4-3 softmax"], "b5").update
    assert [line.name for line in update] == ["m_b5⁺", "v_b5⁺", "mhat_b5", "vhat_b5", "b5⁺"]


def test_a_number_on_the_way_is_derived_too_and_has_no_update() -> None:
    derivation = derive(PROGRAMS["2-2-2"], "a_h1")
    assert (derivation.path_count, derivation.update) == (2, ())
    assert derivation.gradient == PROGRAMS["2-2-2"].quantities["∂E/∂a_h1"].value


def test_paths_beyond_the_most_are_counted() -> None:
    wide = numbered(layered_program(1, [Layer(3, "tanh"), Layer(3, "tanh"), Layer(3, "tanh")], "sum"))
    derivation = derive(wide, "w1", most_paths=4)
    assert (len(derivation.paths), derivation.path_count) == (4, 9)


@pytest.mark.parametrize(
    ("typed", "known"), [("w1", "w1"), ("∂E/∂w1", "w1"), (" a_h1(2) ", "a_h1⁽²⁾"), ("a_h1⁽²⁾", "a_h1⁽²⁾")]
)
def test_names_as_they_are_typed(typed: str, known: str) -> None:
    program = PROGRAMS["3-4-3 softmax, 4 samples"]
    assert known_name(program, typed) == find_name(program, typed) == known


def test_unknown_names_and_names_without_a_gradient() -> None:
    program = PROGRAMS["2-2-2"]
    names = "w1, w2, w3, w4, w5, w6, w7, w8, a_o1, a_o2, o1, o2, a_h1, a_h2, h1, h2"
    assert ", ".join(derivable(program)) == names
    with pytest.raises(UnknownNameError) as raised:
        derive(program, "ah1")
    assert str(raised.value) == (
        f"There is no 'ah1' in two-two-two.\n  found:    ah1\n  expected: one of {names}\nDid you mean a_h1 or h1?"
    )
    with pytest.raises(UnknownNameError) as raised:
        derive(program, "t1")
    assert str(raised.value) == (
        "There is no derivation for t1 in two-two-two: targets are not trained.\n"
        f"  found:    t1\n  expected: one of {names}"
    )
    assert find_name(program, "t1") is None


def test_digits_are_as_many_as_the_result_needs() -> None:
    x, y = symbol_of("x"), symbol_of("y")
    numbers = {"x": 1.23456789, "y": 1.23456780}
    assert digits_to_retype([x * y], [1.23456789 * 1.2345678], numbers, 3) == 5  # 1.23 · 1.23 = 1.51, and not 1.52
    assert digits_to_retype([x - y], [9e-8], numbers, 1) == 9
    assert digits_to_retype([x - y], [9e-8], {"x": 2.0, "y": 1.0}, 4) == 4  # no digits give that
    assert digits_to_retype([0 * x], [-0.0], {"x": 1.0}, 6) == 6


@pytest.mark.parametrize("title", ["2-2-2", "3-4-3 softmax"])
def test_formulas_with_rounded_numbers_give_the_result_that_is_shown(title: str) -> None:
    program = PROGRAMS[title]
    numbers = {name: quantity.value for name, quantity in program.quantities.items()}
    for line in program.assignments:
        result = numbers[line.name]
        digits = digits_to_retype([line.formula], [result], numbers, 6)
        rounded = {name: float(f"{value:.{digits}g}") for name, value in numbers.items()}
        assert f"{float(evaluate([line.formula], rounded)[0]) + 0.0:.6g}" == f"{result + 0.0:.6g}"


def test_numbers_of_float32_are_known_as_such() -> None:
    program = PROGRAMS["2-2-2"]
    rounded = {n: replace(each, value=float(np.float32(each.value))) for n, each in program.quantities.items()}
    assert is_exact(program)
    assert not is_exact(replace(program, quantities=rounded))


def test_the_loss_after_the_update_is_that_of_the_next_step() -> None:
    after = at_step(layered_program(2, TWO), GIVEN, 1)
    assert loss_after(PROGRAMS["2-2-2"]) == after.quantities["E_total"].value == pytest.approx(0.235495378, abs=5e-10)
