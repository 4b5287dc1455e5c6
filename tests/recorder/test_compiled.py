"""Compiled and scripted modules: one op that says why its inside is not seen."""

import pytest
import torch
from recorder_checks import batch, lawless, names, what_torch_holds
from torch import Tensor, nn

from chainrule.recorder import record
from chainrule.recorder.compiled import why_opaque

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"),
]


def test_ordinary_modules_are_not_opaque() -> None:
    assert why_opaque(nn.Linear(1, 1)) == ""


def test_a_scripted_module_is_one_op_in_its_own_module() -> None:
    model = nn.Sequential(torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.ReLU())), nn.Linear(4, 1))
    trace = record(model, torch.sum, batch()[0])
    op = trace.ops[0]
    assert names(trace, "forward") == ["RecursiveScriptModule", "linear"]
    assert (op.module, op.opaque) == (
        "0",
        "It is a torch.jit module, which runs outside of Python: only what enters and leaves it is seen.",
    )
    assert lawless(trace) == []


def test_a_compiled_module_is_one_op_and_stays_compiled() -> None:
    runs: list[int] = []

    def backend(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> object:
        def run(*args: Tensor) -> object:
            runs.append(1)
            return graph.forward(*args)

        return run

    compiled = torch.compile(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), fullgraph=True, backend=backend)
    before = what_torch_holds()
    trace = record(nn.Sequential(compiled, nn.Linear(4, 1)), torch.sum, batch()[0])
    assert names(trace, "forward") == ["OptimizedModule", "linear"]
    assert runs == [1]
    assert lawless(trace) == []
    assert what_torch_holds() == before
