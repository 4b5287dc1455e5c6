import json
from pathlib import Path

import pytest

from chainrule.cli.explaining import read_index
from chainrule.cli.usage import UsageError
from chainrule.queries.explaining import explain
from chainrule.reports.explanation import explanation_dict
from chainrule.tasks import load_task
from chainrule.training.recorded_step import record_step

from .conftest import Command


def test_a_gradient_of_the_worked_example_on_the_terminal(command: Command) -> None:
    shown = command("explain", "two-two-two", "output.weight", "0,0")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("∂L/∂output.weight[0, 0] = ")
    assert max(len(line) for line in shown.out.splitlines()) <= 80


def test_json_is_the_explanation(command: Command) -> None:
    shown = command("explain", "two-two-two", "hidden1.weight", "-1,0", "--depth", "2", "--top", "1", "--json")
    expected = explain(record_step(load_task("two-two-two")), "hidden1.weight", (1, 0), depth=2, top=1)
    assert json.loads(shown.out) == json.loads(json.dumps(explanation_dict(expected)))


def test_a_later_step_and_a_changed_task(command: Command) -> None:
    first = json.loads(command("explain", "two-two-two", "output.weight", "0,0", "--json").out)
    later = json.loads(command("explain", "two-two-two", "output.weight", "0,0", "--step", "3", "--json").out)
    faster = json.loads(
        command("explain", "two-two-two", "output.weight", "0,0", "--step", "3", "--lr", "5", "--json").out
    )
    assert len({each["number"] for each in (first, later, faster)}) == 3


def test_a_saved_trace_is_explained(command: Command, tmp_path: Path) -> None:
    record_step(load_task("two-two-two")).save(tmp_path / "step.safetensors")
    saved = command("explain", "step.safetensors", "hidden1.weight", "1,0", "--json")
    fresh = command("explain", "two-two-two", "hidden1.weight", "1,0", "--json")
    assert json.loads(saved.out) == json.loads(fresh.out)
    refused = command("explain", "step.safetensors", "hidden1.weight", "--step", "2")
    assert refused.code == 2
    assert refused.err == (
        "error: A trace that was saved is explained as it is.\n"
        "  found:    step.safetensors with --step\n"
        "  expected: a task beside --step\n"
    )


@pytest.mark.parametrize(
    ("text", "index"), [("1,0", (1, 0)), ("[1, 0]", (1, 0)), ("-1", (-1,)), ("(2,)", (2,)), ("", ())]
)
def test_an_index_is_read_as_it_is_typed(text: str, index: tuple[int, ...]) -> None:
    assert read_index(text) == index


def test_what_is_no_index_is_refused() -> None:
    with pytest.raises(UsageError) as raised:
        read_index("1,x")
    assert str(raised.value) == (
        "'1,x' is no index.\n  found:    1,x\n  expected: whole numbers with commas between them, such as 1,0"
    )


def test_an_unknown_name_is_told_with_the_nearest(command: Command) -> None:
    shown = command("explain", "two-two-two", "hidden1.weigt")
    assert shown.code == 2
    assert shown.err.startswith("error: There is no 'hidden1.weigt' in two-two-two.\n  found:    hidden1.weigt\n")
    assert "hidden1.weight" in shown.err
