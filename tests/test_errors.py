import copy
import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule import errors
from chainrule.errors import ChainruleError, Problem, TaskError, did_you_mean, nearest

FIELDS = ("what", "where", "found", "expected", "cause", "next_step")
KINDS = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ChainruleError)
]  # the base class as well
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
PROBLEMS = (Problem("a.b", "1", "2"), Problem("c", "3", "4", "Do it."))


def filled(kind: type[ChainruleError]) -> ChainruleError:
    more = {"problems": PROBLEMS} if kind is TaskError else {}
    return kind(**{field: f"the {field}" for field in FIELDS}, **more)


def test_the_tree_in_the_docstring_names_every_kind():
    names = {line.split("──")[1].split()[0] for line in errors.__doc__.splitlines() if "──" in line}
    assert names == {kind.__name__ for kind in KINDS} - {"ChainruleError"}


def test_whole_text_of_all_fields():
    assert (
        str(filled(ChainruleError))
        == """\
the what
  where:    the where
  found:    the found
  expected: the expected
the cause
the next_step"""
    )


def test_labels_are_as_wide_as_the_widest_that_is_there():
    assert str(ChainruleError("Wrong.", where="here", found="x")) == "Wrong.\n  where: here\n  found: x"
    assert str(ChainruleError("Wrong.", where="here", expected="y")) == "Wrong.\n  where:    here\n  expected: y"


@pytest.mark.parametrize("given", [set(chosen) for n in range(6) for chosen in itertools.combinations(FIELDS[1:], n)])
def test_what_is_empty_is_left_out_and_the_order_stays(given):
    error = ChainruleError(**{field: f"the {field}" for field in FIELDS if field == "what" or field in given})
    shown = [field for field in FIELDS if field == "what" or field in given]
    lines = str(error).splitlines()
    assert len(lines) == len(shown)
    assert all(line.endswith(f"the {field}") for line, field in zip(lines, shown, strict=True))


def test_whole_text_of_a_task_error_with_its_problems():
    error = TaskError(what="The task cannot be trained.", where="a.toml", problems=PROBLEMS)
    assert (
        str(error)
        == """\
The task cannot be trained.
  where: a.toml
a.b
  found:    1
  expected: 2
c
  found:    3
  expected: 4
  Do it."""
    )


@each_kind
def test_pickles_and_copies_by_field(kind):
    error = filled(kind)
    for other in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):  # noqa: S301
        assert type(other) is kind
        assert str(other) == str(error)
        assert all(getattr(other, field) == getattr(error, field) for field in FIELDS)
        assert getattr(other, "problems", ()) == getattr(error, "problems", ())


@each_kind
def test_is_hashable_and_equal_to_itself_alone(kind):
    error, other = filled(kind), filled(kind)
    assert {error: 1, other: 2}[error] == 1
    assert error == error
    assert error != other


@each_kind
def test_is_caught_as_a_chainrule_error_with_what_it_was_raised_from(kind):
    reason = ValueError("deeper")
    with pytest.raises(ChainruleError) as caught:
        raise filled(kind) from reason
    assert caught.value.__cause__ is reason


@each_kind
def test_whole_text_of_an_unknown_name(kind):
    error = kind.unknown_name("colour", "gren", ["red", "Green", "blue"], where="model.colour")
    assert type(error) is kind
    assert (
        str(error)
        == """\
There is no colour 'gren'.
  where:    model.colour
  found:    gren
  expected: one of blue, Green, red
Did you mean 'Green'?"""
    )


@pytest.mark.parametrize(
    ("name", "known", "close"),
    [
        ("fc1.weigth", ["fc1.weight", "fc1.bias", "fc2.weight"], "fc1.weight"),
        ("XAVIER-NORMAL", ["xavier_normal_", "ones_"], "xavier_normal_"),
        ("breast_cancer", ["breast-cancer", "iris"], "breast-cancer"),
        ("Adma", ["Adamax", "Adam", "AdamW"], "Adam"),
        ("zzz", ["red", "green"], ""),
        ("red", [], ""),
    ],
)
def test_near_misses(name, known, close):
    assert did_you_mean(name, known) == (f"Did you mean '{close}'?" if close else "")
    assert nearest(name, known, count=1) == ([close] if close else [])


@given(
    st.lists(st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=3, max_size=8), min_size=1, unique=True)
)
def test_a_known_name_is_nearest_to_itself(known):
    assert all(nearest(name.upper(), known)[0] == name for name in known)
