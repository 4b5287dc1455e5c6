"""The figures of the worked example, from the issue and from independent float64 loops."""

import pytest

from chainrule.tasks import load_task
from chainrule.training import train


def losses(name: str, **changes: object) -> tuple[float, ...]:
    run = train(load_task(name, {key.replace("__", "."): value for key, value in changes.items()}))
    curve = run.history["loss"]
    assert curve.steps == tuple(range(len(curve)))
    return curve.values


def test_targets_01_99() -> None:
    found = losses("two-two-two", stop__epochs=1000)
    wanted = {0: 0.24251985734837728, 1: 0.23549537787349017, 10: 0.1794637189063516, 100: 0.029166680235883584}
    assert {step: found[step] for step in wanted} == pytest.approx(wanted, rel=1e-12, abs=0)
    assert found[1000] == pytest.approx(0.001626108543523827, rel=1e-9, abs=0)


def test_targets_one_half() -> None:
    found = losses("two-two-two-even", optimizer__lr=1)
    wanted = {0: 0.014181377937891659, 1: 0.013377915565327117, 10: 0.007789125608257211, 100: 2.2562565141712584e-05}
    assert {step: found[step] for step in wanted} == pytest.approx(wanted, rel=1e-12, abs=0)


@pytest.mark.parametrize(
    ("convention", "wanted"),
    [
        ("fixed", {0: 0.2983711087600027, 1: 0.29102777369359933, 2: 0.28354713312241997, 100: 0.02004682824942521}),
        ("separate", {0: 0.2983711087600027, 1: 0.28047144679143016, 2: 0.2619076230693008, 100: 0.006083131061206281}),
        ("shared", {0: 0.2983711087600027, 1: 0.2857508866992965, 2: 0.2727972641999934, 100: 0.00999716479409412}),
    ],
)
def test_bias_conventions(convention: str, wanted: dict[int, float]) -> None:
    found = losses("two-two-two-biased", model__bias_convention=convention)
    assert {step: found[step] for step in wanted} == pytest.approx(wanted, rel=1e-12, abs=0)


def test_fixed_biases_after_ten_thousand_updates() -> None:
    found = losses("two-two-two-biased", stop__epochs=10_000)
    assert found[10_000] == pytest.approx(3.510187782978859e-05, rel=1e-9, abs=0)
