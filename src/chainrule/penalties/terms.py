"""What one use of one module adds to the loss: the formulas of L1, L2, AR and TAR."""

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from chainrule.errors import ShapeError, TaskError
from chainrule.penalties.selection import class_name, shown_path
from chainrule.shapes import Float, Tensor
from chainrule.tasks.penalty_spec import PenaltySpec

MAGNITUDES = {"L1": "|a|", "L2": "a²", "AR": "a²", "TAR": "(a[t+1] − a[t])²"}
DEFINED_BY = {
    ("L1", "per-sample"): ", as Keras",
    ("L2", "per-sample"): ", as Keras",
    ("AR", "mean"): ", as AWD-LSTM",
    ("TAR", "mean"): ", as AWD-LSTM",
}


def activation_term(spec: PenaltySpec, path: str, module: nn.Module, output: object) -> Float[Tensor, ""]:
    """Return what one output of a module adds to the loss.

    Forward:   P = λ/n Σ m(a), with m(a) = |a| (L1), a² (L2, AR) or (a[t+1] − a[t])² (TAR), and n = 1 (sum), the
               number of terms of the sum (mean) or the batch size (per-sample)
    Backward:  ∂P/∂a = λ/n · sign(a) (L1), λ/n · 2a (L2, AR), λ/n · 2(2a[t] − a[t−1] − a[t+1]) (TAR, inner steps)

    An empty sum (an empty batch, one step) is 0. Half-precision outputs are summed in float32. The term keeps a copy
    of the activation, so a module behind that overwrites its input, such as nn.ReLU(inplace=True), changes neither
    value nor gradient.

    Sources: Keras 3, `Layer.__call__` and `regularizers`; S. Merity, B. McCann, R. Socher, "Revisiting activation
    regularization for language RNNs", arXiv 1708.01009, as computed by the authors' AWD-LSTM code.

    Args:
        spec: the kind, strength λ, normalisation and time dimension.
        path: the module's path in the model, for errors.
        module: the module that gave the output.
        output: a tensor of any shape, or a tuple whose first element is one.

    Raises:
        TaskError: the output is not a dense floating-point tensor, or TAR does not know the time dimension.
        ShapeError: the output has no such time dimension.
    """
    activation = _penalised_tensor(spec, path, module, output)
    time = _time_dimension(spec, path, module, activation)
    if activation.dtype in (torch.float16, torch.bfloat16):
        activation = activation.float()
    if spec.kind == "TAR":
        if time is None:
            raise missing_time_dimension(spec, [path])
        compared = max(activation.shape[time] - 1, 0)
        start = activation.shape[time] - compared
        magnitudes = (activation.narrow(time, start, compared) - activation.narrow(time, 0, compared)).square()
    elif spec.kind == "L1":
        magnitudes = activation.clone().abs()
    else:
        magnitudes = activation.clone().square()
    divisors = {"sum": 1, "mean": magnitudes.numel(), "per-sample": _sample_count(module, activation, time)}
    return spec.strength * magnitudes.sum() / max(divisors[spec.normalisation], 1)


def formula(spec: PenaltySpec) -> str:
    """Return the formula of one term with its strength and normalisation, such as '0.001 · Σ a² / batch (…)'."""
    magnitude = MAGNITUDES[spec.kind]
    summed = {"sum": f"Σ {magnitude}", "mean": f"mean {magnitude}", "per-sample": f"Σ {magnitude} / batch"}
    source = DEFINED_BY.get((spec.kind, spec.normalisation), "")
    return f"{spec.strength:g} · {summed[spec.normalisation]} ({spec.normalisation.replace('-', ' ')}{source})"


def known_time_dimension(spec: PenaltySpec, module: nn.Module) -> int | None:
    """Return the time dimension of a module's batched output: stated, or read from `batch_first`; else None."""
    if spec.time_dimension is not None:
        return spec.time_dimension
    if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
        return 1 if module.batch_first else 0
    return None


def missing_time_dimension(spec: PenaltySpec, paths: list[str]) -> TaskError:
    """Return the error for a TAR penalty on modules whose time dimension is not known."""
    return TaskError(
        what="TAR compares the steps of a sequence, and which dimension counts the steps is not known here.",
        where=f"penalty {spec.label}",
        found=f"no time dimension for {', '.join(map(shown_path, paths))}",
        expected="time_dimension, or modules that carry batch_first: nn.RNN, nn.LSTM, nn.GRU, nn.MultiheadAttention",
        next_step="Set time_dimension = 1 for outputs of shape (batch, steps, units), 0 for (steps, batch, units).",
    )


def _penalised_tensor(spec: PenaltySpec, path: str, module: nn.Module, output: object) -> Tensor:
    # A PackedSequence is a tuple too, and its first element mixes the sequences.
    has_first = isinstance(output, tuple) and not isinstance(output, PackedSequence) and len(output) > 0
    first = output[0] if isinstance(output, tuple) and has_first else output
    if isinstance(first, Tensor) and first.is_floating_point() and first.layout == torch.strided:
        return first
    found = f"a {type(first).__name__}"
    if isinstance(first, Tensor):
        found = (
            f"a tensor of {str(first.dtype).removeprefix('torch.')}, layout {str(first.layout).removeprefix('torch.')}"
        )
    next_step = "Choose another module, such as one inside it that returns a tensor."
    if isinstance(first, PackedSequence):
        next_step = "Feed padded sequences, or penalise a module behind pad_packed_sequence."
    raise TaskError(
        what=f"The output of '{shown_path(path)}' cannot be penalised.",
        where=f"penalty {spec.label}, module {shown_path(path)} ({class_name(module)})",
        found=found + (" as the first element of a tuple" if has_first else ""),
        expected="a dense floating-point tensor, or a tuple that starts with one",
        next_step=next_step,
    )


def _time_dimension(spec: PenaltySpec, path: str, module: nn.Module, activation: Tensor) -> int | None:
    time = known_time_dimension(spec, module)
    if time is None:
        return None
    if spec.time_dimension is None and activation.ndim == 2:  # a sequence without a batch: (steps, units)
        return 0
    if not -activation.ndim <= time < activation.ndim:
        raise ShapeError(
            what=f"The output of '{shown_path(path)}' has no dimension {time}.",
            where=f"penalty {spec.label}, module {shown_path(path)} ({class_name(module)})",
            found=f"shape {tuple(activation.shape)}",
            expected=f"more dimensions, or another time_dimension than {time}",
        )
    return time % activation.ndim


def _sample_count(module: nn.Module, activation: Tensor, time: int | None) -> int:
    if isinstance(module, nn.RNNBase | nn.MultiheadAttention) and activation.ndim == 2:
        return 1
    others = [size for dimension, size in enumerate(activation.shape) if dimension != time]
    return others[0] if others else 1
