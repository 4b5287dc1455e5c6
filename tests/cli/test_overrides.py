import pytest

from chainrule.cli.overrides import SHORT, WHOLE_KEYS, split_overrides
from chainrule.errors import TaskError
from chainrule.tasks import Task


def test_keys_with_a_dot_and_whole_keys_are_overrides_and_the_rest_is_not() -> None:
    tokens = ["train", "iris", "--optimizer.lr", "-0.1", "--seed=3", "-o", "there", "--json", "--loss", "MSELoss"]
    rest, changes = split_overrides(tokens)
    assert rest == ["train", "iris", "-o", "there", "--json"]
    assert changes == {"optimizer.lr": "-0.1", "seed": "3", "loss": "MSELoss"}


@pytest.mark.parametrize(("short", "long"), SHORT.items())
def test_short_names_stand_for_keys(short: str, long: str) -> None:
    assert split_overrides([f"--{short}", "7"]) == ([], {long: "7"})


def test_every_key_of_a_task_can_be_overridden_whole() -> None:
    assert sorted(WHOLE_KEYS) == sorted(Task.model_fields)


def test_a_value_may_hold_an_equals_sign() -> None:
    assert split_overrides(["--model.module=net.py:Net", "--name=a=b"])[1] == {
        "model.module": "net.py:Net",
        "name": "a=b",
    }


@pytest.mark.parametrize(
    ("tokens", "found"), [(["--optimizer.lr"], "nothing after it"), (["--optimizer.lr", "--json"], "--json")]
)
def test_an_override_without_a_value_is_refused(tokens: list[str], found: str) -> None:
    with pytest.raises(TaskError) as caught:
        split_overrides(tokens)
    assert (
        str(caught.value)
        == f"""\
The option --optimizer.lr has no value.
  found:    {found}
  expected: --optimizer.lr VALUE, such as --optimizer.lr 0.1"""
    )
