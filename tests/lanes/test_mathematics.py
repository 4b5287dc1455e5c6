"""Vector code of mathematics against numbers of 40 digits, its special values, and its independence of the vector."""

import ctypes
import math
import platform
from collections.abc import Callable
from functools import cache
from itertools import product

import llvmlite.binding as llvm
import mpmath
import numpy as np
import pytest

from chainrule.errors import UnknownNameError
from chainrule.lanes.mathematics import FUNCTIONS, Precision, definitions
from chainrule.native import compile_function

PRECISIONS: tuple[Precision, ...] = ("float64", "float32")
ELEMENTS = {"float64": "double", "float32": "float"}
NAMES = tuple(sorted(FUNCTIONS - {"pow"}))
MOST_LANES = 16

# The greatest error that is allowed, in units in the last place; a root is rounded correctly.
ULPS = dict.fromkeys(NAMES, 2.0) | {
    "sqrt": 0.5,
    "sign": 0.0,
    "exp": 1.1,
    "log": 1.0,
    "sin": 1.0,
    "cos": 1.0,
    "tanh": 2.2,
}
ULPS |= {"sigmoid": 2.1}

EXACT: dict[str, Callable[[mpmath.mpf], mpmath.mpf]] = {
    "exp2": lambda x: mpmath.mpf(2) ** x,
    "log2": lambda x: mpmath.log(x, 2),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    **{name: getattr(mpmath, name) for name in NAMES if name not in {"exp2", "log2", "sigmoid"}},
}

# Where a function has values, beside everything from the smallest to the largest number.
BEGIN = {"log": 0, "log2": 0, "log10": 0, "log1p": -1, "sqrt": 0, "acosh": 1, "asin": -1, "acos": -1, "atanh": -1}
END = {"asin": 1, "acos": 1, "atanh": 1}
# Beyond it the result is neither a number nor 0, or needs digits that this file's reference has not.
LARGEST = {"float64": 760.0, "float32": 120.0}
GROWING = {"exp", "exp2", "expm1", "sinh", "cosh", "sigmoid", "erfc", "sin", "cos", "tan"}


@cache
def loop_code(lanes: int, precision: Precision) -> str:
    """Return a module whose function `all` writes what each function makes of each number, one after the other."""
    element = ELEMENTS[precision]
    vector, size = f"<{lanes} x {element}>", 8 if precision == "float64" else 4
    calls = []
    for place, name in enumerate((*NAMES, "pow")):
        arguments = f"{vector} %x, {vector} %y" if name == "pow" else f"{vector} %x"
        calls.append(f"""  %start{place} = mul i64 %count, {place}
  %at{place} = add i64 %start{place}, %i
  %out{place} = getelementptr {element}, ptr %out, i64 %at{place}
  %r{place} = call {vector} @lane_{name}({arguments})
  store {vector} %r{place}, ptr %out{place}, align {size}""")
    body = "\n".join(calls)
    return f"""{definitions(FUNCTIONS, lanes, precision)}
define void @all(ptr %xs, ptr %ys, ptr %out, i64 %count) {{
begin:
  br label %again
again:
  %i = phi i64 [0, %begin], [%next, %again]
  %x.at = getelementptr {element}, ptr %xs, i64 %i
  %y.at = getelementptr {element}, ptr %ys, i64 %i
  %x = load {vector}, ptr %x.at, align {size}
  %y = load {vector}, ptr %y.at, align {size}
{body}
  %next = add i64 %i, {lanes}
  %has.more = icmp ult i64 %next, %count
  br i1 %has.more, label %again, label %end
end:
  ret void
}}"""


ARGUMENTS = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


def run(function: Callable[..., None], precision: Precision, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    count = -(-len(x) // MOST_LANES) * MOST_LANES
    xs, ys = np.ones((2, count), precision)
    xs[: len(x)], ys[: len(y)] = x, y
    out = np.full((len(NAMES) + 1, count), 7.0, precision)
    function(xs.ctypes.data, ys.ctypes.data, out.ctypes.data, count)
    return dict(zip((*NAMES, "pow"), out[:, : len(x)], strict=True))


def values(precision: Precision, x: np.ndarray, y: np.ndarray | None = None, lanes: int = 8) -> dict[str, np.ndarray]:
    function = compile_function(loop_code(lanes, precision), "all", ARGUMENTS)
    return run(function, precision, x, np.ones_like(x) if y is None else y)


@cache
def numbers(precision: Precision) -> np.ndarray:
    """Return numbers of every size and some ranges that are hard, and the smallest and largest of all."""
    random = np.random.default_rng(20)
    lowest, highest = (-1074, 1024) if precision == "float64" else (-149, 128)
    sizes = np.exp2(random.uniform(lowest, highest - 1e-3, 150))
    ordinary = np.exp2(random.uniform(-12, 6.6, 350))
    info = np.finfo(precision)
    edges = np.array([info.tiny, info.smallest_subnormal, info.max, 1.0, 0.5, 2.0, info.eps])
    half_log = np.log(2) / 2 * np.arange(1, 12)
    both = np.concatenate([sizes, ordinary, edges, half_log, random.uniform(0, 1.2, 150), random.uniform(0.17, 1, 80)])
    near_one = 1 + random.normal(size=40) * 1e-3
    large = random.uniform(-1080, 1025, 120) if precision == "float64" else random.uniform(-150, 130, 120)
    return np.concatenate([both, -both, near_one, large]).astype(precision)


@cache
def values_of_numbers(precision: Precision) -> dict[str, np.ndarray]:
    return values(precision, numbers(precision))


def errors(precision: Precision, results: np.ndarray, exact: list[mpmath.mpf]) -> list[float]:
    """Return errors in units in the last place of the exact number; ∞ where one of the two is out of range alone."""
    digits, lowest = (53, -1074) if precision == "float64" else (24, -149)
    found = []
    for result, true in zip(results.tolist(), exact, strict=True):
        if math.isinf(result):
            last = mpmath.mpf(float(np.finfo(precision).max))
            found.append(0.0 if abs(true) > last and (true > 0) == (result > 0) else math.inf)
            continue
        if true == 0:
            found.append(0.0 if result == 0 else math.inf)
            continue
        unit = mpmath.mpf(2) ** max(mpmath.frexp(true)[1] - digits, lowest)
        found.append(float(abs(mpmath.mpf(result) - true) / unit))
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_error_in_units_in_the_last_place(precision: Precision, name: str) -> None:
    x = numbers(precision)
    has_value = (x >= BEGIN.get(name, -np.inf)) & (x <= END.get(name, np.inf))
    if name in {"log", "log2", "log10", "log1p", "atanh"}:
        has_value &= (x != BEGIN[name]) & (x != END.get(name, np.inf))
    if name in GROWING:
        has_value &= np.abs(x) <= (LARGEST[precision] if name != "exp2" else 1100)
    with mpmath.workdps(40):
        exact = [EXACT[name](mpmath.mpf(number)) for number in x[has_value].tolist()]
        found = errors(precision, values_of_numbers(precision)[name][has_value], exact)
    worst = int(np.argmax(found))
    assert found[worst] <= ULPS[name], (name, x[has_value][worst], found[worst])
    assert len(found) > 250


@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_angles_of_any_size(precision: Precision, name: str) -> None:
    random = np.random.default_rng(3)
    x = np.exp2(random.uniform(6, 1023.9 if precision == "float64" else 127.9, 200)) * random.choice([-1, 1], 200)
    if precision == "float64":
        x[:2] = 6381956970095103.0 * 2.0**797, 2.0**40  # the nearest to a multiple of π/2; where the way changes
    x = x.astype(precision)
    with mpmath.workdps(400):
        exact = [EXACT[name](mpmath.mpf(number)) for number in x.tolist()]
    assert max(errors(precision, values(precision, x)[name], exact)) <= 2.0


@pytest.mark.parametrize("precision", PRECISIONS)
def test_power(precision: Precision) -> None:
    random = np.random.default_rng(5)
    reach = 700 if precision == "float64" else 85
    x = np.exp(
        np.concatenate([random.uniform(-reach, reach, 300), random.normal(size=300), 1e-7 * random.normal(size=100)])
    )
    y = random.uniform(-1, 1, 700) * reach * 1.05 / np.maximum(np.abs(np.log(x)), 1e-4)
    y[:100] = np.round(y[:100])
    x, y = x.astype(precision), y.astype(precision)
    with mpmath.workdps(40):
        exact = [mpmath.power(mpmath.mpf(a), mpmath.mpf(b)) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
        assert max(errors(precision, values(precision, x, y)["pow"], exact)) <= 1.5


def same(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return where two arrays hold the same numbers; −0 is not 0, and each NaN is like the other."""
    return (np.isnan(left) & np.isnan(right)) | ((left == right) & (np.signbit(left) == np.signbit(right)))


SPECIAL = np.array([0.0, -0.0, math.inf, -math.inf, math.nan])
# At 0, −0, ∞, −∞ and NaN.
AT_SPECIAL = {
    "acos": [np.pi / 2, np.pi / 2, math.nan, math.nan],
    "acosh": [math.nan, math.nan, math.inf, math.nan],
    "asin": [0.0, -0.0, math.nan, math.nan],
    "asinh": [0.0, -0.0, math.inf, -math.inf],
    "atan": [0.0, -0.0, np.pi / 2, -np.pi / 2],
    "atanh": [0.0, -0.0, math.nan, math.nan],
    "cos": [1.0, 1.0, math.nan, math.nan],
    "cosh": [1.0, 1.0, math.inf, math.inf],
    "erf": [0.0, -0.0, 1.0, -1.0],
    "erfc": [1.0, 1.0, 0.0, 2.0],
    "exp": [1.0, 1.0, math.inf, 0.0],
    "exp2": [1.0, 1.0, math.inf, 0.0],
    "expm1": [0.0, -0.0, math.inf, -1.0],
    "log": [-math.inf, -math.inf, math.inf, math.nan],
    "log10": [-math.inf, -math.inf, math.inf, math.nan],
    "log1p": [0.0, -0.0, math.inf, math.nan],
    "log2": [-math.inf, -math.inf, math.inf, math.nan],
    "sigmoid": [0.5, 0.5, 1.0, 0.0],
    "sign": [0.0, 0.0, 1.0, -1.0],
    "sin": [0.0, -0.0, math.nan, math.nan],
    "sinh": [0.0, -0.0, math.inf, -math.inf],
    "sqrt": [0.0, -0.0, math.inf, math.nan],
    "tan": [0.0, -0.0, math.nan, math.nan],
    "tanh": [0.0, -0.0, 1.0, -1.0],
}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_special_values(precision: Precision) -> None:
    results = values(precision, SPECIAL)
    assert set(AT_SPECIAL) == set(NAMES)
    for name, expected in AT_SPECIAL.items():
        of_nan = 0.0 if name == "sign" else math.nan
        assert same(results[name], np.array([*expected, of_nan], precision)).all(), (name, results[name])


@pytest.mark.parametrize("precision", PRECISIONS)
def test_logarithms_and_roots_of_what_has_none(precision: Precision) -> None:
    beyond = np.array([-1e-30, -0.5, -3.0, -np.finfo(precision).smallest_subnormal])
    results = values(precision, beyond)
    for name in ("log", "log2", "log10", "sqrt"):
        assert np.isnan(results[name]).all(), name
    results = values(precision, np.array([1.0, -1.0, 1 + 2e-7, -1 - 2e-7, 7.0, -7.0]))
    assert same(results["atanh"], np.array([math.inf, -math.inf, *[math.nan] * 4], precision)).all()
    assert np.isnan(results["asin"][2:]).all()
    assert np.isnan(results["acos"][2:]).all()
    assert same(results["acosh"][[0, 1, 3, 5]], np.array([0, math.nan, math.nan, math.nan], precision)).all()
    assert same(results["log1p"][[1, 3, 5]], np.array([-math.inf, math.nan, math.nan], precision)).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_power_at_the_edges_is_that_of_c(precision: Precision) -> None:
    edges = [0.0, 1.0, 2.0, 0.5, 3.0, 2.5, math.inf, 5.0, 2.0**52 + 1, 2.0**23 + 1, 1e30, 1e-30]
    both = np.array([*edges, *(-edge for edge in edges), math.nan])
    x, y = np.array(list(product(both, both))).T.astype(precision)
    with np.errstate(all="ignore"):
        expected = np.power(x, y)
    found = values(precision, x, y)["pow"]
    is_special = ~np.isfinite(expected) | (expected == 0) | (np.abs(expected) == 1)
    assert same(found, expected)[is_special].all()
    assert is_special.sum() > 400
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(precision).eps)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_exact(precision: Precision) -> None:
    lowest, highest = (-1074, 1024) if precision == "float64" else (-149, 128)
    counts = np.arange(lowest, highest).astype(precision)
    powers = np.ldexp(np.ones_like(counts), counts.astype(int))
    assert np.array_equal(values(precision, counts)["exp2"], powers)
    assert np.array_equal(values(precision, powers)["log2"], counts)
    decimal = np.arange(0, 22 if precision == "float64" else 11).astype(precision)
    assert np.array_equal(values(precision, np.power(10.0, decimal).astype(precision))["log10"], decimal)


@pytest.mark.parametrize("name", ["tanh", "sinh", "asinh", "atanh", "erf", "sin", "tan", "asin", "atan"])
def test_odd_functions_are_odd_to_the_bit(name: str) -> None:
    x = numbers("float64")
    assert same(values("float64", -x)[name], -values_of_numbers("float64")[name]).all()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_bounded_functions_keep_their_bounds(precision: Precision) -> None:
    results = values_of_numbers(precision)
    for name in ("tanh", "erf", "sin", "cos", "sigmoid"):
        assert np.abs(results[name]).max() <= 1, name
    assert results["sigmoid"].min() >= 0


@pytest.mark.parametrize("precision", PRECISIONS)
def test_results_depend_neither_on_lanes_nor_on_neighbours(precision: Precision) -> None:
    """Every number is seen in vectors of other lengths, in another place and beside other numbers: far angles too."""
    x = numbers(precision)[::3]
    y = np.random.default_rng(1).normal(size=len(x)).astype(precision)
    expected = values(precision, x, y, lanes=2)
    moved = np.random.default_rng(2).permutation(len(x))
    for lanes in (4, 8, MOST_LANES):
        found = values(precision, x[moved], y[moved], lanes=lanes)
        for name, result in found.items():
            assert same(result, expected[name][moved]).all(), (lanes, name)


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="another processor has no older one of x86")
@pytest.mark.parametrize("processor", ["x86-64", "x86-64-v3"])
def test_an_older_processor_gives_the_same_bits(processor: str) -> None:
    """The first x86-64 has 2 lanes and no fused multiply-add, the third version 4 and no masks."""
    module = llvm.parse_assembly(loop_code(4, "float64"))
    machine = llvm.Target.from_default_triple().create_target_machine(cpu=processor, features="", opt=3, jit=True)
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(None, *ARGUMENTS)(engine.get_function_address("all"))
    x = numbers("float64")
    y = np.random.default_rng(1).normal(size=len(x))
    expected = values("float64", x, y)
    for name, result in run(function, "float64", x, y).items():
        assert same(result, expected[name]).all(), name


def test_each_name_is_defined_once() -> None:
    code = definitions(["tanh", "tanh", "exp"], 4, "float64")
    assert code.count("define internal <4 x double> @lane_tanh(<4 x double> %x) alwaysinline") == 1
    assert code.count("define") == 2


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError) as raised:
        definitions(["exp", "tahn"], 4, "float64")
    assert str(raised.value) == (
        "There is no function of lanes 'tahn'.\n"
        "  found:    tahn\n"
        "  expected: one of acos, acosh, asin, asinh, atan, atanh, cos, cosh, erf, erfc, exp, exp2, expm1, log, log10, "
        "log1p, log2, pow, sigmoid, sign, sin, sinh, sqrt, tan, tanh\n"
        "Did you mean 'tanh'?"
    )
