import datetime

import polars as pl
import pytest

from chainrule.data.column_types import type_cells, type_values


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "-2", None], "integer"),
        (["+3", "007"], "integer"),
        (["1", "2.5"], "number"),
        (["1e-3", ".5", "5.", "nan", "-inf"], "number"),
        (["9223372036854775808"], "number"),
        (["true", "FALSE", None], "boolean"),
        (["2024-01-31", "2024-02-01 12:00"], "date"),
        (["31.1.2024", "1/2/24"], "date"),
        (["1,5", "2", "-3,25"], "decimal comma"),
        (["1", "2", "x"], "mixed"),
        (["1", "x"], "text"),
        (["a", "1,5"], "text"),
        (["yes", "no"], "text"),
        ([None, None], "empty"),
    ],
)
def test_the_type_of_text_cells(cells, expected):
    assert type_cells("c", pl.Series(cells, dtype=pl.String)).type == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pl.Series([1, None], dtype=pl.UInt8), "integer"),
        (pl.Series([1.5], dtype=pl.Float32), "number"),
        (pl.Series(["1.50"]).cast(pl.Decimal(10, 2)), "number"),
        (pl.Series([True, None]), "boolean"),
        (pl.Series(["a"], dtype=pl.Categorical), "text"),
        (pl.Series(["a"]), "text"),
        (pl.Series([datetime.date(2024, 1, 1)]), "date"),
        (pl.Series([datetime.timedelta(1)]), "date"),
        (pl.Series([[1, 2]]), "nested"),
        (pl.Series([{"a": 1}]), "nested"),
        (pl.Series([None], dtype=pl.Int64), "empty"),
    ],
)
def test_the_type_of_stated_values(values, expected):
    assert type_values("c", values).type == expected


def test_the_values_are_those_of_the_cells():
    assert type_cells("c", pl.Series(["1", None, "-3"])).values.to_list() == [1, None, -3]
    assert type_cells("c", pl.Series(["1", None, "2.5"])).values.to_list() == [1.0, None, 2.5]
    assert type_cells("c", pl.Series(["True", None, "false"])).values.to_list() == [True, None, False]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["9007199254740992", "1"], False),
        (["9007199254740993", "1"], True),
        (["-9007199254740993", "1"], True),
        (["9223372036854775808"], True),
        (["1e300"], False),
        (["0.5"], False),
        (["a"], False),
    ],
)
def test_integers_that_float64_rounds_are_known(cells, expected):
    assert type_cells("c", pl.Series(cells)).is_rounded is expected
