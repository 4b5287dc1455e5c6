"""What recording a step costs: forward, backward and update with `chainrule.record` over the same step bare.

All kinds of step run in this process, in turns; each round gives one ratio for each kind, and the median of the rounds
is the figure. Beside it: the same step with TorchLens, activations and gradients saved (it does not look at the
update), and the memory that each kind needs beyond a bare step (peak resident memory of a process of its own).

    pip install ".[peers]"
    python benchmarks/recorded_step.py [ROUNDS]
"""

import json
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch
import torchlens as lens
import torchvision_kernels  # noqa: F401  # before transformers, which imports torchvision
from torch import Tensor, nn
from torchlens.options import CaptureOptions
from transformers import GPT2Config, GPT2LMHeadModel, ResNetConfig, ResNetForImageClassification
from transformers.utils import logging

from chainrule.recorder import record

Step = Callable[[], object]
# Everything saved, gradients too; and torch's functions are put back after each step, for the others' sake.
LENS = CaptureOptions(layers_to_save="all", save_grads=True, backward_ready=True, verbose=False, unwrap_when_done=True)
KINDS = ("bare", "values", "statistics", "torchlens")
TARGETS = {"values": 1.4, "statistics": 1.3}


def resnet() -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a ResNet-50 and a batch of four 64×64 images."""
    model = ResNetForImageClassification(ResNetConfig())
    return model, {"pixel_values": torch.randn(4, 3, 64, 64), "labels": torch.arange(4) % 2}


def gpt2() -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a GPT-2 of 6 layers, 256 wide, and four sequences of 128 tokens."""
    model = GPT2LMHeadModel(GPT2Config(n_layer=6, n_embd=256, n_head=8, vocab_size=5000, use_cache=False))
    words = torch.randint(0, 5000, (4, 128))
    return model, {"input_ids": words, "labels": words}


MODELS = {"ResNet-50, batch 4, 64×64": resnet, "GPT-2, 6×256, 4×128 tokens": gpt2}


def make_step(kind: str, model: nn.Module, batch: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> Step:
    """Return a function that takes one step of a kind."""

    def bare() -> object:
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        return loss

    def torchlens() -> object:
        optimizer.zero_grad()
        trace = lens.trace(model, input_kwargs=dict(batch), capture=LENS)
        loss = next(op for op in (trace[name] for name in trace.output_layers) if op.shape == ())
        trace.log_backward(loss.out)
        optimizer.step()
        return trace

    if kind == "bare":
        return bare
    if kind == "torchlens":
        return torchlens
    return lambda: record(model, None, batch, optimizer=optimizer, keep=kind)  # type: ignore[arg-type]


def time_model(name: str, rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the median seconds of each kind of step, and the median ratios over a bare one."""
    torch.manual_seed(0)
    model, batch = MODELS[name]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    steps = {kind: make_step(kind, model, batch, optimizer) for kind in KINDS}
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for _ in range(rounds):
        for kind, step in steps.items():
            begun = time.perf_counter()
            kept = step()
            seconds[kind].append(time.perf_counter() - begun)
            del kept
    ratios = {
        kind: statistics.median(each / bare for each, bare in zip(seconds[kind], seconds["bare"], strict=True))
        for kind in KINDS
    }
    return {kind: statistics.median(each) for kind, each in seconds.items()}, ratios


def memory_of(name: str, kind: str) -> float:
    """Return the peak resident memory, in MiB, of a process that takes bare steps and then one of a kind."""
    command = [sys.executable, __file__, "--memory", name, kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def measure_memory(name: str, kind: str) -> None:
    """Print this process's peak resident memory, in MiB, after bare steps and one of a kind."""
    quiet()
    torch.manual_seed(0)
    model, batch = MODELS[name]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    for each in ("bare", "bare", kind):
        kept = make_step(each, model, batch, optimizer)()
        del kept
    print(peak_mib())


def peak_mib() -> float:
    """Return this process's peak resident memory in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's ru_maxrss counts what the parent had before this process became its own program
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024  # type: ignore[index]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


def quiet() -> None:
    """Compute on one thread, and say nothing but the figures."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]


def main(rounds: int) -> None:
    """Print one line for each model and kind, and everything as JSON at the end."""
    quiet()
    print(", ".join(f"{name} {version(name)}" for name in ("torch", "torchlens", "transformers")) + ", 1 thread")
    results = {}
    for name in MODELS:
        seconds, ratios = time_model(name, rounds)
        memory = {kind: memory_of(name, kind) for kind in KINDS}
        results[name] = {"seconds": seconds, "ratios": ratios, "peak_mib": memory}
        for kind in KINDS:
            target = f" (target {TARGETS[kind]})" if kind in TARGETS else ""
            figures = f"{seconds[kind] * 1e3:8.1f} ms, {ratios[kind]:6.3f} of bare{target}"
            print(f"{name}: {kind:10s} {figures}, {memory[kind] - memory['bare']:+8.1f} MiB")
    print(json.dumps({"rounds": rounds, "machine": platform.machine(), "results": results}))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        measure_memory(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 11)
