import math

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from chainrule.components import build_schedule
from chainrule.errors import TaskError, UserModuleError
from chainrule.registry import SCHEDULERS
from chainrule.tasks import ScheduleSpec, Task

STEPS = 8
HEAD = "The task cannot be trained as it is written.\n"
FUNCTIONS = """\
def halve(epoch):
    return 0.5 ** epoch

def shrink(epoch):
    return 0.5

def broken(epoch):
    return {}["rate"]

def later(epoch):
    return 1.0 if epoch == 0 else undefined

def words(epoch):
    return "half"
"""


@pytest.fixture
def functions(tmp_path):
    (tmp_path / "rates.py").write_text(FUNCTIONS)
    return str(tmp_path / "rates.py")


def optimizer(kind=torch.optim.SGD, **arguments) -> torch.optim.Optimizer:
    return kind([nn.Parameter(torch.zeros(2, 2))], **{"lr": 0.5, **arguments})


def checked(**keys) -> ScheduleSpec:
    """Return the schedule of a task, as a task checks and spells it."""
    return Task(data={"source": "iris"}, model={"layers": [3]}, schedule=keys).schedule


def rates(scheduler, over: torch.optim.Optimizer, metric: float = 1.0) -> list[float]:
    found = [over.param_groups[0]["lr"]]
    for _ in range(STEPS - 1):
        over.step()
        scheduler.step(*([metric] if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else []))
        found.append(over.param_groups[0]["lr"])
    return found


def built(over=None, total_steps=STEPS, **keys) -> list[float]:
    over = over or optimizer()
    return rates(build_schedule(checked(**keys), over, total_steps).scheduler, over)


PLAIN = {
    "StepLR": {"step_size": 3},
    "MultiStepLR": {"milestones": [2, 5], "gamma": 0.5},
    "ConstantLR": {"total_iters": 3},
    "LinearLR": {},
    "ExponentialLR": {"gamma": 0.5},
    "CosineAnnealingLR": {"T_max": 7},
    "CosineAnnealingWarmRestarts": {"T_0": 3},
    "PolynomialLR": {"total_iters": 6, "power": 2.0},
    "ReduceLROnPlateau": {"patience": 1},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 2, "cycle_momentum": False},
    "OneCycleLR": {"max_lr": 1.0, "total_steps": STEPS, "cycle_momentum": False},
}
WITH_PARTS = {"LambdaLR", "MultiplicativeLR", "SequentialLR", "ChainedScheduler"}


def test_every_scheduler_is_tested_here():
    assert set(PLAIN) | WITH_PARTS == set(SCHEDULERS.members)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam])
def test_rates_are_those_of_torchs_own_scheduler(name, kind):
    own = optimizer(kind)
    wanted = rates(SCHEDULERS[name](own, **PLAIN[name]), own)
    found = built(optimizer(kind), name=name, **PLAIN[name])
    assert found == wanted
    assert len(set(found)) > 1


@pytest.mark.parametrize(("function", "name"), [("halve", "LambdaLR"), ("shrink", "MultiplicativeLR")])
@pytest.mark.parametrize("as_a_list", [False, True])
def test_a_function_of_the_users(functions, function, name, as_a_list):
    path = f"{functions}:{function}"
    found = built(name=name, lr_lambda=[path] if as_a_list else path)
    assert found == [0.5 * 0.5**step for step in range(STEPS)]


def test_the_scale_of_a_cycle_by_a_function_of_the_users(functions):
    keys = {"base_lr": 0.0, "max_lr": 1.0, "step_size_up": 1, "cycle_momentum": False}
    assert built(name="CyclicLR", scale_fn=f"{functions}:halve", **keys)[:4] == [0.0, 0.5, 0.0, 0.25]


def test_one_after_another(functions):
    schedulers = [
        {"name": "constantlr", "factor": 0.5, "total_iters": 10},
        {"name": "LambdaLR", "lr_lambda": f"{functions}:halve"},
        "LinearLR",
    ]
    found = built(name="SequentialLR", schedulers=schedulers, milestones=[2, 5])
    assert found[:5] == [0.25, 0.25, 0.5, 0.25, 0.125]
    assert found[5] == pytest.approx(0.5 / 3)


def test_several_at_once():
    keys = [{"name": "ExponentialLR", "gamma": 0.5}, {"name": "ConstantLR", "factor": 0.5, "total_iters": 2}]
    found = built(name="ChainedScheduler", schedulers=keys)
    assert found == pytest.approx([0.25, 0.125, 0.125, *(0.5**step / 2 for step in range(3, STEPS))])


def test_a_sequence_inside_a_chain():
    own = optimizer()
    parts = [lr_scheduler.ConstantLR(own), lr_scheduler.ExponentialLR(own, gamma=0.5)]
    chain = lr_scheduler.ChainedScheduler([lr_scheduler.SequentialLR(own, parts, milestones=[3])], own)
    keys = {"schedulers": ["ConstantLR", {"name": "ExponentialLR", "gamma": 0.5}], "milestones": [3]}
    found = built(name="ChainedScheduler", schedulers=[{"name": "SequentialLR", **keys}])
    assert found == rates(chain, own)
    assert len(set(found)) > 3


def test_plateau_watches_the_loss_and_moves_the_rate():
    over = optimizer()
    schedule = build_schedule(checked(name="ReduceLROnPlateau", patience=1, factor=0.5), over, STEPS)
    assert (schedule.per, schedule.wants_metric) == ("epoch", True)
    assert schedule.describe() == "ReduceLROnPlateau, once per epoch, watching the loss"
    assert rates(schedule.scheduler, over, metric=1.0)[:4] == [0.5, 0.5, 0.5, 0.25]


@pytest.mark.parametrize("name", [*PLAIN, "SequentialLR"])
@pytest.mark.parametrize("per", [None, "epoch", "batch"])
def test_when_it_is_stepped(name, per):
    keys = PLAIN.get(name) or {"schedulers": ["LinearLR", "ConstantLR"], "milestones": [2]}
    schedule = build_schedule(checked(name=name, per=per, **(PLAIN.get(name, keys))), optimizer(), STEPS)
    wanted = per or ("batch" if name in ("OneCycleLR", "CyclicLR") else "epoch")
    assert schedule.per == wanted
    assert schedule.describe().startswith(f"{name}, once per {wanted}")
    assert schedule.wants_metric == (name == "ReduceLROnPlateau")


def test_one_cycle_learns_the_length_of_the_run():
    over = optimizer(momentum=0.9)
    schedule = build_schedule(checked(name="OneCycleLR", max_lr=1.0), over, 30)
    assert schedule.scheduler.total_steps == 30
    nested = {"schedulers": ["LinearLR", {"name": "onecyclelr", "max_lr": 1.0}], "milestones": [2]}
    build_schedule(checked(name="SequentialLR", **nested), optimizer(momentum=0.9), 30)


def test_one_cycle_by_epochs_and_steps_per_epoch():
    schedule = build_schedule(checked(name="OneCycleLR", max_lr=1.0, epochs=5, steps_per_epoch=6), optimizer(), 30)
    assert schedule.scheduler.total_steps == 30


def test_trying_it_out_leaves_the_optimizer_as_it_was():
    for name in PLAIN:
        ours, own = optimizer(), optimizer()
        build_schedule(checked(name=name, **PLAIN[name]), ours, STEPS)
        SCHEDULERS[name](own, **PLAIN[name])
        assert {k: v for k, v in ours.param_groups[0].items() if k != "params"} == {
            k: v for k, v in own.param_groups[0].items() if k != "params"
        }


@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.LBFGS, torch.optim.Muon])
@pytest.mark.parametrize("total_steps", [1, 2, 100])
def test_runs_of_any_length_and_any_optimizer(kind, total_steps):
    keys = {"max_lr": 1.0, "cycle_momentum": False}
    schedule = build_schedule(checked(name="OneCycleLR", **keys), optimizer(kind), total_steps)
    assert schedule.scheduler.total_steps == total_steps
    assert math.isfinite(schedule.scheduler.get_last_lr()[0])


def test_momentum_is_cycled_where_there_is_one():
    for over in (optimizer(momentum=0.9), optimizer(torch.optim.Adam)):
        schedule = build_schedule(checked(name="CyclicLR", base_lr=0.1, max_lr=1.0), over, STEPS)
        assert schedule.scheduler.cycle_momentum


def refused(over=None, total_steps=STEPS, **keys) -> str:
    with pytest.raises(TaskError) as caught:
        build_schedule(checked(**keys), over or optimizer(), total_steps)
    return str(caught.value).removeprefix(HEAD)


@pytest.mark.parametrize("name", ["CyclicLR", "OneCycleLR"])
def test_a_cycle_of_momentum_needs_momentum(name):
    keys = {"CyclicLR": {"base_lr": 0.1, "max_lr": 1.0}, "OneCycleLR": {"max_lr": 1.0}}[name]
    arguments = ", ".join(f"{key} = {value}" for key, value in keys.items())
    assert (
        refused(optimizer(torch.optim.Adagrad), name=name, **keys)
        == f"""\
schedule
  found:    {name}({arguments})
  expected: what torch takes; it says: optimizer must support momentum or beta1 with `cycle_momentum` option enabled"""
    )


@pytest.mark.parametrize(
    ("keys", "found", "says"),
    [
        ({"name": "StepLR", "step_size": 0}, "StepLR(step_size = 0)", "integer modulo by zero"),
        (
            {"name": "ConstantLR", "factor": 2.0},
            "ConstantLR(factor = 2.0)",
            "Constant multiplicative factor expected to be between 0 and 1.",
        ),
        (
            {"name": "CosineAnnealingWarmRestarts", "T_0": 0},
            "CosineAnnealingWarmRestarts(T_0 = 0)",
            "Expected positive integer T_0, but got 0",
        ),
        ({"name": "ReduceLROnPlateau", "factor": 1.5}, "ReduceLROnPlateau(factor = 1.5)", "Factor should be < 1.0."),
        (
            {"name": "OneCycleLR", "max_lr": 1.0, "pct_start": 2.0},
            "OneCycleLR(max_lr = 1.0, pct_start = 2.0)",
            "Expected float between 0 and 1 pct_start, but got 2.0",
        ),
        (
            {"name": "LambdaLR", "lr_lambda": []},
            "LambdaLR(lr_lambda = [])",
            "Expected 1 lr_lambdas, but got 0",
        ),
    ],
)
def test_what_torch_refuses_in_its_own_words(keys, found, says):
    assert (
        refused(**keys)
        == f"""\
schedule
  found:    {found}
  expected: what torch takes; it says: {says}"""
    )


def test_plateau_inside_another_is_refused_in_torchs_words():
    keys = {"schedulers": ["LinearLR", "ReduceLROnPlateau"], "milestones": [2]}
    text = refused(name="SequentialLR", **keys)
    assert text.startswith("schedule\n  found:    SequentialLR(schedulers = [{'name': 'LinearLR'}, ")
    assert "ReduceLROnPlateau" in text.splitlines()[-1]


def test_torch_has_no_chain_inside_a_sequence():
    keys = {"schedulers": ["LinearLR", {"name": "ChainedScheduler", "schedulers": ["LinearLR"]}], "milestones": [1]}
    assert refused(name="SequentialLR", **keys).endswith("expected: what torch takes; it says: NotImplementedError")


def test_a_cycle_that_ends_before_the_run():
    keys = checked(name="OneCycleLR", max_lr=1.0, total_steps=5, cycle_momentum=False)
    with pytest.raises(TaskError) as caught:
        build_schedule(keys, optimizer(), STEPS)
    assert (
        str(caught.value).removeprefix(HEAD)
        == f"""\
schedule.total_steps
  found:    5
  expected: at least {STEPS}, the updates of this run; left out, it is as many"""
    )


def user_failure(**keys) -> str:
    with pytest.raises(UserModuleError) as caught:
        build_schedule(checked(**keys), optimizer(), STEPS)
    return str(caught.value)


@pytest.mark.parametrize(
    ("function", "line", "code", "last"),
    [
        ("broken", 8, 'return {}["rate"]\n           ~~^^^^^^^^', "KeyError: 'rate'"),
        (
            "later",
            11,
            "return 1.0 if epoch == 0 else undefined\n                                  ^^^^^^^^^",
            "NameError: name 'undefined' is not defined",
        ),
    ],
)
def test_a_function_that_fails_shows_the_users_own_traceback(functions, function, line, code, last):
    assert (
        user_failure(name="LambdaLR", lr_lambda=f"{functions}:{function}")
        == f"""\
A function of LambdaLR failed.
  where: schedule
Traceback (your code, most recent call last):
  File "{functions}", line {line}, in {function}
    {code}
{last}"""
    )


def test_a_function_that_returns_no_number(functions):
    text = refused(name="LambdaLR", lr_lambda=f"{functions}:words")
    assert text.startswith(
        f"schedule\n  found:    LambdaLR(lr_lambda = '{functions}:words')\n  expected: what torch takes;"
    )


def test_a_function_that_is_not_there(functions):
    with pytest.raises(TaskError) as caught:
        build_schedule(checked(name="LambdaLR", lr_lambda=f"{functions}:half"), optimizer(), STEPS)
    assert (
        str(caught.value)
        == f"""\
{functions} has no 'half'.
  where:    schedule
  found:    half
  expected: one of halve, shrink, broken, later, words
Did you mean 'halve'?"""
    )
