"""What the final model says: a confusion matrix for classes, predicted against true for numbers."""

import torch

from chainrule.documents import Block, Chart, Heading, Matrix, Prose, Series
from chainrule.training import Run, State

_MOST_CLASSES = 40
_MOST_POINTS = 2000


def prediction_blocks(run: Run, state: State) -> list[Block]:
    """Return how the predictions compare with the truth, on the test part where there is one."""
    part = "test" if "test" in run.evaluations else "train"
    if run.data.class_names:
        return _confusion(run, state, part)
    return _against_truth(run, state, part)


def _truth(run: Run, part: str) -> torch.Tensor:
    chosen = run.data.test if part == "test" else run.data.train
    return chosen.targets if chosen is not None else run.data.train.targets


def _confusion(run: Run, state: State, part: str) -> list[Block]:
    names = run.data.class_names
    if len(names) > _MOST_CLASSES:
        return []
    truth = _truth(run, part)
    predicted = state.objective.predicted_class(run.evaluations[part].predictions)
    counts = torch.zeros(len(names), len(names), dtype=torch.int64)
    counts.index_put_((truth, predicted), torch.ones_like(truth), accumulate=True)
    values = tuple(tuple(float(count) for count in row) for row in counts.tolist())
    matrix = Matrix(
        key="confusion",
        title=f"Confusion matrix, {part} part",
        row_label="true",
        column_label="predicted",
        row_names=names,
        column_names=names,
        values=values,
    )
    return [Heading("Predictions"), matrix]


def _against_truth(run: Run, state: State, part: str) -> list[Block]:
    truth, predicted = _truth(run, part), run.evaluations[part].predictions.double()
    if state.objective.name == "GaussianNLLLoss":
        predicted = predicted.chunk(2, dim=1)[0]
    if run.data.target_scaling is not None:
        truth, predicted = run.data.target_scaling.undo(truth), run.data.target_scaling.undo(predicted)
    shown = min(len(truth), _MOST_POINTS)
    series = [
        Series(name, tuple(truth[:shown, column].tolist()), tuple(predicted[:shown, column].tolist()), "points")
        for column, name in enumerate(run.data.target_names)
    ]
    low = min(float(truth.min()), float(predicted.min()))
    high = max(float(truth.max()), float(predicted.max()))
    series.append(Series("predicted = true", (low, high), (low, high), "dashed"))
    unit = " (in the data's own units)" if run.data.target_scaling is not None else ""
    chart = Chart("predicted", f"Predicted against true, {part} part", f"true{unit}", "predicted", tuple(series))
    blocks: list[Block] = [Heading("Predictions"), chart]
    if shown < len(truth):
        blocks.append(Prose(f"The first {shown} of {len(truth)} samples are drawn."))
    return blocks
