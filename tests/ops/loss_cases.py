"""Rows of the table for the losses of torch.nn, each without reduction, as a sum and as a mean."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from .cases import Case, normal
from .layer_cases import positive, quiet, whole


def each(name: str, exact_only: bool = False, **arguments: Any) -> list[Case]:
    """Return the three rows of a loss. (kl_div says that its mean is not the mathematical one.)"""
    return [
        Case(name, quiet(getattr(F, name)), {**arguments, "reduction": reduction}, exact_only=exact_only)
        for reduction in ("none", "mean", "sum")
    ]


def share(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.sigmoid(normal(*shape, seed=seed))


def signs(*shape: int, seed: int = 0) -> torch.Tensor:
    return 2.0 * whole(*shape, below=2, seed=seed).double() - 1.0


x, t = normal(3, 4), normal(3, 4, seed=1)
classes, some_ignored = torch.tensor([2, 0, 3]), torch.tensor([2, -100, 3])
weights = positive(4, seed=5)
kinks = {"input": torch.tensor([0.0, 0.5, 1.0, -1.0, 2.0]).double(), "target": torch.zeros(5).double()}
some_zero = torch.tensor([1.0, 0.0, 2.0, 0.0]).double()
ELEMENTWISE_LOSSES = [
    *each("mse_loss", **kinks),
    *each("mse_loss", input=x, target=t, weight=some_zero.expand(3, 4)),
    *each("l1_loss", input=x, target=t, weight=some_zero.expand(3, 4)),
    *each("huber_loss", input=x, target=t, weight=some_zero.expand(3, 4)),
    *each("binary_cross_entropy", input=share(3, 4), target=share(3, 4), weight=some_zero),
    *each("binary_cross_entropy_with_logits", input=60 * x, target=signs(3, 4).relu(), weight=some_zero),
    *each("binary_cross_entropy_with_logits", input=60 * x, target=signs(3, 4).relu(), pos_weight=2 * some_zero),
    *each("binary_cross_entropy_with_logits", input=kinks["input"], target=share(5), pos_weight=weights[:1]),
    *each("gaussian_nll_loss", input=kinks["input"], target=kinks["target"], var=positive(5)),
    *each("soft_margin_loss", input=30 * x, target=signs(3, 4)),
    *each("mse_loss", input=x, target=t),
    *each("mse_loss", input=x, target=t, weight=positive(3, 4)),
    *each("l1_loss", input=x, target=t),
    *each("l1_loss", input=x, target=t, weight=positive(3, 4)),
    *each("l1_loss", exact_only=True, **kinks),
    *each("smooth_l1_loss", input=x, target=t, beta=0.7),
    *each("smooth_l1_loss", input=x, target=t, beta=0.0),
    *each("smooth_l1_loss", exact_only=True, **kinks),
    *each("huber_loss", input=x, target=t, delta=0.7),
    *each("huber_loss", input=x, target=t, delta=0.7, weight=positive(3, 4)),
    *each("huber_loss", exact_only=True, **kinks),
    *each("binary_cross_entropy", input=share(3, 4), target=share(3, 4, seed=1)),
    *each("binary_cross_entropy", input=share(3, 4), target=share(3, 4, seed=1), weight=positive(4)),
    *each("binary_cross_entropy_with_logits", input=x, target=share(3, 4, seed=1)),
    *each("binary_cross_entropy_with_logits", input=300 * x, target=share(3, 4, seed=1), exact_only=True),
    *each(
        "binary_cross_entropy_with_logits",
        input=x,
        target=share(3, 4, seed=1),
        weight=positive(3, 4),
        pos_weight=positive(4),
    ),
    *each("kl_div", input=x, target=share(3, 4, seed=1)),
    *each("kl_div", input=x, target=t, log_target=True),
    Case("kl_div", F.kl_div, {"input": x, "target": share(3, 4, seed=1), "reduction": "batchmean"}),
    *each("poisson_nll_loss", input=x, target=positive(3, 4)),
    *each("poisson_nll_loss", input=positive(3, 4), target=3 * positive(3, 4, seed=1), log_input=False, full=True),
    *each("poisson_nll_loss", input=positive(3, 4), target=positive(3, 4, seed=1), log_input=False, eps=0.1),
    *each("poisson_nll_loss", input=x, target=3 * positive(3, 4, seed=1), full=True),
    *each("gaussian_nll_loss", input=x, target=t, var=positive(3, 4)),
    *each("gaussian_nll_loss", input=x, target=t, var=positive(3, 1), full=True),
    *each("gaussian_nll_loss", input=x, target=t, var=positive(3)),
    *each("gaussian_nll_loss", input=x, target=t, var=0.7),
    *each("hinge_embedding_loss", input=x, target=signs(3, 4), margin=0.5),
    *each("hinge_embedding_loss", input=kinks["input"], target=-torch.ones(5).double(), exact_only=True),
    *each("margin_ranking_loss", input1=x, input2=t, target=signs(3, 4), margin=0.5),
    *each(
        "margin_ranking_loss",
        input1=torch.tensor([0.0, 1.0]).double(),
        input2=torch.tensor([0.0, 1.0]).double(),
        target=signs(2),
        exact_only=True,
    ),
    *each("soft_margin_loss", input=x, target=signs(3, 4)),
]
names = torch.tensor([[2, 0, -1, 1], [3, -1, 0, 0], [-1, 0, 1, 2]])
CLASS_LOSSES = [
    *each("multilabel_margin_loss", input=x, target=names),
    *each("multilabel_margin_loss", input=x, target=torch.tensor([[0, 0, 3, -1], [1, 1, 1, 1], [0, 1, 2, 3]])),
    *each("multilabel_margin_loss", input=3 * x[0], target=names[0]),
    *each("nll_loss", input=x, target=classes, weight=some_zero),
    *each("cross_entropy", input=x, target=torch.tensor([1, 0, 2]), weight=some_zero),
    *each("cross_entropy", input=x, target=torch.tensor([1, 0, 2]), weight=some_zero, label_smoothing=0.1),
    *each("multilabel_soft_margin_loss", input=90 * x, target=whole(3, 4, below=2).double(), weight=some_zero),
    *each("nll_loss", input=x, target=classes),
    *each("nll_loss", input=x, target=some_ignored, weight=weights),
    *each("nll_loss", input=x, target=torch.tensor([2, 1, 3]), ignore_index=1),
    *each("nll_loss", input=normal(2, 4, 3), target=whole(2, 3, below=4)),
    Case("nll_loss", F.nll_loss, {"input": normal(4), "target": torch.tensor(2)}),
    *each("cross_entropy", input=x, target=classes),
    *each("cross_entropy", input=x, target=some_ignored, weight=weights),
    *each("cross_entropy", input=x, target=some_ignored),
    *each("cross_entropy", input=x, target=some_ignored, weight=weights, label_smoothing=0.2),
    *each("cross_entropy", input=normal(2, 4, 3), target=whole(2, 3, below=4), label_smoothing=0.1),
    *each("cross_entropy", input=normal(2, 4, 3, 2), target=whole(2, 3, 2, below=4)),
    *each("cross_entropy", input=x, target=torch.softmax(t, 1)),
    *each("cross_entropy", input=normal(2, 4, 3), target=share(2, 4, 3), weight=weights, label_smoothing=0.1),
    *each("cross_entropy", input=normal(4), target=torch.tensor(2)),
    *(
        case  # beyond the range of exp
        for target in (classes, torch.softmax(t, 1))
        for smoothing in (0.0, 0.1)
        for case in each("cross_entropy", True, input=900 * x, target=target, label_smoothing=smoothing)
    ),
    *each("cross_entropy", input=normal(4), target=share(4)),
    *each("multi_margin_loss", input=x, target=classes),
    *each("multi_margin_loss", input=x, target=classes, p=2, margin=0.5, weight=weights),
    *each("multilabel_soft_margin_loss", input=x, target=whole(3, 4, below=2).double()),
    *each("multilabel_soft_margin_loss", input=x, target=whole(3, 4, below=2).double(), weight=weights),
]
far_apart = torch.tensor([[3.0, -2.0, 0.5, 0.5], [0.0, 0.0, 1.0, 0.0], [0.0, 9.0, 0.0, 0.0]]).double()
CLASS_LOSSES += each("multi_margin_loss", exact_only=True, input=far_apart, target=classes)  # some at the margin itself
triplet = {"anchor": x, "positive": t, "negative": normal(3, 4, seed=2)}
VECTOR_LOSSES = [
    *each("cosine_embedding_loss", input1=x, input2=t, target=torch.tensor([1, -1, -1]), margin=-0.2),
    Case("cosine_embedding_loss", F.cosine_embedding_loss, {"input1": x[0], "input2": t[0], "target": torch.tensor(1)}),
    *each("triplet_margin_loss", **triplet),
    *each("triplet_margin_loss", **triplet, p=3.0, margin=0.3),
    *each("triplet_margin_loss", anchor=x, positive=x, negative=t, margin=9.0, p=3.0, eps=1.0),
    *each("triplet_margin_loss", **triplet, swap=True),
    *each("triplet_margin_with_distance_loss", **triplet, swap=True, margin=0.3),
    *each("triplet_margin_loss", **triplet, p=1.0, swap=True, eps=0.1),
]

LOSSES = [*ELEMENTWISE_LOSSES, *CLASS_LOSSES, *VECTOR_LOSSES]
