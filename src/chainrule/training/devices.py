"""Device, precision and distribution. torch carries all three, and this is the only file that asks it to."""

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from chainrule.components import generators_outside_torch, restore_generators_outside_torch
from chainrule.errors import DeviceError
from chainrule.shapes import Tensor

_AS_IT_IS = contextlib.nullcontext()  # one for all steps: it has no state
_DTYPES = {"float64": torch.float64, "float32": torch.float32, "bf16": torch.float32}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a run computes, in which precision, and as which of how many processes.

    Attributes:
        device: of parameters and data.
        dtype: of parameters and data.
        autocast: forward and loss run in bfloat16 where torch allows it.
        rank: the number of this process, from 0.
        world: how many processes share every batch.
        threads: how many CPU threads torch computes with; 0 while that is not decided.
    """

    device: torch.device
    dtype: torch.dtype
    autocast: bool
    rank: int
    world: int
    threads: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def describe(self) -> str:
        """Name device, precision and number of processes."""
        name = str(self.device)
        if self.device.type == "cuda":
            name = f"{name} ({torch.cuda.get_device_name(self.device)})"
        precision = "bf16 autocast" if self.autocast else str(self.dtype).removeprefix("torch.")
        parts = [name, precision]
        if self.device.type == "cpu" and self.threads:
            parts.append("1 thread" if self.threads == 1 else f"{self.threads} threads")
        if self.world > 1:
            parts.append(f"{self.world} processes")
        return ", ".join(parts)

    def casting(self) -> contextlib.AbstractContextManager[object]:
        """Return the context in which forward and loss run."""
        if not self.autocast:
            return _AS_IT_IS
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


@contextmanager
def placement(device: str, precision: str) -> Iterator[Placement]:
    """Choose the device and, under torchrun, join the other processes; leave them at the end.

    Args:
        device: "auto", "cpu", "cuda" or "mps".
        precision: "float64", "float32" or "bf16".

    Raises:
        DeviceError: this machine does not have the device, or the device not the precision.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = _device(device, local_rank)
    _check_precision(chosen, precision)
    place = Placement(chosen, _DTYPES[precision], precision == "bf16", int(os.environ.get("RANK", "0")), world)
    if world == 1:
        with _deterministic(chosen):
            yield place
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    with _deterministic(chosen), _joined(chosen):
        yield place


@contextmanager
def _joined(device: torch.device) -> Iterator[None]:
    """Join the other processes, and leave them at the end; a group that the caller has joined already serves."""
    if distributed.is_initialized():
        yield
        return
    store, rank, world = next(rendezvous("env://"))
    # A process may train several tasks in turn; what the store holds of an earlier group must not be read again.
    turn = PrefixStore(f"turn {store.add(f'turns of {rank}', 1)}", store)
    backend = "nccl" if device.type == "cuda" and sys.platform != "win32" else "gloo"
    distributed.init_process_group(backend, store=turn, rank=rank, world_size=world)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """Make the GPU's kernels give the same numbers twice, for as long as the run lasts."""
    if device.type != "cuda":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it when it is to be deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        if workspace is None:
            del os.environ["CUBLAS_WORKSPACE_CONFIG"]


def _device(name: str, local_rank: int) -> torch.device:
    found = available_devices()
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if kind in found)
    if name not in found:
        raise DeviceError(
            what=f"This machine has no {name} device that torch can use.",
            found=", ".join(found.values()),
            expected=f"--device {' or --device '.join(found)}",
            next_step="A CUDA device needs a CUDA build of PyTorch: the README says how to get one."
            if name == "cuda"
            else "",
        )
    return torch.device(name, local_rank) if name == "cuda" else torch.device(name)


def _check_precision(device: torch.device, precision: str) -> None:
    if device.type == "mps" and precision == "float64":
        raise DeviceError(what="The MPS device has no float64.", found="float64 on mps", expected="--device cpu")
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise DeviceError(what="This CUDA device has no bfloat16.", found="bf16", expected="--precision float32")


def available_devices() -> dict[str, str]:
    """Return what torch can compute on here: kind to description."""
    devices = {}
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        devices["cuda"] = ", ".join(f"cuda:{index} ({name})" for index, name in enumerate(names))
    if torch.backends.mps.is_available():
        devices["mps"] = "mps"
    devices["cpu"] = f"cpu ({torch.get_num_threads()} threads)"
    return devices


def parallel(model: nn.Module, place: Placement) -> nn.Module:
    """Return the model to call in a training step: wrapped by DDP when several processes share a batch."""
    if place.world == 1:
        return model
    devices = [place.device] if place.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=devices, find_unused_parameters=True)


def total(value: Tensor, place: Placement) -> Tensor:
    """Return the sum of a value over all processes, detached."""
    value = value.detach().clone()
    if place.world > 1:
        distributed.all_reduce(value)
    return value


def any_process(flag: bool, place: Placement) -> bool:
    """Return whether the flag is set in any process, so that all of them stop at the same step."""
    if place.world == 1:
        return flag
    return bool(total(torch.tensor(float(flag), device=place.device), place) > 0)


def gather(value: Tensor, place: Placement) -> list[Tensor]:
    """Return the value of every process, in the order of their ranks."""
    if place.world == 1:
        return [value]
    on_device = value.to(place.device)
    gathered = [torch.empty_like(on_device) for _ in range(place.world)]
    distributed.all_gather(gathered, on_device)
    return [each.to(value.device) for each in gathered]


def first_text(text: str, place: Placement) -> str:
    """Return, in every process, the text of the first process that has one; nothing when none has."""
    if place.world == 1:
        return text
    data = torch.tensor(list(text.encode()), dtype=torch.uint8, device=place.device)
    lengths = [int(length) for length in gather(torch.tensor(len(data)), place)]
    source = next((rank for rank, length in enumerate(lengths) if length), 0)
    if place.rank != source:
        data = torch.empty(lengths[source], dtype=torch.uint8, device=place.device)
    distributed.broadcast(data, source)
    return bytes(data.tolist()).decode()


def wait_for_all(place: Placement) -> None:
    """Wait until every process is here."""
    if place.world > 1:
        distributed.barrier()


def random_states(place: Placement) -> dict[str, Tensor]:
    """Return the states of the generators that a step may draw from, of every process."""
    states = {}
    for rank, state in enumerate(gather(torch.random.get_rng_state(), place)):
        states[f"cpu.{rank}"] = state
    if place.device.type == "cuda":
        for rank, state in enumerate(gather(torch.cuda.get_rng_state(place.device), place)):
            states[f"cuda.{rank}"] = state
    for name, own in generators_outside_torch().items():
        for rank, state in enumerate(gather(own, place)):
            states[f"{name}.{rank}"] = state
    return states


def restore_random_states(states: dict[str, Tensor], place: Placement) -> None:
    """Put the generators of this process back to what `random_states` returned."""
    torch.random.set_rng_state(states[f"cpu.{place.rank}"])
    if place.device.type == "cuda":
        torch.cuda.set_rng_state(states[f"cuda.{place.rank}"], place.device)
    restore_generators_outside_torch({name: states[f"{name}.{place.rank}"] for name in ("python", "numpy")})
