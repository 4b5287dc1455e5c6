import pytest
import torch
from torch import Tensor
from torch.nn import functional

from chainrule.findings import Finding
from chainrule.queries import why
from chainrule.recorder import record
from chainrule.trace import Trace

from .faults import Net, bad_row, batch, fully_masked, same, take, where_log, zero_row

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch.func.jvp, when first used


def only(trace: Trace) -> Finding:
    (finding,) = why(trace).findings
    return finding


def test_a_backward_nan_has_its_product_and_its_sample() -> None:
    finding = only(take(where_log)())
    numbers = {name: finding.evidence[name] for name in ("index", "sample", "adjoint", "local derivative")}
    assert numbers == {"index": "[2, 0]", "sample": 2, "adjoint": "0", "local derivative": "∞"}
    assert "adjoint 0 × local derivative ∞ = NaN" in finding.claim
    assert finding.remedy.startswith(
        "A mask or where() after log does not protect it from its own input: 0 × ∞ is NaN."
    )


def test_an_infinity_that_becomes_nan_is_the_cause() -> None:
    finding = only(take(lambda h: torch.exp(h * 1000) * torch.zeros(6))())
    assert (finding.code, finding.evidence["op"]) == ("inf-forward", "exp")
    assert finding.claim.endswith(") then makes NaN of it.")


def test_a_mask_of_minus_infinity_is_no_fault() -> None:
    (finding,) = why(take(lambda h: fully_masked(h, 0))()).findings
    assert (finding.code, finding.severity) == ("masked", "note")

    def added(h: Tensor) -> Tensor:
        return torch.softmax(h + torch.full((6, 6), -torch.inf).triu(1)[2], -1)

    assert [(one.code, one.severity) for one in why(take(added)()).findings] == [("masked", "note")]


def test_a_row_that_is_masked_altogether_is_the_fault_of_softmax() -> None:
    finding = only(take(lambda h: fully_masked(h, 3))())
    assert (finding.code, finding.evidence["op"], finding.evidence["index"]) == ("nan-forward", "softmax", "[0, 0]")
    assert finding.remedy == "See to it that at least one place of every row is not masked."


def test_an_infinity_that_goes_nowhere_is_not_told() -> None:
    def looked_at(h: Tensor) -> Tensor:
        torch.log(torch.zeros(6)).max()
        return torch.tanh(h)

    assert why(take(looked_at)()).findings == ()


def test_bad_data_name_their_samples() -> None:
    finding = only(take(inputs=bad_row)())
    assert finding.claim == "The inputs themselves hold NaN (input in sample 5), before any op has run."
    assert finding.evidence["index"] == "[5, 1]"


def test_inputs_that_the_model_cleans_are_no_fault() -> None:
    class Cleaning(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(torch.nan_to_num(x))

    torch.manual_seed(0)
    x, t = batch()
    assert why(record(Cleaning(torch.tanh, same), functional.mse_loss, bad_row(x), t)).findings == ()


def test_a_step_that_is_not_finite_is_not_asked_for_zeros() -> None:
    trace = take(lambda h: torch.relu(h - 100) + torch.log(zero_row(h).abs()))()
    assert [one.code for one in why(trace).findings] == ["inf-forward"]


def test_float16_says_its_largest_number() -> None:
    torch.manual_seed(0)
    model = Net(lambda h: h * 60000 * 10, same).half()
    x, t = batch()
    finding = only(record(model, lambda y, target: (y - target).square().mean(), x.half(), t.half()))
    assert "65504" in finding.claim
    assert finding.remedy.startswith("Compute this part in float32")


def test_of_statistics_the_op_is_known_and_not_the_kind() -> None:
    torch.manual_seed(0)
    model = Net(where_log, same)
    answer = why(record(model, functional.mse_loss, *batch(), keep="statistics"))
    (finding,) = answer.findings
    assert (finding.code, finding.evidence["op"]) == ("not-finite-backward", "log")
    assert len(answer.limits) == 1


@pytest.mark.parametrize("name", ["log", "tanh", "fc1.weight"])
def test_a_value_is_asked_about_by_name(name: str) -> None:
    def middle(h: Tensor) -> Tensor:
        return torch.tanh(torch.log(zero_row(h).abs()) * 0 + h)

    finding = why(take(middle)(), name).findings[0]
    assert (finding.code, finding.evidence["op"]) == ("inf-forward", "log")
