"""Paths of the chain rule add up to the gradient's own line."""

import sympy

from chainrule.programs import Layer, count_paths, layered_program, paths_to, program_text
from chainrule.programs.program import symbol_of


def test_the_two_paths_to_a_hidden_weight() -> None:
    program = layered_program(2, [Layer(2), Layer(2)])
    paths = paths_to(program, "w1")
    assert [path.through for path in paths] == [
        ("a_o1", "o1", "a_h1", "h1", "w1"),
        ("a_o2", "o2", "a_h1", "h1", "w1"),
    ]
    assert [factor.name for factor in paths[0].factors] == [
        "∂E/∂a_o1",
        "∂a_o1/∂o1",
        "∂o1/∂a_h1",
        "∂a_h1/∂h1",
        "∂h1/∂w1",
    ]
    assert [program_text(factor.expression) for factor in paths[0].factors] == [
        "a_o1 − t1",
        "a_o1(1 − a_o1)",
        "w5",
        "a_h1(1 − a_h1)",
        "i1",
    ]


def test_products_of_all_paths_add_up_to_the_gradient() -> None:
    program = layered_program(
        2, [Layer(2, "tanh", "separate"), Layer(3, "sigmoid", "shared"), Layer(2)], "mean", samples=2
    )
    adjoints = {symbol_of(line.name): line.formula for line in program.in_step("gradients")}
    for name in program.parameters:
        paths = paths_to(program, name)
        assert len(paths) == count_paths(program, name)
        written_out = program.by_name[f"∂E/∂{name}"].formula
        while written_out.free_symbols & set(adjoints):
            written_out = written_out.xreplace(adjoints)
        difference = sympy.expand(sum(path.product for path in paths) - written_out)
        assert difference == 0
