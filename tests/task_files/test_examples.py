import tomllib

import pytest

from chainrule.errors import TaskError
from chainrule.task_files import example_description, example_names, example_text, is_for_maps
from chainrule.tasks import load_task

NAMES = (
    "two-two-two",
    "two-two-two-even",
    "two-two-two-biased",
    "xor",
    "breast-cancer",
    "diabetes",
    "digits",
    "iris",
    "wine",
    "fractal-identity",
    "fractal-initialisation",
    "fractal-minibatch",
    "fractal-relu",
    "fractal-single",
    "fractal-tanh",
)


def test_the_examples_of_the_issue_the_worked_ones_first():
    assert example_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_example_loads_and_says_what_it_is(name):
    task, keys = load_task(name), tomllib.loads(example_text(name))
    assert (task.name, task.description) == (name, keys["description"])
    assert example_description(name) == task.description
    assert task.description
    assert "\n" not in task.description


@pytest.mark.parametrize("name", NAMES)
def test_every_example_has_comments_to_learn_from(name):
    lines = example_text(name).splitlines()
    assert lines[0].startswith("# ")
    assert all(len(line) <= 120 and line == line.rstrip() for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_that_was_written_to_a_file_is_the_same_task(name, tmp_path):
    (tmp_path / "mine.toml").write_text(example_text(name), encoding="utf-8")
    assert load_task(tmp_path / "mine.toml") == load_task(name)


def test_an_unknown_example():
    with pytest.raises(TaskError) as caught:
        example_text("two_two_too")
    assert (
        str(caught.value)
        == """\
There is no built-in task 'two_two_too'.
  found:    two_two_too
  expected: one of breast-cancer, diabetes, digits, fractal-identity, fractal-initialisation, \
fractal-minibatch, fractal-relu, fractal-single, fractal-tanh, iris, two-two-two, two-two-two-biased, \
two-two-two-even, wine, xor
Did you mean 'two-two-two'?"""
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_tasks_for_maps_are_those_that_say_their_map(name):
    assert is_for_maps(name) == (load_task(name).map is not None)
