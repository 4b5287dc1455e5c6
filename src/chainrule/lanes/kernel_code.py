"""The function that a kernel is: blocks of runs, in each of them the steps, in each step the stages of the plan.

run(scratch, states, settings, seeds, shared, orders, losses, records, status, blocks, first, count, total, stops)

scratch   memory of one thread, `KernelCode.scratch` bytes
states    [block][element of every state, one state after the other][lane]; read, and written at the end
settings  [block][hyperparameter][lane]
seeds     [block][lane], i64
shared    the addresses of the shared tensors; those that change have `count` versions, one after the other
orders    [block][step][sample of the step][lane], i32: which sample; only when each run has an order of its own
losses    [block][step][lane], or null
records   [block][slot of the measure][lane]; read, and written at the end
status    [block]: is it stopped, how many steps it ran; i64 each
first     the number of the first step, of `count` steps in this call and `total` steps in all
stops     whether a block stops when its runs can only give NaN
"""

import math
from dataclasses import dataclass

from chainrule.lanes.assemblies import ASSEMBLIES
from chainrule.lanes.expressions import Code, Place, Tile
from chainrule.lanes.forms import Form, form_of, sums_over_samples
from chainrule.lanes.generator import generator_definitions
from chainrule.lanes.graph import Kind, Node, Source
from chainrule.lanes.indices import Index, Variable, linear
from chainrule.lanes.mathematics import Precision, definitions
from chainrule.lanes.measures import Measure, Moment, Slots
from chainrule.lanes.plan import Job, Plan, Store
from chainrule.lanes.pointwise import choose, test
from chainrule.lanes.products import write_product
from chainrule.lanes.reductions import first_value, write_reduction
from chainrule.lanes.shared_memory import SharedMemory
from chainrule.lanes.unsupported import Unsupported
from chainrule.lanes.views import aligned
from chainrule.lanes.writer import Value, Writer

NAME = "run"
_TILE_BYTES = 24 * 1024  # of what a tile keeps: most of the nearest cache
_SMALL_STEP = 600  # vector operations that are written out without loops
_PARAMETERS = ("scratch", "states", "settings", "seeds", "shared", "orders", "losses", "records", "status")
_NUMBERS = ("blocks", "first", "count", "total", "stops")


@dataclass(frozen=True, slots=True)
class Shape:
    """How a kernel uses the processor.

    Attributes:
        lanes: the runs of a block.
        registers: the vectors of that many numbers that fit into the processor's registers.
        tile: the samples that are computed together; None: as many as the cache takes.
    """

    lanes: int
    registers: int
    tile: int | None = None


@dataclass(frozen=True, slots=True)
class KernelCode:
    """A kernel as text.

    Attributes:
        text: in LLVM's language.
        scratch: the bytes of memory that each thread gives it.
        tile: the samples that it computes together.
        work: about how many vector operations a step takes.
    """

    text: str
    scratch: int
    tile: int
    work: int


def write_kernel(
    plan: Plan, precision: Precision, shape: Shape, measure: Measure, absorbing: frozenset[Node]
) -> KernelCode:
    """Return the code of a kernel.

    Args:
        plan: the step.
        precision: what it computes with.
        shape: how it uses the processor.
        measure: what it says about a run.
        absorbing: states that are NaN for ever, as is the loss, once all their elements are.
    """
    return _Kernel(plan, precision, shape, measure, absorbing).write()


def work(plan: Plan) -> int:
    """Return about how many vector operations a step takes."""
    total = 0
    for jobs in plan.stages:
        for job in jobs:
            for node in job.nodes:
                depth = node.arguments[0].shape[-1] if form_of(node) is Form.PRODUCT else 1
                inputs = max([node.size, *(source.size for source in node.inputs)])
                total += node.size * depth if depth > 1 else inputs
            total += sum(store.value.size for store in job.stores)
    return total


def tile_of(plan: Plan, vector_bytes: int) -> int:
    """Return how many samples are computed together.

    What they keep should fit into the nearest cache. Where the sums over samples are larger than that cache, each tile
    reads and writes them farther away, and a tile should be worth the way: about as large as they are (measured on
    64-H-10 networks, H from 32 to 1024; tiles that fit into a cache took up to four times as long).
    """
    samples = max(plan.graph.samples, 1)
    each = max([1, *(_bytes_of_sample(plan, jobs, vector_bytes) for jobs in plan.stages[1::2])])
    sums = sum(node.size for node in plan.kept if sums_over_samples(node)) * vector_bytes
    budget = max(_TILE_BYTES, sums * 4 // 3)
    most = max(1, min(samples, budget // each))
    if most >= samples:
        return samples
    divisors = [number for number in range(1, most + 1) if samples % number == 0]
    return divisors[-1] if divisors[-1] * 2 > most else most


def _bytes_of_sample(plan: Plan, jobs: list[Job], vector_bytes: int) -> int:
    """Return the memory that a sample needs at once in a loop over samples."""
    memory = SharedMemory()
    samples = max(plan.graph.samples, 1)
    own = [node for job in jobs for node in job.nodes if node in plan.lives and node.batch is not None]
    memory.places({node: (*plan.lives[node], node.size // samples * vector_bytes) for node in own})
    return memory.size


class _Kernel:
    def __init__(
        self, plan: Plan, precision: Precision, shape: Shape, measure: Measure, absorbing: frozenset[Node]
    ) -> None:
        self.plan = plan
        self.shape = shape
        self.measure = measure
        self.absorbing = absorbing
        self.writer = Writer(precision, shape.lanes)
        self.unrolls = work(plan) <= _SMALL_STEP
        self.code = Code(self.writer, plan, unrolls=self.unrolls)
        self.tile = min(shape.tile or tile_of(plan, self.writer.bytes), max(plan.graph.samples, 1))
        self.scratch = 0
        self.slots: list[str] = []

    def write(self) -> KernelCode:
        self._place_everything()
        self._blocks()
        head = ", ".join([f"ptr noalias %{name}" for name in _PARAMETERS] + [f"i64 %{name}" for name in _NUMBERS])
        writer = self.writer
        body = ["entry:", *writer.allocations, *writer.lines, "  ret void"]
        functions = definitions(writer.functions, writer.lanes, writer.precision)
        generators = generator_definitions(writer.generators, writer.lanes, writer.precision)
        text = "\n".join([functions, generators, f"define void @{NAME}({head}) {{", *body, "}"])
        return KernelCode(text, max(self.scratch, 64), self.tile, work(self.plan))

    # Memory ---------------------------------------------------------------------------------------------------------

    def _address(self, count: int) -> str:
        """Return the address of that many vectors: on the stack when the step is small, else in the scratch memory."""
        if self.unrolls:
            return self.writer.allocate(max(count, 1))
        place = self.writer.value(f"getelementptr i8, ptr %scratch, i64 {self.scratch}")
        self.scratch += -(-max(count, 1) * self.writer.bytes // 64) * 64
        return place

    def _place_everything(self) -> None:
        plan, places = self.plan, self.code.places
        for node in plan.graph.states:
            places[node] = Place(self._address(node.size), node.shape, is_tile=False)
        self.detours = {node: self._address(node.size) for node in plan.detours}
        passing: list[Node] = []
        for node in plan.graph.nodes:
            if node not in plan.kept or node in plan.unstored:
                continue
            if node in plan.lives and not self.unrolls:
                passing.append(node)
            else:
                places[node] = self._place(node, self._address(math.prod(self._kept_shape(node))))
        begin = self.scratch
        for jobs in plan.stages:
            memory = SharedMemory()
            own = [node for job in jobs for node in job.nodes if node in passing]
            sizes = {node: -(-math.prod(self._kept_shape(node)) * self.writer.bytes // 64) * 64 for node in own}
            for node, start in memory.places({node: (*plan.lives[node], sizes[node]) for node in own}).items():
                address = self.writer.value(f"getelementptr i8, ptr %scratch, i64 {begin + start}")
                places[node] = self._place(node, address)
            self.scratch = max(self.scratch, begin + memory.size)

    def _kept_shape(self, node: Node) -> tuple[int, ...]:
        """Return the extents of a node in memory: of a tile only, when it is not kept for all samples."""
        if node.batch is None or node in self.plan.whole:
            return node.shape
        place = node.batch.dimension
        return (*node.shape[:place], self.tile * node.batch.inner, *node.shape[place + 1 :])

    def _place(self, node: Node, address: str) -> Place:
        is_tile = node.batch is not None and node not in self.plan.whole
        return Place(address, self._kept_shape(node), is_tile=is_tile)

    # Blocks and steps -----------------------------------------------------------------------------------------------

    def _blocks(self) -> None:
        writer = self.writer
        bases = [
            writer.value(f"load ptr, ptr {writer.value(f'getelementptr ptr, ptr %shared, i64 {number}')}, align 8")
            for number in range(len(self.plan.shared))
        ]
        self.bases = dict(zip(self.plan.shared, bases, strict=True))
        before, head, end = writer.block, writer.new("block"), writer.new("done")
        writer.write(f"br label %{head}")
        writer.begin(head)
        here = len(writer.lines)
        self._block("%block")
        follow = writer.value("add nuw nsw i64 %block, 1")
        again = writer.value(f"icmp ult i64 {follow}, %blocks")
        writer.write(f"br i1 {again}, label %{head}, label %{end}")
        writer.lines.insert(here, f"  %block = phi i64 [ 0, %{before} ], [ {follow}, %{writer.block} ]")
        writer.begin(end)

    def _row(self, base: str, block: str, vectors: int | str, size: int | None = None) -> str:
        """Write the address of a block's part of an array."""
        start = self.writer.value(f"mul i64 {block}, {vectors}")
        return self.writer.value(f"getelementptr [{size or self.writer.bytes} x i8], ptr {base}, i64 {start}")

    def _block(self, block: str) -> None:
        writer, graph = self.writer, self.plan.graph
        total = sum(node.size for node in graph.states)
        own_states = self._row("%states", block, max(total, 1))
        self._copy_states(own_states, loads=True)
        settings = [node for node in graph.nodes if node.source is Source.SETTING]
        own_settings = self._row("%settings", block, max(len(settings), 1))
        for node in settings:
            self.code.settings[node] = writer.load(own_settings, Index(node.number))
        self.own_losses = self._row("%losses", block, "%count")
        self.own_records = self._row("%records", block, max(len(self.measure.slots), 1))
        self.own_status = self._row("%status", block, 1, 16)
        self.own_orders = self._row("%orders", block, "%count", 4 * writer.lanes * max(graph.samples, 1))
        own_seeds = self._row("%seeds", block, 1, 8 * writer.lanes)
        self.seeds = writer.value(f"load <{writer.lanes} x i64>, ptr {own_seeds}, align 8")
        self._steps()
        self._copy_states(own_states, loads=False)

    def _copy_states(self, memory: str, *, loads: bool) -> None:
        writer = self.writer
        begin = 0
        for node in self.plan.graph.states:
            own = self.code.places[node].address

            def copy(index: Index, begin: int = begin, own: str = own) -> None:
                if loads:
                    writer.store(writer.load(memory, index + begin), own, index)
                else:
                    writer.store(writer.load(own, index), memory, index + begin)

            writer.loop(node.size, copy, unrolled=self.unrolls)
            begin += node.size

    def _steps(self) -> None:
        """Write the loop over steps, and the short one that goes on counting for a block that has stopped."""
        writer = self.writer
        body, after, rest, tail, done = (writer.new(name) for name in ("step", "alive", "rest", "tail", "left"))
        stopped = writer.value(f"load i64, ptr {self.own_status}, align 8")
        is_stopped = writer.value(f"icmp ne i64 {stopped}, 0")
        before = writer.block
        writer.write(f"br i1 {is_stopped}, label %{rest}, label %{body}")
        writer.begin(body)
        here = len(writer.lines)
        loss = self._step("%turn")
        self._record("%turn", loss)
        follow = writer.value("add nuw nsw i64 %turn, 1")
        runs = self._stops(loss)
        again = writer.value(f"icmp ult i64 {follow}, %count")
        goes_on = writer.value(f"and i1 {again}, {runs}")
        writer.write(f"br i1 {goes_on}, label %{body}, label %{after}")
        writer.lines.insert(here, f"  %turn = phi i64 [ 0, %{before} ], [ {follow}, %{writer.block} ]")
        writer.begin(after)
        ran = writer.value(f"add i64 %first, {follow}")
        writer.write(f"store i64 {ran}, ptr {writer.value(f'getelementptr i8, ptr {self.own_status}, i64 8')}, align 8")
        writer.write(f"br label %{rest}")
        writer.begin(rest)
        start = writer.value(f"phi i64 [ 0, %{before} ], [ {follow}, %{after} ]")
        is_more = writer.value(f"icmp ult i64 {start}, %count")
        writer.write(f"br i1 {is_more}, label %{tail}, label %{done}")
        writer.begin(tail)
        here = len(writer.lines)
        self._record("%late", writer.constant(math.nan))
        follow = writer.value("add nuw nsw i64 %late, 1")
        again = writer.value(f"icmp ult i64 {follow}, %count")
        writer.write(f"br i1 {again}, label %{tail}, label %{done}")
        writer.lines.insert(here, f"  %late = phi i64 [ {start}, %{rest} ], [ {follow}, %{writer.block} ]")
        writer.begin(done)

    def _record(self, turn: str, loss: Value) -> None:
        """Write the loss of a step where it is wanted, and update the measure."""
        writer = self.writer
        store, after = writer.new("keep"), writer.new("kept")
        wants = writer.value("icmp ne ptr %losses, null")
        writer.write(f"br i1 {wants}, label %{store}, label %{after}")
        writer.begin(store)
        writer.store(loss, self.own_losses, Index(0, ((Variable(turn, 2**40), 1),)))
        writer.write(f"br label %{after}")
        writer.begin(after)
        step = writer.value(f"add i64 %first, {turn}")
        slots: Slots = {
            name: writer.load(self.own_records, Index(number)) for number, name in enumerate(self.measure.slots)
        }
        new = self.measure.update(writer, slots, loss, Moment(step, "%total"))
        for number, name in enumerate(self.measure.slots):
            writer.store(new[name], self.own_records, Index(number))

    def _stops(self, loss: Value) -> str:
        """Write the test whether any lane still has something to compute, and note it when none has."""
        writer = self.writer
        if not self.absorbing:
            return "true"
        look, stop, after = writer.new("look"), writer.new("stop"), writer.new("looked")
        lost = test(writer, "uno", loss, loss)
        bits = writer.value(f"bitcast {writer.mask} {lost.name} to i{writer.lanes}")
        all_lost = writer.value(f"icmp eq i{writer.lanes} {bits}, -1")
        may_stop = writer.value("icmp ne i64 %stops, 0")
        all_lost = writer.value(f"and i1 {all_lost}, {may_stop}")
        before = writer.block
        writer.write(f"br i1 {all_lost}, label %{look}, label %{after}")
        writer.begin(look)
        ends = Value("splat (i1 false)", Kind.BOOL)
        for node in sorted(self.absorbing, key=lambda node: node.number):
            place = self.code.places[node].address

            def every(index: Index, found: list[Value], place: str = place) -> list[Value]:
                value = writer.load(place, index)
                nan = test(writer, "uno", value, value)
                return [Value(writer.value(f"and {writer.mask} {found[0].name}, {nan.name}"), Kind.BOOL)]

            (gone,) = writer.accumulate(node.size, [Value("splat (i1 true)", Kind.BOOL)], every)
            ends = Value(writer.value(f"or {writer.mask} {ends.name}, {gone.name}"), Kind.BOOL)
        bits = writer.value(f"bitcast {writer.mask} {ends.name} to i{writer.lanes}")
        all_ended = writer.value(f"icmp eq i{writer.lanes} {bits}, -1")
        looked = writer.block
        writer.write(f"br i1 {all_ended}, label %{stop}, label %{after}")
        writer.begin(stop)
        writer.write(f"store i64 1, ptr {self.own_status}, align 8")
        writer.write(f"br label %{after}")
        writer.begin(after)
        return writer.value(f"phi i1 [ true, %{before} ], [ true, %{looked} ], [ false, %{stop} ]")

    # One step -------------------------------------------------------------------------------------------------------

    def _step(self, turn: str) -> Value:
        writer, code = self.writer, self.code
        for node, base in self.bases.items():
            code.shared[node] = base
            if node.changes and not node.is_lane:
                size = node.size * (writer.bits // 8 if node.kind is Kind.FLOAT else 8)
                code.shared[node] = self._row(base, turn, 1, size)
        self.turn = turn
        for number, jobs in enumerate(self.plan.stages[:-1]):
            if number % 2:
                self._sample_loop(jobs)
            else:
                for job in jobs:
                    self._job(job)
        last = self.plan.stages[-1]
        stores = next((number for number, job in enumerate(last) if job.stores), len(last))
        for job in last[:stores]:
            self._job(job)
        with code.scope(alone=True):
            loss = code.value(self.plan.graph.loss, [Index(0)] * len(self.plan.graph.loss.shape))
        nan = test(writer, "uno", loss, loss)
        loss = choose(writer, nan, writer.constant(math.nan), loss)  # of the many NaNs always the same one
        for job in last[stores:]:
            self._job(job)
        for node, address in self.detours.items():
            self._copy(address, code.places[node].address, node.size)
        return loss

    def _copy(self, source: str, target: str, count: int) -> None:
        writer = self.writer
        writer.loop(count, lambda index: writer.store(writer.load(source, index), target, index), unrolled=self.unrolls)

    def _sample_loop(self, jobs: list[Job]) -> None:
        code, samples = self.code, self.plan.graph.samples
        for job in jobs:
            for node in job.nodes:
                if sums_over_samples(node):
                    self._begin_sum(node)
        whole = samples // self.tile

        def tile(start: Index, count: int) -> None:
            code.tile = Tile(start, count)
            for job in jobs:
                self._job(job)
            code.tile = None

        self.writer.loop(whole, lambda number: tile(number * self.tile, self.tile), unrolled=self.unrolls)
        if samples % self.tile:
            tile(Index(whole * self.tile), samples % self.tile)

    def _begin_sum(self, node: Node) -> None:
        code = self.code
        form = form_of(node)

        def begin(indices: list[Index]) -> None:
            if form is Form.SCATTER:
                value = code.value(node.arguments[0], aligned(indices, node.arguments[0].shape))
            else:
                value = first_value(code, node) if form is Form.REDUCTION else self.writer.constant(0.0)
            code.store(value, node, indices)

        with code.scope(alone=True):
            code.loops([(Index(0), extent) for extent in node.shape], begin)

    def _job(self, job: Job) -> None:
        code = self.code
        with code.scope(alone=True):
            if job.is_pointwise:
                code.loops(code.ranges(job.shape, job.batch), lambda indices: self._elements(job, indices))
                return
            node = job.nodes[0]
            form = form_of(node)
            if form is Form.RANDOM:
                self._draw(node)
            elif form is Form.INPUT:
                self._own_samples(node)
            elif form is Form.PRODUCT:
                write_product(code, node, self.shape.registers)
            elif form is Form.REDUCTION:
                write_reduction(code, node)
            elif form in (Form.ASSEMBLY, Form.SCATTER):
                ASSEMBLIES[node.op](code, node)
            else:
                raise Unsupported.because(f"It has no code for {form.value} here.", node.op)

    def _draw(self, node: Node) -> None:
        """Write the drawing of random numbers: functions of the run's seed, step, op and element."""
        code, writer = self.code, self.writer
        name = "normal" if node.op.startswith("randn") else "uniform"
        writer.generators.add(name)
        step = writer.value(f"add i64 %first, {self.turn}")

        def draw(indices: list[Index]) -> None:
            element = writer.position(linear(indices, node.shape))
            place = f"i64 {step}, i64 {node.number}, i64 {element}"
            number = writer.value(f"call {writer.vector} @lane_{name}(<{writer.lanes} x i64> {self.seeds}, {place})")
            code.store(Value(number, Kind.FLOAT), node, indices)

        code.loops(code.ranges(node.shape, node.batch), draw)

    def _own_samples(self, node: Node) -> None:
        """Write the copying of each run's own samples, which the order of that run names."""
        code, writer = self.code, self.writer
        (first, count), *rest = code.ranges(node.shape, node.batch)
        each = math.prod(node.shape[1:])
        size = writer.bits // 8 if node.kind is Kind.FLOAT else 8
        wide = f"<{writer.lanes} x i64>"
        step = self._row(self.own_orders, self.turn, self.plan.graph.samples, 4 * writer.lanes)

        def sample(offset: Index) -> None:
            place = writer.address(step, first + offset, 4 * writer.lanes)
            rows = writer.value(f"load <{writer.lanes} x i32>, ptr {place}, align 4")
            rows = writer.value(f"sext <{writer.lanes} x i32> {rows} to {wide}")
            starts = writer.value(f"mul {wide} {rows}, splat (i64 {each})")

            def element(indices: list[Index]) -> None:
                number = writer.position(linear(indices, node.shape[1:]))
                places = writer.value(f"add {wide} {starts}, {writer.spread(number, 'i64')}")
                base = code.shared[node]
                pointers = writer.value(f"getelementptr [{size} x i8], ptr {base}, {wide} {places}")
                code.store(code.read_each(pointers, node, size, is_shared=True), node, [first + offset, *indices])

            writer.loops([extent for _, extent in rest], element, unrolled=self.unrolls)

        writer.loop(count, sample, unrolled=self.unrolls)

    def _elements(self, job: Job, indices: list[Index]) -> None:
        """Write one element of each node of a job: first all values, then all that is kept of them."""
        code = self.code
        values = [(node, code.value(node, indices, inside=True)) for node in job.nodes]
        new = [(store, code.value(store.value, indices)) for store in job.stores]
        for node, value in values:
            if node not in self.plan.unstored:
                code.store(value, node, indices)
        for store, value in new:
            self._store_state(store, value, indices)

    def _store_state(self, store: Store, value: Value, indices: list[Index]) -> None:
        if store.state in self.detours:
            self.writer.store(value, self.detours[store.state], linear(indices, store.state.shape))
        else:
            self.code.store(value, store.state, indices)
