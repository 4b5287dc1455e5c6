import pytest
from pydantic import ValidationError

from chainrule.tasks.penalty_spec import PenaltySpec


@pytest.mark.parametrize(
    ("kind", "normalisation"), [("L1", "per-sample"), ("L2", "per-sample"), ("AR", "mean"), ("TAR", "mean")]
)
def test_normalisation_follows_from_the_kind_and_can_be_stated(kind, normalisation):
    assert PenaltySpec(kind=kind, strength=1.0, modules="*").normalisation == normalisation
    assert PenaltySpec(kind=kind, strength=1.0, modules="*", normalisation="sum").normalisation == "sum"


def test_written_and_read_again_it_is_the_same():
    spec = PenaltySpec(kind="TAR", strength=0.5, modules=["rnn.*", "type:LSTM"], time_dimension=1)
    assert PenaltySpec.model_validate(spec.model_dump()) == spec
    assert PenaltySpec.model_validate_json(spec.model_dump_json()) == spec


def test_label_names_kind_and_patterns():
    assert PenaltySpec(kind="L2", strength=0.1, modules="hidden1.activation").label == "L2 on hidden1.activation"
    assert PenaltySpec(kind="L1", strength=0.1, modules=["a.*", "type:ReLU"]).label == "L1 on a.*, type:ReLU"


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "L3"},
        {"strength": -1.0},
        {"strength": float("nan")},
        {"strength": float("inf")},
        {"modules": ""},
        {"modules": []},
        {"modules": ["a", " "]},
        {"modules": "type:"},
        {"normalisation": "none"},
        {"time_dimension": 0.5},
        {"strengh": 1.0},
    ],
)
def test_refuses(wrong):
    right = {"kind": "L1", "strength": 1.0, "modules": "a"}
    assert PenaltySpec.model_validate(right).strength == 1.0
    with pytest.raises(ValidationError):
        PenaltySpec.model_validate(right | wrong)


def test_is_frozen():
    spec = PenaltySpec(kind="L1", strength=1.0, modules="a")
    with pytest.raises(ValidationError):
        spec.strength = 2.0
