import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from chainrule.documents import Graph, GraphEdge, GraphNode
from chainrule.render.graph_picture import graph_svg

HOSTILE = """</svg><script>alert(1)</script>"'&amp; \x00\x1b\ud800"""
NAMESPACE = "{http://www.w3.org/2000/svg}"


def elements(graph: Graph) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(graph_svg(graph)).iter())  # noqa: S314  # our own text


def texts(graph: Graph) -> list[str]:
    return [element.text or "" for element in elements(graph) if element.tag == f"{NAMESPACE}text"]


def test_the_picture_holds_every_text_and_the_same_graph_gives_the_same_bytes(graph: Graph) -> None:
    shown = texts(graph)
    assert shown.count("linear") == 1
    assert {"The graph", "fc1", "weight", "[2, 2]", "block", "Block", "9 ops", "[4, 3]", "Colour: norm"} <= set(shown)
    assert graph_svg(graph) == graph_svg(graph)


def test_the_picture_runs_and_loads_nothing(graph: Graph) -> None:
    names = {element.tag.removeprefix(NAMESPACE) for element in elements(graph)}
    assert names == {"svg", "g", "rect", "path", "text", "title", "line"}
    attributes = {name for element in elements(graph) for name in element.attrib}
    assert not any(name.startswith("on") or "href" in name or name in ("style", "id", "class") for name in attributes)
    assert re.findall(r"https?:[^\"]*", graph_svg(graph)) == ["http://www.w3.org/2000/svg"]


def test_hostile_strings_are_letters() -> None:
    node = GraphNode("a" + HOSTILE, HOSTILE, HOSTILE, ((HOSTILE, HOSTILE),), note=HOSTILE)
    other = GraphNode("b", "b")
    graph = Graph("k", HOSTILE, (node, other), (GraphEdge(node.key, "b", HOSTILE, note=HOSTILE),), scale=HOSTILE)
    found = elements(graph)
    assert f"{NAMESPACE}script" not in {element.tag for element in found}
    assert any((element.text or "").startswith("</svg><script>") for element in found)
    graph_svg(graph).encode("utf-8")


def colours(values: list[float | None]) -> list[str]:
    nodes = tuple(GraphNode(str(number), "op", value=value) for number, value in enumerate(values))
    svg = graph_svg(Graph("k", "", nodes, (), scale="norm"))
    return re.findall(r'rx="6" fill="#ffffff" stroke="(#\w+)"', svg)


def test_colours_follow_the_logarithm_and_what_is_no_size_has_colours_of_its_own() -> None:
    found = colours([1e-6, 1e-3, 1.0, 0.0, math.nan, math.inf, None])
    assert found[:3] == ["#a8ddb5", "#3ca0c8", "#084081"]
    assert found[3:] == ["#d55e00", "#b3261e", "#b3261e", "#b4bdc6"]


@pytest.mark.parametrize("values", [[None], [0.0], [math.nan], [2.0], [5e-324, 1e308], []])
def test_any_numbers_have_a_picture_with_a_legend(values: list[float | None]) -> None:
    nodes = tuple(GraphNode(str(number), "op", value=value) for number, value in enumerate(values))
    assert "norm" in texts(Graph("k", "", nodes, (), scale="norm"))


def test_the_legend_names_what_there_is(graph: Graph) -> None:
    shown = texts(graph)
    assert {"0.25", "2", "zero", "not finite", "none"} <= set(shown)
    plain = texts(Graph("k", "T", (GraphNode("a", "op", value=1.0),), (), scale="norm"))
    assert not {"zero", "not finite", "none"} & set(plain)


def test_without_a_scale_nothing_is_coloured() -> None:
    graph = Graph("k", "T", (GraphNode("a", "op", value=1.0),), ())
    assert "stroke-dasharray" not in graph_svg(graph)
    assert 'stroke="#8a949e"' in graph_svg(graph)


def test_a_text_fits_its_box() -> None:
    long = "scaled_dot_product_attention_with_a_name_that_does_not_end_for_a_long_time"
    graph = Graph("k", "", (GraphNode("a", long),), ())
    assert texts(graph) == [long[:43] + "…"]
