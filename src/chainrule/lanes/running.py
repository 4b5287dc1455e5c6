"""Running a kernel: runs packed into blocks of lanes, blocks given out to threads, results unpacked."""

import ctypes
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import ShapeError, UnknownNameError
from chainrule.lanes.shared_data import GROUP, SharedData

if TYPE_CHECKING:
    from chainrule.lanes.kernel import Kernel

Numbers = NDArray[Any]
ARGUMENTS: tuple[type, ...] = (*[ctypes.c_void_p] * 9, *[ctypes.c_int64] * 5)
_CALL = 3e8  # vector operations of one call: below a second, so that a run can be stopped between calls
_STEP_BYTES = 4 * 2**20  # of shared tensors that one call reads


@dataclass(frozen=True, slots=True)
class Runs:
    """What the runs begin with.

    Attributes:
        count: how many there are.
        initial: state → its value: of the state's shape for all runs, or [run, *shape]. What is not given is the
            network's own value; what the optimizer remembers is 0.
        settings: hyperparameter that varies → its value in each run.
        scale: state → a factor of its initial value in each run.
        offset: state → what is added to its initial value in each run, after the factor.
        seeds: of the random numbers of each run.
        order: which samples a step takes: [step, sample], the same for all runs, or [run, step, sample].
        keeps_losses: return the loss of every step.
        keeps_states: return the states after the last step.
        schedules: schedule → [step, 2]: the factor and the offset of each step, the same for all runs.
        stops_early: stop a block of runs when every loss of them will be NaN from now on. Losses and measure are the
            same; states would not be, so it is not done when they are kept.
    """

    count: int
    initial: Mapping[str, Numbers] = field(default_factory=dict)
    settings: Mapping[str, Numbers] = field(default_factory=dict)
    scale: Mapping[str, Numbers] = field(default_factory=dict)
    offset: Mapping[str, Numbers] = field(default_factory=dict)
    seeds: Numbers | None = None
    order: Numbers | None = None
    keeps_losses: bool = True
    keeps_states: bool = False
    stops_early: bool = True
    schedules: Mapping[str, Numbers] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the runs.

    Attributes:
        measure: of each run.
        lost_at: the first step whose loss was not finite, −1 for a run that had none.
        steps_run: the steps that were computed; fewer than asked for when a whole block had no number left.
        losses: [run, step], before the update of that step; None when not asked for.
        states: state → [run, *shape] after the last step; None when not asked for.
    """

    measure: Numbers
    lost_at: Numbers
    steps_run: Numbers
    losses: Numbers | None
    states: dict[str, Numbers] | None

    @property
    def diverged(self) -> Numbers:
        """Whether some loss of a run was not finite."""
        return self.lost_at >= 0


def run_blocks(job: "Job", threads: int) -> Outcome:
    """Run every block of runs, on that many threads, and return what became of them."""
    job.check()
    if threads <= 1:
        job.work()
    else:
        workers = [threading.Thread(target=job.work, daemon=True) for _ in range(threads)]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                while worker.is_alive():
                    worker.join(timeout=0.1)
        finally:
            job.is_stopped = True
    if job.failure is not None:
        raise job.failure
    return job.outcome()


class Job:
    """The runs that are to be done, taken by the threads a few blocks at a time, and their results."""

    def __init__(
        self,
        function: Callable[..., None],
        kernel: "Kernel",
        shared: SharedData,
        runs: Runs,
        steps: int,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.function, self.kernel, self.shared, self.runs, self.steps = function, kernel, shared, runs, steps
        self.progress = progress
        self.done = 0
        self.element = np.float64 if kernel.description.precision == "float64" else np.float32
        self.lock = threading.Lock()
        self.is_stopped = False
        self.failure: BaseException | None = None
        self.blocks = -(-runs.count // kernel.lanes)
        in_a_call = max(1, int(_CALL / max(kernel.code.work, 1)))
        at_once = min(in_a_call, int(_STEP_BYTES // max(shared.step_bytes, 1)))
        self.steps_of_call = max(GROUP, at_once // GROUP * GROUP)
        self.blocks_of_call = max(1, min(-(-self.blocks // 8), in_a_call // max(steps, 1), 64))
        self.next_block = 0
        self.stops = int(runs.stops_early and not runs.keeps_states)
        count = runs.count
        self.slots = {name: np.zeros(count, self.element) for name in kernel.measure.slots}
        self.steps_run = np.zeros(count, np.int64)
        self.losses = np.empty((count, steps), self.element) if runs.keeps_losses else None
        self.states = (
            {name: np.empty((count, *value.shape), self.element) for name, value in kernel.inputs.states.items()}
            if runs.keeps_states
            else None
        )

    def check(self) -> None:
        """Refuse runs whose arrays do not fit.

        Raises:
            UnknownNameError: a state or hyperparameter that the kernel does not have.
            ShapeError: an array of another shape, or an order that names samples that there are not.
        """
        states = {name: tuple(value.shape) for name, value in self.kernel.inputs.states.items()}
        wanted = {item.name for item in self.kernel.description.varying}
        for name, given in self.runs.initial.items():
            if name not in states:
                raise UnknownNameError.unknown_name("state of the training", name, states)
            _check_shape(name, np.shape(given), states[name], (self.runs.count, *states[name]))
        for given_names in (self.runs.scale, self.runs.offset):
            for name, given in given_names.items():
                if name not in states:
                    raise UnknownNameError.unknown_name("state of the training", name, states)
                _check_shape(name, np.shape(given), (self.runs.count,))
        for name, given in self.runs.settings.items():
            if name not in wanted:
                raise UnknownNameError.unknown_name("varying hyperparameter", name, wanted)
            _check_shape(name, np.shape(given), (self.runs.count,))
        self._check_order()
        self._check_schedules()
        if self.runs.seeds is not None:
            _check_shape("seeds", np.shape(self.runs.seeds), (self.runs.count,))
        for name in wanted - set(self.runs.settings):
            raise UnknownNameError(
                what=f"The hyperparameter '{name}' varies, but the runs say nothing of it.",
                expected=f"{self.runs.count} numbers, one for each run",
            )

    def _check_schedules(self) -> None:
        wanted = self.kernel.description.schedules
        for name, given in self.runs.schedules.items():
            if name not in wanted:
                raise UnknownNameError.unknown_name("schedule", name, wanted)
            _check_shape(name, np.shape(given), (self.steps, 2))
        for name in wanted:
            if name not in self.runs.schedules:
                raise UnknownNameError(
                    what=f"The schedule '{name}' moves a setting, but the runs say nothing of it.",
                    expected=f"an array of shape [{self.steps}, 2], with a factor and an offset for each step",
                )

    def _check_order(self) -> None:
        """Refuse an order that does not say which samples each step of each run takes."""
        description, order = self.kernel.description, self.runs.order
        size, count = description.batch_size, description.sample_count
        if size is None:
            if order is not None:
                raise ShapeError(what="There is an order of samples, but every step takes all of them.")
            return
        expected = (self.steps, size) if description.order == "shared" else (self.runs.count, self.steps, size)
        if order is None:
            text = f"order of shape {list(expected)}, with numbers of samples"
            raise ShapeError(what="Each step takes some of the samples, and nothing says which.", expected=text)
        _check_shape("order", np.shape(order), expected)
        if order.size and (order.min() < 0 or order.max() >= count):
            raise ShapeError(
                what="The order names samples that there are not.",
                found=f"numbers from {order.min()} to {order.max()}",
                expected=f"numbers from 0 to {count - 1}",
            )

    def work(self) -> None:
        """Take blocks until none is left."""
        try:
            scratch = _aligned((self.kernel.code.scratch,), np.uint8)
            while not self.is_stopped:
                with self.lock:
                    first = self.next_block
                    self.next_block += self.blocks_of_call
                if first >= self.blocks:
                    return
                self._blocks(scratch, first, min(first + self.blocks_of_call, self.blocks))
        except BaseException as error:  # handed to the thread that waits, which raises it
            self.failure = self.failure or error
            self.is_stopped = True

    def _blocks(self, scratch: Numbers, first: int, end: int) -> None:
        lanes, kernel = self.kernel.lanes, self.kernel
        rows = np.minimum(np.arange(first * lanes, end * lanes), self.runs.count - 1)
        count = end - first
        states = self._packed_states(rows, count)
        names = [item.name for item in kernel.description.varying]
        settings = self._packed([np.asarray(self.runs.settings[name])[rows][:, None] for name in names], count)
        seeds = np.zeros((count, lanes), np.int64)
        if self.runs.seeds is not None:
            seeds[:] = np.asarray(self.runs.seeds)[rows].reshape(count, lanes)
        slots = list(kernel.measure.slots.values())
        records = _aligned((count, max(len(slots), 1), lanes), self.element)
        records[:] = np.array(slots, self.element)[None, :, None]
        status = np.zeros((count, 2), np.int64)
        losses = np.empty((count, self.steps, lanes), self.element) if self.runs.keeps_losses else None
        step = 0
        while step < self.steps and not self.is_stopped:
            number = min(self.steps_of_call, self.steps - step)
            part = _aligned((count, number, lanes), self.element) if losses is not None else None
            shared = self.shared.steps(step, number)
            orders = self._orders(rows, count, step, number)
            self.function(
                scratch.ctypes.data, states.ctypes.data, settings.ctypes.data, seeds.ctypes.data,
                ctypes.addressof(shared.addresses), orders.ctypes.data, None if part is None else part.ctypes.data,
                records.ctypes.data, status.ctypes.data, count, step, number, self.steps, self.stops,
            )  # fmt: skip
            if losses is not None and part is not None:
                losses[:, step : step + number] = part
            step += number
        if step < self.steps:
            return  # another thread failed, or the user stopped
        self._unpack(first * lanes, states, records, status, losses)
        with self.lock:
            self.done += min(end * lanes, self.runs.count) - first * lanes
            if self.progress is not None:
                self.progress(self.done)

    def _orders(self, rows: Numbers, count: int, step: int, number: int) -> Numbers:
        order = self.runs.order
        if order is None or order.ndim != 3:
            return np.zeros(1, np.int32)
        lanes = self.kernel.lanes
        part = order[rows, step : step + number].reshape(count, lanes, number, -1)
        return np.ascontiguousarray(part.transpose(0, 2, 3, 1), dtype=np.int32)

    def _packed_states(self, rows: Numbers, count: int) -> Numbers:
        parts = []
        for name, value in self.kernel.inputs.states.items():
            given = np.asarray(self.runs.initial.get(name, value.numpy()))
            of_each = given.ndim == value.dim() + 1
            part = np.asarray(given[rows] if of_each else np.broadcast_to(given, (len(rows), *given.shape)))
            part = part.reshape(len(rows), -1)
            if name in self.runs.scale:
                part = part * np.asarray(self.runs.scale[name])[rows][:, None]
            if name in self.runs.offset:
                part = part + np.asarray(self.runs.offset[name])[rows][:, None]
            parts.append(part)
        return self._packed(parts, count)

    def _packed(self, parts: list[Numbers], count: int) -> Numbers:
        """Return [block, number, lane] of arrays [run, number]."""
        lanes = self.kernel.lanes
        width = sum(part.shape[1] for part in parts)
        packed = _aligned((count, max(width, 1), lanes), self.element)
        begin = 0
        for part in parts:
            end = begin + part.shape[1]
            with np.errstate(over="ignore"):  # a rate beyond float32 is infinite there, as PyTorch's is
                packed[:, begin:end] = part.reshape(count, lanes, -1).transpose(0, 2, 1)
            begin = end
        return packed

    def _unpack(self, begin: int, states: Numbers, records: Numbers, status: Numbers, losses: Numbers | None) -> None:
        lanes = self.kernel.lanes
        end = min(begin + len(states) * lanes, self.runs.count)
        own = slice(begin, end)
        for number, name in enumerate(self.kernel.measure.slots):
            self.slots[name][own] = records[:, number].reshape(-1)[: end - begin]
        self.steps_run[own] = np.repeat(status[:, 1], lanes)[: end - begin]
        if losses is not None and self.losses is not None:
            self.losses[own] = losses.transpose(0, 2, 1).reshape(-1, self.steps)[: end - begin]
        if self.states is not None:
            place = 0
            for target in self.states.values():
                size = int(np.prod(target.shape[1:], dtype=int))
                part = states[:, place : place + size].transpose(0, 2, 1).reshape(-1, size)
                target[own] = part[: end - begin].reshape(-1, *target.shape[1:])
                place += size

    def outcome(self) -> Outcome:
        """Return what became of the runs."""
        lost = self.slots["lost_at"]
        lost_at = np.where(np.isinf(lost), -1, np.where(np.isinf(lost), 0, lost)).astype(np.int64)
        with np.errstate(all="ignore"):
            measure = self.kernel.measure.finish(self.slots, self.steps)
        return Outcome(measure, lost_at, self.steps_run, self.losses, self.states)


def _check_shape(name: str, found: tuple[int, ...], *expected: tuple[int, ...]) -> None:
    if found not in expected:
        raise ShapeError(
            what=f"The numbers given for '{name}' have another shape.",
            found=str(list(found)),
            expected=" or ".join(str(list(shape)) for shape in expected),
        )


def _aligned(shape: tuple[int, ...], element: Any) -> Numbers:
    """Return an array whose memory begins where a vector may."""
    size = int(np.prod(shape, dtype=int)) * np.dtype(element).itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    aligned: Numbers = memory[start : start + size].view(element).reshape(shape)
    return aligned
