import random
from itertools import combinations

import pytest

from chainrule.documents import Graph, GraphEdge, GraphGroup, GraphNode
from chainrule.render.graph_layout import GraphPlan, PlacedBox, PlacedFrame, plan_graph


def random_graph(seed: int) -> Graph:
    """Return a graph whose groups are runs of neighbouring nodes, one inside another, as those of a trace are."""
    chance = random.Random(seed)  # noqa: S311  # no secret
    count = chance.randint(1, 24)
    nodes = tuple(
        GraphNode(
            f"n{number}",
            "op" * chance.randint(1, 8),
            "module" * chance.randint(0, 2),
            (("weight", "[2, 2]"),) * chance.randint(0, 3),
            chance.choice(("op", "value", "module")),
            chance.choice((None, 0.5, 2.0)),
        )
        for number in range(count)
    )
    edges = tuple(
        GraphEdge(f"n{start}", f"n{end}", chance.choice(("", "[4, 128, 256]")), chance.choice((None, 1.0)), port)
        for start, end in combinations(range(count), 2)
        for port in range(chance.randint(0, 2))
        if chance.random() < (0.7 if end == start + 1 else 0.08)
    )
    groups: list[GraphGroup] = []

    def group(first: int, last: int, depth: int) -> list[str]:
        members: list[str] = []
        place = first
        while place < last:
            end = min(last, place + chance.randint(1, 6))
            if depth < 3 and chance.random() < 0.4:
                key = f"g{len(groups)}"
                groups.append(GraphGroup(key, "", ()))
                number = len(groups) - 1
                inside = tuple(group(place, end, depth + 1))
                groups[number] = GraphGroup(key, f"block {number}", inside, "Block")
                members.append(key)
                place = end
            else:
                members.append(f"n{place}")
                place += 1
        return members

    group(0, count, 0)
    return Graph("k", "Random", nodes, edges, tuple(groups))


def overlap(one: PlacedBox | PlacedFrame, other: PlacedBox | PlacedFrame) -> bool:
    return (
        one.x < other.x + other.width - 0.01
        and other.x < one.x + one.width - 0.01
        and one.y < other.y + other.height - 0.01
        and other.y < one.y + one.height - 0.01
    )


def holds(outer: PlacedFrame, inner: PlacedBox | PlacedFrame) -> bool:
    return (
        outer.x <= inner.x + 0.01
        and outer.y <= inner.y + 0.01
        and inner.x + inner.width <= outer.x + outer.width + 0.01
        and inner.y + inner.height <= outer.y + outer.height + 0.01
    )


SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_boxes_and_frames_stand_apart_and_inside_what_they_belong_to(seed: int) -> None:
    graph = random_graph(seed)
    plan = plan_graph(graph)
    placed: dict[str, PlacedBox | PlacedFrame] = {box.node.key: box for box in plan.boxes}
    placed |= {frame.group.key: frame for frame in plan.frames}
    assert set(placed) == {node.key for node in graph.nodes} | {group.key for group in graph.groups}
    for one, other in combinations(plan.boxes, 2):
        assert not overlap(one, other), (one.node.key, other.node.key)
    members = {group.key: set(group.members) for group in graph.groups}
    for frame in plan.frames:
        for key in members[frame.group.key]:
            assert holds(frame, placed[key])
        for box in plan.boxes:
            inside = inside_of(frame.group.key, members)
            assert box.node.key in inside or not overlap(frame, box), (frame.group.key, box.node.key)
    for each in placed.values():
        assert each.x >= 0
        assert each.x + each.width <= plan.width
        assert each.y >= 0
        assert each.y + each.height <= plan.height


def inside_of(key: str, members: dict[str, set[str]]) -> set[str]:
    return {key}.union(*(inside_of(member, members) for member in members.get(key, ())))


@pytest.mark.parametrize("seed", SEEDS)
def test_arrows_go_down_from_box_to_box_without_a_break(seed: int) -> None:
    graph = random_graph(seed)
    plan = plan_graph(graph)
    boxes = {box.node.key: box for box in plan.boxes}
    for arrow in plan.arrows:
        heights = [y for _, y in arrow.points]
        assert heights == sorted(heights)
    heads = [arrow.points[-1] for arrow in plan.arrows if arrow.has_head]
    tails = [arrow.points[0] for arrow in plan.arrows]
    for edge in graph.edges:
        start, end = boxes[edge.start], boxes[edge.end]
        assert any(on_rim(start, x, y, at_bottom=True) for x, y in tails)
        assert any(on_rim(end, x, y, at_bottom=False) for x, y in heads)
    # A part that begins at a rim goes on from where another ended.
    for arrow in plan.arrows:
        x, y = arrow.points[0]
        if not any(on_rim(box, x, y, at_bottom=True) for box in plan.boxes):
            assert any(abs(x - a) < 0.1 and abs(y - b) < 0.1 for a, b in (other.points[-1] for other in plan.arrows))


def on_rim(box: PlacedBox, x: float, y: float, *, at_bottom: bool) -> bool:
    rim = box.y + box.height if at_bottom else box.y
    return abs(y - rim) < 0.1 and box.x - 0.1 <= x <= box.x + box.width + 0.1


def test_the_same_graph_has_the_same_plan() -> None:
    assert [plan_graph(random_graph(seed)) for seed in range(5)] == [
        plan_graph(random_graph(seed)) for seed in range(5)
    ]


def straight(plan: GraphPlan) -> set[float]:
    return {round(box.x + box.width / 2, 1) for box in plan.boxes}


def test_a_chain_stands_upright_and_a_target_beside_it_does_not_bend_it() -> None:
    chain = tuple(GraphNode(f"n{number}", "op" * (number + 1), value=1.0) for number in range(6))
    edges = tuple(GraphEdge(f"n{number}", f"n{number + 1}", "[2]", 1.0) for number in range(5))
    assert len(straight(plan_graph(Graph("k", "", chain, edges)))) == 1
    target = (GraphNode("t", "target", shape="value"), *chain)
    plan = plan_graph(Graph("k", "", target, (*edges, GraphEdge("t", "n5"))))
    places = {box.node.key: box for box in plan.boxes}
    middles = [places[node.key].x + places[node.key].width / 2 for node in chain]
    assert max(middles) - min(middles) < 4.0
    # It stands on the layer above the box that takes it, and not at the top.
    assert abs(places["t"].y - places["n4"].y) < 2.0


def test_a_graph_without_boxes_or_with_foreign_edges_has_a_plan() -> None:
    assert plan_graph(Graph("k", "", (), ())).boxes == ()
    node = GraphNode("a", "op")
    plan = plan_graph(Graph("k", "", (node,), (GraphEdge("a", "a"), GraphEdge("a", "nowhere"))))
    assert (len(plan.boxes), plan.arrows) == (1, ())


def test_an_arrow_against_the_order_is_drawn_all_the_same() -> None:
    nodes = (GraphNode("a", "op"), GraphNode("b", "op"))
    plan = plan_graph(Graph("k", "", nodes, (GraphEdge("a", "b"), GraphEdge("b", "a"))))
    assert len(plan.arrows) == 2
