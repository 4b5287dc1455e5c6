"""Standardisation: fitted on the training part, applied to every part, undone on predictions."""

from dataclasses import dataclass

import torch

from chainrule.errors import DataError
from chainrule.shapes import Bool, Float, Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """z = (x − mean) / deviation, for each feature by itself.

    Attributes:
        means: the mean of each feature over the training part.
        deviations: the standard deviation of each feature over the training part, divided by N (not N − 1);
            1 for a feature that is constant there, which therefore becomes 0 and not 0/0.
    """

    means: Float[Tensor, " *features"]
    deviations: Float[Tensor, " *features"]

    def apply(self, values: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows ..."]:
        """Standardise: z = (x − mean) / deviation, in the precision and on the device of `values`."""
        return (values - self.means.to(values)) / self.deviations.to(values)

    def undo(self, values: Float[Tensor, "rows ..."]) -> Float[Tensor, "rows ..."]:
        """Return to the units of the data: x = z · deviation + mean."""
        return values * self.deviations.to(values) + self.means.to(values)


def fit_scaling(training: Float[Tensor, "rows ..."], where: str) -> Scaling:
    """Take the mean and the standard deviation of each feature over the training part.

    Args:
        training: the rows to fit on, and no others.
        where: the key that asked for it, for the error.

    Raises:
        DataError: the numbers are so large that their variance is not a float64.
    """
    constant = find_constant(training)
    means = torch.where(constant, training[0], training.mean(dim=0))
    spread = training.std(dim=0, correction=0)
    # A spread that underflows to 0 would divide by zero just as a constant does.
    deviations = torch.where(constant | (spread == 0), torch.ones_like(spread), spread)
    if not (means.isfinite().all() and deviations.isfinite().all()):
        raise DataError(
            what="The data cannot be standardised: their numbers are too large.",
            where=where,
            found=f"a largest magnitude of {training.abs().max().item():.6g}",
            expected="numbers whose squares are below 1.8e308, the limit of float64",
            next_step="Divide the column by a power of ten.",
        )
    return Scaling(means, deviations)


def find_constant(training: Float[Tensor, "rows ..."]) -> Bool[Tensor, "..."]:
    """Say of each feature whether it has the same value in every row."""
    # Compared exactly: the deviation of a constant 0.1 is 1e-17 after rounding, and not 0.
    return (training == training[0]).all(dim=0)
