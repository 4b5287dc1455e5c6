"""The rules on the ops of recorded models: their values, and what they send back, are those of the recording."""

import pytest
import torch
from recorder_models import CASES

from chainrule.ops import argument_name, bind, rule_of
from chainrule.ops.dropout import draw_mask
from chainrule.recorder import record
from chainrule.shapes import Tensor
from chainrule.trace import Op, Trace

MODELS = (
    "cnn, batch norm, dropout, residual, in-place",
    "in-place, views, item assignment",
    "packed sequences",
    "TransformerEncoderLayer",
    "GPT-2, eager attention",
    "GPT-2, fused attention",
    "Llama",
    "weight_norm",
    "gather, scatter, einsum, where",
)
LARGEST = 3000  # elements of an output; its formula is computed element by element


def recorded(name: str) -> Trace:
    case = CASES[name]
    torch.manual_seed(0)
    model = case.make()
    with case.context():
        return record(model, case.loss, case.inputs, case.targets)


def arguments_of(trace: Trace, op: Op) -> dict[str, object]:
    arguments = bind(op, lambda number: trace.values[number].data)
    if op.random_state is not None and op.name == "dropout":
        arguments["mask"] = draw_mask(op.name, arguments, op.random_state)
    if op.random_state is not None and op.name == "scaled_dot_product_attention" and arguments["dropout_p"]:
        arguments["dropout_mask"] = draw_mask(op.name, arguments, op.random_state)
    return arguments


def one_of_each(trace: Trace) -> list[Op]:
    named = {op.name: op for op in trace.ops if op.phase in ("forward", "loss") and not op.opaque}
    return list(named.values())


@pytest.mark.parametrize("name", MODELS)
def test_rules_have_the_numbers_of_the_recording(name: str) -> None:
    trace = recorded(name)
    checked = 0
    for op in one_of_each(trace):
        rule = rule_of(op)
        assert rule is not None, op.name
        arguments, value = arguments_of(trace, op), trace.values[op.outputs[0]]
        rule, output = rule.chosen(arguments), value.data
        if rule.formula is None:
            assert rule.cuts or rule.note, op.name
            continue
        if not isinstance(output, Tensor) or output.numel() > LARGEST:
            continue
        tolerance = 1e-9 if output.dtype == torch.float64 else 1e-4
        ours = rule.forward(arguments, output).to(output.dtype)
        torch.testing.assert_close(ours, output.detach(), rtol=tolerance, atol=tolerance)
        checked += 1
        if not isinstance(value.adjoint, Tensor) or len(op.outputs) > 1:
            continue
        for use in op.inputs:
            argument = argument_name(op, use.place)
            if not isinstance(use.contribution, Tensor) or argument not in rule.slots:
                continue
            slopes = rule.jacobian(argument, arguments, output)
            sent = (value.adjoint.reshape(-1).double() @ slopes).reshape(use.contribution.shape)
            torch.testing.assert_close(sent, use.contribution.double(), rtol=10 * tolerance, atol=tolerance)
            checked += 1
    assert checked >= 8
