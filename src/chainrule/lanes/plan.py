"""In which order the nodes of a step are computed, which of them are kept in memory, and what runs in one loop.

A step is a row of stages. Even stages compute what has nothing to do with single samples; odd stages are loops over
tiles of samples, in which all that carries samples is computed for one tile, so that it stays in the processor's
nearest cache. Most steps have one such loop: forward, loss and gradients of a tile, which are added up over the tiles.
What needs a sum over all samples before it can look at one of them again (batch normalisation) begins another loop.

Within a stage, element-by-element work over the same elements shares a loop, and what passes between them stays in
registers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from chainrule.lanes.forms import Form, GatherPlace, form_of, is_known, mark_batch, sums_over_samples
from chainrule.lanes.graph import Batch, Graph, Node, Source
from chainrule.lanes.indices import Index, Variable, as_index, structural, text
from chainrule.lanes.pointwise import POINTWISE
from chainrule.lanes.views import VIEWS, Indices, aligned, viewed

_EXPENSIVE = 20  # times an addition
ReadPlace: TypeAlias = Callable[[Node, Indices], Index | Variable]  # (tensor of places, where in it) → the place
_INLINE = frozenset({Form.VIEW, Form.POINTWISE, Form.GATHER, Form.FILL})


@dataclass(eq=False, slots=True)
class Store:
    """The last thing done to a state in a step: its new value is written over the old one."""

    state: Node
    value: Node


@dataclass(eq=False, slots=True)
class Job:
    """Work of one loop: one node that needs a loop of its own, or several of the same elements."""

    nodes: list[Node] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    batch: Batch | None = None
    is_pointwise: bool = True


@dataclass(slots=True)
class Plan:
    """How a step is computed.

    Attributes:
        graph: the step.
        stages: the jobs of each stage; odd ones are loops over tiles of samples.
        kept: the nodes that have a place in memory.
        whole: those of them that carry samples and are kept for all samples, not for a tile only.
        unstored: pointwise nodes that are read only in the loop that computes them, and need no memory after all.
        shared: the shared nodes that the kernel reads.
        detours: states whose new value must be kept apart until every reader of the old one is done.
        lives: of each kept node that only its own stage reads, the first and the last job that needs it.
    """

    graph: Graph
    stages: list[list[Job]]
    kept: set[Node]
    whole: set[Node]
    unstored: set[Node]
    shared: list[Node]
    detours: set[Node]
    lives: dict[Node, tuple[int, int]] = field(default_factory=dict)


def make_plan(graph: Graph) -> Plan:
    """Return how a step is computed.

    Raises:
        Unsupported: an op that kernels cannot compute.
    """
    if graph.samples > 1:
        for node in graph.nodes:
            mark_batch(node)
    else:
        for node in graph.nodes:
            node.batch = None
    needed = _needed(graph)
    lanes = [node for node in graph.nodes if node in needed and node.is_lane and node.source is not Source.STATE]
    lanes = [node for node in lanes if node.source is not Source.SETTING]
    stage = _stages(lanes)
    kept = _kept(graph, lanes, stage)
    jobs = _jobs(graph, lanes, kept, stage)
    plan = Plan(graph, jobs, kept, set(), set(), _shared(graph, lanes), set())
    _settle(plan)
    return plan


def reads(
    node: Node, indices: Indices, kept: set[Node], *, inside: bool = False
) -> Iterator[tuple[Node, tuple[Index, ...]]]:
    """Yield the kept nodes, states and own samples that an element is computed from, and where in them.

    Args:
        node: what is read.
        indices: where in it.
        kept: the nodes that have a place in memory.
        inside: look at what the node is computed from even if it is kept.
    """
    if not node.is_lane:
        return
    if node.source is not None or (node in kept and not inside):
        yield node, tuple(indices)
        return
    form = form_of(node)
    if form is Form.VIEW:
        yield from reads(viewed(node), VIEWS[node.op](node, indices, structural), kept)
    elif form is Form.POINTWISE:
        for source in node.inputs:
            yield from reads(source, aligned(indices, source.shape), kept)
    elif form is Form.GATHER:
        source, places = gathered(node, indices)
        for index, where in places:
            yield from reads(index, where, kept)
        yield from reads(source, gather_indices(node, indices, lambda index, where: _unknown(node, index, where)), kept)


def gathered(node: Node, indices: Indices) -> tuple[Node, list[tuple[Node, Indices]]]:
    """Return the tensor that a gather reads, and the tensors of places with their own indices."""
    source = node.arguments[0]
    if node.op == "gather":
        return source, [(node.arguments[2], list(indices))]
    if node.op == "index":
        place = GatherPlace(node)
        own = indices[place.start : place.start + place.rank]
        return source, [(index, aligned(own, index.shape)) for index in place.indices]
    index = node.arguments[1] if node.op == "embedding" else node.arguments[2]
    start = 0 if node.op == "embedding" else node.arguments[1] % len(source.shape)
    return source, [(index, list(indices[start : start + len(index.shape)]))]


def gather_indices(node: Node, indices: Indices, at: ReadPlace) -> Indices:
    """Return the indices in the tensor that a gather reads; `at` reads a place from a tensor of places."""
    source, places = gathered(node, indices)
    found = [as_index(at(index, where)) for index, where in places]
    if node.op == "gather":
        dimension = node.arguments[1] % max(len(source.shape), 1)
        return [*indices[:dimension], *found, *indices[dimension + 1 :]]
    if node.op == "index":
        place = GatherPlace(node)
        return [*indices[: place.start], *found, *indices[place.start + place.rank :]]
    index = places[0][0]
    start = 0 if node.op == "embedding" else node.arguments[1] % len(source.shape)
    return [*indices[:start], *found, *indices[start + len(index.shape) :]]


def _unknown(node: Node, index: Node, where: Indices) -> Variable:
    return Variable(f"{node.name}[{index.name}[{','.join(text(i) for i in where)}]]", 2**40)


def _needed(graph: Graph) -> set[Node]:
    needed = {graph.loss, *graph.updates}
    for node in reversed(graph.nodes):
        if node in needed and form_or_none(node) is not Form.FILL:
            needed.update(node.inputs)
    return needed


def form_or_none(node: Node) -> Form | None:
    """Return the form of a node, or None of a shared one that only torch can compute."""
    return form_of(node) if is_known(node) else None


def _stages(lanes: list[Node]) -> dict[Node, int]:
    """Return the stage of each node: the first in which everything that it reads is there."""
    stage: dict[Node, int] = {}
    for node in lanes:
        in_loop = node.batch is not None or sums_over_samples(node)
        first = 1 if in_loop else 0
        for source in node.inputs:
            if source not in stage:
                continue
            ready = stage[source] + (1 if sums_over_samples(source) else 0)
            if source.batch is not None and not in_loop:
                ready += 1  # all samples of it
            first = max(first, ready + (ready % 2 != first % 2))
        stage[node] = first
    return stage


def _kept(graph: Graph, lanes: list[Node], stage: dict[Node, int]) -> set[Node]:
    """Return the nodes that get a place in memory; the rest is computed where it is read."""
    kept: set[Node] = set()
    readers: dict[Node, set[Node]] = {}
    cost = _costs(lanes)
    wide = _widest(graph, lanes)
    for node in reversed(lanes):
        own: set[Node] = set()
        for user in node.users:
            own |= {user} if user in kept or form_or_none(user) not in _INLINE else readers.get(user, set())
        if node in graph.updates:
            own = own | {graph.loss}
        form = form_of(node)
        if (
            form not in _INLINE
            or (form is Form.POINTWISE and _is_worth_keeping(node, own, stage, cost[node], wide[node]))
            or (form is Form.GATHER and any(index.is_lane for index, _ in gathered(node, _own_indices(node))[1]))
        ):
            kept.add(node)
        readers[node] = own
    for node in lanes:  # what is gathered by each lane at its own place must lie in memory
        if node in kept and form_of(node) is Form.GATHER:
            source = node.arguments[0]
            if source.is_lane and source.source is None:
                kept.add(source)
    return kept


def _is_worth_keeping(node: Node, readers: set[Node], stage: dict[Node, int], cost: int, widest: int) -> bool:
    if any(form_of(reader) is Form.PRODUCT for reader in readers):
        return True
    later = any(stage.get(reader, 0) > stage[node] for reader in readers)
    if node.batch is not None and later:
        return True
    if widest > node.size and cost > 0:
        return True
    return len(readers) > 1 and cost > 1


def _costs(lanes: list[Node]) -> dict[Node, int]:
    cost: dict[Node, int] = {}
    for node in lanes:
        form = form_of(node)
        if form is Form.POINTWISE:
            own = 1 if POINTWISE[node.op].is_cheap else _EXPENSIVE
            cost[node] = own + sum(cost.get(source, 0) for source in node.inputs)
        else:
            cost[node] = cost.get(node.arguments[0], 0) if form is Form.VIEW else 0
    return cost


def _widest(graph: Graph, lanes: list[Node]) -> dict[Node, int]:
    """Return over how many elements the work runs that reads a node, at most."""
    wide: dict[Node, int] = {}
    for node in reversed(lanes):
        sizes = [node.size]
        for user in node.users:
            form = form_or_none(user)
            sizes.append(wide.get(user, user.size) if form in (Form.VIEW, Form.POINTWISE) else node.size)
        wide[node] = max(sizes)
    return wide


def _own_indices(node: Node) -> Indices:
    return [as_index(Variable(f"d{number}", extent - 1)) for number, extent in enumerate(node.shape)]


def _jobs(graph: Graph, lanes: list[Node], kept: set[Node], stage: dict[Node, int]) -> list[list[Job]]:
    """Return the jobs of each stage, with work over the same elements together."""
    last = max([0, *stage.values(), *(stage[n] + 1 for n in lanes if sums_over_samples(n) or n.batch)])
    last += last % 2
    stages: list[list[Job]] = [[] for _ in range(last + 1)]
    late = _late(graph, lanes, kept)
    places: dict[Node, tuple[int, int]] = {}
    for node in lanes:
        if node in kept and node not in late:
            _place(node, stages[stage[node]], stage[node], kept, places)
    begin = len(stages[last])
    for node in lanes:
        if node in late:
            _place(node, stages[last], last, kept, places, begin)
    for state, value in zip(graph.states, graph.updates, strict=True):
        if state is not value:
            _place_store(Store(state, value), stages[last], last, kept, places, begin)
    return stages


def _late(graph: Graph, lanes: list[Node], kept: set[Node]) -> set[Node]:
    """Return the kept pointwise nodes that only new states are made from; they are computed with the stores."""
    late: set[Node] = set()
    only_updates: set[Node] = set()
    outputs = set(graph.updates)
    for node in reversed(lanes):
        used = all(user in only_updates for user in node.users) and (bool(node.users) or node in outputs)
        form = form_of(node)
        if used and node is not graph.loss and node.batch is None and form in (Form.POINTWISE, Form.VIEW, Form.FILL):
            only_updates.add(node)
            if node in kept:
                late.add(node)
    return late


def _place(
    node: Node, jobs: list[Job], number: int, kept: set[Node], places: dict[Node, tuple[int, int]], begin: int = 0
) -> None:
    """Put a node into the latest job that computes the same elements and comes after all it reads, or a new one."""
    if form_of(node) not in _INLINE:
        jobs.append(Job([node], shape=node.shape, batch=node.batch, is_pointwise=False))
        places[node] = (number, len(jobs) - 1)
        return
    where = _room(node, node.shape, node.batch, jobs, number, kept, places, begin)
    jobs[where].nodes.append(node)
    places[node] = (number, where)


def _place_store(
    store: Store, jobs: list[Job], number: int, kept: set[Node], places: dict[Node, tuple[int, int]], begin: int
) -> None:
    where = _room(store.value, store.value.shape, None, jobs, number, kept, places, begin, inside=False)
    jobs[where].stores.append(store)


def _room(
    node: Node,
    shape: tuple[int, ...],
    batch: Batch | None,
    jobs: list[Job],
    number: int,
    kept: set[Node],
    places: dict[Node, tuple[int, int]],
    begin: int,
    *,
    inside: bool = True,
) -> int:
    own = tuple(_own_indices(node))
    earliest = begin
    for source, indices in reads(node, list(own), kept, inside=inside):
        if source in places and places[source][0] == number:
            earliest = max(earliest, places[source][1] + (indices != own or source.shape != shape))
    for where in range(len(jobs) - 1, earliest - 1, -1):
        job = jobs[where]
        if job.is_pointwise and job.shape == shape and job.batch == batch:
            return where
    jobs.append(Job(shape=shape, batch=batch))
    return len(jobs) - 1


def _shared(graph: Graph, lanes: list[Node]) -> list[Node]:
    """Return the shared tensors that kernels read: views are looked through."""
    found: dict[Node, None] = {}

    def add(node: Node) -> None:
        if form_or_none(node) is Form.FILL:
            return
        if form_or_none(node) is Form.VIEW:
            add(viewed(node))
        else:
            found[node] = None

    for node in lanes:
        if node.source is Source.SAMPLES:
            found[node] = None  # all samples, of which each run takes its own
        if form_of(node) is Form.FILL:
            continue
        for source in node.inputs:
            if not source.is_lane:
                add(source)
    for node in (*graph.updates, graph.loss):
        if not node.is_lane:
            add(node)
    return list(found)


def _settle(plan: Plan) -> None:
    """Find who reads what from where: which nodes need all samples, which need no memory, which states a detour."""
    readers: dict[Node, set[tuple[int, int]]] = {}
    home: dict[Node, tuple[int, int]] = {}
    at_other_places: set[tuple[Node, tuple[int, int]]] = set()
    for number, jobs in enumerate(plan.stages):
        for where, job in enumerate(jobs):
            for node in job.nodes:
                home[node] = (number, where)
            for source, is_own in _sources(job, plan.kept):
                readers.setdefault(source, set()).add((number, where))
                if not is_own:
                    at_other_places.add((source, (number, where)))
    final = (len(plan.stages) - 1, 10**9)
    for source, _ in reads(plan.graph.loss, _own_indices(plan.graph.loss), plan.kept):
        readers.setdefault(source, set()).add(final)
    for node, place in home.items():
        if node.batch is not None and any(reader[0] != place[0] for reader in readers.get(node, ())):
            plan.whole.add(node)
        job = plan.stages[place[0]][place[1]]
        if job.is_pointwise and readers.get(node, set()) <= {place}:
            plan.unstored.add(node)
        elif not sums_over_samples(node) and all(reader[0] == place[0] for reader in readers.get(node, ())):
            plan.lives[node] = (place[1], max([place[1], *(reader[1] for reader in readers.get(node, ()))]))
    for where, job in enumerate(plan.stages[-1]):
        for store in job.stores:
            own = (len(plan.stages) - 1, where)
            later = any(reader > own and reader != final for reader in readers.get(store.state, ()))
            if later or (store.state, own) in at_other_places:
                plan.detours.add(store.state)


def _sources(job: Job, kept: set[Node]) -> Iterator[tuple[Node, bool]]:
    """Yield what a job reads, and whether it reads it at the element that it is computing."""
    if not job.is_pointwise:
        for source in job.nodes[0].inputs:
            for leaf, _ in reads(source, _own_indices(source), kept):
                yield leaf, False
        return
    for node in job.nodes:
        own = tuple(_own_indices(node))
        for leaf, indices in reads(node, list(own), kept, inside=True):
            yield leaf, indices == own and leaf.shape == node.shape
    for store in job.stores:
        own = tuple(_own_indices(store.value))
        for leaf, indices in reads(store.value, list(own), kept):
            yield leaf, indices == own and leaf.shape == store.value.shape
