"""The network of a task: layers built from sizes and names, or the user's own module."""

import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from chainrule.components.generators import generators_kept, seed_generators
from chainrule.components.initial_weights import put_initial_weights
from chainrule.components.user_code import load_user_object, own_frames, user_error
from chainrule.errors import Problem, TaskError, UserModuleError
from chainrule.registry import ACTIVATIONS, INITIALISERS, Catalogue, check_arguments
from chainrule.shapes import Float, Tensor
from chainrule.tasks import Component, ModelSpec

# Over which dimension a vector activation runs: the units, not the samples.
_OVER_UNITS = {"Softmax": {"dim": 1}, "Softmin": {"dim": 1}, "LogSoftmax": {"dim": 1}, "GLU": {"dim": 1}}


def build_network(spec: ModelSpec, input_shape: tuple[int, ...], seed: int, dtype: torch.dtype) -> nn.Module:
    """Build the model of a task, with weights that depend on the seed and the precision alone.

    Layers are called hidden1, hidden2, ... and output, their activations hidden1_activation and so on, so that
    parameters read `hidden1.weight` (units, inputs). The global generators of torch, Python and NumPy are left as they
    were.

    Args:
        spec: the model of the task.
        input_shape: the shape of one sample; more than one dimension is flattened for layers.
        seed: decides the initial weights.
        dtype: of the parameters.

    Raises:
        TaskError: sizes that do not fit one another, or initial weights of another model.
        UserModuleError: the user's own module failed to import or to build.
    """
    with generators_kept():
        seed_generators(seed, cuda=False)  # weights are made on the CPU
        model = _user_module(spec, dtype) if spec.module is not None else _checked_layers(spec, input_shape, dtype)
    if spec.initial is not None:
        put_initial_weights(model, Path(spec.initial))
    return model


def _checked_layers(spec: ModelSpec, input_shape: tuple[int, ...], dtype: torch.dtype) -> nn.Module:
    try:
        return _layers(spec, input_shape, dtype)
    except (RuntimeError, MemoryError) as error:
        what = f"layers that torch can make; it says: {str(error).splitlines()[0]}"
        raise _misfit("model.layers", str(spec.layers), what) from error


def leaf_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules without modules inside, by path; those of torch.jit take no hooks and are left out."""
    return {
        path: module
        for path, module in model.named_modules()
        if not list(module.children()) and not isinstance(module, torch.jit.ScriptModule)
    }


def build(catalogue: Catalogue, component: Component, key: str, filled_in: Mapping[str, Any] | None = None) -> Any:
    """Build a component from its name and arguments; what chainrule fills in gives way to what the task says.

    Raises:
        TaskError: torch refuses an argument.
    """
    given = {**(filled_in or {}), **check_arguments(catalogue, component.name, component.arguments, key)[0]}
    try:
        return catalogue[component.name](**given)
    except (ValueError, RuntimeError, AssertionError) as error:
        raise _refused_by_torch(key, component, error) from error


def _refused_by_torch(key: str, component: Component, error: Exception) -> TaskError:
    arguments = ", ".join(f"{name} = {value!r}" for name, value in component.arguments.items())
    found = f"{component.name} with {arguments}" if arguments else component.name
    return _misfit(key, found, f"what torch takes; it says: {str(error) or type(error).__name__}")


def _user_module(spec: ModelSpec, dtype: torch.dtype) -> nn.Module:
    made_by = load_user_object(spec.module or "", "model.module")
    if not callable(made_by):
        raise _makes_no_module(spec, made_by)
    before = torch.get_default_dtype()
    # So that numbers which the module writes out are read in the precision of the run, not rounded on the way.
    torch.set_default_dtype(dtype)
    try:
        module = made_by(**spec.arguments)
    except (Exception, SystemExit) as error:
        raise _build_error(spec, made_by, error) from error
    finally:
        torch.set_default_dtype(before)
    if not isinstance(module, nn.Module):
        raise _makes_no_module(spec, module)
    return module.to(dtype)


def _makes_no_module(spec: ModelSpec, made: object) -> TaskError:
    return TaskError(
        what=f"{spec.module} makes no module.",
        where="model.module",
        found=f"an object of type {type(made).__name__}",
        expected="a torch.nn.Module",
    )


def _build_error(spec: ModelSpec, made_by: Callable[..., Any], error: BaseException) -> UserModuleError:
    """Return the error of a class that was called and raised, or that does not take the arguments it was given."""
    failure = user_error(f"{spec.module} failed to build.", "model.arguments", error)
    if isinstance(error, TypeError) and not own_frames(error) and inspect.isclass(made_by):
        failure.found = ", ".join(f"{name} = {value!r}" for name, value in spec.arguments.items()) or "no arguments"
        failure.expected = f"arguments that fit {made_by.__name__}{inspect.signature(made_by)}"
    return failure


def _layers(spec: ModelSpec, input_shape: tuple[int, ...], dtype: torch.dtype) -> nn.Module:
    sizes = spec.layers or []
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    if len(input_shape) > 1:
        modules["flatten"] = nn.Flatten()
    width = 1
    for extent in input_shape:
        width *= extent
    for index, size in enumerate(sizes):
        name = "output" if index == len(sizes) - 1 else f"hidden{index + 1}"
        modules[name] = _linear(spec, index, width, size, dtype)
        activation = _activation(spec, index, size, dtype)
        if not isinstance(activation, nn.Identity):
            modules[f"{name}_activation"] = activation
        width = size // 2 if isinstance(activation, nn.GLU) else size
    return nn.Sequential(modules)


def _linear(spec: ModelSpec, index: int, inputs: int, outputs: int, dtype: torch.dtype) -> nn.Module:
    has_bias = spec.bias[index] if isinstance(spec.bias, list) else spec.bias
    shared = has_bias and spec.bias_convention == "shared"
    layer = SharedBiasLinear(inputs, outputs, dtype) if shared else nn.Linear(inputs, outputs, has_bias, dtype=dtype)
    if spec.init is not None:
        _initialise(layer.weight, spec.init, "model.init")
    if spec.weights is not None:
        _write(layer.weight, spec.weights[index], f"model.weights.{index}")
    bias = layer.bias
    if isinstance(bias, nn.Parameter):
        if spec.bias_init is not None:
            _initialise(bias, spec.bias_init, "model.bias_init")
        if spec.biases is not None:
            _write_bias(bias, spec.biases[index], f"model.biases.{index}")
        bias.requires_grad_(spec.bias_convention != "fixed")
    return layer


def _initialise(parameter: Tensor, component: Component, key: str) -> None:
    arguments, _ = check_arguments(INITIALISERS, component.name, component.arguments, key)
    try:
        INITIALISERS[component.name](parameter, **arguments)
    except (ValueError, RuntimeError, IndexError, ZeroDivisionError) as error:
        raise TaskError(
            what=f"The initialiser {component.name} does not fit.",
            where=key,
            found=f"a parameter of shape {tuple(parameter.shape)}",
            cause=f"torch says: {error}",
        ) from error


def _write(parameter: Tensor, values: list[Any], key: str) -> None:
    try:
        written = torch.tensor(values, dtype=torch.float64)
    except ValueError:
        written = None
    if written is None or written.shape != parameter.shape:
        found = "rows of different lengths" if written is None else f"shape {tuple(written.shape)}"
        units, inputs = parameter.shape
        of_units = f"{units} unit{'s' if units > 1 else ''}, {inputs} input{'s' if inputs > 1 else ''} each"
        raise TaskError(
            what="The weights that are written out do not fit the layer.",
            problems=(Problem(key, found, f"shape {tuple(parameter.shape)}: {of_units}"),),
        )
    with torch.no_grad():
        parameter.copy_(written)


def _write_bias(bias: nn.Parameter, value: float | list[float], key: str) -> None:
    values = value if isinstance(value, list) else [value] * len(bias)
    if len(values) != len(bias):
        expected = f"one number, or {len(bias)} of them" if len(bias) > 1 else "one number"
        raise TaskError(
            what="The biases that are written out do not fit the layer.",
            problems=(Problem(key, f"{len(values)} numbers", expected),),
        )
    with torch.no_grad():
        bias.copy_(torch.tensor(values, dtype=torch.float64))


def _activation(spec: ModelSpec, index: int, size: int, dtype: torch.dtype) -> nn.Module:
    is_output = index == len(spec.layers or []) - 1
    given, key = (
        (spec.output_activation, "model.output_activation") if is_output else (spec.activation, "model.activation")
    )
    if is_output and isinstance(given, list):
        each = [_one_activation(component, 1, dtype, f"{key}.{unit}") for unit, component in enumerate(given)]
        return PerOutput(each)
    if isinstance(given, list):
        return _one_activation(given[index], size, dtype, f"{key}.{index}")
    return _one_activation(given, size, dtype, key)


def _one_activation(component: Component, size: int, dtype: torch.dtype, key: str) -> nn.Module:
    if component.name == "Softmax2d":
        expected = "Softmax for a layer; Softmax2d works on images (batch, channels, height, width)"
        raise _misfit(key, "Softmax2d", expected)
    if component.name == "GLU" and size % 2:
        raise _misfit(key, f"GLU over a layer of {size}", "an even number of units: GLU halves its layer")
    if component.name in _OVER_UNITS and size == 1:
        raise _misfit(key, f"{component.name} over one unit", "a layer of several units: over one it is constant")
    module: nn.Module = build(ACTIVATIONS, component, key, _OVER_UNITS.get(component.name)).to(dtype)
    wanted = (2, size // 2 if component.name == "GLU" else size)
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            shape = tuple(module(torch.zeros(2, size, dtype=dtype)).shape)
    except (RuntimeError, ValueError, IndexError, AssertionError, ZeroDivisionError) as error:
        raise _refused_by_torch(key, component, error) from error
    if shape != wanted:
        raise _misfit(key, f"{component.name} that makes {shape} of (2, {size})", f"{wanted}: it works on the units")
    return module


def _misfit(key: str, found: str, expected: str) -> TaskError:
    return TaskError(what="The task cannot be trained as it is written.", problems=(Problem(key, found, expected),))


@final
class SharedBiasLinear(nn.Module):
    """A linear layer with one bias for all of its units, as some courses draw it.

    Forward:   z[n,o] = Σᵢ W[o,i] x[n,i] + b
    Backward:  ∂L/∂b = Σₙ Σₒ ∂L/∂z[n,o]
    """

    def __init__(self, in_features: int, out_features: int, dtype: torch.dtype) -> None:
        super().__init__()
        like = nn.Linear(in_features, out_features, dtype=dtype)
        self.in_features, self.out_features = in_features, out_features
        self.weight = like.weight
        self.bias = nn.Parameter(like.bias.detach()[:1].clone())

    def forward(self, inputs: Float[Tensor, "batch in"]) -> Float[Tensor, "batch out"]:
        """Return z (batch, out)."""
        return nn.functional.linear(inputs, self.weight, self.bias.expand(self.out_features))

    def extra_repr(self) -> str:
        """Name the sizes when the module is printed."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias=shared"


@final
class PerOutput(nn.Module):
    """A different activation for each output unit."""

    def __init__(self, activations: list[nn.Module]) -> None:
        super().__init__()
        self.activations = nn.ModuleList(activations)

    def forward(self, inputs: Float[Tensor, "batch out"]) -> Float[Tensor, "batch out"]:
        """Apply the activation of each unit to its column."""
        columns = torch.split(inputs, 1, dim=1)
        return torch.cat([activate(column) for activate, column in zip(self.activations, columns, strict=True)], dim=1)
