from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.spreadsheets.sorting import components


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 9), st.lists(st.integers(0, 9), max_size=4)))
def test_each_group_comes_after_what_it_needs_and_circles_are_those_that_reach_themselves(
    graph: dict[int, list[int]],
) -> None:
    needs = {item: list(graph.get(item, [])) for item in range(10)}
    reached = {item: set(needs[item]) for item in needs}
    for _ in range(10):
        for item in reached:
            reached[item] |= {far for near in reached[item] for far in reached[near]}
    done: set[int] = set()
    for group, is_circle in components(list(needs), needs.__getitem__):
        assert is_circle == (group[0] in reached[group[0]])
        members = set(group)
        assert all(members - {item} <= reached[item] for item in members)
        for item in group:
            assert set(needs[item]) <= done | members
        assert not members & done
        done |= members
    assert done == set(needs)


def test_a_long_chain_does_not_go_deep() -> None:
    length = 50_000
    groups = list(components(range(length), lambda item: [item + 1] if item + 1 < length else []))
    assert [group for group, _ in groups] == [[item] for item in reversed(range(length))]
