import copy
import gc
import weakref

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from chainrule.errors import TaskError, UnknownNameError
from chainrule.penalties import ActivationPenalty, attach_penalties
from chainrule.tasks.penalty_spec import PenaltySpec


def make_model(seed: int = 0, inplace: bool = False) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 5), nn.ReLU(inplace=inplace), nn.Linear(5, 2)).double()


def make_inputs(batch: int = 4) -> torch.Tensor:
    return torch.randn(batch, 3, generator=torch.Generator().manual_seed(batch), dtype=torch.float64)


def hidden(model: nn.Sequential, inputs: torch.Tensor) -> torch.Tensor:
    return torch.relu(inputs @ model[0].weight.T + model[0].bias)


def hook_count(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


L2 = ActivationPenalty("L2", 0.1, modules="1")


def test_adds_to_loss_and_gradient_what_the_formula_says():
    model, inputs = make_model(), make_inputs()
    with L2.attach(model) as attached:
        output = model(inputs)
        penalty = attached.value()
    gradients = torch.autograd.grad(output.square().mean() + penalty, list(model.parameters()))
    wanted = 0.1 * hidden(model, inputs).square().sum() / 4
    torch.testing.assert_close(penalty, wanted)
    by_hand = torch.autograd.grad(model(inputs).square().mean() + wanted, list(model.parameters()))
    for ours, theirs in zip(gradients, by_hand, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_on_the_modules(fails):
    model = make_model()
    keys = [sorted(vars(module)) for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}

    def use() -> None:
        with ActivationPenalty("L1", 1.0, modules=["*", "type:Sequential"]).attach(model) as attached:
            assert hook_count(model) > 0
            assert [sorted(vars(module)) for module in model.modules()] == keys
            model(make_inputs())
            attached.value()
            if fails:
                raise RuntimeError("the user's loop fails")

    if fails:
        with pytest.raises(RuntimeError, match="the user's loop fails"):
            use()
    else:
        use()
    assert hook_count(model) == 0
    assert [sorted(vars(module)) for module in model.modules()] == keys
    assert list(model.state_dict()) == list(state)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_no_hook_stays_when_attaching_fails():
    model = make_model()
    right, wrong = (PenaltySpec(kind="L1", strength=1.0, modules=path) for path in ("1", "type:ReLU6"))
    with pytest.raises(UnknownNameError, match="type:ReLU6"):
        attach_penalties(model, [right, wrong])
    assert hook_count(model) == 0


def test_hooks_of_others_stay_and_removing_twice_is_fine():
    model, seen = make_model(), []
    model[1].register_forward_hook(lambda module, inputs, output: seen.append(1))
    attached = L2.attach(model)
    attached.remove()
    attached.remove()
    model(make_inputs())
    assert seen == [1]
    assert hook_count(model) == 1


def test_attached_again_it_gives_the_same():
    model, values = make_model(), []
    for _ in range(2):
        with L2.attach(model) as attached:
            model(make_inputs())
            values.append(attached.value().item())
    assert values[0] == values[1] > 0


def test_the_outputs_of_the_model_are_not_changed():
    model, inputs = make_model(), make_inputs()
    plain = model(inputs)
    with L2.attach(model) as attached:
        assert torch.equal(model(inputs), plain)
        attached.clear()


def test_forward_passes_add_up_until_the_value_is_taken():
    model = make_model()
    with L2.attach(model) as attached:
        parts = []
        for batch in (1, 4):
            model(make_inputs(batch))
            parts.append(attached.value())
        model(make_inputs(1))
        model(make_inputs(4))
        torch.testing.assert_close(attached.value(), parts[0] + parts[1])
        model(make_inputs(1))
        attached.clear()
        model(make_inputs(4))
        torch.testing.assert_close(attached.value(), parts[1])


class Twice(nn.Module):
    """The same layer used twice in one pass, and known by two names."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3).double()
        self.same = self.layer

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.same(self.layer(inputs))


@pytest.mark.parametrize("modules", ["layer", "same", ["layer", "same"], "type:Linear"])
def test_every_use_of_a_shared_module_counts_once(modules):
    torch.manual_seed(0)
    model, inputs = Twice(), make_inputs()
    with ActivationPenalty("L1", 1.0, modules=modules, normalisation="sum").attach(model) as attached:
        model(inputs)
        value = attached.value()
        uses = attached.uses()
    first = model.layer(inputs)
    torch.testing.assert_close(value, first.abs().sum() + model.layer(first).abs().sum())
    assert [list(by_path.values()) for by_path in uses.values()] == [[2]]


def test_an_inplace_activation_behind_the_module_changes_nothing():
    for kind in ("L1", "L2", "AR"):
        results = []
        for inplace in (False, True):
            model = make_model(inplace=inplace)
            with ActivationPenalty(kind, 1.0, modules="0").attach(model) as attached:
                loss = model(make_inputs()).square().sum() + attached.value()
                loss.backward()
            results.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
        for plain, overwritten in zip(*results, strict=True):
            torch.testing.assert_close(plain, overwritten)


@pytest.mark.parametrize("reason", ["evaluation mode", "no_grad", "inference_mode"])
def test_only_training_passes_with_gradients_are_collected(reason):
    model = make_model()
    with L2.attach(model) as attached:
        model(make_inputs(1))
        alone = attached.value()
        model(make_inputs(1))
        if reason == "evaluation mode":
            model.eval()
            model(make_inputs(4))
            model.train()
        else:
            with torch.no_grad() if reason == "no_grad" else torch.inference_mode():
                model(make_inputs(4))
        torch.testing.assert_close(attached.value(), alone)
        assert attached.uses() == {"L2 on 1": {"1": 2}}


def test_a_frozen_block_in_evaluation_mode_inside_a_training_model_counts():
    model = make_model()
    model[1].eval()
    with L2.attach(model) as attached:
        model(make_inputs())
        assert attached.value().item() > 0


def test_functional_call_with_other_values():
    model, inputs = make_model().float(), make_inputs()
    parameters = {name: value.detach().double() * 2 for name, value in model.named_parameters()}
    weight = parameters["0.weight"].requires_grad_()
    with L2.attach(model) as attached:
        functional_call(model, parameters, (inputs,))
        penalty = attached.value()
    assert penalty.dtype == torch.float64
    wanted = 0.1 * torch.relu(inputs @ weight.T + parameters["0.bias"]).square().sum() / 4
    torch.testing.assert_close(penalty, wanted)
    torch.testing.assert_close(torch.autograd.grad(penalty, weight), torch.autograd.grad(wanted, weight))


def test_inside_a_functional_gradient():
    model, inputs = make_model(), make_inputs()
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    with L2.attach(model) as attached:

        def penalty(values: dict[str, torch.Tensor]) -> torch.Tensor:
            functional_call(model, values, (inputs,))
            return attached.value()

        found = torch.func.grad(penalty)(parameters)
    wanted = torch.autograd.grad(0.1 * hidden(model, inputs).square().sum() / 4, model[0].weight)[0]
    torch.testing.assert_close(found["0.weight"], wanted)


def test_copies_made_before_during_and_after():
    model = make_model()
    before = copy.deepcopy(model)
    with L2.attach(model) as attached:
        during = copy.deepcopy(model)
        model(make_inputs())
        value = attached.value().item()
        model(make_inputs())
        during(make_inputs())
        before(make_inputs())
        assert attached.value().item() == value
    after = copy.deepcopy(model)
    assert hook_count(before) == hook_count(after) == 0
    for other in (before, during, after):
        with L2.attach(other) as attached:
            other(make_inputs())
            assert attached.value().item() == value


@pytest.mark.parametrize("kind", ["L1", "L2", "AR", "TAR"])
def test_activation_checkpointing_changes_neither_value_nor_gradient(kind):
    class Block(nn.Module):
        def __init__(self, is_checkpointed: bool) -> None:
            super().__init__()
            self.inner, self.is_checkpointed = make_model(), is_checkpointed

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return checkpoint(self.inner, inputs, use_reentrant=False) if self.is_checkpointed else self.inner(inputs)

    results = []
    for is_checkpointed in (False, True):
        model = Block(is_checkpointed)
        with ActivationPenalty(kind, 1.0, modules="inner.1", time_dimension=1).attach(model) as attached:
            for _ in range(2):
                model.zero_grad()
                loss = model(make_inputs()).square().sum() + attached.value()
                loss.backward()
            uses = attached.uses()
        assert list(uses.values()) == [{"inner.1": 2}]
        results.append([loss.detach(), *(parameter.grad for parameter in model.parameters())])
    for plain, recomputed in zip(*results, strict=True):
        torch.testing.assert_close(plain, recomputed)


def test_the_model_is_free_to_go_after_removal():
    model = make_model()
    with L2.attach(model) as attached:
        model(make_inputs())
        attached.value()
    reference = weakref.ref(model)
    del model, attached
    gc.collect()
    assert reference() is None


def several() -> list[PenaltySpec]:
    return [
        PenaltySpec(kind="L2", strength=0.001, modules="1"),
        PenaltySpec(kind="L1", strength=0.5, modules=["0", "2"], normalisation="sum"),
        PenaltySpec(kind="L2", strength=2.0, modules="1", normalisation="mean"),
        PenaltySpec(kind="AR", strength=2.0, modules="type:ReLU"),
    ]


def test_several_penalties_have_a_value_each_and_a_sum():
    model, inputs = make_model(), make_inputs()
    with attach_penalties(model, several()) as attached:
        model(inputs)
        values = attached.values()
        model(inputs)
        torch.testing.assert_close(attached.value(), sum(values.values()))
    activation, before = hidden(model, inputs), model[0](inputs)
    wanted = {
        "L2 on 1": 0.001 * activation.square().sum() / 4,
        "L1 on 0, 2": 0.5 * (before.abs().sum() + model(inputs).abs().sum()),
        "L2 on 1 (2)": 2.0 * activation.square().mean(),
        "AR on type:ReLU": 2.0 * activation.square().mean(),
    }
    assert list(values) == list(wanted)
    for label, value in wanted.items():
        torch.testing.assert_close(values[label], value)


def test_describe_states_formula_normalisation_strength_and_modules():
    with attach_penalties(make_model(), several()) as attached:
        assert attached.describe() == [
            "L2 on 1: 0.001 · Σ a² / batch (per sample, as Keras)",
            "L1 on 0, 2: 0.5 · Σ |a| (sum), summed over 0, 2",
            "L2 on 1 (2): 2 · mean a² (mean)",
            "AR on type:ReLU: 2 · mean a² (mean, as AWD-LSTM), on 1",
        ]
    recurrent = nn.ModuleDict({"a": nn.LSTM(2, 2), "b": nn.GRU(2, 2, batch_first=True)})
    specs = [PenaltySpec(kind="TAR", strength=1.0, modules=modules) for modules in ("a", "*")]
    with attach_penalties(recurrent, specs) as attached:
        assert attached.describe() == [
            "TAR on a: 1 · mean (a[t+1] − a[t])² (mean, as AWD-LSTM); t is dimension 0",
            "TAR on *: 1 · mean (a[t+1] − a[t])² (mean, as AWD-LSTM), summed over a, b; "
            "t is dimension 0 of a, dimension 1 of b",
        ]
    with ActivationPenalty("TAR", 1.0, modules="type:LSTM").attach(nn.LSTM(2, 2)) as attached:
        assert attached.describe() == [
            "TAR on type:LSTM: 1 · mean (a[t+1] − a[t])² (mean, as AWD-LSTM), on (the model); t is dimension 0"
        ]


def test_no_penalties_at_all():
    model = make_model()
    with attach_penalties(model, []) as attached:
        assert attached.values() == {}
        assert attached.value().item() == 0.0
        assert attached.describe() == []


def test_a_model_that_is_one_recurrent_layer():
    torch.manual_seed(0)
    model, inputs = nn.LSTM(3, 4).double(), torch.randn(5, 2, 3, dtype=torch.float64)
    with ActivationPenalty("TAR", 1.0, modules="type:LSTM").attach(model) as attached:
        output, _ = model(inputs)
        torch.testing.assert_close(attached.value(), (output[1:] - output[:-1]).pow(2).mean())


class Branches(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.never = (nn.Linear(3, 3).double() for _ in range(3))

    def forward(self, inputs: torch.Tensor, is_left: bool) -> torch.Tensor:
        branch = self.left if is_left else self.right
        return branch(inputs) + nn.functional.linear(inputs, self.never.weight)


def test_a_branch_that_rests_in_one_pass_is_zero_there():
    model = Branches()
    with ActivationPenalty("L2", 1.0, modules="left").attach(model) as attached:
        model(make_inputs(), is_left=True)
        assert attached.value().item() > 0
        model(make_inputs(), is_left=False)
        assert attached.value().item() == 0.0


def test_a_module_that_never_runs():
    model = Branches()
    with ActivationPenalty("L2", 1.0, modules="never").attach(model) as attached:
        model(make_inputs(), is_left=True)
        with pytest.raises(TaskError) as error:
            attached.value()
        assert attached.uses() == {"L2 on never": {"never": 0}}
    assert (
        str(error.value)
        == """The model ran, but none of the modules of a penalty did.
  where: penalty L2 on never
  found: no call of never
A hook sees only modules that are called; some models read a module's weights and never call it.
Choose a module that the forward pass calls."""
    )


@pytest.mark.parametrize("before", ["nothing", "evaluation", "value", "clear"])
def test_a_value_without_a_forward_pass(before):
    model = make_model()
    with attach_penalties(model, several()[:2]) as attached:
        if before == "evaluation":
            model.eval()(make_inputs())
        elif before != "nothing":
            model(make_inputs())
            getattr(attached, before)()
        with pytest.raises(TaskError) as error:
            attached.value()
    assert (
        str(error.value)
        == """The penalties have no value, for no forward pass was collected since the last one was taken.
  where: penalty L2 on 1; penalty L1 on 0, 2
A forward pass counts once, in training mode (model.train()) and with gradients enabled.
Call the model before value(); to have the parts and the sum, take values() and add them."""
    )


def test_a_value_after_removal():
    model = make_model()
    with L2.attach(model) as attached:
        model(make_inputs())
    with pytest.raises(TaskError) as error:
        attached.value()
    assert (
        str(error.value)
        == """The penalties are no longer on the model, so they have no value.
  where: penalty L2 on 1
Take value() inside the with block, or attach again."""
    )


def test_tar_without_a_time_dimension():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with pytest.raises(TaskError) as error:
        ActivationPenalty("TAR", 1.0, modules="*").attach(model)
    assert (
        str(error.value)
        == """TAR compares the steps of a sequence, and which dimension counts the steps is not known here.
  where:    penalty TAR on *
  found:    no time dimension for 0, 1
  expected: time_dimension, or modules that carry batch_first: nn.RNN, nn.LSTM, nn.GRU, nn.MultiheadAttention
Set time_dimension = 1 for outputs of shape (batch, steps, units), 0 for (steps, batch, units)."""
    )
    assert hook_count(model) == 0


def test_arguments_that_cannot_be_used_are_told_together():
    with pytest.raises(TaskError) as error:
        ActivationPenalty("L1", -1.0, modules=["1", " "])
    assert (
        str(error.value)
        == """An activation penalty cannot be made from these arguments.
strength
  found:    -1.0
  expected: at least 0
modules
  found:    ['1', ' ']
  expected: at least one pattern, and none of them empty, such as 'hidden.*' or 'type:ReLU'"""
    )


def test_the_normalisation_can_be_given():
    assert ActivationPenalty("L1", 1.0, modules="1").spec.normalisation == "per-sample"
    assert ActivationPenalty("L1", 1.0, modules="1", normalisation="mean").spec.normalisation == "mean"


def test_a_failing_hook_names_the_module_and_leaves_no_hook():
    class Words(nn.Module):
        def forward(self, inputs: torch.Tensor) -> str:
            return "words"

    model = nn.Sequential(Words())

    def use() -> None:
        with ActivationPenalty("L1", 1.0, modules="0").attach(model):
            model(make_inputs())

    with pytest.raises(TaskError) as error:
        use()
    assert (
        str(error.value)
        == """The output of '0' cannot be penalised.
  where:    penalty L1 on 0, module 0 (Words)
  found:    a str
  expected: a dense floating-point tensor, or a tuple that starts with one
Choose another module, such as one inside it that returns a tensor."""
    )
    assert hook_count(model) == 0
