"""Devices and precisions: those that are here compute, those that are not are named."""

from collections.abc import Callable

import pytest
import torch

from chainrule.errors import DeviceError
from chainrule.tasks import Task
from chainrule.training import available_devices, train
from chainrule.training.devices import Placement, placement

Make = Callable[..., Task]


@pytest.fixture
def only_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)


@pytest.mark.usefixtures("only_a_cpu")
def test_no_cuda(small_task: Make) -> None:
    with pytest.raises(DeviceError) as error:
        train(small_task(run={"device": "cuda"}))
    assert (
        str(error.value)
        == """This machine has no cuda device that torch can use.
  found:    cpu (3 threads)
  expected: --device cpu
A CUDA device needs a CUDA build of PyTorch: the README says how to get one."""
    )


@pytest.mark.usefixtures("only_a_cpu")
def test_no_mps(small_task: Make) -> None:
    with pytest.raises(DeviceError) as error:
        train(small_task(run={"device": "mps"}))
    assert (
        str(error.value)
        == """This machine has no mps device that torch can use.
  found:    cpu (3 threads)
  expected: --device cpu"""
    )


@pytest.mark.usefixtures("only_a_cpu")
def test_auto_takes_what_is_there() -> None:
    assert available_devices() == {"cpu": "cpu (3 threads)"}
    with placement("auto", "float32") as place:
        assert place.device.type == "cpu"


def test_no_float64_on_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(DeviceError) as error, placement("mps", "float64"):
        pass
    assert (
        str(error.value)
        == """The MPS device has no float64.
  found:    float64 on mps
  expected: --device cpu"""
    )


def test_no_bfloat16_on_an_old_card(monkeypatch: pytest.MonkeyPatch) -> None:
    card = {"is_available": True, "device_count": 1, "is_bf16_supported": False}
    for name, value in card.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old Card")
    assert available_devices()["cuda"] == "cuda:0 (Old Card)"
    with pytest.raises(DeviceError) as error, placement("cuda", "bf16"):
        pass
    assert (
        str(error.value)
        == """This CUDA device has no bfloat16.
  found:    bf16
  expected: --precision float32"""
    )


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float64", torch.float64), ("float32", torch.float32), ("bf16", torch.float32)]
)
def test_every_precision_trains(small_task: Make, precision: str, dtype: torch.dtype) -> None:
    run = train(small_task(run={"device": "cpu", "precision": precision}, stop={"epochs": 20}))
    assert {weight.dtype for weight in run.model.parameters()} == {dtype}
    means = run.history["epoch/loss"].values
    assert means[-1] < means[0]
    assert run.check.is_right


def test_precisions_differ_by_their_rounding(small_task: Make) -> None:
    """From weights that are written out: those that are drawn depend on the precision."""
    weights = [[[0.1 * row - 0.2 * column for column in range(3)] for row in range(4)], [[0.3, -0.2, 0.1, 0.4]]]
    model = {"layers": [4, 1], "activation": "Tanh", "weights": weights, "biases": [0.1, 0.0]}

    def losses(precision: str) -> torch.Tensor:
        run = train(small_task(model=model, run={"device": "cpu", "precision": precision}))
        return torch.tensor(run.history["loss"].values, dtype=torch.float64)

    exact = losses("float64")
    off = {name: (losses(name) / exact - 1).abs().max().item() for name in ("float32", "bf16")}
    assert 1e-9 < off["float32"] < 1e-5 < off["bf16"] < 0.1


def test_bf16_casts_the_forward_pass(small_task: Make) -> None:
    run = train(small_task(run={"device": "cpu", "precision": "bf16"}))
    with run.state.place.casting():
        assert run.model(run.state.batches.inputs).dtype == torch.bfloat16
    assert run.model(run.state.batches.inputs).dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "cpu, float32"),
        ({"autocast": True}, "cpu, bf16 autocast"),
        ({"world": 2}, "cpu, float32, 2 processes"),
    ],
)
def test_described_in_words(changes: dict[str, object], text: str) -> None:
    facts: dict[str, object] = {"device": torch.device("cpu"), "dtype": torch.float32, "autocast": False}
    assert Placement(**(facts | {"rank": 0, "world": 1} | changes)).describe() == text  # type: ignore[arg-type]
