import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import chainrule
from chainrule.errors import DataError, ShapeError, TaskError
from chainrule.probes import BudgetError, Subject
from chainrule.probes.finding_rates import find_task_rate
from chainrule.probes.subject import describe_optimizer, planned_updates
from chainrule.tasks import load_task


def data(rows=512, seed=0):
    inputs = torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed))
    return TensorDataset(inputs, inputs.sum(dim=1, keepdim=True) + 3)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))


def asked(model=None, loader=None, loss_fn=None, **how):
    model = network() if model is None else model
    optimizer = how.pop("optimizer", None) or torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9)
    loader = DataLoader(data(), 64, shuffle=True) if loader is None else loader
    return chainrule.find_lr(model, loss_fn or nn.MSELoss(), loader, optimizer, **{"updates": 2000, **how})


def test_a_rate_is_found_for_any_model_loss_and_loader():
    found = asked(validation=[data(64, 1)[:]])
    assert found.suggestion is not None
    assert found.low <= found.suggestion <= found.high
    assert found.spent <= found.allowed == 200
    assert (found.name, found.optimizer, found.present) == ("Sequential", "SGD, momentum 0.9", 0.03)
    assert {region.name for region in found.regions} >= {"too slow", "good"}
    assert found.seconds > 0


def test_the_suggestion_trains_better_than_a_tenth_and_stays_stable():
    def end(rate):
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
        torch.manual_seed(1)
        for _ in range(20):
            for inputs, targets in DataLoader(data(), 64, shuffle=True):
                optimizer.zero_grad()
                loss = nn.functional.mse_loss(model(inputs), targets)
                loss.backward()
                optimizer.step()
        return loss.item()

    suggestion = asked().suggestion
    assert end(suggestion) < end(suggestion / 30)
    assert math.isfinite(end(suggestion))


def test_a_step_of_ones_own_and_batches_of_any_form():
    def step(model, batch):
        return nn.functional.mse_loss(model(batch["inputs"]), batch["targets"])

    whole = data()[:]
    batches = [{"inputs": whole[0][row : row + 64], "targets": whole[1][row : row + 64]} for row in range(0, 512, 64)]
    model = network()
    optimizer = torch.optim.Adam(model.parameters())
    found = chainrule.find_lr(model, None, batches, optimizer, step=step, updates=2000)
    assert found.suggestion is not None


def test_least_squares_over_all_data_gets_the_exact_limit():
    """The case of peers.md 5.3: tools disagreed 56-fold where the limit is known."""
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((256, 8)) * np.linspace(0.1, 0.95, 8)
    targets = inputs @ generator.standard_normal((8, 1))
    model = nn.Linear(8, 1, bias=False)
    batch = (torch.tensor(inputs, dtype=torch.float32), torch.tensor(targets, dtype=torch.float32))
    found = asked(model, [batch], optimizer=torch.optim.SGD(model.parameters(), lr=0.01), full_batch=True, updates=4000)
    exact = 2 / np.linalg.eigvalsh(2 / 256 * inputs.T @ inputs)[-1]
    assert found.limit is not None
    assert found.limit.is_exact
    assert found.limit.limit == pytest.approx(exact, rel=1e-6)
    assert 0.5 * exact < found.suggestion < exact


def test_a_loader_of_one_batch_is_refused_with_the_reason():
    found = asked(loader=DataLoader(data(), 512))
    assert found.suggestion is None
    (finding,) = found.findings
    assert str(finding) == (
        "The loader has one batch only, so it cannot be known what other batches would do.\n"
        "  where:    the loader\n"
        "  evidence: batches = 1\n"
        "If this batch is all that you train on, say so with full_batch=True; otherwise give the loader of the "
        "training, with at least two batches."
    )
    assert found.spent == 0

    class Unsized:
        def __iter__(self):
            return iter([data()[:]])

    assert [finding.code for finding in asked(loader=Unsized()).findings] == ["one-batch"]
    assert asked(loader=DataLoader(data(), 512), full_batch=True).suggestion is not None


def codes(found):
    assert found.suggestion is None
    return [finding.code for finding in found.findings]


def test_a_loss_that_is_noise_is_refused():
    def noise(prediction, targets):
        return torch.rand(()) ** 4 + 0.01 * prediction.square().mean()

    found = asked(loss_fn=noise)
    assert codes(found) == ["loss-is-noise"]
    (finding,) = found.findings
    assert finding.claim == (
        "The loss of one batch at the same weights is another each time, so what a rate does cannot be seen."
    )
    assert finding.evidence["loss"] != finding.evidence["again"]
    assert found.spent == pytest.approx(5 / 3)


def test_targets_that_do_not_follow_from_the_inputs_are_refused():
    def shuffled(prediction, targets):
        return nn.functional.mse_loss(prediction, targets[torch.randperm(len(targets))] - 3)

    found = asked(loss_fn=shuffled)
    assert codes(found) == ["nothing-trains"]
    assert "the targets do not follow from the inputs" in found.findings[0].remedy


class Cut(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.body = network()
        self.factor = factor

    def forward(self, inputs):
        prediction = self.body(inputs)
        return prediction.detach() if self.factor is None else prediction * self.factor + inputs[:, :1]


@pytest.mark.parametrize("factor", [0, None])
def test_a_loss_that_does_not_depend_on_the_weights_is_refused(factor):
    found = asked(Cut(factor))
    assert codes(found) == ["no-gradient"]
    assert found.findings[0].claim == (
        "No weight that the optimizer trains gets a gradient other than zero, so no rate moves anything."
    )


def test_a_model_that_does_not_train_at_any_rate_is_refused():
    torch.manual_seed(0)
    layers = [layer for _ in range(12) for layer in (nn.Linear(6, 6), nn.Sigmoid())]
    whole = data()[:]
    centred = TensorDataset(whole[0], whole[1] - whole[1].mean())
    loader = DataLoader(centred, 64, shuffle=True)
    found = asked(nn.Sequential(*layers, nn.Linear(6, 1)), loader)
    assert codes(found) == ["nothing-trains"]
    assert "plateau" in found.findings[0].remedy


def test_a_loss_that_is_not_finite_is_refused():
    found = asked(loss_fn=lambda prediction, targets: prediction.mean() * math.nan)
    assert codes(found) == ["loss-not-finite"]


@pytest.mark.parametrize("what", ["other model", "frozen"])
def test_an_optimizer_of_other_weights_is_refused(what):
    model = network()
    optimizer = torch.optim.SGD((network() if what == "other model" else model).parameters(), lr=0.1)
    if what == "frozen":
        model.requires_grad_(False)
    with pytest.raises(TaskError) as caught:
        asked(model, optimizer=optimizer)
    assert str(caught.value) == (
        "The optimizer trains no weight of this model.\n"
        "  found:    parameters without requires_grad, or of another model\n"
        "  expected: an optimizer over model.parameters()\n"
        "A model that was copied, moved or compiled after the optimizer was made has other weights."
    )


def test_batches_that_are_no_pairs_and_losses_that_are_no_number_are_refused():
    batches = [{"inputs": torch.ones(4, 6)}] * 3
    with pytest.raises(DataError) as caught:
        asked(loader=batches)
    assert str(caught.value) == (
        "A batch is not a pair of inputs and targets.\n"
        "  found:    a dict with inputs\n"
        "  expected: (inputs, targets)\n"
        "Give step=, a function of the model and the batch that returns the loss."
    )
    with pytest.raises(ShapeError) as wrong:
        asked(loss_fn=nn.MSELoss(reduction="none"))
    assert str(wrong.value) == (
        "The loss of a batch is not one number.\n"
        "  found:    a tensor of shape (64, 1)\n"
        "  expected: one number, such as what nn.MSELoss() or nn.CrossEntropyLoss() return"
    )
    with pytest.raises(DataError, match=r"^There is no batch to probe with\.\n"):
        asked(loader=[])


@pytest.mark.parametrize(
    ("updates", "epochs", "planned", "said"),
    [
        (700, None, 700, ""),
        (None, 20, 60, ""),
        (None, None, 30, "No length of the training was told; 10 epochs of 3 updates were taken."),
    ],
)
def test_the_length_of_the_training_is_told_or_said(updates, epochs, planned, said):
    assert planned_updates([1, 2, 3], updates, epochs) == (planned, said)


@pytest.mark.parametrize(("updates", "epochs"), [(0, None), (5, 5), (None, 0)])
def test_a_length_that_is_not_clear_is_refused(updates, epochs):
    with pytest.raises(TaskError) as caught:
        planned_updates([1], updates, epochs)
    assert str(caught.value) == (
        "The length of the planned training is not clear.\n"
        f"  found:    updates = {updates}, epochs = {epochs}\n"
        "  expected: the length of the planned training: updates=5000, or epochs=20"
    )


def test_batches_without_a_length_need_updates():
    with pytest.raises(TaskError) as caught:
        planned_updates(iter([]), None, 3)
    assert str(caught.value) == (
        "These batches do not tell how many they are, so the length of an epoch is not known.\n"
        "  found:    list_iterator\n"
        "  expected: updates=, how many updates the planned training has"
    )


def test_a_share_that_is_none_is_refused():
    with pytest.raises(BudgetError, match=r"^A probe needs to know what it may cost\.\n"):
        asked(share=0.0)


def test_the_same_question_has_the_same_answer():
    assert asked().to_dict() | {"seconds": 0} == asked().to_dict() | {"seconds": 0}


def test_a_task_is_asked_about_as_its_training_would_build_it():
    task = load_task("digits", {"stop.epochs": "20"})
    torch.manual_seed(1)
    found = find_task_rate(task, seeds=2)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(3))
    assert found.name == "digits"
    assert found.suggestion is not None
    assert found.seeds == (0, 1)
    assert found.spent <= 0.1 * found.planned


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        (torch.optim.SGD, {}, "SGD"),
        (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, "SGD, momentum 0.9, nesterov"),
        (torch.optim.Adam, {"betas": (0.8, 0.99)}, "Adam, betas (0.8, 0.99)"),
        (torch.optim.AdamW, {"weight_decay": 0.1}, "AdamW, weight_decay 0.1"),
        (torch.optim.RMSprop, {"alpha": 0.9}, "RMSprop, alpha 0.9"),
    ],
)
def test_optimizers_are_named_with_what_is_not_usual(kind, settings, words):
    assert describe_optimizer(kind(network().parameters(), lr=0.1, **settings)) == words


def test_an_update_is_that_of_the_training_with_clipped_gradients():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    subject = Subject(
        model,
        [],
        optimizer,
        100,
        nn.MSELoss(),
        before_update=lambda: nn.utils.clip_grad_norm_(model.parameters(), 0.25),
    )
    before = [weight.detach().clone() for weight in model.parameters()]
    subject.update(data()[:])
    steps = [(new.detach() - old).square().sum() for new, old in zip(model.parameters(), before, strict=True)]
    moved = math.sqrt(float(torch.stack(steps).sum()))
    assert moved == pytest.approx(0.25, rel=1e-4)


def refusal(**how):
    with pytest.raises(TaskError) as caught:
        asked(**how)
    return str(caught.value)


@pytest.mark.parametrize("seeds", [True, 0, -1])
def test_seeds_that_are_no_count_are_refused(seeds):
    assert refusal(seeds=seeds) == (
        f"The number of seeds is not a positive whole number.\n  found:    seeds = {seeds}\n  expected: 1 or more"
    )


def test_numbers_of_another_type_are_refused_without_the_checks_of_the_tests():
    """Tests check types at every call, so that what a user sees shows in a process of its own only."""
    script = """
import torch, chainrule
for how in ({"seeds": 1.5}, {"share": True}):
    model = torch.nn.Linear(1, 1)
    batches = [(torch.ones(2, 1), torch.ones(2, 1))] * 2
    try:
        chainrule.find_lr(model, torch.nn.MSELoss(), batches, torch.optim.SGD(model.parameters(), lr=0.1), **how)
    except chainrule.ChainruleError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "The number of seeds is not a positive whole number.\n"
        "  found:    seeds = 1.5\n"
        "  expected: 1 or more\n"
        "A probe needs to know what it may cost.\n"
        "  found:    updates = 20, share = True\n"
        "  expected: at least one update, and a share above 0 and at most 1\n"
    )


@pytest.mark.parametrize("length", [{"epochs": 5, "updates": None}, {"updates": None}, {"updates": 100}])
def test_no_batches_are_said_to_be_none(length):
    with pytest.raises(DataError) as caught:
        asked(loader=[], **length)
    assert str(caught.value) == (
        "There is no batch to probe with.\n  found:    an iterable that yields nothing\n  expected: at least one batch"
    )


def test_lbfgs_is_refused_with_the_reason():
    model = network()
    assert refusal(model=model, optimizer=torch.optim.LBFGS(model.parameters())) == (
        "A learning rate of LBFGS is not looked for.\n"
        "  found:    LBFGS\n"
        "  expected: an optimizer that evaluates one gradient in an update, such as SGD or Adam\n"
        "LBFGS scales its own steps and evaluates several gradients in an update, so neither what a short run shows of "
        "a long one nor its cost holds for it.\n"
        "Leave its rate at 1, with line_search_fn='strong_wolfe'."
    )


def test_maximising_is_refused():
    model = network()
    assert refusal(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1, maximize=True)) == (
        "An optimizer that maximises is not supported.\n"
        "  found:    SGD with maximize=True\n"
        "  expected: maximize=False\n"
        "Give the negative of the objective as the loss."
    )


def groups_of(model, *rates):
    return torch.optim.SGD(
        [{"params": model[place].parameters(), "lr": rate} for place, rate in zip((0, 2), rates, strict=True)]
    )


def test_rates_that_are_all_zero_are_refused():
    model = network()
    assert refusal(model=model, optimizer=groups_of(model, 0.0, 0.0)) == (
        "Every learning rate of the optimizer is 0, so it is not known how the rates of its groups stand to one "
        "another.\n"
        "  found:    lr = 0, lr = 0\n"
        "  expected: at least one group with a rate above 0; any number serves, for only the ratios count"
    )


@pytest.mark.parametrize("rates", [(0.0, 0.1), (0.1, 0.0)])
def test_a_group_at_zero_is_not_trained_by_the_probe(rates):
    model = network()
    still = model[0 if rates[0] == 0 else 2]
    before = still.weight.detach().clone()

    def loss(prediction, targets):
        assert torch.equal(still.weight, before)
        return nn.functional.mse_loss(prediction, targets)

    found = asked(model, optimizer=groups_of(model, *rates), loss_fn=loss, updates=400)
    assert found.curves
    assert found.twins
    assert found.present == 0.1


def test_the_rates_of_groups_keep_their_ratios():
    model = network()
    subject = Subject(model, [], groups_of(model, 0.1, 0.02), 100, nn.MSELoss())
    subject.set_rate(1.0)
    assert [group["lr"] for group in subject.optimizer.param_groups] == pytest.approx([1.0, 0.2])


def test_a_warm_up_that_begins_at_zero_leaves_the_ratios():
    model = network()
    optimizer = groups_of(model, 0.1, 0.02)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda update: update / 10)
    subject = Subject(model, [], optimizer, 100, nn.MSELoss())
    assert (subject.rate, optimizer.param_groups[0]["lr"]) == (0.1, 0.0)
    subject.set_rate(1.0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1.0, 0.2])
