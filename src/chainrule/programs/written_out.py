"""The program of a task whose numbers are all written out, as those of the worked example are: no torch is needed.

PyTorch takes more than a second to import, and the first optimizer another. A task with one sample, dense layers with
their weights, and a loss, activation and optimizer that stand here has its program at once. For any other task the
step is recorded. A test holds that both ways give the same program and the same numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from chainrule.programs.evaluating import Evaluator
from chainrule.programs.layered import Bias, Layer, LossForm, layered_program
from chainrule.programs.program import Program

_TABLES = {"name", "description", "seed", "data", "model", "loss", "optimizer", "stop", "run"}
_ACTIVATIONS = {
    "Sigmoid": "sigmoid", "Tanh": "tanh", "ReLU": "relu", "LeakyReLU": "leaky_relu", "Identity": "identity"
}  # fmt: skip
_LOSSES: Mapping[tuple[str, str], LossForm] = {
    ("HalfSumOfSquares", "sum"): "half",
    ("HalfSumOfSquares", "mean"): "half mean",
    ("MSELoss", "sum"): "sum",
    ("MSELoss", "mean"): "mean",
}
_REDUCTIONS = {"HalfSumOfSquares": "sum", "MSELoss": "mean"}
_SETTINGS = {"lr": "η", "momentum": "μ", "dampening": "τ", "weight_decay": "λ"}  # of torch.optim.SGD


def written_out_program(keys: Mapping[str, Any], step: int = 0) -> Program | None:
    """Return the program of a task's step, with its numbers, or None when the task is not of the kind described above.

    Args:
        keys: the task's tables, as TOML reads them. None comes back for whatever is not certainly right, and the
            ordinary way then says what is wrong with it.
        step: which step; step k begins after k updates.
    """
    network = _network(keys) if _has_step(keys, step) else None
    if network is None:
        return None
    program = layered_program(
        network.inputs,
        network.layers,
        network.loss,
        settings=network.settings,
        title=str(keys.get("name", "task")),
    )
    return at_step(program, network.numbers, step)


def at_step(program: Program, numbers: Mapping[str, float], step: int = 0) -> Program:
    """Return a program with the numbers of one of its steps.

    Args:
        program: whose quantities get values.
        numbers: what step 0 begins with, by name.
        step: how many updates come before.
    """
    evaluator = Evaluator(program)
    values = {name: float(value) for name, value in evaluator(numbers).items()}
    for _ in range(step):
        values |= {name: values[after] for name, after in program.updated.items()}
        values = {name: float(value) for name, value in evaluator(values).items()}
    quantities = {name: replace(each, value=values[name]) for name, each in program.quantities.items()}
    return replace(program, quantities=quantities)


@dataclass(frozen=True, slots=True)
class _Network:
    inputs: int
    layers: tuple[Layer, ...]
    loss: LossForm
    settings: Mapping[str, float]
    numbers: Mapping[str, float]


def _network(keys: Mapping[str, Any]) -> _Network | None:
    data, model, run = (_table(keys, name) for name in ("data", "model", "run"))
    loss, settings = _loss(keys), _settings(keys)
    is_known = (
        set(keys) <= _TABLES
        and data.keys() <= {"inputs", "targets", "kind"}
        and data.get("kind", "regression") == "regression"
        and model.keys() <= {
            "layers", "activation", "output_activation", "bias", "bias_convention", "weights", "biases",
        }
        and run.get("precision") == "float64"
        and run.get("device") == "cpu"
    )  # fmt: skip
    sample, target = _only_row(data.get("inputs")), _only_row(data.get("targets"))
    if not is_known or loss is None or settings is None or sample is None or target is None:
        return None
    weights, sizes = model.get("weights"), model.get("layers")
    if (
        not isinstance(weights, list)
        or not isinstance(sizes, list)
        or not _fits(weights, len(sample), sizes)
        or len(target) != sizes[-1]
    ):
        return None
    layers, biases = _layers(model, sizes), _biases(model, sizes)
    if layers is None or biases is None or (model.get("bias", True) is False) != ("biases" not in model):
        return None
    flat = [weight for layer in weights for row in layer for weight in row]
    numbers = {f"i{place}": float(number) for place, number in enumerate(sample, 1)}
    numbers |= {f"t{place}": float(number) for place, number in enumerate(target, 1)}
    numbers |= {f"w{place}": float(number) for place, number in enumerate(flat, 1)}
    numbers |= {f"b{place}": float(number) for place, number in enumerate(biases, 1)}
    return _Network(len(sample), layers, loss, settings, numbers)


def _has_step(keys: Mapping[str, Any], step: int) -> bool:
    """Say whether the run certainly comes as far as a step: it ends after so many epochs of one step, or steps."""
    stop = _table(keys, "stop")
    if step <= 0:
        return step == 0
    return (
        stop.keys() <= {"epochs", "steps"}
        and bool(stop)
        and all(type(most) is int and step < most for most in stop.values())
    )


def _table(keys: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = keys.get(name, {})
    return table if isinstance(table, Mapping) else {"": table}


def _component(keys: Mapping[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    table = keys.get(name)
    table = {"name": table} if isinstance(table, str) else table
    if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
        return "", {}
    return table["name"], {key: value for key, value in table.items() if key != "name"}


def _loss(keys: Mapping[str, Any]) -> LossForm | None:
    name, arguments = _component(keys, "loss")
    reduction = arguments.pop("reduction", _REDUCTIONS.get(name))
    return None if arguments or not isinstance(reduction, str) else _LOSSES.get((name, reduction))


def _settings(keys: Mapping[str, Any]) -> Mapping[str, float] | None:
    name, arguments = _component(keys, "optimizer")
    if name != "SGD" or "lr" not in arguments or not arguments.keys() <= _SETTINGS.keys():
        return None
    if not all(_is_number(value) and value >= 0 for value in arguments.values()):
        return None
    return {_SETTINGS[key]: float(value) for key, value in arguments.items()}


def _layers(model: Mapping[str, Any], sizes: Sequence[int]) -> tuple[Layer, ...] | None:
    names = [model.get("activation", "ReLU")] * (len(sizes) - 1) + [model.get("output_activation", "Identity")]
    convention, bias = model.get("bias_convention", "separate"), model.get("bias", True)
    if not isinstance(bias, bool) or not all(isinstance(name, str) and name in _ACTIVATIONS for name in names):
        return None
    kinds: dict[Any, Bias] = {"separate": "separate", "shared": "shared", "fixed": "fixed"}
    kind = kinds.get(convention) if bias else "none"
    return (
        None
        if kind is None
        else tuple(Layer(size, _ACTIVATIONS[name], kind) for size, name in zip(sizes, names, strict=True))
    )


def _biases(model: Mapping[str, Any], sizes: Sequence[int]) -> list[float] | None:
    """Return the biases in the order of their names; nothing where a fixed one differs from unit to unit."""
    biases = model.get("biases")
    if biases is None:
        return []
    if not isinstance(biases, list) or len(biases) != len(sizes):
        return None
    numbers: list[float] = []
    for bias, size in zip(biases, sizes, strict=True):
        if not _is_number(bias):
            return None
        numbers += [float(bias)] * (size if model.get("bias_convention", "separate") == "separate" else 1)
    return numbers


def _only_row(rows: Any) -> list[float] | None:
    is_one = isinstance(rows, list) and len(rows) == 1 and isinstance(rows[0], list) and rows[0]
    return rows[0] if is_one and all(map(_is_number, rows[0])) else None


def _fits(weights: list[Any], inputs: int, sizes: Sequence[Any]) -> bool:
    """Say whether there is a row for each unit with a weight for each unit below."""
    if len(weights) != len(sizes) or not sizes:
        return False
    below = inputs
    for layer, size in zip(weights, sizes, strict=True):
        if type(size) is not int or not isinstance(layer, list) or len(layer) != size or not size:
            return False
        if not all(isinstance(row, list) and len(row) == below and all(map(_is_number, row)) for row in layer):
            return False
        below = size
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
