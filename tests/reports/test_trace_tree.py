import pytest

from chainrule.errors import UnknownNameError
from chainrule.reports.trace_tree import Branch, check_module, grow, is_inside, items_of
from chainrule.trace import ModuleNote, Op, Trace

from .trace_cases import NAMES, trace_of


def tree(trace: Trace) -> "tuple[Op | Branch[Op], ...]":
    return grow(trace.ops, lambda op: (op.module, op.call), trace.modules)


def branches(parts: "tuple[Op | Branch[Op], ...]") -> "list[Branch[Op]]":
    found = []
    for part in parts:
        if isinstance(part, Branch):
            found += [part, *branches(part.parts)]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_tree_keeps_every_op_in_order_and_in_its_module(name: str) -> None:
    trace = trace_of(name)
    parts = tree(trace)
    assert list(items_of(parts)) == trace.ops
    for branch in branches(parts):
        assert branch.parts
        assert all(is_inside(op.module, branch.path) for op in branch.items())
        own = [part for part in branch.parts if not isinstance(part, Branch)]
        assert all(op.module == branch.path for op in own)
        assert all(is_inside(part.path, branch.path) for part in branch.parts if isinstance(part, Branch))


def shape(parts: "tuple[str | Branch[str], ...]") -> list[object]:
    return [(part.path, shape(part.parts)) if isinstance(part, Branch) else part for part in parts]


def test_lists_of_modules_are_no_level_and_a_second_call_is_another_branch() -> None:
    modules = {
        "": ModuleNote("Net", True),
        "layers": ModuleNote("ModuleList", True),
        "layers.0": ModuleNote("Block", True),
        "layers.0.fc": ModuleNote("Linear", True),
        "act": ModuleNote("ReLU", True),
    }
    ran = [("", 0), ("layers.0.fc", 0), ("layers.0", 0), ("act", 0), ("act", 1), ("", 0), ("layers.0", 1)]
    names = [f"{number}" for number in range(len(ran))]
    parts = grow(names, lambda name: ran[int(name)], modules)
    assert shape(parts) == [
        "0",
        ("layers.0", [("layers.0.fc", ["1"]), "2"]),
        ("act", ["3"]),
        ("act", ["4"]),
        "5",
        ("layers.0", ["6"]),
    ]
    inside = grow(names[1:3], lambda name: ran[int(name)], modules, "layers.0")
    assert shape(inside) == [("layers.0.fc", ["1"]), "2"]


def test_a_deep_loop_of_calls_is_no_deep_recursion() -> None:
    names = [str(number) for number in range(5000)]
    parts = grow(names, lambda name: ("cell", int(name)), {"cell": ModuleNote("LSTMCell", True)})
    assert len(parts) == 5000


def test_an_unknown_module_is_told_with_its_neighbours() -> None:
    trace = trace_of("residual")
    check_module(trace, "blocks.1.bn2")
    check_module(trace, "")
    with pytest.raises(UnknownNameError) as caught:
        check_module(trace, "blocks.1.bn3")
    assert str(caught.value) == (
        "The model has no module 'blocks.1.bn3'.\n"
        "  found:    blocks.1.bn3\n"
        "  expected: one of blocks.1.bn2, blocks.1.bn1, blocks.0.bn2, blocks.0.bn1, blocks.1, blocks.1.conv2, "
        "blocks.1.conv1, blocks.0\n"
        "Did you mean 'blocks.1.bn2'?"
    )
