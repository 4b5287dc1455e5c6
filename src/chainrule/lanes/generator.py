"""Random numbers that are a function of where they are drawn: run, step, op and element.

They come from Philox4x32-10: ten rounds that mix a counter of four words with a key of two (J. K. Salmon, M. A.
Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011). The key is the run's seed, the
counter is the place, so there is no state: a run draws the same numbers whichever lane it has, whichever runs are
beside it, and from whichever step it goes on.

    key = (seed mod 2³², seed div 2³²)        counter = (element, op, step mod 2³², step div 2³²)

    uniform = (⌊w₀/2⁵⌋·2²⁶ + ⌊w₁/2⁶⌋)/2⁵³ in float64,  ⌊w₀/2⁸⌋/2²⁴ in float32

    normal  = √(−2·log(1 − u))·cos(2πv),  u of the words 0 and 1, v of 2 and 3      (G. E. P. Box, M. E. Muller 1958)

A normal number is computed in float64, for float32 too. The same numbers come from NumPy below: uniform ones bit for
bit, normal ones but for the rounding of NumPy's own functions.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import UnknownNameError
from chainrule.lanes.mathematics.block import BEGIN, Block, Precision, Real, Whole, fma
from chainrule.lanes.mathematics.logarithms import log
from chainrule.lanes.mathematics.trigonometry import cos_of_turns

GENERATORS = frozenset({"uniform", "normal"})

_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_WORD = 0xFFFFFFFF


def generator_definitions(names: Iterable[str], lanes: int, precision: Precision) -> str:
    """Return the functions that draw one number for each lane, in LLVM's language.

    `define internal <LANES x T> @lane_NAME(<LANES x i64> %seed, i64 %step, i64 %op, i64 %element) alwaysinline`: each
    lane has a seed of its own, and all lanes are at the same place. Of op and element the last 32 bits count.

    Args:
        names: of `GENERATORS`; `uniform` is in [0, 1), `normal` has mean 0 and variance 1.
        lanes: how many numbers a vector holds.
        precision: T is `double` or `float`.

    Raises:
        UnknownNameError: a name that is not in `GENERATORS`.
    """
    return "\n".join(_definition(name, lanes, precision) for name in sorted(set(names)))


def uniform_numbers(seed: int, step: int, op: int, count: int, precision: Precision) -> NDArray[np.floating]:
    """Return the uniform numbers that a run draws for elements 0 … count − 1, shape (count,), in [0, 1).

    Args:
        seed: of the run; its last 64 bits count.
        step: from 0 on.
        op: the number of the op that draws.
        count: at most 2³².
        precision: of the numbers.
    """
    words = philox(_counter(step, op, count), seed)
    numbers: NDArray[np.floating] = _uniform_in_numpy(words[0], words[1])
    if precision == "float32":
        numbers = (words[0] >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    return numbers


def normal_numbers(seed: int, step: int, op: int, count: int, precision: Precision) -> NDArray[np.floating]:
    """Return the normal numbers that a run draws for elements 0 … count − 1, shape (count,); see `uniform_numbers`."""
    words = philox(_counter(step, op, count), seed)
    radius = np.sqrt(-2.0 * np.log(1.0 - _uniform_in_numpy(words[0], words[1])))
    quarters = 4.0 * _uniform_in_numpy(words[2], words[3])
    whole = np.rint(quarters)
    angle = (quarters - whole) * (np.pi / 2)
    cosine = np.choose(whole.astype(int) % 4, [np.cos(angle), -np.sin(angle), -np.cos(angle), np.sin(angle)])
    numbers: NDArray[np.floating] = (radius * cosine).astype(precision)
    return numbers


def philox(counter: NDArray[np.uint32], seed: int) -> NDArray[np.uint32]:
    """Return Philox4x32-10's four words of each counter, shape (4, …).

    Args:
        counter: four words each, shape (4, …).
        seed: both words of the key; the first is its last 32 bits.
    """
    first, second, third, fourth = counter.astype(np.uint64)
    keys = [seed & _WORD, seed >> 32 & _WORD]
    for _ in range(_ROUNDS):
        of_first, of_third = first * np.uint64(_MULTIPLIERS[0]), third * np.uint64(_MULTIPLIERS[1])
        first = of_third >> np.uint64(32) ^ second ^ np.uint64(keys[0])
        third = of_first >> np.uint64(32) ^ fourth ^ np.uint64(keys[1])
        second, fourth = of_third & np.uint64(_WORD), of_first & np.uint64(_WORD)
        keys = [key + step & _WORD for key, step in zip(keys, _KEY_STEPS, strict=True)]
    return np.stack([first, second, third, fourth]).astype(np.uint32)


def _counter(step: int, op: int, count: int) -> NDArray[np.uint32]:
    counter = np.empty((4, count), np.uint32)
    counter[0] = np.arange(count)
    counter[1:] = np.array([[op], [step & _WORD], [step >> 32]], np.uint32)
    return counter


def _uniform_in_numpy(high: NDArray[np.uint32], low: NDArray[np.uint32]) -> NDArray[np.float64]:
    return ((high >> np.uint32(5)) * 2.0**26 + (low >> np.uint32(6))) * 2.0**-53


def _definition(name: str, lanes: int, precision: Precision) -> str:
    block = Block(lanes)
    if name == "uniform":
        words = _words(block)
        result = _uniform(words[0], words[1]) if precision == "float64" else _as_number(words[0] >> 8) * 2.0**-24
    elif name == "normal":
        words = _words(block)
        radius = (log(1.0 - _uniform(words[0], words[1])) * -2.0).intrinsic("sqrt")
        result = radius * cos_of_turns(_uniform(words[2], words[3]))
    else:
        raise UnknownNameError.unknown_name("random number of lanes", name, GENERATORS)
    result = result.as_precision(precision)
    head = f"define internal {result.type} @lane_{name}(<{lanes} x i64> %seed, i64 %step, i64 %op, i64 %element)"
    return "\n".join([f"{head} alwaysinline {{", f"{BEGIN}:", *block.lines, f"  ret {result.type} {result.name}", "}"])


def _words(block: Block) -> tuple[Whole, Whole, Whole, Whole]:
    """Write Philox's rounds; every word stands in the last half of 64 bits, as the processors' products want it."""
    seed, step = Whole(block, "%seed", "float64"), _everywhere(block, "%step")
    first, second = _everywhere(block, "%element") & _WORD, _everywhere(block, "%op") & _WORD
    third, fourth = step & _WORD, step >> 32
    keys = [seed & _WORD, seed >> 32]
    for _ in range(_ROUNDS):
        of_first, of_third = first * _MULTIPLIERS[0], third * _MULTIPLIERS[1]
        first, third = (of_third >> 32) ^ second ^ keys[0], (of_first >> 32) ^ fourth ^ keys[1]
        second, fourth = of_third & _WORD, of_first & _WORD
        keys = [(key + step) & _WORD for key, step in zip(keys, _KEY_STEPS, strict=True)]
    return first, second, third, fourth


def _everywhere(block: Block, scalar: str) -> Whole:
    vector = f"<{block.lanes} x i64>"
    first = block.line(f"insertelement {vector} poison, i64 {scalar}, i32 0")
    zeros = f"<{block.lanes} x i32> zeroinitializer"
    return Whole(block, block.line(f"shufflevector {vector} {first}, {vector} poison, {zeros}"), "float64")


def _uniform(high: Whole, low: Whole) -> Real:
    return fma(_as_number(high >> 5), 2.0**-27, _as_number(low >> 6) * 2.0**-53)  # exact


def _as_number(word: Whole) -> Real:
    """Return an integer below 2³² as a number, which its bits are in the last places of 2⁵²."""
    return (word | 0x4330000000000000).as_real() - 2.0**52
