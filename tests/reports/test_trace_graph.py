import pytest

from chainrule.documents import Graph
from chainrule.reports.trace_graph import trace_graph
from chainrule.reports.trace_numbers import norm_of
from chainrule.shapes import Tensor

from .trace_cases import NAMES, trace_of


def boxes(graph: Graph) -> list[str]:
    return [node.key for node in graph.nodes if node.shape != "value"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("most", [1, 6, 40, 1000])
def test_arrows_join_boxes_that_are_there_and_go_forward(name: str, most: int) -> None:
    graph = trace_graph(trace_of(name), most_boxes=most)
    order = {node.key: number for number, node in enumerate(graph.nodes)}
    assert len(order) == len(graph.nodes)
    for edge in graph.edges:
        assert order[edge.start] < order[edge.end]
    members = [member for group in graph.groups for member in group.members]
    assert len(members) == len(set(members))
    assert set(members) <= set(order) | {group.key for group in graph.groups}


@pytest.mark.parametrize("name", NAMES)
def test_an_open_graph_has_a_box_for_every_op_and_an_arrow_for_every_use(name: str) -> None:
    trace = trace_of(name)
    graph = trace_graph(trace, most_boxes=1000)
    drawn = {int(key.removeprefix("op ")) for key in boxes(graph)}
    ops = {op.id for op in trace.ops if op.phase in ("forward", "loss")}
    assert drawn <= ops
    joined = {(edge.start, edge.end) for edge in graph.edges}
    for number in drawn:
        for use in trace.ops[number].inputs:
            producer = trace.values[use.value].producer
            if producer in drawn and producer != number:
                assert (f"op {producer}", f"op {number}") in joined
    left_out = ops - drawn
    assert all(not trace.values[output].uses for number in left_out for output in trace.ops[number].outputs)


def test_colours_are_the_norms_of_adjoints_and_contributions() -> None:
    trace = trace_of("residual")
    graph = trace_graph(trace, most_boxes=1000)
    for node in graph.nodes:
        if node.key.startswith("op "):
            op = trace.ops[int(node.key.removeprefix("op "))]
            norms = [norm_of(trace.values[output].adjoint) for output in op.outputs]
            assert node.value == max((norm for norm in norms if norm is not None), default=None)
    op = trace.value("head.linear").producer
    (edge,) = (edge for edge in graph.edges if edge.end == f"op {op}")
    (use,) = (use for use in trace.ops[op or 0].inputs if trace.values[use.value].kind == "computed")
    assert isinstance(use.contribution, Tensor)
    assert edge.value == pytest.approx(float(use.contribution.norm()), rel=1e-4)


def test_the_small_network_shows_its_numbers() -> None:
    graph = trace_graph(trace_of("two-two-two"))
    nodes = {f"{node.title} {node.subtitle}".strip(): node for node in graph.nodes}
    assert nodes["input"].lines == (("", "[[0.05, 0.1]]"),)
    assert dict(nodes["linear fc1"].lines) == {
        "weight": "[[0.15, 0.2], [0.25, 0.3]]",
        "bias": "[0.35, 0.35]",
        "value": "[[0.3775, 0.3925]]",
        "adjoint": "[[0.00877135, 0.00995425]]",
    }
    assert nodes["mul"].lines == (("loss", "0.298371"),)
    assert graph.title == "What ran in TwoTwoTwo: forward and loss"
    assert graph.caption == ""


def test_deep_models_are_folded_module_by_module_and_opened_on_demand() -> None:
    trace = trace_of("deep encoder")
    graph = trace_graph(trace)
    folded = [node for node in graph.nodes if node.shape == "module"]
    assert [node.title for node in folded] == [f"layers.{number}" for number in range(12)]
    assert {node.subtitle for node in folded} == {"TransformerEncoderLayer"}
    assert len({node.lines for node in folded}) == 1
    assert graph.caption == "12 boxes with a double rim are several ops each."
    inside = trace_graph(trace, "layers.3")
    assert {group.title for group in inside.groups} == {"self_attn"}
    assert inside.title == "What ran in layers.3: forward and loss"
    assert any(node.shape == "value" for node in inside.nodes)


def test_modules_of_one_class_are_opened_together_or_not_at_all() -> None:
    trace = trace_of("encoder")
    for most in range(1, 60):
        graph = trace_graph(trace, most_boxes=most)
        opened = {group.title for group in graph.groups if group.title.startswith("layers.")}
        assert opened in (set(), {"layers.0", "layers.1"})


def test_a_long_loop_has_its_middle_in_one_box() -> None:
    trace = trace_of("recurrent")
    graph = trace_graph(trace)
    (between,) = (node for node in graph.nodes if node.shape == "module")
    assert between.title == "… in between"
    assert len(boxes(graph)) <= 40
    hidden = int(between.lines[0][1].removesuffix(" ops"))
    assert hidden + len(boxes(graph)) - 1 == sum(op.phase in ("forward", "loss") for op in trace.ops) - left_out(graph)


def left_out(graph: Graph) -> int:
    found = [sentence for sentence in graph.caption.split(". ") if "left out" in sentence]
    return int(found[0].split()[0]) if found else 0


def test_a_step_without_adjoints_has_no_colours() -> None:
    graph = trace_graph(trace_of("hand built"))
    assert graph.scale == ""
    assert [node.title for node in graph.nodes] == ["input", "linear", "Mystery"]
