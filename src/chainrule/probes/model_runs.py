"""Any model with other activations, trained in a plain loop."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from chainrule.components import not_one_tensor
from chainrule.errors import TaskError
from chainrule.probes.activation_runs import ORDERS, Ends, Numbers, Point, Start, mean_and_spread, orders
from chainrule.probes.activation_swaps import Swaps, with_activation
from chainrule.probes.batch_stream import BatchStream
from chainrule.probes.candidates import Candidate
from chainrule.probes.gains import measure_gains
from chainrule.probes.subject import LossFunction, Step, moved, pair_of
from chainrule.shapes import Tensor
from chainrule.sweeps import Progress, Status
from chainrule.training.evaluation import evaluating

JUDGED_BATCHES: Final = 32
"""At most so many batches of a part are looked at to judge a run."""


@dataclass(slots=True, eq=False)
class ModelRuns:
    """Copies of a model with other activations; use it inside `restored`, since batches draw from generators.

    Attributes:
        build: makes the model of a seed, with its own activations, and an optimizer of its parameters.
        loss_fn: from prediction and targets to one number; not needed beside `step`.
        step: from the model and a batch to the loss, where batches are not (inputs, targets); predictions are then
            not known, and `Ends.shuffled` is NaN.
        batches: that start anew each time.
        validation: the same, not trained on; None where there is none.
        swaps: what is replaced.
        steps: updates of each run.
        has_own_init: scale weights to the candidate's gain.
        device: where the model computes.
    """

    build: Callable[[int], tuple[nn.Module, torch.optim.Optimizer]]
    loss_fn: LossFunction | None
    step: Step | None
    batches: Iterable[Any]
    validation: Iterable[Any] | None
    swaps: Swaps
    steps: int
    has_own_init: bool
    device: torch.device
    _judged: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def judges_validation(self) -> bool:
        """Whether there is a validation part to judge by."""
        return self.validation is not None

    def ends(self, candidate: Candidate, points: Sequence[Point], part: str, progress: Progress | None) -> Ends:
        """Train once for each point; see `Runs`. Ctrl-C leaves the rest out."""
        found = {key: np.full(len(points), np.nan) for key in ("judged", "shuffled", "spread", "training")}
        is_done = np.zeros(len(points), np.bool_)
        begun = time.perf_counter()
        try:
            for run, (rate, seed) in enumerate(points):
                model = self._trained(candidate, rate, seed)
                if model is not None:
                    for key, value in self._judge(model, seed).items():
                        found[key][run] = value
                is_done[run] = True
                if progress is not None:
                    seconds = time.perf_counter() - begun
                    left = seconds / (run + 1) * (len(points) - run - 1)
                    progress.tell(Status(run + 1, len(points), seconds, left, "loop"))
        except KeyboardInterrupt:
            pass
        return Ends(**found, is_done=is_done)

    def start(self, candidate: Candidate, seed: int) -> Start:
        """Return the model of a seed before its first update; see `Runs`."""
        model, _ = self._model(candidate, seed)
        batch = moved(self._batches_of("training")[0], self.device)
        inputs = batch if self.step is not None else pair_of(batch)[0]
        layers = measure_gains(model, inputs, self.swaps.paths, seed, self.step)
        judged = self._judge(model, seed)
        return Start(judged["judged"], judged["training"], layers)

    def _model(self, candidate: Candidate, seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        built, optimizer = self.build(seed)
        model = with_activation(built, self.swaps, candidate, has_own_init=self.has_own_init)
        moved_model = model.to(self.device).train()
        known = {parameter for group in optimizer.param_groups for parameter in group["params"]}
        added = [each for path in self.swaps.paths for each in moved_model.get_submodule(path).parameters()]
        if new := [each for each in added if each not in known]:  # of an activation that learns
            optimizer.add_param_group({"params": new, "lr": largest_rate(optimizer)})
        return moved_model, optimizer

    def _trained(self, candidate: Candidate, rate: float, seed: int) -> nn.Module | None:
        """Return a model after its updates; None where a loss was not finite."""
        model, optimizer = self._model(candidate, seed)
        set_rate(optimizer, rate)
        stream = BatchStream(self.batches, seed)  # seeds every generator, so that each candidate draws the same
        for _ in range(self.steps):
            batch = moved(next(stream), self.device)

            def evaluate(batch: Any = batch) -> Tensor:
                optimizer.zero_grad(set_to_none=True)
                value, _ = self._loss(model, batch)
                value.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
                return value

            value = evaluate()
            if not math.isfinite(value.item()):
                return None
            optimizer.step(evaluate if isinstance(optimizer, torch.optim.LBFGS) else None)  # type: ignore[arg-type]
        return model

    def _judge(self, model: nn.Module, seed: int) -> dict[str, float]:
        """Return mean losses over the batches of a part: as they are, and with targets of other samples."""
        found: dict[str, float] = {}
        judged = "judged" if self.judges_validation else "training"
        with evaluating(model):
            for part in dict.fromkeys(("training", judged)):
                whole, apart, count = 0.0, np.zeros(ORDERS), 0
                for batch in self._batches_of(part):
                    value, prediction = self._loss(model, moved(batch, self.device))
                    targets = None if self.step is not None else pair_of(batch)[1]
                    size = _size(targets)
                    whole += float(value) * size
                    if part == judged:
                        apart += self._shuffled(prediction, moved(targets, self.device), seed) * size
                    count += size
                found[part] = whole / count
                if part == judged:
                    found["shuffled"], found["spread"] = mean_and_spread(apart / count)
        return {"judged": found[judged], **found}

    def _loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, Any]:
        """Return the loss of a batch, and the prediction where it is known."""
        if self.step is not None:
            return self.step(model, batch), None
        inputs, targets = pair_of(batch)
        prediction = model(inputs)
        if self.loss_fn is None:
            raise not_one_tensor(prediction)
        return self.loss_fn(prediction, targets), prediction

    def _shuffled(self, prediction: Any, targets: Any, seed: int) -> Numbers:
        """Return the loss of a batch with targets of other samples, in each order; NaN where that is not known."""
        if self.loss_fn is None or not isinstance(targets, Tensor) or targets.dim() == 0 or len(targets) < 2:
            return np.full(ORDERS, math.nan)
        shuffled = [targets[order.to(targets.device)] for order in orders(len(targets), seed)]
        return np.array([float(self.loss_fn(prediction, each)) for each in shuffled])

    def _batches_of(self, part: str) -> list[Any]:
        """Return the batches that judge, the same for every run."""
        if part not in self._judged:
            source = self.validation if part == "judged" and self.validation is not None else self.batches
            stream = BatchStream(source, 0)
            first = [next(stream)]
            count = JUDGED_BATCHES if stream.per_epoch is None else min(stream.per_epoch, JUDGED_BATCHES)
            self._judged[part] = first + stream.take(count - 1)
        return self._judged[part]


def largest_rate(optimizer: torch.optim.Optimizer) -> float:
    """Return the largest rate of an optimizer's groups.

    Raises:
        TaskError: all of them stand at 0.
    """
    largest = max(float(group["lr"]) for group in optimizer.param_groups)
    if largest > 0:
        return largest
    raise TaskError(
        what="All rates of the optimizer are 0, so nothing says how the rates of its groups stand to one another.",
        where="optimizer",
        found="lr = " + ", ".join(f"{float(group['lr']):g}" for group in optimizer.param_groups),
        expected="at least one rate above 0; it also says round where to look",
    )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the largest rate of an optimizer's groups, and the others so that their ratios to it stay."""
    largest = largest_rate(optimizer)
    for group in optimizer.param_groups:
        group["lr"] = rate * (float(group["lr"]) / largest)


def _size(targets: Any) -> int:
    return len(targets) if isinstance(targets, Tensor) and targets.dim() else 1
