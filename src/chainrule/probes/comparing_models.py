"""Which activation for a live model: copies of it with others in the place of its own."""

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from chainrule.errors import TaskError
from chainrule.probes.activation_swaps import Swaps, draw_anew, find_swaps, fresh_copy, unreset_parameters
from chainrule.probes.batch_stream import BatchStream, seed_everything
from chainrule.probes.candidates import USUAL, Candidate, CandidateLike, candidate_from, candidate_of
from chainrule.probes.choice import ActivationChoice
from chainrule.probes.comparing import Plan, compare, plan_of
from chainrule.probes.first_look import refuse_strangers
from chainrule.probes.model_runs import ModelRuns, largest_rate
from chainrule.probes.output_advice import Ending, OutputAdvice, advise_output
from chainrule.probes.restoring import restored
from chainrule.probes.subject import LossFunction, Step, Subject, moved, pair_of
from chainrule.probes.tuning import decades_round
from chainrule.shapes import Tensor
from chainrule.sweeps import Progress

BUDGET: Final = 50_000
"""Updates of all runs of a model together, when nothing is said."""
_EPOCHS: Final = 10
_FEWEST_STEPS: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class ModelQuestion:
    """What is asked about a model; see `compare_activations`."""

    model: nn.Module | Callable[[], nn.Module]
    loss_fn: LossFunction | None
    step: Step | None
    batches: Iterable[Any]
    optimizer: torch.optim.Optimizer | Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] | None
    validation: Iterable[Any] | None
    replace: tuple[str, ...]
    has_own_init: bool

    def build(self, seed: int) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Return the model of a seed, and an optimizer of its parameters.

        Raises:
            TaskError: the optimizer cannot be made anew for it.
        """
        seed_everything(seed)
        if not isinstance(self.model, nn.Module):
            made = self.model()
        elif isinstance(self.optimizer, torch.optim.LBFGS):
            raise _lbfgs()
        elif isinstance(self.optimizer, torch.optim.Optimizer):
            # Copied together, so that the copy of the optimizer moves the parameters of the copy.
            made, optimizer = copy.deepcopy((self.model, self.optimizer))
            optimizer.state.clear()
            draw_anew(made, seed)
            return made, optimizer
        else:
            made = fresh_copy(self.model, seed)
        if isinstance(self.optimizer, torch.optim.Optimizer):
            raise TaskError(
                what="An optimizer has the parameters of one model, and a function makes a new model for every run.",
                where="optimizer",
                found=type(self.optimizer).__name__,
                expected="a function from parameters to an optimizer, such as torch.optim.AdamW",
            )
        make = torch.optim.Adam if self.optimizer is None else self.optimizer
        return made, make(made.parameters())


def compare_model(
    asked: ModelQuestion,
    candidates: Sequence[CandidateLike],
    steps: int | None,
    seeds: tuple[int, int],
    budget: int,
    progress: Progress | None,
) -> ActivationChoice:
    """Compare activations on a model; see `compare_activations`."""
    with restored(_whole(asked)):
        model, optimizer = asked.build(0)
        refuse_strangers(Subject(model, asked.batches, optimizer, 1))
        rate = largest_rate(optimizer)
        device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
        stream = BatchStream(asked.batches, 0)
        batch = moved(next(stream), device)
        next(stream)  # of batches that do not tell how many they are, an epoch's end shows
        if stream.per_epoch == 1 and asked.validation is None:
            raise _one_batch()
        inputs, targets = (batch, None) if asked.step is not None else pair_of(batch)
        swaps = find_swaps(model, inputs, asked.replace, asked.step)
        plan = plan_of(candidates_of(candidates, swaps.present), decades_round(rate), 0, *seeds)
        updates = _updates(steps, stream.per_epoch, plan, budget)
        runs = ModelRuns(
            build=asked.build,
            loss_fn=asked.loss_fn,
            step=asked.step,
            batches=asked.batches,
            validation=asked.validation,
            swaps=swaps,
            steps=updates,
            has_own_init=asked.has_own_init,
            device=device,
        )
        advice = _advice(model, asked.loss_fn, inputs, targets)
        found = compare(runs, plan, swaps.has_norm, progress)
    return ActivationChoice(
        name=type(model).__name__,
        candidates=tuple(found.compared),
        ranking=found.ranking,
        judged_by="validation loss" if runs.judges_validation else "training loss",
        seeds=plan.seeds,
        tuning_seeds=plan.tuning_seeds,
        steps=updates,
        runs=found.runs,
        optimizer=type(optimizer).__name__,
        initialiser=(
            "the model's own draws, scaled before each activation to the candidate's gain"
            if asked.has_own_init
            else "the model's own"
        ),
        changes={},
        replaced=swaps.paths,
        advice=advice,
        findings=tuple(found.findings),
        notes=tuple(_notes(asked, model, swaps, plan, updates)),
        engine="loop",
        was_interrupted=found.was_interrupted,
        seconds=found.seconds,
    )


def candidates_of(given: Sequence[CandidateLike], present: Sequence[Candidate] = ()) -> list[Candidate]:
    """Return what is given as candidates; the usual ones, and what the model has now, when none are given.

    Raises:
        ChainruleError: one of them is no activation that can be compared; see `candidate_from`.
    """
    if given:
        return [candidate_from(each) for each in given]
    usual = [candidate_of(name) for name in USUAL]
    known = {each.label for each in usual}
    return [*usual, *(each for each in present if each.label not in known)]


def _whole(asked: ModelQuestion) -> Subject:
    """Return all that is given as what must be left as it was."""
    model = asked.model if isinstance(asked.model, nn.Module) else nn.Identity()
    optimizer = asked.optimizer
    if not isinstance(optimizer, torch.optim.Optimizer):
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    return Subject(model, asked.batches, optimizer, 1, asked.loss_fn, step=asked.step, validation=asked.validation)


def _updates(steps: int | None, per_epoch: int | None, plan: Plan, budget: int) -> int:
    """Return the updates of each run.

    Raises:
        TaskError: the budget allows too few or fewer than asked for, or less than one is asked for.
    """
    if steps is not None and steps < 1:
        raise TaskError(what="A run has at least one update.", found=f"steps = {steps}", expected="1 or more")
    if steps is not None:
        if steps * plan.runs > budget:
            raise TaskError(
                what="The runs have more updates than the budget allows.",
                where="steps",
                found=f"{plan.runs} runs of {steps:,} updates, {steps * plan.runs:,} in all",
                expected=f"at most {budget:,} updates in all, {budget // plan.runs:,} each",
                next_step="Ask for fewer steps= or candidates, or allow more with budget=.",
            )
        return steps
    allowed = budget // plan.runs
    if allowed < _FEWEST_STEPS:
        raise TaskError(
            what="The budget allows too few updates for each run.",
            where="budget",
            found=f"{budget:,} updates for {plan.runs} runs, {allowed} each",
            expected=f"at least {_FEWEST_STEPS * plan.runs:,}",
            next_step="Allow more with budget=, or name fewer candidates.",
        )
    return allowed if per_epoch is None else min(allowed, _EPOCHS * per_epoch)


def _lbfgs() -> TaskError:
    return TaskError(
        what="An LBFGS that is made already cannot be copied, and every run needs an optimizer of its own.",
        where="optimizer",
        found="LBFGS",
        expected="a function from parameters to an optimizer: lambda parameters: torch.optim.LBFGS(parameters, lr=0.1)",
        cause="PyTorch leaves LBFGS's list of parameters out of copies.",
    )


def _one_batch() -> TaskError:
    return TaskError(
        what="One batch cannot tell what is best for others.",
        where="batches",
        found="one batch, and no validation",
        expected="several batches, or validation batches to judge by",
        cause="Whatever fits the one batch best wins, and nothing shows how much of it is chance.",
        next_step="Cut the data into batches, or hold some out with validation=.",
    )


def _advice(model: nn.Module, loss_fn: LossFunction | None, inputs: Any, targets: Any) -> OutputAdvice | None:
    """Return how the model should end, where the loss and the targets of a batch tell what they are."""
    if not isinstance(targets, Tensor):
        return None
    name = type(loss_fn).__name__ if isinstance(loss_fn, nn.Module) else ""
    if name in ("CrossEntropyLoss", "NLLLoss") and not targets.is_floating_point():
        with torch.no_grad():
            prediction = model(inputs)
        classes = prediction.shape[1]
        return advise_output(targets, classes, Ending("", name, classes))
    if name in ("BCEWithLogitsLoss", "BCELoss"):
        return advise_output(targets, 2, Ending("", name, 1)) if targets.dim() < 2 or targets.shape[1] == 1 else None
    if targets.is_floating_point():
        return advise_output(targets, 0, Ending("", name, 0))
    return None


def _notes(asked: ModelQuestion, model: nn.Module, swaps: Swaps, plan: Plan, updates: int) -> list[str]:
    notes = [
        f"Replaced: {', '.join(swaps.paths)}. Functional activations inside forward() cannot be seen and stay.",
        f"{plan.runs} runs of {updates} updates were planned, {plan.runs * updates:,} updates in all.",
    ]
    notes += [f"Kept: {each}." for each in swaps.kept]
    if asked.step is not None:
        notes.append("A step does not tell predictions, so it was not checked whether the loss is noise.")
    if asked.validation is None:
        notes.append("There are no validation batches, so the training loss is what is compared.")
    if isinstance(asked.model, nn.Module) and (kept := unreset_parameters(model)):
        shown = ", ".join(kept[:5]) + (f" and {len(kept) - 5} more" if len(kept) > 5 else "")
        notes.append(
            f"These weights have no reset_parameters, so every seed begins with their present values: {shown}."
        )
    return notes
