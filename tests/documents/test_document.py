import json

from chainrule.documents import (
    Document,
    Entries,
    Entry,
    Fold,
    Graph,
    GraphEdge,
    GraphGroup,
    GraphNode,
    Prose,
)


def test_graphs_entries_and_folds_are_data_for_json() -> None:
    graph = Graph(
        "g",
        "Graph",
        (GraphNode("a", "op", lines=(("w", "1"),), value=0.5), GraphNode("b", "op")),
        (GraphEdge("a", "b", "[2]"),),
        (GraphGroup("f", "frame", ("a", "b")),),
        "norm",
    )
    entries = Entries((Entry("#0", "linear", "a → b", (("value", "1"),), "net.py:1"),))
    document = Document("T", (Fold("more", (graph, entries, Prose("p")), folds_on_terminal=True),))
    data = json.loads(document.to_json())
    (fold,) = data["blocks"]
    assert (fold["kind"], fold["is_open"], fold["folds_on_terminal"]) == ("Fold", False, True)
    kinds = [block["kind"] for block in fold["blocks"]]
    assert kinds == ["Graph", "Entries", "Prose"]
    assert fold["blocks"][0]["nodes"][0] == {
        "key": "a",
        "title": "op",
        "subtitle": "",
        "lines": [["w", "1"]],
        "shape": "op",
        "value": 0.5,
        "note": "",
    }
    assert fold["blocks"][1]["entries"][0]["facts"] == [["value", "1"]]
