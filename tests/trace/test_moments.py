"""Machine code and NumPy find the same moments, to the last bit, and those of the definition."""

import math
import subprocess
import sys
import threading

import pytest
import torch

from chainrule.trace import moments
from chainrule.trace.machine_pass import COLUMNS, ROWS
from chainrule.trace.moments import MachineCode, moments_of, prepare

Tensor = torch.Tensor

BLOCK = ROWS * COLUMNS
COUNTS = [
    *range(1, 3 * COLUMNS + 2),
    *(BLOCK * blocks + rest for blocks in (1, 2, 16, 17, 33) for rest in (-1, 0, 1, COLUMNS, 3 * COLUMNS + 5)),
]
EDGES = [None, (-0.7, 0.3), (0.1, 0.1)]
DTYPES = [torch.float32, torch.float64]


def use(monkeypatch: pytest.MonkeyPatch, worth: float) -> MachineCode:
    code = MachineCode(worth)
    monkeypatch.setattr(moments, "_CODE", code)
    return code


def normal(count: int, dtype: torch.dtype = torch.float32, offset: float = 0.0) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(count)).to(dtype) + offset


def clipped(count: int, dtype: torch.dtype) -> Tensor:
    """Zeros of both signs among others, and elements at the edges."""
    tensor = normal(count, dtype)
    tensor[::3] = tensor[::3].relu()
    tensor[1::5] = -0.0
    tensor[2::7] = 0.3
    return tensor


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("edges", "shift"), [*((edges, 0.0) for edges in EDGES), ((0.0, 1.0), 5.0), (None, -0.375)])
def test_both_ways_agree_to_the_last_bit(
    dtype: torch.dtype, edges: tuple[float, float] | None, shift: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = [make(count, dtype) for make in (normal, clipped) for count in COUNTS]
    tensors += [normal(count, dtype, offset=5.0) for count in COUNTS]
    tensors += [tensor[1:] for tensor in tensors if len(tensor) > 1]  # from an address that is not even
    found = []
    for worth in (math.inf, 0.0):
        use(monkeypatch, worth)
        found.append([moments_of(tensor, edges, shift) for tensor in tensors])
    assert found[0] == found[1]


@pytest.mark.parametrize("worth", [math.inf, 0.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_they_are_those_of_the_definition(worth: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, worth)
    low, high = torch.tensor([-0.7, 0.3], dtype=dtype)
    for count in COUNTS:
        tensor = clipped(count, dtype)
        wide = tensor.double()
        total, squares, *others = moments_of(tensor, (-0.7, 0.3))
        error = (1e-6 if dtype is torch.float32 else 1e-15) * wide.abs().sum().item()
        assert total == pytest.approx(wide.sum().item(), rel=0, abs=error)
        assert squares == pytest.approx((wide * wide).sum().item(), rel=1e-6 if dtype is torch.float32 else 1e-14)
        beyond = (tensor <= low).sum().item() + (tensor >= high).sum().item()
        assert others == [wide.min().item(), wide.max().item(), (wide == 0).sum().item(), beyond]


@pytest.mark.parametrize("worth", [math.inf, 0.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_shift_moves_the_sums_alone(worth: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, worth)
    for count in COUNTS:
        tensor = clipped(count, dtype)
        shifted, plain = moments_of(tensor, (-0.7, 0.3), 0.25), moments_of(tensor, (-0.7, 0.3))
        assert shifted[:2] == moments_of(tensor - 0.25, None)[:2]
        assert shifted[2:] == plain[2:]


@pytest.mark.parametrize("worth", [math.inf, 0.0])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_finite_is_seen_wherever_it_lies(
    worth: float, value: float, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, worth)
    count = BLOCK + 3 * COLUMNS + 5
    for place in (*range(0, count, 37), *range(count - 2 * COLUMNS, count)):
        tensor = normal(count, dtype)
        tensor[place] = value
        assert not math.isfinite(moments_of(tensor, None)[1])


def test_machine_code_is_made_when_it_is_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    code = use(monkeypatch, 1000.0)
    tensor = normal(100)
    assert [code.look_up(tensor.dtype, False, tensor.nbytes) is not None for _ in range(4)] == [
        False,
        False,
        True,
        True,
    ]
    code = use(monkeypatch, 1000.0)
    assert [prepare(999), prepare(1000), prepare(0)] == [False, True, True]
    assert code.look_up(torch.float32, False, 4) is not None
    assert code.look_up(torch.float32, True, 4) is None


def test_without_a_compiler_numpy_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = moments_of(normal(5000), None)
    tried = []

    def refuse(name: str) -> None:
        tried.append(name)
        raise ImportError(name)

    use(monkeypatch, 0.0)
    monkeypatch.setattr(moments.importlib, "import_module", refuse)
    assert not prepare(10**9)
    assert [moments_of(normal(5000), None) for _ in range(3)] == [expected] * 3
    assert tried == ["chainrule.native"]


def test_each_thread_has_its_own_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, 0.0)
    tensors = [normal(count) for count in (10_000, 20_000, 30_000)]
    expected = [moments_of(tensor, None) for tensor in tensors]
    wrong = []

    def look(number: int) -> None:
        wrong.extend(number for _ in range(300) if moments_of(tensors[number], None) != expected[number])

    threads = [threading.Thread(target=look, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_compiler_is_not_imported_for_little() -> None:
    code = (
        "import sys, torch; from chainrule.trace.reduction import statistics_of; "
        "[statistics_of(torch.ones(100_000)) for _ in range(40)]; assert 'llvmlite' not in sys.modules; "
        "[statistics_of(torch.ones(100_000)) for _ in range(40)]; assert 'llvmlite' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
