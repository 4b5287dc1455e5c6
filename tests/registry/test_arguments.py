import inspect
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from chainrule.registry import (
    ACTIVATIONS,
    INITIALISERS,
    LOSSES,
    OPTIMIZERS,
    SCHEDULERS,
    Catalogue,
    check_arguments,
    parameters_of,
)

if TYPE_CHECKING:
    from nowhere import OnlyForTypeCheckers

CATALOGUES = [ACTIVATIONS, LOSSES, OPTIMIZERS, SCHEDULERS, INITIALISERS]
EVERY_COMPONENT = [(catalogue, name) for catalogue in CATALOGUES for name in catalogue.members]
every_component = pytest.mark.parametrize(
    ("catalogue", "name"), EVERY_COMPONENT, ids=lambda value: value if isinstance(value, str) else value.kind
)


def problems_text(catalogue, name, given):
    return "\n".join(str(problem) for problem in check_arguments(catalogue, name, given, "key")[1])


@every_component
def test_parameters_are_those_of_the_signature_without_what_we_give(catalogue, name):
    signature = inspect.signature(catalogue.members[name]).parameters
    assert set(parameters_of(catalogue, name)) == {
        key for key in signature if key not in catalogue.given_by_us and not signature[key].kind.name.startswith("VAR")
    }


@every_component
def test_its_own_defaults_are_accepted_as_they_are(catalogue, name):
    defaults = {
        key: parameter.default
        for key, parameter in parameters_of(catalogue, name).items()
        if parameter.default is not inspect.Parameter.empty
    }
    required = frozenset(parameters_of(catalogue, name)) - frozenset(defaults)
    assert check_arguments(catalogue, name, defaults, "key", required) == (defaults, [])


@every_component
def test_an_unknown_argument_is_refused_and_the_known_ones_are_listed(catalogue, name):
    allowed = list(parameters_of(catalogue, name))
    required = frozenset(allowed)
    converted, (problem,) = check_arguments(catalogue, name, {"nonesuch": 1}, "key", required)
    expected = f"an argument of {name}: {', '.join(allowed)}" if allowed else f"no argument: {name} takes none"
    assert converted == {}
    assert (problem.key, problem.found, problem.expected) == ("key.nonesuch", "1", expected)


@every_component
def test_a_value_of_another_type_is_refused_for_every_argument(catalogue, name):
    wrong = object()
    for argument in parameters_of(catalogue, name):
        required = frozenset(parameters_of(catalogue, name))
        _, (problem,) = check_arguments(catalogue, name, {argument: wrong}, "key", required)
        assert problem.key == f"key.{argument}"
        assert not {"typing", "Tensor", "float", "Literal", "|", "[", "class"} & set(problem.expected.split())


@pytest.mark.parametrize(
    ("catalogue", "name", "argument", "value", "expected"),
    [
        (OPTIMIZERS, "SGD", "lr", "0.1", "a number"),
        (OPTIMIZERS, "SGD", "lr", True, "a number"),
        (OPTIMIZERS, "SGD", "lr", [0.1], "a number"),
        (OPTIMIZERS, "SGD", "nesterov", "yes", "true or false"),
        (OPTIMIZERS, "Adam", "betas", [0.9], "2 numbers"),
        (OPTIMIZERS, "Adam", "betas", 0.9, "2 numbers"),
        (OPTIMIZERS, "Adam", "betas", [0.9, "b"], "2 numbers"),
        (OPTIMIZERS, "Muon", "ns_coefficients", [1.0, 2.0], "3 numbers"),
        (OPTIMIZERS, "Muon", "adjust_lr_fn", "orignal", "'original' or 'match_rms_adamw'"),
        (OPTIMIZERS, "LBFGS", "max_iter", 2.5, "a whole number"),
        (OPTIMIZERS, "LBFGS", "max_iter", True, "a whole number"),
        (OPTIMIZERS, "LBFGS", "line_search_fn", "armijo", "'strong_wolfe'"),
        (ACTIVATIONS, "GELU", "approximate", "erf", "'none' or 'tanh'"),
        (ACTIVATIONS, "ELU", "alpha", [1.0], "a number"),
        (LOSSES, "CrossEntropyLoss", "weight", ["a", "b"], "a list of numbers"),
        (LOSSES, "CrossEntropyLoss", "weight", [[1.0], [1.0, 2.0]], "a list of numbers"),
        (LOSSES, "CrossEntropyLoss", "weight", 3, "a list of numbers"),
        (LOSSES, "PoissonNLLLoss", "log_input", "no", "true or false"),
        (LOSSES, "HalfSumOfSquares", "reduction", "median", "'sum' or 'mean'"),
        (SCHEDULERS, "StepLR", "step_size", "ten", "a whole number"),
        (SCHEDULERS, "MultiStepLR", "milestones", 5, "a list of whole numbers"),
        (SCHEDULERS, "MultiStepLR", "milestones", [1, "b"], "a list of whole numbers"),
        (SCHEDULERS, "CyclicLR", "mode", "triangle", "'triangular', 'triangular2' or 'exp_range'"),
        (SCHEDULERS, "CyclicLR", "base_lr", "low", "a number or a list of numbers"),
        (SCHEDULERS, "LambdaLR", "lr_lambda", "decay", 'a function, as "file.py:function"'),
        (SCHEDULERS, "LambdaLR", "lr_lambda", 0.9, 'a function, as "file.py:function"'),
        (SCHEDULERS, "ReduceLROnPlateau", "mode", "mn", "'min' or 'max'"),
        (INITIALISERS, "constant_", "val", "one", "a number"),
        (INITIALISERS, "kaiming_uniform_", "mode", "fan", "'fan_in' or 'fan_out'"),
    ],
)
def test_types_in_the_words_of_someone_who_writes_toml(catalogue, name, argument, value, expected):
    required = frozenset(parameters_of(catalogue, name))
    _, problems = check_arguments(catalogue, name, {argument: value}, "key", required)
    assert [str(problem) for problem in problems] == [f"key.{argument}\n  found:    {value!r}\n  expected: {expected}"]


def test_whole_text_with_a_near_miss():
    assert (
        problems_text(OPTIMIZERS, "SGD", {"momentun": 0.9})
        == """\
key.momentun
  found:    0.9
  expected: an argument of SGD: lr, momentum, dampening, weight_decay, nesterov, maximize, foreach, differentiable, \
fused
  Did you mean 'momentum'?"""
    )


def test_whole_text_of_a_component_that_takes_nothing():
    assert (
        problems_text(ACTIVATIONS, "Tanh", {"alpha": 1.0})
        == """\
key.alpha
  found:    1.0
  expected: no argument: Tanh takes none"""
    )


def test_whole_text_of_what_torch_has_deprecated_or_we_set():
    assert (
        problems_text(LOSSES, "L1Loss", {"size_average": True})
        == """\
key.size_average
  found:    True
  expected: an argument of L1Loss: reduction
  chainrule sets it, or torch has deprecated it."""
    )


def test_whole_text_of_a_missing_argument_beside_a_wrong_one():
    assert (
        problems_text(SCHEDULERS, "StepLR", {"gamma": "half"})
        == """\
key.gamma
  found:    'half'
  expected: a number
key.step_size
  found:    nothing
  expected: a value: StepLR does not work without it"""
    )


def test_required_arguments_that_are_filled_in_are_not_missed():
    assert check_arguments(SCHEDULERS, "StepLR", {}, "key", frozenset({"step_size"})) == ({}, [])


def test_a_list_becomes_what_the_signature_wants():
    arguments, problems = check_arguments(OPTIMIZERS, "Adam", {"betas": [0.8, 0.9]}, "key")
    assert (arguments, problems) == ({"betas": (0.8, 0.9)}, [])
    for weight in ([1, 2.5], np.array([1, 2.5], dtype=np.float32), torch.tensor([1, 2.5], dtype=torch.float64)):
        arguments, problems = check_arguments(LOSSES, "CrossEntropyLoss", {"weight": weight}, "key")
        assert problems == []
        assert torch.equal(arguments["weight"], torch.tensor([1.0, 2.5], dtype=torch.float64))


def test_numbers_of_numpy_are_numbers():
    given = {"lr": np.float32(0.5), "weight_decay": np.int64(1)}
    assert check_arguments(OPTIMIZERS, "SGD", given, "key") == ({"lr": 0.5, "weight_decay": 1}, [])


def test_functions_are_named_by_their_path():
    for given in ("f.py:f", ["f.py:f", "g.py:g"]):
        assert check_arguments(SCHEDULERS, "LambdaLR", {"lr_lambda": given}, "key") == ({"lr_lambda": given}, [])


def test_a_hint_that_only_type_checkers_know_is_left_to_the_constructor():
    def later(rate: "OnlyForTypeCheckers") -> None: ...

    catalogue = Catalogue(kind="scheduler", members={"later": later}, left_out={}, given_by_us=frozenset())
    assert check_arguments(catalogue, "later", {"rate": "any"}, "key") == ({"rate": "any"}, [])
