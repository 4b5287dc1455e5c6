"""Lines of the user's code."""

import linecache
from typing import Any

import torch
from recorder_checks import network, op_named
from torch import Tensor, nn
from unusual_models import Around

from chainrule.recorder import Recorder, record


def test_the_line_of_the_users_module() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            hidden = self.linear(x)
            return hidden.square().sum()

    trace = record(Model(), None, torch.ones(1, 4))
    for name, text in (("linear", "hidden = self.linear(x)"), ("square", "return hidden.square().sum()")):
        source = op_named(trace, name).source
        assert source is not None
        assert (source.text, source.function, str(source)) == (text, "forward", f"test_sources.py:{source.line}")
        assert linecache.getline(source.file, source.line).strip() == text


def test_a_sequence_of_layers_has_only_lines_of_torch() -> None:
    trace = record(network(), None, torch.ones(1, 4))
    source = op_named(trace, "tanh").source
    assert source is not None
    assert (str(source).split(":")[0], source.text) == ("activation.py", "return torch.tanh(input)")


def test_the_line_in_a_block() -> None:
    model = network()
    with Recorder(model) as recorder:
        model(torch.ones(1, 4)).sum().backward()
    source = op_named(recorder.trace, "sum").source
    assert source is not None
    assert source.text == "model(torch.ones(1, 4)).sum().backward()"
    assert op_named(recorder.trace, "sum backward").source is source


def test_the_line_of_a_notebook() -> None:
    name = "<ipython-input-3-abc>"
    text = "def forward(self, x):\n    return self.linear(x).sum()\n"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    cell: dict[str, Any] = {}
    exec(compile(text, name, "exec"), cell)  # noqa: S102  # as a notebook does
    try:
        source = op_named(record(Around(cell["forward"]), None, torch.ones(1, 4)), "sum").source
    finally:
        del linecache.cache[name]
    assert source is not None
    assert (source.file, source.line, source.text) == (name, 2, "return self.linear(x).sum()")


def test_equal_places_share_one_source() -> None:
    def forward(self: Any, x: Tensor) -> Tensor:
        for _ in range(3):
            x = x.tanh()
        return self.linear(x).sum()

    trace = record(Around(forward), None, torch.ones(1, 4))
    assert len({id(op.source) for op in trace.ops if op.name == "tanh"}) == 1
