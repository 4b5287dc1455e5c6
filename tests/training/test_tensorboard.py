"""Event files hold what the metrics hold."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from chainrule.tasks import Task
from chainrule.training import train
from chainrule.training.tensorboard import TensorBoardReporter


def test_every_number_is_a_scalar(small_task: Callable[..., Task], tmp_path: Path) -> None:
    run = train(
        small_task(data={"validation": 0.2}), folder=tmp_path / "run", reporters=[TensorBoardReporter(tmp_path)]
    )
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == sorted(run.history)
    for name in run.history:
        scalars = events.Scalars(name)
        assert tuple(scalar.step for scalar in scalars) == run.history[name].steps
        assert [scalar.value for scalar in scalars] == pytest.approx(list(run.history[name].values), rel=1e-6)
