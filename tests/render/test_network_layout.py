from itertools import combinations

import pytest

from chainrule.documents import Edge, NetworkDrawing, Node
from chainrule.render.network_layout import Gap, NetworkPlan, cut_layer, plan_network


def dense(*sizes: int, name: str = "n", label: str = "w 0.40") -> NetworkDrawing:
    layers = tuple(tuple(Node(f"{name}{place}", ("a 0.5",)) for place in range(size)) for size in sizes)
    edges = tuple(
        Edge((layer, start), (layer + 1, end), 0.1 + start - end, label)
        for layer in range(len(sizes) - 1)
        for start in range(sizes[layer])
        for end in range(sizes[layer + 1])
    )
    return NetworkDrawing("key", "", layers, (), edges)


def assert_nothing_overlaps(plan: NetworkPlan) -> None:
    for one, other in combinations(plan.labels, 2):
        apart_across = one.box[2] <= other.box[0] or other.box[2] <= one.box[0]
        assert apart_across or one.box[3] <= other.box[1] or other.box[3] <= one.box[1]
    for one, other in combinations(plan.nodes, 2):
        assert (one.x - other.x) ** 2 + (one.y - other.y) ** 2 > (one.radius + other.radius) ** 2
    for node in plan.nodes:
        assert node.radius <= node.x <= plan.width - node.radius
        assert node.radius <= node.y <= plan.height - node.radius


@pytest.mark.parametrize("sizes", [(2, 2, 2), (3, 3, 2), (4, 5), (2, 6), (6, 2), (1,), (1, 1), (12, 2), (3, 3, 3)])
@pytest.mark.parametrize("name", ["n", "a rather long name "])
def test_labels_and_nodes_do_not_overlap(sizes: tuple[int, ...], name: str) -> None:
    plan = plan_network(dense(*sizes, name=name))
    assert_nothing_overlaps(plan)
    assert len(plan.nodes) == sum(sizes)


def test_the_reference_network_has_every_label_near_its_start(network: NetworkDrawing) -> None:
    plan = plan_network(network)
    assert [label.text for label in plan.labels] == [f"w{number}" for number in range(1, 9)]
    assert all(node.texts == "inside" for node in plan.nodes)
    assert plan.remarks == ()
    for label, placed in zip(plan.labels, plan.edges, strict=True):
        assert label.x - placed.start[0] < placed.end[0] - label.x


def test_labels_that_find_no_room_are_counted() -> None:
    drawing = dense(1, 1, label="w 0.40, ∂E/∂w 0.08")
    plan = plan_network(
        NetworkDrawing("key", "", drawing.layers, (), drawing.edges * 24)  # 24 edges, one upon the other
    )
    assert plan.remarks == (f"{24 - len(plan.labels)} of 24 edge labels found no room.",)
    assert_nothing_overlaps(plan)


def test_many_edges_carry_no_labels() -> None:
    assert plan_network(dense(5, 5)).labels == ()


@pytest.mark.parametrize("count", [0, 1, 12])
def test_small_layers_are_whole(count: int) -> None:
    assert cut_layer(count) == tuple(range(count))


@pytest.mark.parametrize("count", [13, 64, 10_000])
def test_large_layers_are_cut_and_say_how_much(count: int) -> None:
    cut = cut_layer(count)
    assert cut == (0, 1, 2, 3, 4, 5, Gap(count - 9), count - 3, count - 2, count - 1)


def test_a_cut_is_stated_in_the_plan() -> None:
    plan = plan_network(dense(13, 2))
    assert [gap.text for gap in plan.gaps] == ["⋮\n4 more"]
    assert plan.remarks == (
        "Layers of more than 12 nodes are cut; the nodes between are left out, with their 8 edges.",
    )
    assert_nothing_overlaps(plan)


@pytest.mark.parametrize(
    ("name", "is_bias"), [("b1", True), ("bias", True), ("+1", True), ("h1", False), ("bag", False)]
)
def test_biases_are_known_by_their_names(name: str, is_bias: bool) -> None:
    plan = plan_network(NetworkDrawing("key", "", ((Node(name),),), (), ()))
    assert [node.is_bias for node in plan.nodes] == [is_bias]
