"""A tensor's statistics are those of its elements, whatever its dtype, layout and strides."""

import math
import warnings

import pytest
import torch
from torch.overrides import TorchFunctionMode

from chainrule.trace import Statistics, moments, reduction
from chainrule.trace.reduction import finish_reductions, reduce_many, start_reduction, statistics_of

Tensor = torch.Tensor

EXACT_IN_FLOAT64 = {torch.float64, torch.int32, torch.int64}


def reference(tensor: Tensor, bounds: tuple[float, float] | None = None) -> Statistics:
    """The same from the definition, in float64, all elements at once."""
    elements = tensor.detach().to_dense().resolve_conj().resolve_neg().reshape(-1)
    wide = (elements.abs() if elements.is_complex() else elements).double()
    finite = wide[wide.isfinite()]
    saturated = None
    if bounds is not None and all(math.isfinite(end) for end in bounds):
        margin = 0.01 * (bounds[1] - bounds[0])
        precision = torch.float64 if elements.dtype in EXACT_IN_FLOAT64 else torch.float32
        low, high = torch.tensor([bounds[0] + margin, bounds[1] - margin], dtype=precision).double()
        saturated = ((wide <= low).sum() + (wide >= high).sum()).item() / max(len(wide), 1)
    nothing = math.nan
    scale = finite.abs().max().item() or 1.0 if len(finite) else 1.0  # so that no square overflows
    return Statistics(
        len(wide),
        finite.div(scale).mean().item() * scale if len(finite) else nothing,
        finite.div(scale).std(correction=0).item() * scale if len(finite) else nothing,
        finite.min().item() if len(finite) else nothing,
        finite.max().item() if len(finite) else nothing,
        (wide == 0).sum().item() / max(len(wide), 1),
        saturated,
        len(wide) - len(finite),
    )


def assert_same(found: Statistics, expected: Statistics, relative: float = 1e-5) -> None:
    scale = max(abs(expected.minimum), abs(expected.maximum))
    assert found.spread == pytest.approx(expected.spread, rel=relative, abs=0, nan_ok=True)
    assert found.mean == pytest.approx(
        expected.mean, rel=relative, abs=relative * max(expected.spread, 1e-12 * scale), nan_ok=True
    )
    assert (found.count, found.not_finite) == (expected.count, expected.not_finite)
    assert repr((found.minimum, found.maximum)).replace("-0.0", "0.0") == repr(
        (expected.minimum, expected.maximum)
    ).replace("-0.0", "0.0")
    assert found.zeros == pytest.approx(expected.zeros, rel=1e-15, abs=0)
    assert found.saturated == expected.saturated
    assert type(found.count) is type(found.not_finite) is int


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def integers(*shape: int, low: int = -3, high: int = 4, dtype: torch.dtype = torch.int64) -> Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def holed(tensor: Tensor, *values: float) -> Tensor:
    """The tensor with some of its elements replaced."""
    flat = tensor.clone().reshape(-1)
    for number, value in enumerate(values):
        flat[number :: len(values) * 7] = value
    return flat.reshape(tensor.shape)


INF, NAN = math.inf, math.nan


@pytest.fixture(params=["numpy", "machine code"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How the first pass is done."""
    monkeypatch.setattr(moments, "_CODE", moments.MachineCode(INF if request.param == "numpy" else 0.0))


CASES = {
    "normal": normal(3, 50, 7),
    "one element": torch.tensor([-2.5]),
    "no dimensions": torch.tensor(4.0),
    "half zeros": normal(10_000).relu(),
    "minus zero": torch.tensor([0.0, -0.0, 1.0, -1.0]),
    "all positive": normal(500).exp(),
    "all negative": -normal(500).exp(),
    "mean of a thousand spreads": normal(5_000) + 1000.0,
    "mean of a million spreads": normal(5_000).double().mul(1e-6).add(1.0),
    "mean beyond float32's digits": torch.tensor([2.0**24, 2.0**24 + 2.0] * 50),
    "squares overflow": normal(1_000) * 1e25,
    "sum overflows": torch.full((1_000,), 3e38).mul_(torch.linspace(0.5, 1.0, 1_000)),
    "squares underflow": normal(1_000) * 1e-25,
    "squares lose digits": normal(1_000) * 1e-22,
    "constant": torch.full((1_000,), 0.1),
    "subnormal": normal(1_000) * 1e-41,
    "one large among small": torch.cat([normal(1_000) * 1e-25, torch.tensor([1e-3])]),
    "nan": holed(normal(1_000), NAN),
    "inf": holed(normal(1_000), INF),
    "both infinities": holed(normal(1_000), INF, -INF),
    "nan, inf and zero": holed(normal(1_000), NAN, INF, 0.0),
    "nan at the end": torch.cat([normal(1_000), torch.tensor([NAN])]),
    "nothing finite": torch.tensor([NAN, INF, -INF]),
    "constant beside nan": torch.tensor([0.3, 0.3, NAN]),
    "float64": normal(1_000, dtype=torch.float64),
    "float64 squares overflow": normal(1_000, dtype=torch.float64) * 1e200,
    "float64 squares underflow": normal(1_000, dtype=torch.float64) * 1e-200,
    "float64 subnormal": torch.tensor([5e-324, 1e-322, 0.0], dtype=torch.float64),
    "float64 at its end": torch.tensor([1.7e308, -1.7e308, 1e308], dtype=torch.float64),
    "float16": normal(3_000, dtype=torch.float16),
    "float16 sum overflows": torch.linspace(6e4, 6.5e4, 1_000).half(),
    "bfloat16": normal(3_000, dtype=torch.bfloat16),
    "bfloat16 large": (normal(3_000) * 1e30).bfloat16(),
    "float8": normal(3_000).to(torch.float8_e4m3fn).float().to(torch.float8_e4m3fn),
    "bool": normal(3_000) > 0.5,
    "all true": torch.ones(5, dtype=torch.bool),
    "uint8": integers(1_000, low=0, high=256, dtype=torch.uint8),
    "int8": integers(1_000, dtype=torch.int8),
    "int16": integers(1_000, low=-30_000, high=30_000, dtype=torch.int16),
    "int32": integers(1_000, low=-(2**31), high=2**31, dtype=torch.int32),
    "int64": integers(1_000, low=0, high=50_257),
    "int64 beyond float64's digits": integers(1_000, low=2**60, high=2**62),
    "complex64": torch.complex(normal(500), normal(500, seed=1)),
    "complex with nan": torch.complex(holed(normal(500), NAN), normal(500)),
    "conjugate": torch.complex(normal(500), normal(500, seed=1)).conj(),
    "negative bit": torch.complex(normal(500), normal(500, seed=1)).conj().imag,
    "channels last": normal(2, 3, 8, 8).to(memory_format=torch.channels_last),
    "permuted": normal(4, 5, 6).permute(2, 0, 1),
    "every second column": normal(40, 30)[:, ::2],
    "a column": normal(40, 30)[:, 3],
    "a block": normal(10, 20, 30)[2:7, 3:9, 4:5],
    "a permuted block": normal(10, 20, 30)[2:7, 3:9, 4:15].permute(1, 2, 0),
    "expanded": normal(4, 1, 6).expand(4, 9, 6),
    "expanded with nan": holed(normal(4, 1, 6), NAN).expand(4, 9, 6),
    "expanded number": torch.tensor(0.25).expand(1000),
    "expanded block": normal(4, 1, 6)[:, :, ::2].expand(4, 9, 3),
    "overlapping": normal(30).as_strided((10, 5), (2, 1)),
    "sparse": normal(30, 20).relu().to_sparse(),
    "sparse with repeated places": torch.sparse_coo_tensor([[0, 0, 2]], [1.0, 2.0, -4.0], (5,), check_invariants=True),
    "sparse with dense rows": torch.sparse_coo_tensor([[0, 2]], normal(2, 6), (5, 6), check_invariants=True),
    "sparse with nan": torch.tensor([[0.0, NAN, 3.0], [0.0, 0.0, INF]]).to_sparse(),
    "sparse with nothing finite": torch.tensor([[0.0, NAN], [0.0, INF]]).to_sparse(),
    "sparse without elements": torch.zeros(4, 5).to_sparse(),
    "sparse in large numbers": (normal(30).double().relu() * 1e300).to_sparse(),
    "mkldnn": normal(4, 5).to_mkldnn(),
}


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", CASES)
def test_statistics_are_those_of_the_elements(name: str) -> None:
    assert_same(statistics_of(CASES[name]), reference(CASES[name]))


@pytest.mark.usefixtures("way")
def test_compressed_layouts() -> None:
    dense = holed(normal(8, 8), 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: "sparse CSR tensor support is in beta state"
        layouts = [
            dense.to_sparse_csr(),
            dense.to_sparse_csc(),
            dense.to_sparse_bsr((2, 2)),
            dense.to_sparse_bsc((2, 4)),
        ]
    for tensor in layouts:
        assert_same(statistics_of(tensor), reference(dense))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", CASES)
def test_pieces_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduction, "PIECE", 64)
    assert_same(statistics_of(CASES[name]), reference(CASES[name]))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("shape", [(reduction.PIECE,), (reduction.PIECE + 1,), (3, reduction.PIECE - 1)])
def test_large_tensors(shape: tuple[int, ...]) -> None:
    tensor = normal(*shape).add_(0.5).relu_()
    assert_same(statistics_of(tensor), reference(tensor))
    strided = tensor[..., ::2]
    assert_same(statistics_of(strided), reference(strided))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, 1 / 3, 1e-40, 1e30, -3e38, 16777217.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("count", [1, 2, 3, 10_000])
def test_a_constant_tensor_has_no_spread_and_its_element_as_mean(value: float, dtype: torch.dtype, count: int) -> None:
    tensor = torch.full((count,), value, dtype=dtype)
    element = tensor[0].item()
    assert statistics_of(tensor) == Statistics(count, element, 0.0, element, element, float(element == 0.0))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("offset", [0.0, 1.0, 3.0, 3.9, 4.1, 10.0, 100.0, 1e3, 1e4, 1e5])
@pytest.mark.parametrize("count", [100, 300_000])
def test_the_spread_is_within_1e_4_of_itself_however_large_the_mean(offset: float, count: int) -> None:
    tensor = normal(count) + offset
    assert_same(statistics_of(tensor), reference(tensor), relative=1e-4)


def test_the_norm_is_that_of_the_elements() -> None:
    for name in ("normal", "half zeros", "squares overflow", "float64 squares overflow", "sparse", "expanded"):
        expected = torch.linalg.vector_norm(CASES[name].to_dense().double() / 1e100).item() * 1e100
        assert statistics_of(CASES[name]).norm == pytest.approx(expected, rel=1e-5)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("bounds", "values", "saturated"),
    [
        ((0.0, 1.0), [0.0, 0.005, 0.02, 0.5, 0.98, 0.995, 1.0, 0.3], 4 / 8),
        ((-1.0, 1.0), [-1.0, -0.985, -0.97, 0.0, 0.985, 1.0], 4 / 6),
        ((0.0, 1.0), [0.5, math.nan, 0.999, math.inf], 2 / 4),
        ((0.0, 6.0), [0.0, 6.0, 3.0, 5.95], 3 / 4),
        ((0.0, math.inf), [0.0, 1.0, 2.0], None),
        ((-math.inf, math.inf), [0.0, 1.0, 2.0], None),
        (None, [0.0, 1.0, 2.0], None),
        ((0.0, 1.0), [], 0.0),
        ((-1.0, 0.0), [0.0, -0.5, 0.0, -1.0], 3 / 4),
    ],
)
def test_saturated_is_the_share_within_one_percent_of_an_end(
    bounds: tuple[float, float] | None, values: list[float], saturated: float | None
) -> None:
    for tensor in (torch.tensor(values), torch.tensor(values).expand(3, len(values)), torch.tensor(values).to_sparse()):
        assert statistics_of(tensor, bounds).saturated == pytest.approx(saturated)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bool, torch.complex64])
def test_a_tensor_without_elements(dtype: torch.dtype) -> None:
    assert_same(statistics_of(torch.empty(3, 0, dtype=dtype)), Statistics(0, NAN, NAN, NAN, NAN, 0.0))


@pytest.mark.usefixtures("way")
def test_tensors_without_numbers_have_a_count() -> None:
    expected = Statistics(6, NAN, NAN, NAN, NAN, NAN)
    assert repr(statistics_of(torch.empty(2, 3, device="meta"))) == repr(expected)
    inside = []

    def look(row: Tensor) -> Tensor:
        inside.append(statistics_of(row))
        return row.sum()

    torch.func.vmap(look)(torch.ones(4, 6))
    torch.func.grad(look)(torch.ones(2, 3))
    assert [repr(found) for found in inside] == [repr(expected)] * 2


class Listener(TorchFunctionMode):
    """Counts the torch functions that are called."""

    calls = 0

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        self.calls += 1
        return function(*arguments, **(keywords or {}))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("name", CASES)
def test_nothing_of_it_is_recorded_or_changed(name: str) -> None:
    tensor = CASES[name]
    if tensor.dtype.is_floating_point and tensor.is_leaf and tensor.layout is torch.strided:
        tensor = tensor.clone().requires_grad_()
    version = tensor._version
    state = torch.get_rng_state()
    with Listener() as listener:
        before = listener.calls
        reduce_many([tensor, tensor], [None, (0.0, 1.0)])
        statistics_of(tensor)
        after = listener.calls
    assert after == before
    assert torch.is_grad_enabled()
    assert tensor._version == version
    assert torch.equal(state, torch.get_rng_state())
    with torch.no_grad():
        statistics_of(tensor)
        assert not torch.is_grad_enabled()


@pytest.mark.usefixtures("way")
def test_inside_inference_mode() -> None:
    with torch.inference_mode():
        assert_same(statistics_of(normal(10) * 2), reference(normal(10) * 2))


def test_a_parameter_is_a_tensor() -> None:
    assert_same(statistics_of(torch.nn.Parameter(normal(10))), reference(normal(10)))


def test_many_are_each_as_alone() -> None:
    tensors = list(CASES.values())
    assert list(map(repr, reduce_many(tensors))) == [repr(statistics_of(tensor)) for tensor in tensors]
    bounds = [(0.0, 1.0), None] * (len(tensors) // 2) + [None] * (len(tensors) % 2)
    assert list(map(repr, reduce_many(tensors, bounds))) == [
        repr(statistics_of(tensor, bound)) for tensor, bound in zip(tensors, bounds, strict=True)
    ]
    assert reduce_many([]) == []


@pytest.mark.parametrize("name", CASES)
def test_what_other_devices_compute_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form for other devices, computed here: it never asks for a number before the end."""
    tensor = CASES[name]
    if tensor.layout is not torch.strided:
        return
    bounds = (-1.0, 1.0)
    expected = reference(tensor, bounds)
    known = reduction._known
    monkeypatch.setattr(reduction, "_known", lambda *_: None)
    started = [start_reduction(tensor), start_reduction(tensor, bounds)]
    monkeypatch.setattr(reduction, "_known", known)
    assert all(isinstance(each.numbers, Tensor) and each.numbers.shape == (7,) for each in started)
    without, _, found = finish_reductions([started[0], start_reduction(normal(4)), started[1]])
    assert_same(found, expected)
    assert_same(without, reference(tensor))


@pytest.mark.parametrize("name", ["normal", "channels last", "permuted", "no dimensions"])
def test_memory_without_gaps_is_read_where_it_lies(name: str) -> None:
    flat = reduction._flat(CASES[name])
    assert flat is not None
    assert (flat.data_ptr(), flat.shape) == (CASES[name].data_ptr(), (CASES[name].numel(),))


@pytest.mark.parametrize("name", ["every second column", "a column", "a block", "overlapping", "expanded"])
def test_memory_with_gaps_is_not(name: str) -> None:
    assert reduction._flat(CASES[name]) is None


def test_statistics_are_the_same_to_the_last_bit_however_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = [None, (0.0, 1.0)]
    tensors = [*CASES.values(), normal(3, reduction.PIECE - 1)]
    found = []
    for worth in (INF, 0.0):
        monkeypatch.setattr(moments, "_CODE", moments.MachineCode(worth))
        found.append([repr(statistics_of(tensor, bound)) for tensor in tensors for bound in bounds])
    assert found[0] == found[1]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_mean_far_from_zero_needs_no_slow_pass(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of normalisations and slopes lie about 1: in a real step, every tenth tensor is like that."""
    monkeypatch.setattr(reduction, "_second_pass", None)
    for tensor in (normal(300) * 0.24 + 1, normal(300, 700)[:, ::2] * 0.2 - 3, normal(reduction.PIECE + 1) + 1000):
        assert_same(statistics_of(tensor.to(dtype)), reference(tensor.to(dtype)))
