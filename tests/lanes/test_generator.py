"""Random numbers of a place: Philox's published words, the same bits from both ways, and the right distribution."""

import ctypes
from itertools import pairwise

import numpy as np
import pytest

from chainrule.errors import UnknownNameError
from chainrule.lanes.generator import (
    GENERATORS,
    generator_definitions,
    normal_numbers,
    philox,
    uniform_numbers,
)
from chainrule.lanes.mathematics import Precision
from chainrule.native import compile_function

PRECISIONS: tuple[Precision, ...] = ("float64", "float32")
ARGUMENTS = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


def drawn(name: str, seeds: list[int], step: int, op: int, count: int, precision: Precision) -> np.ndarray:
    """Return what lanes with these seeds draw for elements 0 … count − 1, shape (count, lanes)."""
    element, size = ("double", 8) if precision == "float64" else ("float", 4)
    lanes = len(seeds)
    vector = f"<{lanes} x {element}>"
    code = f"""{generator_definitions([name], lanes, precision)}
define void @draw(ptr %seeds, ptr %out, i64 %step, i64 %op, i64 %count) {{
begin:
  %seed = load <{lanes} x i64>, ptr %seeds, align 8
  br label %again
again:
  %i = phi i64 [0, %begin], [%next, %again]
  %number = call {vector} @lane_{name}(<{lanes} x i64> %seed, i64 %step, i64 %op, i64 %i)
  %place = mul i64 %i, {lanes}
  %at = getelementptr {element}, ptr %out, i64 %place
  store {vector} %number, ptr %at, align {size}
  %next = add i64 %i, 1
  %has.more = icmp ult i64 %next, %count
  br i1 %has.more, label %again, label %end
end:
  ret void
}}"""
    of_lanes = np.array([seed % 2**64 for seed in seeds], np.uint64)
    out = np.empty((count, lanes), precision)
    compile_function(code, "draw", ARGUMENTS)(of_lanes.ctypes.data, out.ctypes.data, step, op, count)
    return out


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_the_words_are_the_published_ones(counter: list[int], key: list[int], words: str) -> None:
    """Random123's known answers of philox4x32-10."""
    found = philox(np.array(counter, np.uint32), key[0] | key[1] << 32)
    assert " ".join(f"{word:08x}" for word in found) == words


PLACES = [(0, 0), (1, 0), (0, 1), (2**33 + 5, 7), (12, 2**31)]


@pytest.mark.parametrize(("step", "op"), PLACES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_lanes_draw_uniform_numbers_of_the_same_bits_as_numpy(precision: Precision, step: int, op: int) -> None:
    seeds = [0, 1, 2**32, 2**63 + 12345]
    found = drawn("uniform", seeds, step, op, 50, precision)
    for lane, seed in enumerate(seeds):
        assert np.array_equal(found[:, lane], uniform_numbers(seed, step, op, 50, precision))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_lanes_draw_the_normal_numbers_of_numpy_but_for_its_rounding(precision: Precision) -> None:
    seeds = [3, 4]
    found = drawn("normal", seeds, 9, 1, 3000, precision)
    for lane, seed in enumerate(seeds):
        expected = normal_numbers(seed, 9, 1, 3000, precision)
        np.testing.assert_allclose(found[:, lane], expected, rtol=1e-15 if precision == "float64" else 1.2e-7, atol=0)


@pytest.mark.parametrize("name", sorted(GENERATORS))
@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_run_draws_the_same_whichever_lane_it_has(precision: Precision, name: str) -> None:
    alone = drawn(name, [5, 6], 3, 2, 40, precision)
    beside = drawn(name, [9, 1, 6, 8, 7, 5, 2, 3], 3, 2, 40, precision)
    assert np.array_equal(alone[:, 0], beside[:, 5])
    assert np.array_equal(alone[:, 1], beside[:, 2])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_place_has_numbers_of_its_own(precision: Precision) -> None:
    places = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1), (1 + 2**32, 0, 0), (1, 2**32, 0)]
    drawings = [uniform_numbers(seed, step, op, 20, precision) for seed, step, op in places]
    for index, left in enumerate(drawings):
        for right in drawings[index + 1 :]:
            assert not np.isin(left, right).any()
    assert len(np.unique(drawings[0])) == 20


def test_uniform_numbers_are_uniform() -> None:
    """Mean, variance, correlation with the next, and counts in 64 equal parts, within 5 standard deviations."""
    for precision in PRECISIONS:
        numbers = uniform_numbers(7, 0, 0, 200_000, precision).astype(np.float64)
        assert numbers.min() >= 0
        assert numbers.max() < 1
        assert abs(numbers.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 200_000)
        assert abs(numbers.var() - 1 / 12) < 5 * np.sqrt(1 / 180 / 200_000)
        assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 5 / np.sqrt(200_000)
        counts = np.histogram(numbers, 64, (0, 1))[0]
        chi_square = ((counts - 200_000 / 64) ** 2 / (200_000 / 64)).sum()
        assert abs(chi_square - 63) < 5 * np.sqrt(2 * 63)


def test_normal_numbers_are_normal() -> None:
    """Mean, variance and fourth moment, and the shares between quartiles, within 5 standard deviations."""
    numbers = drawn("normal", [11, 12], 0, 0, 100_000, "float64")
    count = numbers.size
    assert np.isfinite(numbers).all()
    assert abs(numbers.mean()) < 5 / np.sqrt(count)
    assert abs((numbers**2).mean() - 1) < 5 * np.sqrt(2 / count)
    assert abs((numbers**4).mean() - 3) < 5 * np.sqrt(96 / count)
    edges = [-np.inf, -0.6744897501960817, 0.0, 0.6744897501960817, np.inf]
    for low, high in pairwise(edges):
        share = ((numbers > low) & (numbers <= high)).mean()
        assert abs(share - 0.25) < 5 * np.sqrt(0.25 * 0.75 / count)
    assert abs(np.corrcoef(numbers[:, 0], numbers[:, 1])[0, 1]) < 5 / np.sqrt(100_000)


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError) as raised:
        generator_definitions(["normale"], 4, "float64")
    assert str(raised.value) == (
        "There is no random number of lanes 'normale'.\n"
        "  found:    normale\n"
        "  expected: one of normal, uniform\n"
        "Did you mean 'normal'?"
    )
