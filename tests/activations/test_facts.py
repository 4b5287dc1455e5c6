import json

import pytest

from chainrule.activations import activation_names, catalogue_rows, describe


def test_the_rows_are_json_without_infinities() -> None:
    rows = catalogue_rows()
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert [row["name"] for row in rows if row["title"] != "GELU (tanh)"] == list(activation_names())


def test_facts_as_a_dict() -> None:
    row = describe("LeakyReLU", negative_slope=0.25).to_dict()
    assert row["arguments"] == {"negative_slope": 0.25}
    assert row["symbols"] == {"α": 0.25}
    assert row["formula"] == {
        "text": "max(0, x) + α·min(0, x)",
        "latex": r"\max\left(0, x\right) + \alpha \min\left(0, x\right)",
    }
    assert row["derivatives"][0][0] == "f′(x)"
    assert row["derivatives"][0][1]["text"] == "α if x < 0, 1 if x > 0"
    assert row["output_range"] == [{"lower": None, "upper": None, "lower_attained": False, "upper_attained": False}]
    assert (row["range_text"], row["vanishing_text"], row["bounded"]) == ("(−∞, ∞)", "nowhere", "no")
    assert row["breaks"] == [
        {"place": 0.0, "kind": "kink", "jump": 0.0, "slope_before": 0.25, "slope_after": 1.0, "torch_slope": 0.25}
    ]
    assert row["gain_forward"] == pytest.approx(row["torch_gain"], rel=1e-14)


def test_definitions_say_what_the_letters_are() -> None:
    assert [definition.text for definition in describe("Mish").definitions] == [
        "softplus(x) = log(1 + e^x)",
        "σ(x) = 1/(1 + e^(−x))",
    ]
    assert [definition.text for definition in describe("GELU").definitions] == [
        "Φ(x) = (1 + erf(x/√2))/2",
        "φ(x) = e^(−x²/2)/√(2·π)",
    ]
    assert describe("Tanh").definitions == ()
