"""The loss of the worked example, which torch.nn does not have."""

from typing import Literal, final

from torch import nn

from chainrule.errors import ShapeError
from chainrule.shapes import Float, Tensor


@final
class HalfSumOfSquares(nn.Module):
    """Half the sum of squared errors, as the worked example and most textbooks define it.

    Forward:   E = ½ Σₙ Σ_d (t[n,d] − a[n,d])²          (reduction="sum")
               E = 1/N · ½ Σₙ Σ_d (t[n,d] − a[n,d])²    (reduction="mean", the mean over samples)
    Backward:  ∂E/∂a[n,d] = a[n,d] − t[n,d]             (divided by N for "mean")

    torch.nn.MSELoss divides by N·D and has no ½: its gradients are 2/(N·D) times those of the sum.

    Args:
        reduction: "sum" over samples and outputs, or "mean" over samples of the sum over outputs.

    Raises:
        ShapeError: prediction and target differ in shape; PyTorch would broadcast them.
    """

    def __init__(self, reduction: Literal["sum", "mean"] = "sum") -> None:
        super().__init__()
        self.reduction = reduction

    def forward(self, prediction: Float[Tensor, "*shape"], target: Float[Tensor, "*target"]) -> Float[Tensor, ""]:
        """Return E for predictions and targets of the same shape (batch, outputs)."""
        if prediction.shape != target.shape:
            raise ShapeError(
                what="The prediction and the target differ in shape.",
                found=f"prediction {tuple(prediction.shape)}, target {tuple(target.shape)}",
                expected="the same shape for both",
            )
        total = 0.5 * (target - prediction).square().sum()
        return total / len(prediction) if self.reduction == "mean" else total

    def extra_repr(self) -> str:
        """Name the reduction when the module is printed."""
        return f"reduction={self.reduction!r}"
