import json

import pytest

from chainrule.cli.json_output import print_json
from chainrule.reports.trace_summary import summary_dict

from .trace_cases import NAMES, trace_of


@pytest.mark.parametrize("name", NAMES)
def test_the_summary_is_json_with_an_item_for_each_op(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    trace = trace_of(name)
    print_json(summary_dict(trace))
    data = json.loads(capsys.readouterr().out)
    assert [op["id"] for op in data["ops"]] == [op.id for op in trace.ops]
    assert sum(data["ops_by_phase"].values()) == len(trace.ops)
    assert [parameter["name"] for parameter in data["parameters"]] == [value.name for value in trace.parameters]
    assert len(data["updates"]) == len(trace.updates)


def test_its_numbers_are_those_of_the_step() -> None:
    data = summary_dict(trace_of("two-two-two"))
    assert data["loss"] == pytest.approx(0.298371109, rel=1e-7)
    by_name = {parameter["name"]: parameter for parameter in data["parameters"]}
    assert by_name["fc2.bias"]["adjoint_norm"] == pytest.approx(0.143643, rel=1e-5)
    updates = {update["parameter"]: update for update in data["updates"]}
    assert updates["fc2.bias"]["change_norm"] == pytest.approx(0.5 * 0.143643, rel=1e-5)
    assert summary_dict(trace_of("hand built"))["loss"] is None


def test_one_module_alone() -> None:
    data = summary_dict(trace_of("encoder"), "layers.1")
    assert {op["module"].split(".")[1] for op in data["ops"]} == {"1"}
    assert all(parameter["name"].startswith("layers.1.") for parameter in data["parameters"])
