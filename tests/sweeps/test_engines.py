"""Every engine gives, for each point, the losses of the six steps of training."""

from typing import Any

import numpy as np
import pytest
from sweep_cases import CASES, Case, six_steps_losses, task_of

from chainrule.errors import TaskError
from chainrule.sweeps import Want, run_points

# Lanes take seconds to compile, so the default suite has three kinds of steps; the rest runs with the long tests.
QUICK_LANES = (
    "worked example", "minibatches with shuffle, seeds that split", "divergence",
    "drawn with replacement, all recorded, seeds",
)  # fmt: skip
LOOPS = (
    "minibatches with shuffle, seeds that split", "a penalty, smaller last batch", "schedule by the losses", "LBFGS",
    "an optimizer without a rule", "divergence",
)  # fmt: skip


def all_cases() -> list[Any]:
    found = []
    for name, case in CASES.items():
        if case.lanes:
            marks = () if name in QUICK_LANES else (pytest.mark.long,)
            found.append(pytest.param(name, "lanes", id=f"{name}-lanes", marks=marks))
        if case.vmap:
            found.append(pytest.param(name, "vmap", id=f"{name}-vmap"))
        marks = () if name in LOOPS else (pytest.mark.long,)
        found.append(pytest.param(name, "loop", id=f"{name}-loop", marks=marks))
    return found


def relative(found: Any, expected: Any) -> float:
    with np.errstate(all="ignore"):
        return float(np.max(np.abs(found - expected) / np.maximum(np.abs(expected), 1e-300), initial=0.0))


@pytest.mark.parametrize(("name", "engine"), all_cases())
def test_losses_are_those_of_the_six_steps(name: str, engine: Any) -> None:
    case = CASES[name]
    outcome = run_points(task_of(case), case.points, steps=case.steps, engine=engine, want=Want(parameters=True))
    assert outcome.engine == engine
    assert outcome.losses is not None
    assert outcome.parameters is not None
    for run, point in enumerate(case.points):
        losses, parameters = six_steps_losses(case, point)
        assert outcome.steps_run[run] == len(losses)
        assert relative(outcome.losses[run, : len(losses)], losses) < 1e-12
        assert bool(outcome.diverged[run]) is (len(losses) < case.steps)
        assert not np.isfinite(outcome.losses[run, len(losses) :]).any()
        if len(losses) == case.steps:
            assert outcome.final_loss[run] == outcome.losses[run, -1]
            for key, value in parameters.items():
                # A parameter of 0 that rounding moves has no relative difference.
                np.testing.assert_allclose(outcome.parameters[key][run], value.numpy(), rtol=1e-9, atol=1e-12)
        else:
            assert np.isnan(outcome.parameters["output.weight"][run]).all()


@pytest.mark.parametrize(
    ("name", "engine", "reason"),
    [
        ("schedule by the losses", "vmap",
         "ReduceLROnPlateau moves the learning rate of each run by the losses of that run."),
        ("LBFGS", "lanes", "LBFGS computes the loss several times for one update, as often as each run needs."),
        ("schedule by the losses", "lanes",
         "ReduceLROnPlateau moves the learning rate of each run by the losses of that run."),
        ("a penalty, smaller last batch", "lanes",
         "The last batch of an epoch has 14 samples instead of 16, and penalties count every sample."),
        ("an optimizer without a rule", "vmap",
         "NAdam has no update rule for many runs at once; SGD, Adam, AdamW, RMSprop have one."),
    ],
)  # fmt: skip
def test_an_engine_that_cannot_says_why(name: str, engine: Any, reason: str) -> None:
    case = CASES[name]
    with pytest.raises(TaskError) as caught:
        run_points(task_of(case), case.points, steps=5, engine=engine)
    assert str(caught.value) == (
        f"The {engine} engine cannot compute this sweep.\n"
        f"  found: engine {engine}\n"
        f"{reason}\n"
        "The engine auto takes the fastest that can."
    )


DROPOUT = """
from torch import nn
class Dropped(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(13, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 3))
class Normed(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(13, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
class Deciding(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(13, 3)
    def forward(self, x):
        y = self.layer(x)
        return y if y.sum().item() > 0 else 2 * y
"""


@pytest.fixture
def own_models(tmp_path: Any) -> str:
    file = tmp_path / "own_models.py"
    file.write_text(DROPOUT)
    return str(file)


@pytest.mark.parametrize(
    ("model", "engine", "batch_size"),
    [
        ("Dropped", "loop", 16),
        ("Normed", "loop", 16),
        ("Normed", "vmap", 16),
        pytest.param("Normed", "lanes", "full", marks=pytest.mark.long),
        ("Deciding", "loop", 16),
    ],
)
def test_a_model_of_the_users_own(own_models: str, model: str, engine: Any, batch_size: Any) -> None:
    changes = {"model": {"module": f"{own_models}:{model}"}, "data.batch_size": batch_size}
    case = Case("wine", {"lr": ".001,.05", "seed": "0,1"}, 20, changes)
    outcome = run_points(task_of(case), case.points, steps=20, engine=engine)
    assert outcome.losses is not None
    for run, point in enumerate(case.points):
        assert relative(outcome.losses[run], six_steps_losses(case, point)[0]) < 1e-12


@pytest.mark.parametrize(
    ("model", "engine", "why"),
    [
        ("Dropped", "loop", "The model draws random numbers in its forward pass, and only one run after the other "
         "draws those of chainrule train; lanes draws others, with engine lanes."),
        ("Deciding", "loop", None),
        ("Normed", "vmap", "vmap computes many runs as one. lanes could not: The last batch of an epoch has 14 samples "
         "instead of 16, and the model computes a sample from others of its batch."),
    ],
)  # fmt: skip
def test_what_cannot_be_batched_goes_to_the_next_engine(
    own_models: str, model: str, engine: str, why: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chainrule.sweeps.choosing._FEW_RUN_STEPS", 0)
    case = Case("wine", {"lr": "lin:.001:.1:8"}, 10, {"model": {"module": f"{own_models}:{model}"}})
    outcome = run_points(task_of(case), case.points, steps=10)
    assert outcome.engine == engine
    if why is not None:
        assert outcome.why == why
    else:
        assert outcome.why.startswith("One run after the other. lanes could not: ")
        assert " vmap could not: " in outcome.why
