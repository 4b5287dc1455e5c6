"""A finding reads as a person would say it, and goes out as data."""

import dataclasses
import json

import pytest

from chainrule.findings import Finding

WHOLE = Finding(
    code="loss-not-finite",
    severity="error",
    claim="The loss is nan at step 3.",
    where="output of logarithm",
    evidence={"loss": "nan", "updates done": 2, "learning rate": 0.06},
    remedy="Try a lower rate.",
)


def test_the_whole_text() -> None:
    assert (
        str(WHOLE)
        == """The loss is nan at step 3.
  where:    output of logarithm
  evidence: loss = nan, updates done = 2, learning rate = 0.06
Try a lower rate."""
    )


def test_what_is_empty_is_left_out() -> None:
    bare = dataclasses.replace(WHOLE, evidence={}, remedy="")
    assert str(bare) == "The loss is nan at step 3.\n  where:    output of logarithm"


def test_as_data() -> None:
    data = WHOLE.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert Finding(**data) == WHOLE


def test_it_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        WHOLE.claim = "All is well."  # type: ignore[misc]
