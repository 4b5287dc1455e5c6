"""Gradients, updates and activations of a run, layer by layer."""

from collections.abc import Iterable
from dataclasses import dataclass

from chainrule.data.wording import join_names
from chainrule.documents import Block, Heading, Prose
from chainrule.registry import ACTIVATIONS
from chainrule.reports.run_curves import by_path, parted, run_chart
from chainrule.training import Run

_MOST_NAMES = 12


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of statistic, and how it is drawn."""

    name: str
    title: str
    y_label: str
    caption: str
    is_log: bool = False


_OF_PARAMETERS = (
    _Kind("gradient_norm", "Gradient norms", "‖∂E/∂w‖", "The norm of each parameter's gradient.", is_log=True),
    _Kind(
        "update_ratio",
        "Update-to-weight ratios",
        "‖Δw‖ / ‖w‖",
        "How far an update moves a parameter, beside the parameter's size; about 1e-3 is usual.",
        is_log=True,
    ),
)
_OF_OUTPUTS = (
    _Kind("activation_mean", "mean", "mean", "Over the units and the samples of a batch."),
    _Kind("activation_spread", "spread", "standard deviation", "Over the units and the samples of a batch."),
    _Kind("zeros", "share of zeros", "share", "A ReLU that is off sends 0, and learns nothing from that sample."),
    _Kind(
        "saturated",
        "share saturated",
        "share",
        "Where the derivative is below 0.01 in size, less than a hundredth of the gradient passes.",
    ),
)


def statistics_blocks(run: Run) -> list[Block]:
    """Return gradient norms, update ratios and activation statistics; nothing when none were taken."""
    outputs = {name.partition("/")[2] for name in run.history if name.startswith("activation_mean/")}
    kinds = {path: type(module).__name__ for path, module in run.model.named_modules()}
    # Of a model whose activations are functions and not modules, all modules are watched.
    are_activations = all(kinds.get(path) in ACTIVATIONS.members for path in outputs)
    subject = "Activations" if are_activations else "Outputs of modules"
    blocks = [*_charts(run, _OF_PARAMETERS, ""), *_charts(run, _OF_OUTPUTS, f"{subject}: ")]
    return [Heading("Layer by layer"), *blocks] if blocks else []


def _charts(run: Run, kinds: Iterable[_Kind], subject: str) -> list[Block]:
    """Return a chart for each kind, then a sentence on the curves that are 0 throughout; they would draw nothing."""
    charts: list[Block] = []
    sentences = []
    for kind in kinds:
        moving, still = parted(by_path(run.history, kind.name))
        title = subject + kind.title
        if moving:
            key = kind.name.replace("_", "-")
            charts.append(run_chart(key, title, kind.y_label, moving, is_log=kind.is_log, caption=kind.caption))
        if still:
            sentences.append(Prose(f"{title}: always 0 in {join_names(still, _MOST_NAMES)}."))
    return [*charts, *sentences]
