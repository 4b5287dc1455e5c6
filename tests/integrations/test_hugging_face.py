import sys

import pytest
import torch
from stand_ins import Returning, Rows, Trainer, training_arguments

from chainrule.integrations import find_hugging_face_lr
from chainrule.integrations.grouped import IntegrationError


def trainer_of(kind=Trainer, optimizers=(None, None), **changes):
    return kind(Returning(), training_arguments(**changes), Rows(), optimizers)


def test_a_rate_is_found_within_a_tenth_of_the_training():
    found = find_hugging_face_lr(trainer_of())
    assert found.suggestion is not None
    assert 1e-4 < found.suggestion < 1
    assert found.planned == 8 * 150
    assert found.spent <= 120
    assert (found.name, found.optimizer) == ("Returning", "AdamW")
    assert found.present == 5e-5


def test_the_training_that_follows_is_bit_for_bit_one_that_was_never_probed():
    losses, drawn = [], []
    for is_probed in (False, True):
        trainer = trainer_of(num_train_epochs=20)
        trainer.model.eval()
        torch.manual_seed(4)
        before = dict(vars(trainer))
        if is_probed:
            find_hugging_face_lr(trainer, share=0.2)
            assert vars(trainer) == before
            assert trainer.loaders == []
            assert not trainer.model.training
        losses.append(trainer.train())
        drawn.append(torch.rand(3).tolist())
    assert losses[0] == losses[1]
    assert drawn[0] == drawn[1]


def test_gathered_batches_make_one_update():
    found = find_hugging_face_lr(trainer_of(gradient_accumulation_steps=3, num_train_epochs=100))
    assert found.planned == 3 * 100  # 8 batches of an epoch in threes


def test_max_steps_is_the_length_of_the_training():
    assert find_hugging_face_lr(trainer_of(max_steps=240)).planned == 240


def test_an_optimizer_and_a_scheduler_of_the_users_own_are_kept():
    trainer = trainer_of()
    trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.25, momentum=0.9)
    trainer.lr_scheduler = torch.optim.lr_scheduler.ConstantLR(trainer.optimizer, factor=1.0)
    optimizer, scheduler = trainer.optimizer, trainer.lr_scheduler
    found = find_hugging_face_lr(trainer)
    assert found.optimizer == "SGD, momentum 0.9"
    assert "The scheduler that the trainer was given is not taken into account." in found.notes
    assert trainer.optimizer is optimizer
    assert trainer.lr_scheduler is scheduler
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert not optimizer.state


class Stepping(Trainer):
    def training_step(self, model, inputs, num_items_in_batch=None):
        return super().training_step(model, inputs)


class Losing(Trainer):
    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return super().compute_loss(model, inputs) * 2


def test_a_loss_of_the_users_own_counts():
    plain, twice = (find_hugging_face_lr(trainer_of(kind)).start_loss for kind in (Trainer, Losing))
    assert twice == pytest.approx(2 * plain)


@pytest.mark.parametrize(
    ("kind", "changes", "text"),
    [
        (
            Stepping,
            {},
            "Stepping has a training step of its own, which a probe would pass over.\n"
            "  found:    training_step of its own\n"
            "  expected: that of Trainer\n"
            "Use chainrule.find_lr with step=, a function of the model and a batch.",
        ),
        (
            Trainer,
            {"n_gpu": 2},
            "A probe runs on one device.\n  found:    a trainer on 2 devices\n  expected: 1 device",
        ),
        (
            Trainer,
            {"fp16": True},
            "Training in float16 scales the loss as it goes, which a probe does not do.\n"
            "  found:    mixed precision with float16\n"
            "  expected: float32 or bfloat16\n"
            "Find the rate in float32 or bfloat16: it hardly depends on the precision.",
        ),
    ],
)
def test_what_a_probe_cannot_do_in_its_place_is_refused(kind, changes, text):
    trainer = trainer_of(kind, **changes)
    before = dict(vars(trainer))
    with pytest.raises(IntegrationError) as caught:
        find_hugging_face_lr(trainer)
    assert str(caught.value) == text
    assert vars(trainer) == before


def test_bfloat16_is_that_of_the_training():
    assert find_hugging_face_lr(trainer_of(bf16=True)).suggestion is not None


def test_the_library_is_not_imported():
    assert "lightning" not in sys.modules
    assert not hasattr(sys.modules["chainrule.integrations.hugging_face"], "transformers")
