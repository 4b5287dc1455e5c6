"""A compiled training: many runs of one network, each in a lane of the processor's vectors."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import fx

from chainrule.lanes.absorbing import absorbing_states
from chainrule.lanes.building import build_graph
from chainrule.lanes.checking import STEPS, check_outcome, check_samples, runs_to_check
from chainrule.lanes.description import StepDescription
from chainrule.lanes.graph import Graph
from chainrule.lanes.kernel_code import NAME, KernelCode, Shape, work, write_kernel
from chainrule.lanes.mathematics.block import BITS
from chainrule.lanes.measures import Measure, final_loss, with_divergence
from chainrule.lanes.plan import Plan, make_plan
from chainrule.lanes.running import ARGUMENTS, Job, Outcome, Runs, run_blocks
from chainrule.lanes.shared_data import SharedData
from chainrule.lanes.tracing import StepInputs, trace_step
from chainrule.native import compile_function, vector_registers

_LONG = 8000  # lines of code, from which on LLVM's passes take seconds and gain little


@dataclass(frozen=True, slots=True, repr=False)  # the nodes of its graph name one another
class Kernel:
    """A training that is compiled for this processor.

    Attributes:
        description: what it trains.
        inputs: of its step, with the network's own initial values.
        traced: the step as torch.fx traced it.
        graph: its step.
        plan: how it computes the step.
        code: its text and the memory that a thread needs.
        lanes: how many runs a block has.
        measure: what it says about a run.
    """

    description: StepDescription
    inputs: StepInputs
    traced: fx.GraphModule
    graph: Graph
    plan: Plan
    code: KernelCode
    lanes: int
    measure: Measure

    def run(
        self, runs: Runs, steps: int, *, threads: int = 1, progress: Callable[[int], None] | None = None
    ) -> Outcome:
        """Train every run for some steps.

        Args:
            runs: initial states, hyperparameters and what is asked for.
            steps: how many.
            threads: of the processor to use; results do not depend on it.
            progress: is told how many runs are done, each time some are. What it raises ends the training.
        """
        function = compile_function(
            self.code.text, NAME, ARGUMENTS, passes=self.code.text.count("\n") <= _LONG, loops=False
        )
        shared = SharedData(self.description, self.inputs, self.traced, self.plan, runs.order, runs.schedules)
        return run_blocks(Job(function, self, shared, runs, steps, progress), threads)

    def __repr__(self) -> str:
        kind = type(self.description.network).__name__
        return (
            f"Kernel({kind}, {self.description.optimizer}, {self.description.precision}, "
            f"{self.lanes} runs a block, about {self.code.work:,} vector operations a step)"
        )


def compile_runs(description: StepDescription, *, measure: Measure | None = None, shape: Shape | None = None) -> Kernel:
    """Return the kernel of a training step.

    Args:
        description: one run's step.
        measure: what to say about a run; None: its last loss.
        shape: how to use the processor; None: as suits it. Results do not depend on it.

    Raises:
        Unsupported: the step cannot be computed by lanes, with the reason; or a few steps of the kernel differ from
            those of the plain PyTorch loop in float64, with the numbers.
    """
    traced, inputs = trace_step(description)
    own = description.order == "own" and description.batch_size is not None
    graph = build_graph(traced, inputs, has_batches=description.batch_size is not None, own_order=own)
    plan = make_plan(graph)
    shape = shape or usual_shape(description, plan)
    measure = with_divergence(measure or final_loss())
    code = write_kernel(plan, description.precision, shape, measure, absorbing_states(traced, graph, inputs))
    kernel = Kernel(description, inputs, traced, graph, plan, code, shape.lanes, measure)
    check_samples(description)
    runs = runs_to_check(description, inputs.states)
    check_outcome(description, runs, kernel.run(runs, STEPS))
    return kernel


def usual_shape(description: StepDescription, plan: Plan) -> Shape:
    """Return how to use this processor: one register of runs, and four for steps that are mostly waiting."""
    bits, count = vector_registers()
    lanes = bits // BITS[description.precision]
    if work(plan) <= 200:
        return Shape(lanes * 4, count // 4)
    return Shape(lanes, count)
