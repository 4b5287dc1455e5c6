"""What `compare_activations` found: gains at initialisation, paired runs, a ranking, and advice for the output."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from chainrule.documents import Shown
from chainrule.findings import Finding
from chainrule.probes.gains import LayerGain, chi_product, is_extreme
from chainrule.probes.output_advice import OutputAdvice
from chainrule.probes.ranking import Ranking


@dataclass(frozen=True, slots=True)
class TriedRate:
    """A learning rate that was tried.

    Attributes:
        rate: of the optimizer.
        score: the mean loss over the tuning seeds; a run that ends above the loss before training counts as that.
        smoothed: the same with the rates a quarter of a decade off, its own counted twice: what the best is chosen by,
            so that a lucky rate next to bad ones is not.
    """

    rate: float
    score: float
    smoothed: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One candidate, and what became of it.

    Attributes:
        label: as it is shown.
        gain: of its own initialiser.
        layers: at initialisation, means over the first seeds.
        start: mean loss before training, on what is judged.
        rates: that were tried, in rising order.
        rate: the one that was chosen.
        losses: final loss with each seed at that rate, on what is judged; NaN for a run that diverged.
        training: the same on the training part.
        training_starts: loss of each seed before training, on the training part.
        knowledge: of each seed, by how many standard deviations its loss lies below what predictions reach that are
            held against the targets of other samples; NaN where that is not known.
    """

    label: str
    gain: float
    layers: tuple[LayerGain, ...]
    start: float
    rates: tuple[TriedRate, ...]
    rate: float
    losses: tuple[float, ...]
    training: tuple[float, ...]
    training_starts: tuple[float, ...]
    knowledge: tuple[float, ...]

    @property
    def chi(self) -> float:
        """The product of χ over the hidden layers: what becomes of the mean square of a small change."""
        return chi_product(self.layers)

    @property
    def is_extreme(self) -> bool:
        """Whether that product lies outside of 1e-3 to 1e3."""
        return is_extreme(self.chi)


@dataclass(frozen=True, slots=True)
class ActivationChoice(Shown):
    """Which activation, with its evidence; without a recommendation, why there is none.

    Attributes:
        name: of what was compared.
        candidates: those that were finished, in the order in which they were asked for.
        ranking: None where nothing can be said, and `findings` say why.
        judged_by: "validation loss" or "training loss".
        seeds: that the candidates are compared with.
        tuning_seeds: that the rates were chosen with; others than `seeds`.
        steps: updates of each run.
        runs: that were made.
        optimizer: whose rate was tuned.
        initialiser: how weights began, in words.
        changes: keys of the task that the recommendation asks to be changed, with their values.
        replaced: what the candidates took the place of.
        advice: for the output activation and the loss; None where the task does not tell.
        findings: what stands against the answer, or in its place.
        notes: what else to know, as sentences.
        engine: what computed the runs.
        was_interrupted: some candidates were left out.
        seconds: that it took.
    """

    name: str
    candidates: tuple[Compared, ...]
    ranking: Ranking | None
    judged_by: str
    seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    steps: int
    runs: int
    optimizer: str
    initialiser: str
    changes: dict[str, Any]
    replaced: tuple[str, ...]
    advice: OutputAdvice | None
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    engine: str
    was_interrupted: bool
    seconds: float

    @property
    def recommended(self) -> str | None:
        """The activation that is recommended; None where nothing can be said."""
        return None if self.ranking is None else self.ranking.chosen

    def candidate(self, label: str) -> Compared:
        """Return a candidate by its label."""
        return next(each for each in self.candidates if each.label == label)

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-able data; a number that is not finite is None."""
        data = dataclasses.asdict(self)
        for table, each in zip(data["candidates"], self.candidates, strict=True):
            table |= {"chi_product": each.chi, "chi_is_extreme": each.is_extreme}
        found: dict[str, Any] = _plain({"recommended": self.recommended, **data})
        return found

    def __repr__(self) -> str:
        chosen = self.recommended or "no recommendation"
        end = ", interrupted" if self.was_interrupted else ""
        return f"ActivationChoice({self.name!r}, {chosen}, {len(self.candidates)} candidates, {self.runs} runs{end})"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
