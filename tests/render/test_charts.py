import base64
import math
import re
import struct
import subprocess
import sys
from pathlib import Path
from xml.parsers import expat

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.documents import Chart, Document, Fold, Matrix, NetworkDrawing, Node, Series
from chainrule.errors import OutputError, UnknownNameError
from chainrule.render.charts import Picture, picture_png, picture_svg
from chainrule.render.picture_files import pictures_in, write_pictures

STEPS = tuple(float(step) for step in range(5))
HOSTILE = "</text><script>alert(1)</script> $x_1$ & ]]> -- \x00\x1b\ud800 中"


def texts_of(svg: str) -> list[str]:
    """Return the texts of an SVG file, and fail when it is no XML."""
    texts: list[str] = []
    inside: list[bool] = [False]

    def start(name: str, attributes: dict[str, str]) -> None:
        assert name != "script"
        inside.append(name in ("text", "tspan"))
        if inside[-1] and name == "text":
            texts.append("")

    def read(data: str) -> None:
        if inside[-1]:
            texts[-1] += data

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda name: inside.pop()
    parser.CharacterDataHandler = read
    parser.Parse(svg.encode(), True)
    return [text.strip() for text in texts]


def chart(*series: Series, **fields: str) -> Chart:
    return Chart("key", "Title", "epoch", "loss", series, **fields)  # type: ignore[arg-type]


def test_the_same_document_gives_the_same_bytes(every_block: Document, tmp_path: Path) -> None:
    first = write_pictures(every_block, tmp_path / "first")
    with mpl.rc_context({"svg.hashsalt": None, "axes.grid": False, "font.size": 30, "text.usetex": True}):
        second = write_pictures(every_block, tmp_path / "second")
    assert [path.name for path in first] == [path.name for path in second]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_pictures_leave_matplotlib_as_it_was(every_block: Document, tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    write_pictures(every_block, tmp_path, formats=("svg",))
    assert dict(mpl.rcParams) == before


def test_pyplot_is_never_loaded() -> None:
    code = "import sys, chainrule.render.charts; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_picture_is_written_those_in_folds_too(every_block: Document, tmp_path: Path) -> None:
    paths = write_pictures(every_block, tmp_path / "new" / "plots")
    names = ["loss", "confusion", "network", "confusion-2"]
    assert [path.name for path in paths] == [f"{name}.{suffix}" for name in names for suffix in ("svg", "png")]
    assert sorted(path.name for path in (tmp_path / "new" / "plots").iterdir()) == sorted(path.name for path in paths)
    for path in paths:
        assert path.read_bytes().startswith(b"<?xml" if path.suffix == ".svg" else b"\x89PNG")


@pytest.mark.parametrize(
    ("key", "name"), [("../../etc/x", "etc-x.svg"), ("a b/c", "a-b-c.svg"), ("..", "picture.svg"), ("λ=1", "λ-1.svg")]
)
def test_a_key_cannot_leave_the_folder(key: str, name: str, tmp_path: Path) -> None:
    drawing = NetworkDrawing(key, "", (), (), ())
    assert write_pictures(Document("", (drawing,)), tmp_path, ("svg",)) == (tmp_path / name,)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError) as caught:
        write_pictures(Document("", ()), tmp_path, ("pgn",))
    assert (
        str(caught.value)
        == """There is no picture format 'pgn'.
  found:    pgn
  expected: one of png, svg
Did you mean 'png'?"""
    )


def test_a_folder_that_cannot_be_made_is_an_output_error(every_block: Document, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError) as caught:
        write_pictures(every_block, tmp_path / "file")
    assert (
        str(caught.value)
        == f"""Cannot write loss.svg.
  where: {tmp_path / "file"}
  found: File exists
A file stands where a folder is wanted: choose another folder."""
    )


def test_an_svg_loads_nothing_and_carries_no_date(every_block: Document) -> None:
    for picture in pictures_in(every_block.blocks):
        svg = picture_svg(picture)
        bare = svg.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xlink", "")
        assert "http" not in bare
        assert "<metadata" not in svg
        assert "@import" not in svg


def test_strings_stay_text_whatever_they_hold(document_with: object) -> None:
    for picture in pictures_in(document_with(HOSTILE).blocks):  # type: ignore[operator]
        texts = " ".join(texts_of(picture_svg(picture)))
        assert "<script>alert" in texts
        assert "$x_1$" in texts or isinstance(picture, Matrix)  # a matrix's names are too short for it
        assert picture_png(picture).startswith(b"\x89PNG")


def test_titles_axes_and_series_are_named() -> None:
    two = (Series("training", STEPS, STEPS), Series("validation", STEPS, STEPS[::-1]))
    texts = texts_of(picture_svg(chart(*two)))
    assert {"Title", "epoch", "loss", "training", "validation"} <= set(texts)


def test_a_single_series_that_repeats_the_axis_has_no_legend() -> None:
    assert texts_of(picture_svg(chart(Series("loss", STEPS, STEPS)))).count("loss") == 1
    assert texts_of(picture_svg(chart(Series("run 1", STEPS, STEPS)))).count("run 1") == 1


def test_many_series_have_a_short_legend_that_says_so() -> None:
    series = tuple(Series(f"rate {number}", STEPS, tuple(number * step for step in STEPS)) for number in range(30))
    texts = texts_of(picture_svg(chart(*series)))
    named = [text for text in texts if text.startswith("rate")]
    assert named == ["rate 0", "rate 6", "rate 12", "rate 17", "rate 23", "rate 29"]
    assert "6 of 30 curves named" in texts


@pytest.mark.parametrize(
    "series",
    [(), (Series("a", (), ()),), (Series("a", (1.0,), (math.nan,)),), (Series("a", (1.0, 2.0), (-1.0, 0.0)),)],
)
def test_a_chart_without_points_says_no_data(series: tuple[Series, ...]) -> None:
    assert "no data" in texts_of(picture_svg(chart(*series, y_scale="log")))


def test_left_out_points_are_said_in_the_picture() -> None:
    svg = picture_svg(chart(Series("a", STEPS, (1.0, math.nan, -1.0, 2.0, 3.0)), y_scale="log"))
    said = " ".join(texts_of(svg))
    assert "1 point is NaN, infinite or beyond 1e300, shown as gaps." in said
    assert "1 point is zero, negative or below 1e-300 and left out: the axis is logarithmic." in said


def test_a_long_series_makes_a_small_file_with_its_spike() -> None:
    count = 100_000
    quiet = tuple(1.0 + step % 7 for step in range(count))
    spiked = tuple(1000.0 if step == 31_234 else value for step, value in enumerate(quiet))
    positions = tuple(float(step) for step in range(count))
    svg = picture_svg(chart(Series("a", positions, spiked)))
    assert len(svg) < 100_000
    assert "1000" in texts_of(svg)
    assert "1000" not in texts_of(picture_svg(chart(Series("a", positions, quiet))))


finite_or_not = st.floats(allow_nan=True, allow_infinity=True)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    points=st.lists(st.tuples(finite_or_not, finite_or_not), max_size=6),
    style=st.sampled_from(["line", "points", "bars", "dashed"]),
    x_scale=st.sampled_from(["linear", "log"]),
    y_scale=st.sampled_from(["linear", "log"]),
)
def test_any_numbers_can_be_drawn(points: list[tuple[float, float]], style: str, x_scale: str, y_scale: str) -> None:
    series = Series("a", tuple(x for x, _ in points), tuple(y for _, y in points), style)  # type: ignore[arg-type]
    assert texts_of(picture_svg(chart(series, x_scale=x_scale, y_scale=y_scale)))


def matrix(rows: int, columns: int, value: float = 0.25) -> Matrix:
    names = tuple(f"c{number}" for number in range(max(rows, columns)))
    values = tuple(tuple(value * (row - column) for column in range(columns)) for row in range(rows))
    return Matrix("m", "Title", "true", "predicted", names[:rows], names[:columns], values, ".2f")


def test_small_matrices_carry_their_numbers_and_large_ones_a_scale() -> None:
    assert texts_of(picture_svg(matrix(12, 12))).count("0.25") == 11
    assert texts_of(picture_svg(matrix(13, 13))).count("0.25") == 0


@pytest.mark.parametrize(
    "picture",
    [
        matrix(0, 0),
        matrix(1, 1),
        matrix(1, 1, math.nan),
        matrix(3, 2, math.inf),
        matrix(100, 3),
        matrix(50, 60),
        NetworkDrawing("n", "", (), (), ()),
        NetworkDrawing("n", "Title", ((),), ("empty",), ()),
        NetworkDrawing("n", "Title", ((Node("x"),) * 40,), ("one",), ()),
    ],
    ids=lambda picture: type(picture).__name__,
)
def test_odd_sizes_can_be_drawn(picture: Picture) -> None:
    texts_of(picture_svg(picture))
    width, height = struct.unpack(">II", picture_png(picture)[16:24])
    assert 0 < width < 4000
    assert 0 < height < 4000


def test_a_network_shows_its_nodes_edges_and_cuts(network: NetworkDrawing) -> None:
    texts = texts_of(picture_svg(network))
    assert {"i1", "a h1", "o2", "w1", "w8", "input", "hidden", "output", "positive", "negative"} <= set(texts)
    large = NetworkDrawing("n", "", ((Node("x"),) * 60,), (), ())
    assert any("51 more" in text for text in texts_of(picture_svg(large)))


def test_pictures_are_found_in_reading_order(every_block: Document) -> None:
    inner = Fold("outer", (Fold("inner", every_block.blocks),))
    keys = [picture.key for picture in pictures_in((inner,))]
    assert keys == ["loss", "confusion", "network", "confusion"]


def test_images_within_an_svg_are_data() -> None:
    svg = picture_svg(matrix(50, 60))
    start = svg.index("data:image/png;base64,") + len("data:image/png;base64,")
    assert base64.b64decode(svg[start : svg.index('"', start)]).startswith(b"\x89PNG")


@pytest.mark.parametrize("values", [(1e23, -2e23), (1e-9, 3e-9), (1234567.0, 2345678.0)])
def test_a_linear_axis_of_extreme_numbers_writes_no_factor_beside_itself(values: tuple[float, float]) -> None:
    svg = picture_svg(Chart("c", "C", "x", "y", (Series("s", (0.0, 1.0), values),)))
    largest = max(abs(value) for value in values)
    ticks = [float(text) for text in texts_of(svg) if re.fullmatch(r"-?[\d.]+(e[+-]?\d+)?", text)]
    # The ticks of x lie between 0 and 1; those of y reach the values, which a factor beside the axis would divide.
    assert sum(largest / 3 < abs(tick) < 2 * largest for tick in ticks) >= 2


def test_a_single_step_is_the_only_tick() -> None:
    svg = picture_svg(Chart("c", "C", "x", "y", (Series("s", (7.0,), (2.0,)), Series("t", (7.0,), (3.0,)))))
    texts = texts_of(svg)
    assert "7" in texts
    assert "7.02" not in texts


def test_a_logarithmic_axis_of_a_decade_is_labelled_so_that_no_texts_touch() -> None:
    ends = Series("ends", (1.0, 2.0, 3.0), (0.516, 0.25, 0.041), "points")
    svg = picture_svg(Chart("ends", "Ends", "lr", "loss at the end", (ends,), "linear", "log"))
    written = re.findall(r">([0-9.]+)</text>", svg)
    assert {"0.05", "0.1", "0.2", "0.5"} <= set(written)
    assert not {"0.04", "0.06", "0.07", "0.08", "0.09", "0.3", "0.4"} & set(written)
