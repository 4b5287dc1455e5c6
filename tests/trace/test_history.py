"""Numbers noted over steps come back by name, as a table, and up to a step."""

from io import BytesIO

import polars
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from chainrule.trace import EPOCH, Curve, History

names = some.sampled_from(["loss", "lr", "gradient_norm/a", f"{EPOCH}loss", f"{EPOCH}validation_loss"])
rows = some.lists(
    some.tuples(some.integers(0, 20), some.dictionaries(names, some.floats(width=64), max_size=4)), max_size=12
).map(lambda pairs: sorted(pairs, key=lambda pair: pair[0]))


def noted(pairs: list[tuple[int, dict[str, float]]]) -> History:
    history = History()
    for step, values in pairs:
        history.note(step, values)
    return history


def example() -> History:
    return noted([(0, {"loss": 3.0, "lr": 0.5}), (1, {"loss": 2.0}), (2, {f"{EPOCH}loss": 2.5}), (2, {"loss": 1.0})])


def test_curves_by_name() -> None:
    history = example()
    assert history["loss"] == Curve((0, 1, 2), (3.0, 2.0, 1.0))
    assert history["nothing"] == Curve((), ())
    assert (len(history["loss"]), len(history["nothing"])) == (3, 0)
    assert (history.last("loss"), history.last("lr"), history.last("nothing")) == (1.0, 0.5, None)
    assert list(history) == ["loss", "lr", f"{EPOCH}loss"]
    assert len(history) == 3
    assert "lr" in history
    assert "nothing" not in history


def test_a_curve_is_a_copy() -> None:
    history = example()
    before = history["loss"]
    history.note(3, {"loss": 0.0})
    assert before == Curve((0, 1, 2), (3.0, 2.0, 1.0))


def test_pending_is_taken_once() -> None:
    history = example()
    assert history.take_pending() == [
        (0, {"loss": 3.0, "lr": 0.5}),
        (1, {"loss": 2.0}),
        (2, {f"{EPOCH}loss": 2.5}),
        (2, {"loss": 1.0}),
    ]
    assert history.take_pending() == []
    history.note(3, {"loss": 0.5})
    assert history.take_pending() == [(3, {"loss": 0.5})]


def test_what_is_read_back_is_not_pending() -> None:
    assert History.from_polars(example().to_polars()).take_pending() == []


def test_an_empty_history_has_a_table_with_types() -> None:
    table = History().to_polars()
    assert table.schema == {"name": polars.String, "step": polars.Int64, "value": polars.Float64}
    assert len(table) == 0
    assert len(History.from_polars(table)) == 0


@settings(derandomize=True, deadline=None)
@given(rows)
def test_there_and_back_through_parquet(pairs: list[tuple[int, dict[str, float]]]) -> None:
    history = noted(pairs)
    buffer = BytesIO()
    history.to_polars().write_parquet(buffer)
    read = polars.read_parquet(buffer.getvalue())
    assert read.equals(history.to_polars(), null_equal=True)
    again = History.from_polars(read)
    assert list(again) == list(history)
    assert again.to_polars().equals(read, null_equal=True)


@settings(derandomize=True, deadline=None)
@given(rows, some.integers(0, 21))
def test_before_keeps_what_a_run_knew_before_that_update(
    pairs: list[tuple[int, dict[str, float]]], before: int
) -> None:
    """Cutting the table is the same as never having noted the rest."""
    kept = [
        (step, {name: value for name, value in values.items() if step < before or name.startswith(EPOCH)})
        for step, values in pairs
        if step <= before
    ]
    cut = History.from_polars(noted(pairs).to_polars(), before)
    assert (
        cut.to_polars()
        .sort("name", "step", maintain_order=True)
        .equals(noted(kept).to_polars().sort("name", "step", maintain_order=True), null_equal=True)
    )


@pytest.mark.parametrize(
    ("before", "steps", "epochs"), [(0, (), ()), (1, (0,), ()), (2, (0, 1), (2,)), (3, (0, 1, 2), (2,))]
)
def test_before_by_hand(before: int, steps: tuple[int, ...], epochs: tuple[int, ...]) -> None:
    cut = History.from_polars(example().to_polars(), before)
    assert cut["loss"].steps == steps
    assert cut[f"{EPOCH}loss"].steps == epochs
