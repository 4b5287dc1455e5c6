"""What is refused when a run is built, before anything is trained."""

from pathlib import Path

import pytest

from chainrule.errors import TaskError
from chainrule.tasks import load_task
from chainrule.training import train

DETACHED = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        return self.layer(x).detach()
"""


def test_a_prediction_without_a_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(DETACHED)
    keys = {
        "data": {"source": "iris"},
        "model": {"module": f"{tmp_path / 'net.py'}:Net"},
        "run": {"device": "cpu"},
    }
    with pytest.raises(TaskError) as caught:
        train(load_task(keys))
    assert (
        str(caught.value)
        == """\
The prediction does not depend on any weight that is trained, so there is nothing to backpropagate.
  where:    the first forward pass
  found:    a prediction without a graph
  expected: a prediction that autograd can follow back to the weights
Take detach(), no_grad(), argmax, .data or a way through NumPy out of the forward pass."""
    )


def test_one_cycle_stepped_per_epoch_spans_the_epochs() -> None:
    changes = {"schedule": {"name": "OneCycleLR", "max_lr": 0.1, "per": "epoch"}, "stop.epochs": 5, "run.device": "cpu"}
    run = train(load_task("iris", changes))
    assert run.state.schedule is not None
    assert run.state.schedule.scheduler.total_steps == 5  # type: ignore[attr-defined]
    assert len(set(run.history["lr"].values)) == 5
