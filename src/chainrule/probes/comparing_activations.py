"""`compare_activations`: which activation, for a task or for any model, with the evidence."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import torch
from torch import nn

from chainrule.components import build_optimizer
from chainrule.data import load_data
from chainrule.errors import TaskError
from chainrule.probes.activation_runs import TaskRuns, refuse_task, task_has_own_init
from chainrule.probes.candidates import Candidate, CandidateLike, candidate_of
from chainrule.probes.choice import ActivationChoice
from chainrule.probes.comparing import SEEDS, TUNING_SEEDS, Comparison, Plan, compare, plan_of
from chainrule.probes.comparing_models import BUDGET, ModelQuestion, candidates_of, compare_model
from chainrule.probes.output_advice import Ending, OutputAdvice, advise_output
from chainrule.probes.subject import LossFunction, Step, Subject
from chainrule.probes.tuning import decades_round
from chainrule.sweeps import Progress
from chainrule.tasks import Component, Task, load_task

OWN: Final = "each candidate's own: xavier_normal_ with the gain that keeps the mean square of its outputs"


Model: TypeAlias = nn.Module | Callable[[], nn.Module]
OptimizerFactory: TypeAlias = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


def compare_activations(
    subject: Task | str | Path | Mapping[str, Any] | Model | Subject,
    loss_fn: LossFunction | None = None,
    batches: Iterable[Any] | None = None,
    optimizer: torch.optim.Optimizer | OptimizerFactory | None = None,
    *,
    step: Step | None = None,
    validation: Iterable[Any] | None = None,
    candidates: Sequence[CandidateLike] = (),
    replace: Sequence[str] = (),
    init: Literal["own", "kept"] = "own",
    steps: int | None = None,
    seeds: int = SEEDS,
    tuning_seeds: int = TUNING_SEEDS,
    budget: int = BUDGET,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> ActivationChoice:
    """Find out which activation is best for a task or a model, with the runs that show it.

    For every candidate the learning rate is tuned, and then it is run with the same seeds and batches as the others;
    losses are compared seed by seed. Everything that is given stays as it is, bit for bit. Ctrl-C is not raised again,
    as in `sweep`: what is finished comes back, and `was_interrupted` is true.

    Args:
        subject: a task, or what `load_task` reads; a module, of which every run gets a copy that draws new weights; or
            a function that makes one; or a `Subject`, which brings loss, batches, optimizer and validation along.
        loss_fn: from prediction and targets to one number; of a model only, as all that follow up to `init`.
        batches: of (inputs, targets), or of anything that `step` takes; starts anew each time.
        optimizer: over the module's parameters, or a function from parameters to one, such as `torch.optim.AdamW`;
            Adam when not given.
        step: from the model and a batch to the loss, in the place of `loss_fn`.
        validation: batches that are not trained on, to judge by; training batches judge where there are none.
        candidates: names such as "GELU", nn.GELU, nn.LeakyReLU(0.2), or what `candidate_of` returns, the preferred
            first; ReLU, LeakyReLU, ELU, GELU, SiLU, Tanh, Sigmoid and what the subject has now when not given.
        replace: paths of the activations that are replaced, when not all that are found are meant.
        init: "own" scales the weights before each activation to the candidate's gain; "kept" leaves them.
        steps: updates of each run; a task's own, or of a model ten epochs, or what `budget` allows.
        seeds: with how many the candidates are compared; at least 5.
        tuning_seeds: with how many others the rates are tuned.
        budget: updates of all runs of a model together, as they are planned; decades of rates that are added while the
            best lies at an edge come on top.
        folder: of a task: where finished parts are kept, so that the same call goes on where another one was ended.
        progress: is told how it goes.

    Raises:
        ChainruleError: nothing can be compared; says why. What the runs show to be impossible to know is not raised:
            `ranking` is None then, and `findings` say why.

    Example:
        >>> found = compare_activations("xor", candidates=["Tanh", "Sigmoid"], steps=20, seeds=5, tuning_seeds=1)
        >>> [each.label for each in found.candidates]
        ['Tanh', 'Sigmoid']
    """
    if isinstance(subject, Subject):
        asked = ModelQuestion(
            model=subject.model,
            loss_fn=subject.loss_fn,
            step=subject.step,
            batches=subject.batches,
            optimizer=subject.optimizer,
            validation=subject.validation,
            replace=tuple(replace),
            has_own_init=init == "own",
        )
        return compare_model(asked, candidates, steps, (seeds, tuning_seeds), budget, progress)
    if not (isinstance(subject, nn.Module) or (callable(subject) and not isinstance(subject, Task))):
        how = {"steps": steps, "seeds": seeds, "tuning_seeds": tuning_seeds, "folder": folder, "progress": progress}
        return compare_task(load_task(subject), candidates, **how)  # type: ignore[arg-type]  # each has its own type
    if (loss_fn is None and step is None) or batches is None:
        raise TaskError(
            what="A model needs a loss and batches to be compared with.",
            found="compare_activations(model)",
            expected="compare_activations(model, loss_fn, batches)",
        )
    asked = ModelQuestion(subject, loss_fn, step, batches, optimizer, validation, tuple(replace), init == "own")
    return compare_model(asked, candidates, steps, (seeds, tuning_seeds), budget, progress)


def compare_task(
    task: Task,
    candidates: Sequence[CandidateLike] = (),
    *,
    steps: int | None = None,
    seeds: int = SEEDS,
    tuning_seeds: int = TUNING_SEEDS,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> ActivationChoice:
    """Compare activations on a task; see `compare_activations`."""
    if task.model.module is not None:
        raise TaskError(
            what="The task's model is a module of your own, whose activations a task has no key for.",
            where="model.module",
            found=task.model.module,
            expected="model.layers",
            next_step="In Python chainrule.compare_activations takes the module itself: "
            "compare_activations(model, loss_fn, batches).",
        )
    refuse_task(task)
    chosen = candidates_of(candidates, _present(task))
    rate = task.optimizer.arguments.get("lr")
    plan = plan_of(
        chosen, decades_round(_rate_of(task) if rate is None else float(rate)), task.seed, seeds, tuning_seeds
    )
    runs = TaskRuns(task, steps or _own_steps(task), task_has_own_init(task), folder=folder)
    found = compare(runs, plan, has_norm=False, progress=progress)
    chosen_one = None if found.ranking is None else _named(plan, found.ranking.chosen)
    return ActivationChoice(
        name=task.name,
        candidates=tuple(found.compared),
        ranking=found.ranking,
        judged_by="validation loss" if runs.judges_validation else "training loss",
        seeds=plan.seeds,
        tuning_seeds=plan.tuning_seeds,
        steps=runs.steps,
        runs=found.runs,
        optimizer=task.optimizer.name,
        initialiser=OWN if runs.has_own_init else "the task's own",
        changes={} if chosen_one is None else _changes(chosen_one, found, runs.has_own_init),
        replaced=tuple(f"hidden{number}_activation" for number in range(1, len(task.model.layers or []))),
        advice=advice_for(task),
        findings=tuple(found.findings),
        notes=(*_notes(task, runs, plan), *runs.notes),
        engine=", ".join(runs.engines),
        was_interrupted=found.was_interrupted,
        seconds=found.seconds,
    )


def advice_for(task: Task) -> OutputAdvice:
    """Return how the network of a task should end."""
    data = load_data(task.data, task.seed)
    last = task.model.output_activation
    layers = task.model.layers
    ending = Ending(
        "" if isinstance(last, list) or layers is None else last.name,
        "" if task.loss is None else task.loss.name,
        layers[-1] if layers is not None else 0,
    )
    return advise_output(data.train.targets, len(data.class_names), ending)


def _present(task: Task) -> list[Candidate]:
    """Return the activations that a task has now, where they can be compared."""
    given = task.model.activation
    found: dict[str, Candidate] = {}
    for component in given if isinstance(given, list) else [given]:
        try:
            candidate = candidate_of(component.name, _formula_arguments(component))
        except TaskError:  # it cannot be compared; the candidates take its place all the same
            continue
        found.setdefault(candidate.label, candidate)
    return list(found.values())


def _formula_arguments(component: Component) -> dict[str, Any]:
    return {key: value for key, value in component.arguments.items() if key not in ("inplace", "dtype", "device")}


def _rate_of(task: Task) -> float:
    """Return the rate that torch gives an optimizer for which the task says none."""
    with torch.random.fork_rng(devices=[]):
        optimizer = build_optimizer(task.optimizer, nn.Linear(1, 1))
    return float(optimizer.param_groups[0]["lr"])


def _own_steps(task: Task) -> int:
    samples = len(load_data(task.data, task.seed).train)
    size = samples if task.data.batch_size == "full" else task.data.batch_size
    updates = task.stop.epochs * -(-samples // size)
    return min(updates, task.stop.steps or updates)


def _named(plan: Plan, label: str) -> Candidate:
    return next(each for each in plan.candidates if each.label == label)


def _changes(chosen: Candidate, found: Comparison, has_own_init: bool) -> dict[str, Any]:
    """Return the keys of the task that the recommendation asks to be changed."""
    rate = next(each.rate for each in found.compared if each.label == chosen.label)
    changes: dict[str, Any] = {"model.activation": chosen.component if chosen.arguments else chosen.name}
    if has_own_init:
        changes["model.init"] = chosen.initialiser
    return {**changes, "optimizer.lr": float(f"{rate:.3g}")}


def _notes(task: Task, runs: TaskRuns, plan: Plan) -> list[str]:
    notes = []
    if not runs.judges_validation:
        notes.append(
            "There is no validation part, so the training loss is what is compared; --data.validation 0.2 holds "
            "samples out."
        )
    if task.data.validation or task.data.test:
        notes.append("Each seed splits the data anew, so the differences are over splits too.")
    return notes
