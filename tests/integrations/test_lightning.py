import pytest
import torch
from stand_ins import LightningModule, lightning_trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from chainrule.errors import DataError
from chainrule.integrations import find_lightning_lr
from chainrule.integrations.grouped import IntegrationError


class Regression(LightningModule):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))
        self.numbers = []

    def training_step(self, batch, batch_idx):
        inputs, targets = batch
        loss = nn.functional.mse_loss(self.body(inputs), targets)
        self.log("loss", loss)
        self.numbers.append(batch_idx)
        return loss

    def configure_optimizers(self):
        assert self.trainer.estimated_stepping_batches == 1000
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def loader(rows=64):
    inputs = torch.randn(rows, 5, generator=torch.Generator().manual_seed(0))
    return DataLoader(TensorDataset(inputs, inputs.sum(dim=1, keepdim=True)), 8, shuffle=True)


def test_a_rate_is_found_and_all_is_as_it_was():
    module, trainer, batches = Regression(), lightning_trainer(max_epochs=500), loader()
    module.eval()
    weights = [weight.clone() for weight in module.state_dict().values()]
    torch.manual_seed(3)
    state, settings = torch.get_rng_state(), dict(vars(trainer))
    found = find_lightning_lr(trainer, module, batches)
    assert found.suggestion is not None
    assert 1e-4 < found.suggestion < 1
    assert (found.planned, found.name, found.present) == (4000, "Regression", 1e-3)
    assert found.spent <= 400
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one, two) for one, two in zip(module.state_dict().values(), weights, strict=True))
    assert vars(trainer) == settings
    assert module._trainer is None
    assert module.numbers == []
    assert not module.training


class Module(Regression):
    """Everything that may be answered in another way."""

    def __init__(self):
        super().__init__()
        self.loader = loader()
        self.seen = 0
        self.modes = set()

    def training_step(self, batch):
        self.modes.add(self.training)
        return {"loss": super().training_step(batch, 0), "more": 1}

    def on_after_batch_transfer(self, batch, dataloader_idx):
        self.seen += 1
        inputs, targets = batch
        return inputs + 0.01 * torch.randn_like(inputs), targets

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, step / 100))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def train_dataloader(self):
        return self.loader


def test_its_own_loader_hooks_clipping_gathering_and_limits_count():
    module = Module()
    trainer = lightning_trainer(
        accumulate_grad_batches=2, limit_train_batches=6, max_epochs=400, gradient_clip_val=0.5, precision="bf16-mixed"
    )
    found = find_lightning_lr(trainer, module)
    assert found.planned == 3 * 400
    assert found.present == 0.1  # what the warm-up leads to, and not the 0 that it begins with
    assert found.suggestion is not None
    assert found.notes[0] == "The schedule of configure_optimizers is not taken into account."
    assert (module.seen, module.modes) == (0, set())


class Data:
    def __init__(self):
        self.calls = []

    def prepare_data(self):
        self.calls.append("prepare_data")

    def setup(self, stage):
        self.rows = 64
        self.calls.append(stage)

    def train_dataloader(self):
        assert self.calls == ["prepare_data", "fit"]
        return loader(self.rows)


def test_a_data_module_is_as_it_was():
    data = Data()
    found = find_lightning_lr(lightning_trainer(max_steps=500), Regression(), datamodule=data)
    assert found.planned == 500
    assert vars(data) == {"calls": []}


def test_a_module_that_belongs_to_a_trainer_still_does():
    module, trainer = Regression(), lightning_trainer(estimated_stepping_batches=7)
    module.trainer = trainer
    with pytest.raises(AssertionError):
        find_lightning_lr(trainer, module, loader())
    assert module.trainer is trainer
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    assert find_lightning_lr(trainer, module, loader(), optimizer=optimizer).optimizer == "SGD"
    assert module.trainer is trainer


class ByHand(Regression):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = False


class Two(Regression):
    def configure_optimizers(self):
        return [torch.optim.SGD(self.body[0].parameters()), torch.optim.SGD(self.body[4].parameters())]


class Own(Regression):
    def backward(self, loss):
        loss.backward()


class Skipping(Regression):
    def training_step(self, batch, batch_idx):
        return None


REFUSED = [
    (
        ByHand,
        {},
        "ByHand optimizes by hand, so it is not known what one update is.\n"
        "  found:    automatic_optimization = False\n"
        "  expected: automatic optimization\n"
        "Use chainrule.find_lr with step=, a function of the model and a batch.",
    ),
    (
        Two,
        {},
        "A probe needs one optimizer.\n"
        "  where:    configure_optimizers\n"
        "  found:    2 optimizers\n"
        "  expected: one optimizer",
    ),
    (
        Own,
        {},
        "Own has a training step of its own, which a probe would pass over.\n"
        "  found:    backward of its own\n"
        "  expected: that of LightningModule\n"
        "Use chainrule.find_lr with step=, a function of the model and a batch.",
    ),
    (
        Skipping,
        {},
        "training_step returned no loss.\n"
        "  where:    Skipping\n"
        "  found:    NoneType\n"
        "  expected: a tensor, or a dictionary with 'loss'\n"
        "Lightning skips the update of a batch for which it returns None; a probe cannot.",
    ),
    (
        Regression,
        {"precision": "16-mixed"},
        "Training in float16 scales the loss as it goes, which a probe does not do.\n"
        "  found:    mixed precision with float16\n"
        "  expected: float32 or bfloat16\n"
        "Find the rate in float32 or bfloat16: it hardly depends on the precision.",
    ),
]


@pytest.mark.parametrize(("kind", "changes", "text"), REFUSED)
def test_what_a_probe_cannot_do_in_its_place_is_refused(kind, changes, text):
    module = kind()
    with pytest.raises(IntegrationError) as caught:
        find_lightning_lr(lightning_trainer(**changes), module, loader())
    assert str(caught.value) == text
    assert module._trainer is None


def test_several_loaders_are_refused():
    with pytest.raises(DataError) as caught:
        find_lightning_lr(lightning_trainer(), Regression(), {"a": loader(), "b": loader()})
    assert str(caught.value) == (
        "Several loaders at once cannot be probed.\n"
        "  where:    train_dataloaders\n"
        "  found:    2 loaders\n"
        "  expected: one loader\n"
        "Use chainrule.find_lr with step=, a function of the model and a batch."
    )


def test_a_training_without_an_end_counts_as_ten_epochs():
    found = find_lightning_lr(lightning_trainer(max_epochs=-1), Regression(), loader(320))
    assert found.planned == 400
    assert found.notes[0] == "The training has no end of its own; 10 epochs were taken."
