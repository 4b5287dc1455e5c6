"""Small stand-ins for the training objects of Lightning 2.6 and transformers 5: their documented interface, no more."""

import math
from types import SimpleNamespace

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset


class LightningModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.automatic_optimization = True
        self._trainer = None

    @property
    def trainer(self):
        if self._trainer is None:
            raise RuntimeError(f"{type(self).__qualname__} is not attached to a `Trainer`.")
        return self._trainer

    @trainer.setter
    def trainer(self, trainer):
        self._trainer = trainer

    def log(self, name, value):
        if self._trainer is not None:
            raise RuntimeError("the loop's result collection is not registered yet")

    def on_before_batch_transfer(self, batch, dataloader_idx):
        return batch

    def transfer_batch_to_device(self, batch, device, dataloader_idx):
        return tuple(part.to(device) for part in batch)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch

    def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure=None):
        raise NotImplementedError

    def optimizer_zero_grad(self, epoch, batch_idx, optimizer):
        raise NotImplementedError

    def backward(self, loss):
        raise NotImplementedError

    def configure_gradient_clipping(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        raise NotImplementedError

    def train_dataloader(self):
        raise RuntimeError("`train_dataloader` must be implemented")


def lightning_trainer(**changes):
    settings = {
        "accumulate_grad_batches": 1,
        "limit_train_batches": 1.0,
        "max_steps": -1,
        "max_epochs": 100,
        "gradient_clip_val": None,
        "gradient_clip_algorithm": None,
        "precision": "32-true",
        "estimated_stepping_batches": 1000,
    }
    return SimpleNamespace(**{**settings, **changes})


class Rows(Dataset):
    def __init__(self, rows=64):
        generator = torch.Generator().manual_seed(0)
        self.inputs = torch.randn(rows, 5, generator=generator)
        self.targets = self.inputs.sum(dim=1, keepdim=True)

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, row):
        return {"inputs": self.inputs[row], "labels": self.targets[row]}


class Returning(nn.Module):
    """A model as transformers has them: it returns its loss when it is given labels."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))

    def forward(self, inputs, labels=None):
        prediction = self.body(inputs)
        return {"loss": nn.functional.mse_loss(prediction, labels), "logits": prediction}


class Trainer:
    """As transformers.Trainer: documented methods, and the attributes that they set."""

    def __init__(self, model, args, train_dataset, optimizers=(None, None)):
        self.model = model
        self.args = args
        self.train_dataset = train_dataset
        self.optimizer, self.lr_scheduler = optimizers
        self.loaders = []
        self.losses = 0

    def get_train_dataloader(self):
        loader = DataLoader(self.train_dataset, self.args.per_device_train_batch_size, shuffle=True)
        self.loaders.append(loader)
        return loader

    def create_optimizer(self):
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=self.args.learning_rate)
        return self.optimizer

    def create_scheduler(self, num_training_steps, optimizer=None):
        if self.lr_scheduler is None:
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or self.optimizer, lambda step: max(0.0, 1 - step / num_training_steps)
            )
        return self.lr_scheduler

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        self.losses += 1
        outputs = model(**inputs)
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def training_step(self, model, inputs, num_items_in_batch=None):
        model.train()
        loss = self.compute_loss(model, inputs) / self.args.gradient_accumulation_steps
        loss.backward()
        return loss.detach()

    def train(self):
        args = self.args
        loader = self.get_train_dataloader()
        optimizer = self.create_optimizer()
        updates = math.ceil(len(loader) / args.gradient_accumulation_steps) * args.num_train_epochs
        scheduler = self.create_scheduler(updates, optimizer)
        losses = []
        for _ in range(args.num_train_epochs):
            for inputs in loader:
                losses.append(self.training_step(self.model, inputs).item())
                nn.utils.clip_grad_norm_(self.model.parameters(), args.max_grad_norm)
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
        return losses


def training_arguments(**changes):
    settings = {
        "learning_rate": 5e-5,
        "per_device_train_batch_size": 8,
        "gradient_accumulation_steps": 1,
        "max_steps": -1,
        "num_train_epochs": 150,
        "max_grad_norm": 1.0,
        "bf16": False,
        "fp16": False,
        "world_size": 1,
        "n_gpu": 0,
        "device": torch.device("cpu"),
        "lr_scheduler_type": "linear",
    }
    return SimpleNamespace(**{**settings, **changes})
