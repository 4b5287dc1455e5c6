import math

import pytest

from chainrule.documents import Callout, Chart
from chainrule.probes.choice import ActivationChoice, Compared, TriedRate
from chainrule.reports.activation_choice import activation_choice_document


def compared(label: str, scores: tuple[float, float]) -> Compared:
    rates = tuple(TriedRate(rate, score, score) for rate, score in zip((0.01, 0.1), scores, strict=True))
    losses = (scores[0],) * 5
    return Compared(label, 1.0, (), 1.0, rates, 0.01, losses, losses, (1.0,) * 5, (3.0,) * 5)


def choice(*candidates: Compared, was_interrupted: bool) -> ActivationChoice:
    return ActivationChoice(
        name="made", candidates=candidates, ranking=None, judged_by="validation loss", seeds=(0, 1, 2, 3, 4),
        tuning_seeds=(1000,), steps=10, runs=0, optimizer="Adam", initialiser="its own", changes={},
        replaced=("act",), advice=None, findings=(), notes=(), engine="loop", was_interrupted=was_interrupted,
        seconds=0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("finished", "text"),
    [
        ((), "There is no ranking: no activation was finished before the interruption."),
        (("ReLU",), "There is no ranking: only ReLU was finished before the interruption."),
    ],
)
def test_an_interruption_that_leaves_nothing_to_rank_is_said_first(finished: tuple[str, ...], text: str) -> None:
    candidates = [compared(name, (0.5, 0.7)) for name in finished]
    document = activation_choice_document(choice(*candidates, was_interrupted=True))
    assert document.blocks[0] == Callout("warning", text)
    others = activation_choice_document(choice(*candidates, was_interrupted=False))
    assert [block for block in others.blocks if isinstance(block, Callout)] == []


@pytest.mark.parametrize(
    ("scores", "scale"),
    [((0.5, 0.7), "log"), ((1e-4, 0.7), "log"), ((0.0, 0.7), "linear"), ((-0.1, 0.7), "linear")],
)
def test_losses_stand_on_a_logarithmic_axis_where_all_are_positive(scores: tuple[float, float], scale: str) -> None:
    given = choice(compared("ReLU", scores), compared("Tanh", (0.6, math.nan)), was_interrupted=False)
    (chart,) = [block for block in activation_choice_document(given).blocks if isinstance(block, Chart)]
    assert (chart.x_scale, chart.y_scale) == ("log", scale)
