"""What a step of one run costs in a kernel of many runs: three trainings, one thread, processor time.

    2-2-2     two layers of two sigmoid units, one sample, SGD, 1,000 steps
    map       16-16-1, tanh, 272 samples, a rate for each layer, SGD, 50 steps
    digits    64-32-10, ReLU, minibatches of 64, Adam, 64 steps

The kernels take turns, in float64 and float32. The measured peak of multiply-adds of this processor stands beside them,
for the map with the share of it that its matrix products reach. many_runs.py has the same trainings beside other
libraries.

    python benchmarks/lanes_speed.py [ROUNDS]
"""

import ctypes
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import llvmlite
import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from chainrule.lanes import Group, Kernel, Runs, StepDescription, Varying, compile_runs, supervised
from chainrule.native import compile_function

MAP_OPERATIONS = 2 * 272 * (2 * 16 * 16 + 3 * 16)  # multiplications and additions of its matrix products, a step


@dataclass(frozen=True, slots=True)
class Workload:
    """A training, and how much of it is timed."""

    description: StepDescription
    runs: Runs
    steps: int


class MapNetwork(nn.Module):
    """The network of the published map of learning rates, in its scaling."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.from_numpy(rng.standard_normal((16, 16))))
        self.second = nn.Parameter(torch.from_numpy(rng.standard_normal((16, 1))))

    def forward(self, x: Tensor) -> Tensor:
        """Return the prediction."""
        return torch.tanh(x @ self.first / 4.0 * 2**0.5) @ self.second / 16.0


def worked_example() -> Workload:
    """Return the 2-2-2 network."""
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Sigmoid(), nn.Linear(2, 2, bias=False), nn.Sigmoid())
    weights = {"0.weight": [[0.15, 0.2], [0.25, 0.3]], "2.weight": [[0.4, 0.45], [0.5, 0.55]]}
    network.load_state_dict({name: torch.tensor(rows) for name, rows in weights.items()})
    samples = {"inputs": torch.tensor([[0.05, 0.1]]), "targets": torch.tensor([[0.01, 0.99]])}
    objective = supervised(lambda prediction, target: 0.5 * ((target - prediction) ** 2).sum())
    groups = (Group(("0.weight", "2.weight"), {"lr": Varying("lr", 0.5)}),)
    description = StepDescription(network, objective, "SGD", groups, samples)
    rates = np.logspace(-2, 2.5, 1000)
    return Workload(description, Runs(1000, settings={"lr": rates}, keeps_losses=False, stops_early=False), 1000)


def published_map() -> Workload:
    """Return the map's network, at rates spread over the whole map."""
    rng = np.random.default_rng(0)
    samples = {"inputs": torch.from_numpy(rng.standard_normal((272, 16)))}
    samples["targets"] = torch.from_numpy(rng.standard_normal((272, 1)))
    groups = tuple(Group((name,), {"lr": Varying(f"lr.{name}", 1.0)}) for name in ("first", "second"))
    description = StepDescription(MapNetwork(rng), supervised(nn.functional.mse_loss), "SGD", groups, samples)
    rates = 10 ** rng.uniform(-3, 6, (2, 64))
    settings = {"lr.first": rates[0], "lr.second": rates[1]}
    return Workload(description, Runs(64, settings=settings, keeps_losses=False, stops_early=False), 50)


def digits() -> Workload:
    """Return the classifier of digits."""
    inputs, classes = load_digits(return_X_y=True)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    samples = {"inputs": torch.from_numpy(inputs / 16), "targets": torch.from_numpy(classes)}
    groups = (Group(tuple(name for name, _ in network.named_parameters()), {"lr": Varying("lr", 1e-2)}),)
    objective = supervised(nn.functional.cross_entropy)
    description = StepDescription(network, objective, "Adam", groups, samples, batch_size=64)
    order = np.random.default_rng(0).integers(0, len(inputs), (64, 64))
    settings = {"lr": np.logspace(-4, -0.5, 256)}
    runs = Runs(256, settings=settings, order=order, keeps_losses=False, stops_early=False)
    return Workload(description, runs, 64)


def peak(reps: int = 1_000_000, chains: int = 20) -> float:
    """Return the float64 multiply-adds of one thread, in 10⁹ operations a second of processor time."""
    kind = "<8 x double>"
    lines = ["define void @peak(ptr %out, i64 %count) {", "entry:", "  br label %loop", "loop:"]
    lines += ["  %i = phi i64 [ 0, %entry ], [ %next, %loop ]"]
    lines += [f"  %a{n} = phi {kind} [ zeroinitializer, %entry ], [ %b{n}, %loop ]" for n in range(chains)]
    for n in range(chains):
        arguments = f"{kind} %a{n}, {kind} splat (double 0.5), {kind} splat (double 1.0)"
        lines.append(f"  %b{n} = call {kind} @llvm.fma.v8f64({arguments})")
    lines += ["  %next = add i64 %i, 1", "  %more = icmp ult i64 %next, %count"]
    lines += ["  br i1 %more, label %loop, label %end", "end:"]
    lines += [f"  store volatile {kind} %b{n}, ptr %out, align 8" for n in range(chains)]
    function = compile_function("\n".join([*lines, "  ret void", "}"]), "peak", (ctypes.c_void_p, ctypes.c_int64))
    out = (ctypes.c_double * 8)()
    taken = processor_time(lambda: function(ctypes.addressof(out), reps))
    return reps * chains * 16 / taken * 1e-9


def processor_time(work: Callable[[], object]) -> float:
    """Return the seconds of processor time that some work takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def microseconds(kernel: Kernel, workload: Workload) -> float:
    """Return the processor time of a step of one run in a kernel."""
    taken = processor_time(lambda: kernel.run(workload.runs, workload.steps))
    return taken / workload.runs.count / workload.steps * 1e6


def main() -> None:
    """Print the figures as JSON."""
    torch.set_num_threads(1)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    compile_runs(worked_example().description)  # imports what tracing needs
    workloads = {"2-2-2": worked_example(), "map": published_map(), "digits": digits()}
    kernels: dict[tuple[str, str], Kernel] = {}
    figures: dict[str, object] = {
        "processor": platform.processor() or platform.machine(), "torch": torch.__version__,
        "llvmlite": llvmlite.__version__, "rounds": rounds,
    }  # fmt: skip
    times: dict[str, list[float]] = {"peak, 10⁹ operations a second": []}
    for name, workload in workloads.items():
        for precision in ("float64", "float32"):
            description = replace(workload.description, precision=precision)

            def build(key: tuple[str, str] = (name, precision), what: StepDescription = description) -> None:
                kernels[key] = compile_runs(what)

            figures[f"{name}, {precision}: build, s"] = round(processor_time(build), 2)
    for turn in range(rounds + 1):
        found = {"peak, 10⁹ operations a second": peak()}
        for (name, precision), kernel in kernels.items():
            found[f"{name}, {precision}: µs a run and step"] = microseconds(kernel, workloads[name])
        if turn:  # the first one warms up
            for key, value in found.items():
                times.setdefault(key, []).append(value)
    medians = {key: statistics.median(values) for key, values in times.items()}
    figures |= {key: round(value, 4) for key, value in medians.items()}
    per_second = MAP_OPERATIONS / medians["map, float64: µs a run and step"] * 1e-3
    share = per_second / medians["peak, 10⁹ operations a second"]
    figures["map, float64: share of the peak"] = round(share, 3)
    print(json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
