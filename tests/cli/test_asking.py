import json

import pytest

from .conftest import Command


def test_a_healthy_step_returns_0(command: Command) -> None:
    shown = command("why", "two-two-two")
    assert (shown.code, shown.err) == (0, "")
    lines = [line.rstrip() for line in shown.out.splitlines()]
    assert lines[0] == "Is anything wrong with this step?"
    assert "8 ops and 2 parameters were looked at, 2 of them with a gradient; the loss is" in lines
    assert any("Nothing is wrong" in line for line in lines)
    assert max(len(line) for line in lines) <= 80


def test_a_name_is_answered_with_the_way_from_the_loss(command: Command) -> None:
    shown = command("why", "two-two-two", "hidden1.weight", "--question", "huge", "--json")
    assert (shown.code, shown.err) == (0, "")
    data = json.loads(shown.out)
    assert data["question"] == "Why is the gradient of hidden1.weight large?"
    assert data["path"][-1]["value"] == "hidden1.weight"
    assert [finding["severity"] for finding in data["findings"]] == ["note"]


def test_a_saved_trace_is_asked_as_the_step_was(command: Command) -> None:
    command("record", "two-two-two", "-o", "step.safetensors")
    live = json.loads(command("why", "two-two-two", "output.weight", "--json").out)
    saved = json.loads(command("why", "step.safetensors", "output.weight", "--json").out)
    assert saved == live


def test_an_error_returns_1(command: Command) -> None:
    shown = command("why", "iris", "--optimizer.lr", "1e30", "--optimizer.name", "SGD", "--step", "3", "--json")
    data = json.loads(shown.out)
    assert {finding["severity"] for finding in data["findings"]} == {"error"}
    assert shown.code == 1


@pytest.mark.parametrize(
    ("tokens", "error"),
    [
        (
            ("why", "two-two-two", "hidden1.weigth"),
            "error: The trace has no value 'hidden1.weigth'.\n",
        ),
        (
            ("why", "step.safetensors", "--step", "3"),
            "error: A trace that was saved is asked about as it is.\n"
            "  found:    step.safetensors with --step\n"
            "  expected: a task beside --step\n",
        ),
    ],
)
def test_what_cannot_be_asked_is_refused(command: Command, tokens: tuple[str, ...], error: str) -> None:
    shown = command(*tokens)
    assert shown.code == 2
    assert shown.err.startswith(error)
