import json
import math

import pytest

from chainrule.cli.json_output import print_json


def refuse(token: str) -> float:
    raise ValueError(token)


def test_numbers_that_are_not_finite_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"loss": math.nan, "nested": [{"a": math.inf, "b": (-math.inf, 1.5, "NaN", None, True)}]}
    print_json(data)
    read = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert read == {"loss": None, "nested": [{"a": None, "b": [None, 1.5, "NaN", None, True]}]}


def test_what_looks_like_markup_or_an_emoji_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"name": "[red]:smile:[/] ∂", "line": "a\nb\x1b[31m"}
    print_json(data)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert "\x1b" not in printed
    assert json.loads(printed) == data
