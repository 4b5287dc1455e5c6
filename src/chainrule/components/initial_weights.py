"""Initial weights from a file: those of another run, or of another program."""

from pathlib import Path

import torch
from torch import nn

from chainrule.errors import Problem, TaskError, nearest
from chainrule.shapes import Tensor
from chainrule.tensor_files import SafetensorError, unpack_tensors

_KEY = "model.initial"


def put_initial_weights(model: nn.Module, path: Path) -> None:
    """Give a model the parameters and buffers that a .safetensors file holds, in the precision of the model.

    Args:
        model: of any kind; what it holds is written over in place.
        path: the file. It has every parameter of the model under its own name; buffers that it lacks stay as they are.

    Raises:
        TaskError: the file cannot be read, or its tensors are not those of the model.
    """
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    given = _read(path)
    problems = [
        Problem(f"{_KEY}: {name}", "nothing", f"a tensor of shape {tuple(value.shape)}")
        for name, value in model.named_parameters()
        if name not in given
    ]
    for name, value in sorted(given.items()):
        if name not in own:
            close = nearest(name, own, count=1)
            problems.append(
                Problem(
                    f"{_KEY}: {name}",
                    "a tensor that the model does not have",
                    "one of " + ", ".join(own),
                    f"Did you mean '{close[0]}'?" if close else "",
                )
            )
        elif value.shape != own[name].shape:
            found, expected = f"shape {tuple(value.shape)}", f"shape {tuple(own[name].shape)}"
            problems.append(Problem(f"{_KEY}: {name}", found, expected))
    if problems:
        raise TaskError(
            what="The initial weights are not those of this model.", where=str(path), problems=tuple(problems)
        )
    with torch.no_grad():
        for name, value in given.items():
            own[name].copy_(value)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return unpack_tensors(path.read_bytes())
    except OSError as error:
        raise TaskError(
            what="The file of the initial weights cannot be read.",
            where=_KEY,
            found=f"{path}: {error.strerror or error}",
            expected="a .safetensors file",
        ) from None
    except SafetensorError as error:
        raise TaskError(
            what=f"'{path.name}' is not a safetensors file, or is cut off.",
            where=_KEY,
            cause=f"The reader says: {error}",
        ) from error
