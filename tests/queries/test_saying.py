import torch
from torch import nn
from torch.nn import functional

from chainrule.queries.saying import call_of, evidence_of, index_text, layer_of, line_of, names, number, where_of
from chainrule.recorder import record
from chainrule.trace import Source


def test_names_are_joined_and_cut() -> None:
    assert [names(["a"] * count) for count in range(4)] == ["", "a", "a and a", "a, a and a"]
    assert names(list("abcd")) == "a, b, c and d"
    assert names(list("abcdef")) == "a, b, c and 3 more"


def test_numbers_and_indices() -> None:
    assert (number(0.123456), number(98765.4)) == (0.1235, 98770.0)
    assert (index_text((3, 0)), index_text(())) == ("[3, 0]", "")


def test_an_op_is_named_with_its_place() -> None:
    torch.manual_seed(0)
    trace = record(nn.Sequential(nn.Linear(2, 3)), functional.mse_loss, torch.ones(4, 2), torch.ones(4, 3))
    op = trace.ops[0]
    op.source = Source("/home/somebody/net.py", 12, "forward", "h = self.fc(x)")
    assert call_of(op) == "linear in 0 (net.py:12)"
    assert where_of(op) == "op 0: linear, module 0 (Linear), net.py:12: h = self.fc(x)"
    assert evidence_of(op, norm_above=1.5) == {"op": "linear", "op number": 0, "module": "0", "norm above": 1.5}
    assert (line_of(None), layer_of(trace, op)) == ("", "0")
    op.source, op.module, op.module_class = None, "", "Sequential"
    assert (call_of(op), where_of(op)) == ("linear", "op 0: linear, the model")
