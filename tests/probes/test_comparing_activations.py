import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import chainrule
from chainrule.errors import ChainruleError, TaskError
from chainrule.probes.activation_runs import TaskRuns, derangement, refuse_task
from chainrule.probes.activation_swaps import find_swaps, fresh_copy, with_activation
from chainrule.probes.candidates import candidate_of
from chainrule.probes.model_runs import largest_rate, set_rate
from chainrule.probes.subject import Subject
from chainrule.tasks import Task, load_task
from chainrule.training import train

FEW = {"seeds": 5, "tuning_seeds": 1}


def small_task(**changes):
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(48, 3))
    keys = {
        "name": "small",
        "data": {"inputs": inputs, "targets": np.sin(inputs[:, :1]) + inputs[:, 1:2], "validation": 0.25},
        "model": {"layers": [8, 8, 1], "activation": "Tanh"},
        "loss": "MSELoss",
        "optimizer": {"name": "Adam", "lr": 0.01},
        "stop": {"epochs": 30},
    }
    return load_task(keys, changes)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.gate = (
            nn.Linear(3, 8),
            nn.Linear(8, 8),
            nn.Sequential(nn.Linear(8, 8), nn.Sigmoid()),
        )
        self.act, self.other, self.last = nn.ReLU(), nn.LeakyReLU(0.2), nn.Linear(8, 1)
        self.end = nn.Tanh()

    def forward(self, x):
        h = self.other(self.second(self.act(self.first(x))))
        return self.end(self.last(h * self.gate(h)))


def pairs(count=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 3, generator=generator)
    return inputs, torch.tanh(inputs[:, :1] - inputs[:, 1:2])


@pytest.mark.parametrize("engine", ["loop", "lanes"])
def test_a_run_ends_as_chainrule_train_ends_it(engine):
    candidate = candidate_of("GELU")
    runs = TaskRuns(small_task(), 30, True, engine=engine)
    ends = runs.ends(candidate, [(0.01, 4), (0.1, 4)], "", None)
    task = load_task(runs.with_candidate(candidate), {"seed": 4})
    trained = train(task)
    assert ends.judged[0] == pytest.approx(trained.evaluations["validation"].loss, rel=1e-4)
    assert ends.training[0] == pytest.approx(trained.evaluations["train"].loss, rel=1e-4)
    assert ends.judged[0] != ends.judged[1]
    again = runs.ends(candidate, [(0.01, 4), (0.1, 4)], "", None)
    assert again.judged.tolist() == ends.judged.tolist()
    assert again.shuffled.tolist() == ends.shuffled.tolist()
    assert (ends.shuffled > ends.judged).all()


def test_the_start_is_before_the_first_update():
    runs = TaskRuns(small_task(), 30, True)
    start = runs.start(candidate_of("ReLU"), 3)
    assert [layer.layer for layer in start.layers] == ["hidden1_activation", "hidden2_activation"]
    task = load_task(runs.with_candidate(candidate_of("ReLU")), {"seed": 3, "stop.epochs": 1})
    assert start.training == pytest.approx(train(task).history["loss"].values[0], rel=1e-5)


def test_a_task_is_compared_and_left_as_it_was_and_parts_are_read_again(tmp_path: Path):
    task = small_task()
    generator = torch.get_rng_state()
    first = chainrule.compare_activations(task, candidates=["ReLU", "Tanh"], steps=10, folder=tmp_path, **FEW)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    again = chainrule.compare_activations(task, candidates=["ReLU", "Tanh"], steps=10, folder=tmp_path, **FEW)
    assert stamps
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == stamps
    assert torch.equal(generator, torch.get_rng_state())
    assert first.candidates == again.candidates
    assert first.ranking == again.ranking
    assert first.judged_by == "validation loss"
    assert first.runs == again.runs >= 2 * (8 + 5)
    assert first.changes["model.activation"] == first.recommended
    assert first.to_dict()["recommended"] == first.recommended


def test_training_part_judges_where_there_is_no_validation_part():
    found = chainrule.compare_activations(
        small_task(**{"data.validation": 0.0}), candidates=["ReLU", "Tanh"], steps=20, **FEW
    )
    assert found.judged_by == "training loss"
    assert found.notes[0].startswith("There is no validation part, so the training loss is what is compared;")
    assert [each.losses == each.training for each in found.candidates] == [True, True]


def test_equal_by_construction_is_no_evidence():
    flat = candidate_of("LeakyReLU", {"negative_slope": 0.0})
    found = chainrule.compare_activations(small_task(), candidates=["ReLU", flat], steps=30, **FEW)
    assert [each.is_shown for each in found.ranking.differences] == [False]
    assert found.recommended == "ReLU"


def test_the_tasks_own_initialiser_stands_and_so_do_its_arguments():
    own = chainrule.compare_activations(
        small_task(**{"model.init": "orthogonal_"}), candidates=["ReLU", "LeakyReLU"], steps=10, **FEW
    )
    assert own.initialiser == "the task's own"
    assert set(own.changes) <= {"model.activation", "optimizer.lr"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.layers": [1]}, "There is no hidden layer, so there is no activation to compare.\n"
         "  where:    model.layers\n  found:    [1]\n"
         "  expected: sizes of at least two layers; the last is the output layer"),
    ],
)  # fmt: skip
def test_tasks_that_cannot_be_compared_are_refused(changes, message):
    with pytest.raises(TaskError) as caught:
        refuse_task(small_task(**changes))
    assert str(caught.value) == message


def test_weights_written_out_leave_nothing_to_the_seed():
    with pytest.raises(TaskError) as caught:
        chainrule.compare_activations("two-two-two")
    assert caught.value.what == (
        "Every seed gives the same run, so nothing says how sure a difference between activations is."
    )


@pytest.mark.parametrize("count", [2, 3, 10, 101])
def test_a_derangement_leaves_nothing_in_its_place(count):
    order = derangement(count, 5)
    assert sorted(order.tolist()) == list(range(count))
    assert not (order == torch.arange(count)).any()


# Models


def test_what_is_replaced_and_what_stays():
    swaps = find_swaps(Gated(), pairs()[0])
    assert swaps.paths == ("act", "other")
    assert swaps.feeding == ("first", "second")
    assert [each.label for each in swaps.present] == ["ReLU", "LeakyReLU(negative_slope=0.2)"]
    assert swaps.kept == (
        "end (Tanh): it makes the model's output",
        "gate.1 (Sigmoid): a gate beside other activations",
    )
    assert not swaps.has_norm


def test_only_what_is_named_is_replaced():
    assert find_swaps(Gated(), pairs()[0], ["gate.1"]).paths == ("gate.1",)
    with pytest.raises(TaskError, match=r"There is no activation that can be replaced 'acts'.") as caught:
        find_swaps(Gated(), pairs()[0], ["acts"])
    assert caught.value.next_step == "Did you mean 'act'?"


def test_a_candidate_takes_the_place_and_its_gain_the_weights():
    model = Gated()
    swaps = find_swaps(model, pairs()[0])
    tanh = candidate_of("Tanh")
    changed = with_activation(fresh_copy(model, 1), swaps, tanh, has_own_init=True)
    assert isinstance(changed.act, nn.Tanh)
    assert isinstance(changed.other, nn.Tanh)
    assert isinstance(changed.gate[1], nn.Sigmoid)
    for layer in (changed.first, changed.second):
        spread = math.sqrt(float(layer.weight.detach().square().mean()) * layer.in_features)
        assert spread == pytest.approx(tanh.gain, rel=1e-5)
    kept = with_activation(fresh_copy(model, 1), swaps, tanh, has_own_init=False)
    torch.manual_seed(1)
    assert torch.equal(kept.first.weight, nn.Linear(3, 8).weight)
    assert isinstance(model.act, nn.ReLU)


def test_functional_activations_cannot_be_seen():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(3, 8), nn.Linear(8, 1)

        def forward(self, x):
            return self.last(torch.relu(self.first(x)))

    with pytest.raises(TaskError) as caught:
        chainrule.compare_activations(Functional(), nn.MSELoss(), [pairs(32), pairs(32, 1)])
    assert str(caught.value) == (
        "No activation of this model can be replaced.\n"
        "  where:    Functional\n"
        "  found:    no module that is an activation of torch.nn\n"
        "  expected: activations of the hidden layers as modules, such as self.activation = nn.ReLU()\n"
        "Functional activations (torch.relu, F.gelu) inside forward() cannot be seen or replaced.\n"
        "Make them modules, and compare again."
    )


def optimizer_of(model):
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


@pytest.mark.parametrize("interrupts", [False, True])
def test_a_live_model_is_compared_and_training_goes_on_as_if_nothing_had_been(interrupts):
    def begin():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 1))
        optimizer = optimizer_of(model)
        loader = DataLoader(TensorDataset(*pairs(48)), batch_size=16, shuffle=True)
        advance(model, optimizer, loader, 1)
        return model, optimizer, loader

    def advance(model, optimizer, loader, epochs):
        losses = []
        for _ in range(epochs):
            for inputs, targets in loader:
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(model(inputs), targets)
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        return losses

    class Stopping:
        def tell(self, status):
            if interrupts and status.runs_done == 20:
                raise KeyboardInterrupt

    probed, plain = begin(), begin()
    generator = torch.get_rng_state()
    found = chainrule.compare_activations(
        probed[0], nn.MSELoss(), probed[2], probed[1], validation=[pairs(16, 9)], candidates=["ReLU", "PReLU"],
        steps=6, progress=Stopping(), **FEW,
    )  # fmt: skip
    assert found.was_interrupted is interrupts
    assert torch.equal(generator, torch.get_rng_state())
    torch.manual_seed(5)
    after = advance(*probed, 2)
    torch.manual_seed(5)
    assert after == advance(*plain, 2)
    assert all(
        torch.equal(one, other) for one, other in zip(probed[0].parameters(), plain[0].parameters(), strict=True)
    )


def test_an_interruption_inside_of_the_loss_comes_back_as_one():
    calls = 0

    def loss_fn(prediction, targets):
        nonlocal calls
        calls += 1
        if calls > 60:
            raise KeyboardInterrupt
        return nn.functional.mse_loss(prediction, targets)

    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    weights, generator = [each.detach().clone() for each in model.parameters()], torch.get_rng_state()
    found = chainrule.compare_activations(
        model, loss_fn, [pairs(16), pairs(16, 1)], candidates=["ReLU", "Tanh"], steps=5, **FEW
    )
    assert calls == 61  # nothing more is run
    assert found.was_interrupted
    assert repr(found).endswith(f"no recommendation, 0 candidates, {found.runs} runs, interrupted)")
    assert [each.code for each in found.findings] == ["interrupted"]
    assert torch.equal(generator, torch.get_rng_state())
    assert all(torch.equal(one, other) for one, other in zip(weights, model.parameters(), strict=True))


def test_a_factory_and_an_optimizers_class_do_as_well():
    def build():
        return nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1))

    found = chainrule.compare_activations(
        build, nn.MSELoss(), [pairs(32), pairs(32, 1)], torch.optim.AdamW, candidates=["Tanh", "ReLU"], steps=10, **FEW
    )
    assert found.judged_by == "training loss"
    assert found.optimizer == "AdamW"
    assert found.advice.kind == "unbounded"
    assert len(found.candidates) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batches": [pairs(32)]}, "One batch cannot tell what is best for others."),
        ({"budget": 100}, "The budget allows too few updates for each run."),
        ({"batches": iter([pairs(32)])}, "These batches are used up by looking at them, so the training would miss "
         "what the probe took."),
        ({"batches": None}, "A model needs a loss and batches to be compared with."),
    ],
)  # fmt: skip
def test_what_cannot_be_known_of_a_model_is_refused(arguments, message):
    given = {"batches": [pairs(32), pairs(32, 1)], **arguments}
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1))
    with pytest.raises(ChainruleError) as caught:
        chainrule.compare_activations(model, nn.MSELoss(), **given)
    assert caught.value.what == message


def test_steps_beyond_the_budget_are_refused_with_the_numbers():
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1))
    with pytest.raises(TaskError) as caught:
        chainrule.compare_activations(
            model, nn.MSELoss(), [pairs(32), pairs(32, 1)], candidates=["ReLU", "Tanh"], steps=20, budget=519, **FEW
        )
    assert str(caught.value) == (
        "The runs have more updates than the budget allows.\n"
        "  where:    steps\n"
        "  found:    26 runs of 20 updates, 520 in all\n"
        "  expected: at most 519 updates in all, 19 each\n"
        "Ask for fewer steps= or candidates, or allow more with budget=."
    )


def frozen(model):
    for weight in model.parameters():
        weight.requires_grad_(False)
    return torch.optim.Adam(model.parameters())


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (lambda model: torch.optim.LBFGS(model.parameters()),
         "An LBFGS that is made already cannot be copied, and every run needs an optimizer of its own.\n"
         "  where:    optimizer\n  found:    LBFGS\n  expected: a function from parameters to an optimizer: "
         "lambda parameters: torch.optim.LBFGS(parameters, lr=0.1)\n"
         "PyTorch leaves LBFGS's list of parameters out of copies."),
        (frozen,
         "The optimizer trains no weight of this model.\n"
         "  found:    parameters without requires_grad, or of another model\n"
         "  expected: an optimizer over model.parameters()\n"
         "A model that was copied, moved or compiled after the optimizer was made has other weights."),
        (lambda model: torch.optim.SGD([{"params": [each]} for each in model.parameters()], lr=0.0),
         "All rates of the optimizer are 0, so nothing says how the rates of its groups stand to one another.\n"
         "  where:    optimizer\n  found:    lr = 0, 0, 0, 0\n"
         "  expected: at least one rate above 0; it also says round where to look"),
    ],
)  # fmt: skip
def test_optimizers_that_no_run_can_have_are_refused(optimizer, message):
    model = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1))
    with pytest.raises(ChainruleError) as caught:
        chainrule.compare_activations(model, nn.MSELoss(), [pairs(32), pairs(32, 1)], optimizer(model))
    assert str(caught.value) == message


def test_rates_of_groups_keep_their_ratios_to_the_largest():
    model = nn.Sequential(nn.Linear(3, 6), nn.Linear(6, 6), nn.Linear(6, 1))
    groups = [{"params": layer.parameters(), "lr": rate} for layer, rate in zip(model, (0.0, 0.2, 0.05), strict=True)]
    optimizer = torch.optim.SGD(groups)
    assert largest_rate(optimizer) == 0.2
    set_rate(optimizer, 0.4)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.0, 0.4, 0.1])


def test_lbfgs_as_a_function_does():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    found = chainrule.compare_activations(
        model, nn.MSELoss(), [pairs(16), pairs(16, 1)], lambda weights: torch.optim.LBFGS(weights, 0.1, max_iter=2),
        candidates=["ReLU", "Tanh"], steps=1, **FEW,
    )  # fmt: skip
    assert found.optimizer == "LBFGS"
    assert all(math.isfinite(loss) for each in found.candidates for loss in each.losses)


def test_targets_without_a_relation_to_inputs_are_noise():
    generator = torch.Generator().manual_seed(1)
    batches = [(torch.randn(32, 3, generator=generator), torch.randn(32, 1, generator=generator)) for _ in range(6)]
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    found = chainrule.compare_activations(
        model, nn.MSELoss(), batches[:3], validation=batches[3:], candidates=["Tanh", "ReLU"], steps=15, **FEW
    )
    assert found.ranking is None
    assert [each.code for each in found.findings] == ["loss-is-noise"]


def test_a_task_with_a_module_of_its_own_names_the_way(tmp_path: Path):
    (tmp_path / "net.py").write_text("import torch\nNet = lambda: torch.nn.Linear(3, 1)\n")
    keys = small_task().model_dump(exclude_none=True) | {"model": {"module": f"{tmp_path}/net.py:Net"}}
    with pytest.raises(TaskError, match=r"The task's model is a module of your own"):
        chainrule.compare_activations(Task(**keys))


def test_a_step_of_ones_own_takes_batches_of_any_kind():
    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))

        def forward(self, features, labels):
            return {"loss": nn.functional.mse_loss(self.body(features), labels)}

    def step(model, batch):
        return model(**batch)["loss"]

    batches = [dict(zip(("features", "labels"), pairs(32, seed), strict=True)) for seed in (0, 1)]
    model = Named()
    found = chainrule.compare_activations(
        model, batches=batches, step=step, optimizer=optimizer_of(model), candidates=["ReLU", "Tanh"], steps=8, **FEW
    )
    subject = Subject(model, batches, optimizer_of(model), 8, step=step)
    again = chainrule.compare_activations(subject, candidates=["ReLU", "Tanh"], steps=8, **FEW)
    assert found.replaced == ("body.1",)
    assert found.ranking is not None
    assert found.candidates[0].losses == again.candidates[0].losses
    assert "A step does not tell predictions, so it was not checked whether the loss is noise." in found.notes
