"""What a schema cannot say about a task: components against their signatures, and keys against one another."""

from collections.abc import Mapping, Sequence
from typing import Any

from chainrule.errors import Problem, UnknownNameError
from chainrule.registry import ACTIVATIONS, INITIALISERS, LOSSES, OPTIMIZERS, SCHEDULERS, Catalogue, check_arguments
from chainrule.tasks.data_spec import DataSpec
from chainrule.tasks.penalty_spec import PenaltySpec
from chainrule.tasks.specs import Component, ModelSpec, RunSpec, ScheduleSpec, StopSpec

# The run knows its own length: OneCycleLR gets it when the task does not say.
FILLED_IN = {
    "OneCycleLR": frozenset({"total_steps"}),
    "Softmax": frozenset({"dim"}),
    "Softmin": frozenset({"dim"}),
    "LogSoftmax": frozenset({"dim"}),
}
NESTED_SCHEDULERS = ("SequentialLR", "ChainedScheduler")


def check_parts(
    data: DataSpec,
    model: ModelSpec,
    loss: Component | None,
    optimizer: Component,
    schedule: ScheduleSpec | None,
    stop: StopSpec,
) -> list[Problem]:
    """Return everything that is wrong with the parts of a task whose keys and types are right."""
    return [
        *_check_data(data),
        *_check_model(model),
        *(_check_component(LOSSES, loss, "loss") + _check_reduction(loss) if loss else []),
        *_check_component(OPTIMIZERS, optimizer, "optimizer"),
        *_check_optimizer(optimizer),
        *(_check_schedule(schedule.name, schedule.arguments, "schedule") if schedule else []),
        *_check_stop(stop, data),
        *_check_writable(model, loss, optimizer, schedule),
    ]


def check_together(data: DataSpec, penalties: Sequence[PenaltySpec], run: RunSpec) -> list[Problem]:
    """Return which keys of different tables say what does not go together."""
    problems = []
    if data.sampling == "with_replacement" and not data.shuffle:
        expected = "true, or nothing: draws with replacement have no order to keep"
        problems.append(Problem("data.shuffle", "false", expected))
    if data.order is not None:
        expected = "nothing: data.order says which samples each update takes"
        problems += [Problem(f"data.{key}", "a value", expected) for key in _ordering(data)]
    if run.recorded_loss == "training" and penalties:
        expected = "'batch': penalties are known for the batch of a step only"
        problems.append(Problem("run.recorded_loss", "'training', and penalties", expected))
    return problems


def _ordering(data: DataSpec) -> list[str]:
    """Return the keys that say another order of the samples than the file of `data.order`."""
    usual = DataSpec.model_fields
    return [key for key in ("shuffle", "sampling") if getattr(data, key) != usual[key].default]


def _check_writable(
    model: ModelSpec, loss: Component | None, optimizer: Component, schedule: ScheduleSpec | None
) -> list[Problem]:
    """Return what TOML cannot hold: a run keeps its task as it was run, so every argument must be writable."""
    components = {"loss": loss, "optimizer": optimizer, "schedule": schedule}
    arguments = {key: component.arguments for key, component in components.items() if component is not None}
    arguments["model.arguments"] = model.arguments
    problems = []
    for key, given in arguments.items():
        for argument, value in given.items():
            if (found := _unwritable(value)) is not None and not (value is None and key != "model.arguments"):
                expected = 'numbers, text, true or false, lists and tables; a function or class as "file.py:name"'
                problems.append(Problem(f"{key}.{argument}", found, expected, "A run keeps its task as TOML."))
    return problems


def _unwritable(value: Any) -> str | None:
    if isinstance(value, Mapping):
        return next((found for inner in value.values() if (found := _unwritable(inner)) is not None), None)
    if isinstance(value, list | tuple):
        return next((found for inner in value if (found := _unwritable(inner)) is not None), None)
    writable = isinstance(value, str | bool | int | float) or hasattr(value, "tolist")
    return None if writable else "None" if value is None else f"a value of type {type(value).__name__}"


def _check_component(catalogue: Catalogue, component: Component, key: str) -> list[Problem]:
    return _check_named(catalogue, component.name, component.arguments, key)


def _check_named(catalogue: Catalogue, name: str, arguments: dict[str, Any], key: str) -> list[Problem]:
    try:
        canonical = catalogue.canonical(name)
    except UnknownNameError as error:
        hint = " ".join(sentence for sentence in (error.cause, error.next_step) if sentence)
        return [Problem(f"{key}.name", repr(name), error.expected, hint)]
    filled_in = FILLED_IN.get(canonical, frozenset())
    return check_arguments(catalogue, canonical, arguments, key, filled_in)[1]


def _check_data(data: DataSpec) -> list[Problem]:
    written_out = data.inputs is not None or data.targets is not None
    if data.source is None and not written_out:
        return [Problem("data", "neither source nor inputs", "source, or inputs and targets")]
    if data.source is not None and written_out:
        return [Problem("data", "source and inputs or targets", "one of the two")]
    if written_out and (data.inputs is None or data.targets is None):
        missing = "inputs" if data.inputs is None else "targets"
        return [Problem(f"data.{missing}", "nothing", "a row for each sample: inputs and targets go together")]
    return []


def _check_model(model: ModelSpec) -> list[Problem]:
    if (model.layers is None) == (model.module is None):
        found = "neither layers nor module" if model.layers is None else "layers and module"
        return [Problem("model", found, "layers (sizes) or module (a module of your own), one of the two")]
    if model.module is not None:
        return _check_user_module(model)
    if model.arguments:
        return [Problem("model.arguments", str(model.arguments), "nothing: it belongs to a module of your own")]
    return [*_check_activations(model), *_check_lengths(model), *_check_initialisers(model), *_check_biases(model)]


def _check_optimizer(optimizer: Component) -> list[Problem]:
    """Refuse what torch accepts when it builds an optimizer and fails on in the first update."""
    expected = "false: an update is neither differentiated nor captured in a CUDA graph here"
    return [
        Problem(f"optimizer.{key}", "true", expected)
        for key in ("differentiable", "capturable")
        if optimizer.arguments.get(key)
    ]


def _check_user_module(model: ModelSpec) -> list[Problem]:
    problems = []
    if ":" not in (model.module or ""):
        problems.append(Problem("model.module", repr(model.module), '"file.py:Class" or "package.module:Class"'))
    for key in sorted(model.model_fields_set - {"module", "arguments", "initial"}):
        problems.append(Problem(f"model.{key}", "a value", "nothing: a module of your own makes its layers itself"))
    return problems


def _check_activations(model: ModelSpec) -> list[Problem]:
    problems: list[Problem] = []
    for key, given in (("activation", model.activation), ("output_activation", model.output_activation)):
        if isinstance(given, list):
            for index, component in enumerate(given):
                problems += _check_component(ACTIVATIONS, component, f"model.{key}.{index}")
        else:
            problems += _check_component(ACTIVATIONS, given, f"model.{key}")
    return problems


def _check_lengths(model: ModelSpec) -> list[Problem]:
    layers = model.layers or []
    wanted = [
        ("activation", model.activation, len(layers) - 1, "hidden layer"),
        ("output_activation", model.output_activation, layers[-1], "output"),
        ("bias", model.bias, len(layers), "layer"),
        ("weights", model.weights, len(layers), "layer"),
        ("biases", model.biases, len(layers), "layer"),
    ]
    return [
        Problem(f"model.{key}", _entries(len(given)), f"{count}, one for each {of}")
        for key, given, count, of in wanted
        if isinstance(given, list) and len(given) != count
    ]


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _check_initialisers(model: ModelSpec) -> list[Problem]:
    problems: list[Problem] = []
    if model.initial is not None:
        given = {"init": model.init, "bias_init": model.bias_init, "weights": model.weights, "biases": model.biases}
        expected = "nothing: model.initial is a file with all of them"
        problems += [Problem(f"model.{key}", "a value", expected) for key, value in given.items() if value is not None]
    for key, component in (("init", model.init), ("bias_init", model.bias_init)):
        if component is not None:
            problems += _check_component(INITIALISERS, component, f"model.{key}")
    if model.init is not None and model.weights is not None:
        problems.append(Problem("model.init", repr(model.init.name), "nothing: the weights are written out"))
    if model.bias_init is not None and model.biases is not None:
        problems.append(Problem("model.bias_init", repr(model.bias_init.name), "nothing: the biases are written out"))
    return problems


def _check_biases(model: ModelSpec) -> list[Problem]:
    """Return what is said about biases that are not there."""
    without = [index for index in range(len(model.layers or [])) if _lacks_bias(model, index)]
    expected = "nothing: model.bias is false"
    if len(without) < len(model.layers or []):
        entries = model.biases if model.biases is not None and len(model.biases) == len(model.layers or []) else []
        wrong = [index for index, entry in enumerate(entries) if index in without and entry not in (0, [])]
        return [
            Problem(f"model.biases.{index}", repr(entries[index]), f"0: model.bias.{index} is false") for index in wrong
        ]
    problems = []
    if model.biases is not None:
        problems.append(Problem("model.biases", repr(model.biases), expected))
    if model.bias_init is not None:
        problems.append(Problem("model.bias_init", repr(model.bias_init.name), expected))
    if model.bias_convention != "separate":
        problems.append(Problem("model.bias_convention", repr(model.bias_convention), expected))
    return problems


def _lacks_bias(model: ModelSpec, index: int) -> bool:
    if isinstance(model.bias, bool):
        return not model.bias
    return index < len(model.bias) and not model.bias[index]


def _check_reduction(loss: Component) -> list[Problem]:
    reduction = loss.arguments.get("reduction", "mean")
    may_be_batchmean = loss.name == "KLDivLoss"
    if (
        reduction in ("mean", "sum")
        or not isinstance(reduction, str)
        or (reduction == "batchmean" and may_be_batchmean)
    ):
        return []
    words = "'mean', 'sum' or 'batchmean'" if may_be_batchmean else "'mean' or 'sum'"
    return [Problem("loss.reduction", repr(reduction), f"{words}: the loss must be one number")]


def _check_schedule(name: str, arguments: dict[str, Any], key: str) -> list[Problem]:
    if name not in NESTED_SCHEDULERS:
        return _check_named(SCHEDULERS, name, arguments, key)
    nested = arguments.get("schedulers")
    if not isinstance(nested, list) or not nested or not all(_names_itself(inner) for inner in nested):
        found = "nothing" if nested is None else repr(nested)
        return [Problem(f"{key}.schedulers", found, 'a list of schedulers: [{name = "LinearLR", ...}, ...]')]
    problems: list[Problem] = []
    if name == "SequentialLR" and (problem := _wrong_milestones(arguments, len(nested), key)) is not None:
        problems.append(problem)
    for index, inner in enumerate(nested):
        rest = {argument: value for argument, value in inner.items() if argument != "name"}
        problems += _check_schedule(inner["name"], rest, f"{key}.schedulers.{index}")
    others = {argument: value for argument, value in arguments.items() if argument != "schedulers"}
    filled_in = frozenset({"schedulers"})
    return problems + check_arguments(SCHEDULERS, name, others, key, filled_in)[1]


def _names_itself(inner: Any) -> bool:
    return isinstance(inner, dict) and isinstance(inner.get("name"), str)


def _wrong_milestones(arguments: dict[str, Any], schedulers: int, key: str) -> Problem | None:
    milestones = arguments.get("milestones")
    if not isinstance(milestones, list) or len(milestones) == schedulers - 1:
        return None
    expected = f"{_entries(schedulers - 1)}: one between each scheduler and the next"
    return Problem(f"{key}.milestones", repr(milestones), expected)


def _check_stop(stop: StopSpec, data: DataSpec) -> list[Problem]:
    if stop.early_stopping is not None and data.validation == 0:
        return [Problem("data.validation", "0", "a share above 0: stop.early_stopping watches the validation loss")]
    return []
