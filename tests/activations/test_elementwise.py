"""Every elementwise activation against torch: its values, autograd's derivative, and each fact of the catalogue."""

import inspect
import itertools
import math
import typing

import numpy as np
import pytest
import sympy
import torch

from chainrule.activations import ActivationFacts, activation_names, catalogue_rows, describe, describe_all
from chainrule.activations.elementwise import ELEMENTWISE
from chainrule.activations.lookup import bind
from chainrule.activations.rule import X
from chainrule.formulas import derivative, named_functions_in

OTHER_ARGUMENTS: list[tuple[str, dict[str, float | str]]] = [
    ("LeakyReLU", {"negative_slope": 0.2}),
    ("LeakyReLU", {"negative_slope": -0.5}),
    ("LeakyReLU", {"negative_slope": 1.0}),
    ("PReLU", {"init": 0.7}),
    ("RReLU", {"lower": 0.1, "upper": 0.3}),
    ("Threshold", {"threshold": 0.1, "value": 20.0}),
    ("Threshold", {"threshold": -0.7, "value": -2.0}),
    ("ELU", {"alpha": 0.3}),
    ("ELU", {"alpha": 2}),
    ("ELU", {"alpha": -1.5}),
    ("CELU", {"alpha": 0.25}),
    ("CELU", {"alpha": 3.0}),
    ("GELU", {"approximate": "tanh"}),
    ("Hardtanh", {"min_val": -0.3, "max_val": 2.5}),
    ("Softplus", {"beta": 3.0, "threshold": 2.0}),
    ("Softplus", {"beta": 0.1}),
    ("Softshrink", {"lambd": 1.3}),
    ("Hardshrink", {"lambd": 2.0}),
]
CASES = [(name, {}) for name in dict.fromkeys(rule.name for rule in ELEMENTWISE)] + OTHER_ARGUMENTS
every_activation = pytest.mark.parametrize(
    ("name", "arguments"), CASES, ids=[f"{name}-{'-'.join(map(str, given.values()))}" for name, given in CASES]
)


def run_torch(facts: ActivationFacts, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return torch's values and autograd's derivatives."""
    kind = getattr(torch.nn, facts.name)
    # PReLU has a weight, which would be float32.
    dtype = {"dtype": torch.float64} if facts.name == "PReLU" else {}
    module = kind(**dict(facts.arguments), **dtype).eval()
    inputs = torch.tensor(places, dtype=torch.float64, requires_grad=True)
    outputs = module(inputs)
    (slopes,) = torch.autograd.grad(outputs.sum(), inputs)
    return outputs.detach().numpy(), slopes.numpy()


def grid(facts: ActivationFacts, reach: float = 1e4, points: int = 2001) -> np.ndarray:
    """Return places that are dense near 0 and near each break, and on no break."""
    places = np.sinh(np.linspace(-math.asinh(reach), math.asinh(reach), points))
    sides = [gap.place + shift for gap in facts.breaks for shift in (-1e-9, 1e-9)]
    breaks = {gap.place for gap in facts.breaks}
    return np.array(sorted({float(place) for place in (*places, *sides)} - breaks))


def away_from(places: np.ndarray, excluded: list[float], distance: float) -> np.ndarray:
    keep = np.ones(places.shape, dtype=bool)
    for place in excluded:
        keep &= np.abs(places - place) > distance
    return places[keep]


def test_the_catalogue_has_every_activation_of_torch() -> None:
    in_torch = {
        name
        for name, kind in inspect.getmembers(torch.nn.modules.activation, inspect.isclass)
        if issubclass(kind, torch.nn.Module) and kind is not torch.nn.Module and hasattr(torch.nn, name)
        if kind.__module__ == "torch.nn.modules.activation"
    }
    assert len(in_torch) >= 29
    assert set(activation_names()) == in_torch - {"MultiheadAttention"}


@pytest.mark.parametrize("name", dict.fromkeys(rule.name for rule in ELEMENTWISE))
def test_every_argument_of_torch_is_in_the_formula_or_without_effect_on_it(name: str) -> None:
    in_signature = set(inspect.signature(getattr(torch.nn, name)).parameters) - {"args", "kwargs"}
    without_effect = {"inplace", "num_parameters", "device", "dtype", "min_value", "max_value"}
    assert in_signature - without_effect == set(dict(describe(name).arguments))


@every_activation
def test_formula_and_printed_derivative_agree_with_torch_and_autograd(name: str, arguments: dict[str, float]) -> None:
    facts, bound = describe(name, **arguments), bind(name, arguments)
    places = away_from(np.linspace(-6.0, 6.0, 61) + 0.0123, [gap.place for gap in facts.breaks], 1e-6)
    values, slopes = run_torch(facts, places)
    for expression, expected in (
        (bound.rule.expression, values),
        (derivative(bound.rule.expression, X, bound.values), slopes),
    ):
        written_out = expression
        for kind in named_functions_in(expression):
            written_out = written_out.replace(kind, kind.definition)
        found = [
            float(written_out.xreplace(bound.values).subs(X, sympy.Float(place, 17)).evalf(17)) for place in places
        ]
        np.testing.assert_allclose(found, expected, rtol=1e-7 if name == "Hardsigmoid" else 1e-10, atol=1e-12)


@every_activation
def test_outputs_fill_the_range(name: str, arguments: dict[str, float]) -> None:
    facts = describe(name, **arguments)
    values, _ = run_torch(facts, np.sort(np.append(grid(facts), [gap.place for gap in facts.breaks])))
    rounding = 1e-12
    for value in values:
        assert any(span.lower - rounding <= value <= span.upper + rounding for span in facts.output_range)
    for span in facts.output_range:
        for end in (span.lower, span.upper):
            reached = np.abs(values).max() > 50 if math.isinf(end) else np.abs(values - end).min() < 2e-4
            assert reached, f"no output near {end}"
            assert (
                math.isfinite(end)
                or np.sign(values[np.abs(values).argmax()]) == np.sign(end)
                or ((values * np.sign(end)).max() > 50)
            )


@every_activation
def test_an_end_belongs_to_the_range_where_torch_reaches_it(name: str, arguments: dict[str, float]) -> None:
    facts = describe(name, **arguments)
    special = [gap.place for gap in facts.breaks] + list(facts.vanishing.points)
    # Within ±6 and off the breaks, no rounding to an end that the formula only approaches.
    values, _ = run_torch(facts, np.sort(np.append(np.linspace(-6.0, 6.0, 4001), special)))
    for span in facts.output_range:
        for end, is_attained in ((span.lower, span.lower_attained), (span.upper, span.upper_attained)):
            assert is_attained == bool(np.isclose(values, end, rtol=1e-14, atol=1e-15).any()), end


@every_activation
def test_monotony_is_that_of_torchs_outputs(name: str, arguments: dict[str, float]) -> None:
    facts = describe(name, **arguments)
    values, _ = run_torch(facts, np.sort(np.append(grid(facts), [gap.place for gap in facts.breaks])))
    steps = np.diff(values)
    rises, falls = bool((steps >= -1e-6).all()), bool((steps <= 1e-6).all())
    assert facts.monotone == ("rising" if rises else "falling" if falls else "no")


@every_activation
def test_bounded_is_what_stays_bounded_far_out(name: str, arguments: dict[str, float]) -> None:
    facts = describe(name, **arguments)
    values, _ = run_torch(facts, np.array([-1e8, -1e4, 1e4, 1e8]))
    assert facts.is_bounded_above == bool(values.max() < 1e3)
    assert facts.is_bounded_below == bool(values.min() > -1e3)


@every_activation
def test_the_derivative_is_zero_exactly_where_the_facts_say(name: str, arguments: dict[str, float]) -> None:
    facts = describe(name, **arguments)
    vanishing = facts.vanishing
    places = away_from(grid(facts, reach=6.0), [gap.place for gap in facts.breaks], 1e-10)
    inside = np.array([any(low < place < high for low, high in vanishing.intervals) for place in places])
    _, slopes = run_torch(facts, places)
    np.testing.assert_array_equal(slopes[inside], 0.0)
    elsewhere = away_from(places[~inside], list(vanishing.points), 1e-3)
    assert (np.abs(run_torch(facts, elsewhere)[1]) > 1e-30).all()
    if vanishing.points:
        np.testing.assert_allclose(run_torch(facts, np.array(vanishing.points))[1], 0.0, atol=1e-14)


@every_activation
def test_the_derivative_fades_exactly_at_the_ends_that_the_facts_say(name: str, arguments: dict[str, float]) -> None:
    facts = describe(name, **arguments)
    vanishing = facts.vanishing
    left, right = run_torch(facts, np.array([-1e6, 1e6]))[1]
    is_flat = [any(low < far < high for low, high in vanishing.intervals) for far in (-1e6, 1e6)]
    assert vanishing.at_minus_infinity == (abs(left) < 1e-9 and not is_flat[0])
    assert vanishing.at_plus_infinity == (abs(right) < 1e-9 and not is_flat[1])
    for end, outward in ((vanishing.faint_below, -1.0), (vanishing.faint_above, 1.0)):
        if end is not None:
            beyond = end + outward * np.sinh(np.linspace(0.0, 9.0, 500)[1:])
            assert (np.abs(run_torch(facts, beyond)[1]) < 0.01).all()
            assert abs(run_torch(facts, np.array([end]))[1][0]) == pytest.approx(0.01, rel=1e-9)


@every_activation
def test_breaks_are_where_torchs_outputs_or_slopes_step(name: str, arguments: dict[str, float]) -> None:
    facts = describe(name, **arguments)
    step = 1e-7
    for gap in facts.breaks:
        values, slopes = run_torch(facts, np.array([gap.place - step, gap.place, gap.place + step]))
        assert slopes[0] == pytest.approx(gap.slope_before, abs=1e-5)
        assert slopes[2] == pytest.approx(gap.slope_after, abs=1e-5)
        assert slopes[1] == pytest.approx(gap.torch_slope, abs=1e-14)
        assert values[2] - values[0] == pytest.approx(gap.jump, abs=1e-5)
        assert gap.kind == ("jump" if gap.jump else "kink")
        assert gap.jump or abs(gap.slope_after - gap.slope_before) > 0
    places = away_from(np.linspace(-8.0, 8.0, 16001), [gap.place for gap in facts.breaks], 2e-3)
    values, slopes = run_torch(facts, places)
    near = np.diff(places) < 2e-3
    assert np.abs(np.diff(slopes)[near]).max() < 0.02
    assert np.abs(np.diff(values)[near]).max() < 0.02


@every_activation
def test_moments_and_gains_agree_with_a_fine_sum_over_torchs_outputs(name: str, arguments: dict[str, float]) -> None:
    facts = describe(name, **arguments)
    edges = np.linspace(-12.0, 12.0, 400_001)
    places = 0.5 * (edges[1:] + edges[:-1])
    values, slopes = run_torch(facts, places)
    weights = np.exp(-0.5 * places**2) / math.sqrt(2 * math.pi) * np.diff(edges)
    largest = 1.0 + sum(abs(gap.jump) for gap in facts.breaks)
    assert facts.mean == pytest.approx((values * weights).sum(), abs=1e-4 * largest)
    assert facts.is_zero_centred == (abs((values * weights).sum()) < 1e-4)
    assert facts.gain_forward == pytest.approx((values**2 * weights).sum() ** -0.5, rel=1e-4)
    assert facts.gain_backward == pytest.approx((slopes**2 * weights).sum() ** -0.5, rel=1e-4)


def test_gains_with_a_closed_form() -> None:
    assert describe("ReLU").gain_forward == pytest.approx(math.sqrt(2.0), rel=1e-14)
    assert describe("ReLU").gain_backward == pytest.approx(math.sqrt(2.0), rel=1e-14)
    assert describe("ReLU").mean == pytest.approx(1.0 / math.sqrt(2.0 * math.pi), rel=1e-14)
    slope = describe("LeakyReLU", negative_slope=0.2)
    assert slope.gain_forward == pytest.approx(slope.torch_gain, rel=1e-14)
    # E[1_{|z| < 1}] = erf(1/√2).
    assert describe("Hardtanh").gain_backward == pytest.approx(math.erf(math.sqrt(0.5)) ** -0.5, rel=1e-13)
    assert describe("ELU").gain_backward == pytest.approx((0.5 + math.e**2 * math.erfc(math.sqrt(2.0)) / 2) ** -0.5)


def test_a_function_that_is_zero_where_inputs_lie_has_no_finite_gain() -> None:
    facts = describe("Hardshrink", lambd=60)
    assert (facts.gain_forward, facts.gain_backward) == (math.inf, math.inf)
    assert facts.to_dict()["gain_forward"] is None


def test_selu_keeps_mean_and_variance_with_torchs_own_constants() -> None:
    facts = describe("SELU")
    symbols = dict(facts.symbols)
    far = torch.nn.functional.selu(torch.tensor([1.0, -100.0], dtype=torch.float64))
    assert symbols["λ"] == pytest.approx(float(far[0]), rel=1e-15)
    assert -symbols["λ"] * symbols["α"] == pytest.approx(float(far[1]), rel=1e-15)
    assert facts.is_zero_centred
    assert facts.gain_forward == pytest.approx(1.0, rel=1e-13)


def test_elu_reaches_towards_minus_alpha() -> None:
    assert [describe("ELU", alpha=alpha).range_text for alpha in (1, 0.5)] == ["(−1, ∞)", "(−0.5, ∞)"]


def test_torchs_gains_are_asked_for_wherever_torch_has_one() -> None:
    named_by_torch = {name.replace("_", "") for name in typing.get_args(torch.nn.init._NonlinearityType)}
    catalogue = {facts.name.lower(): facts.torch_gain for facts in describe_all()}
    with_gain = {name for name, gain in catalogue.items() if gain is not None}
    assert with_gain == named_by_torch & set(catalogue)
    assert catalogue["tanh"] == 5 / 3


def test_torchs_slope_of_hardsigmoid_is_a_float32() -> None:
    (slope,) = run_torch(describe("Hardsigmoid"), np.array([0.5]))[1]
    assert slope == float(np.float32(1.0) / np.float32(6.0)) != 1 / 6


def test_arguments_at_the_edge_of_sense() -> None:
    flat = describe("ELU", alpha=0)
    assert (flat.range_text, str(flat.vanishing)) == ("[0, ∞)", "x < 0")
    line = describe("Softshrink", lambd=0)
    assert (line.range_text, line.breaks, str(line.vanishing)) == ("(−∞, ∞)", (), "nowhere")
    steep = describe("CELU", alpha=1e-4)
    assert steep.gain_forward == pytest.approx(math.sqrt(2.0), rel=1e-6)


def test_ranges_and_vanishing_read_as_text() -> None:
    shown = {facts.title: (facts.range_text, str(facts.vanishing), facts.bounded_text) for facts in describe_all()}
    assert shown["SiLU"] == ("[−0.278465, ∞)", "x = −1.278, x → −∞", "below")
    assert shown["Hardshrink"] == ("(−∞, −0.5) ∪ {0} ∪ (0.5, ∞)", "−0.5 < x < 0.5", "no")
    assert shown["LogSigmoid"] == ("(−∞, 0)", "x → ∞", "above")
    assert shown["ReLU6"] == ("[0, 6]", "x < 0, x > 6", "both")
    assert shown["Tanhshrink"] == ("(−∞, ∞)", "x = 0", "no")
    assert shown["Sigmoid"] == ("(0, 1)", "x → ±∞", "both")


def test_the_catalogue_names_each_title_once() -> None:
    titles = [facts.title for facts in describe_all()]
    assert len(titles) == len(set(titles)) == len(catalogue_rows())
    assert all(before != after for before, after in itertools.pairwise(titles))
