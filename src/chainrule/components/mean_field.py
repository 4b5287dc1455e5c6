"""The network of a published map: one hidden layer in the mean-field parametrisation, without biases.

Source: J. Sohl-Dickstein, "The boundary of neural network trainability is fractal", arXiv:2402.06184 (2024), its code.
"""

import math
from typing import final

import torch
from torch import nn

from chainrule.shapes import Float, Tensor


@final
class MeanField(nn.Module):
    """One hidden layer whose weights are all drawn from N(0, 1), and whose sums are divided instead.

    Forward:   z[n,h] = Σᵢ W[h,i] x[n,i] / √I,   ŷ[n,o] = Σₕ V[o,h] φ(z[n,h]) / H
    with φ(z) = tanh(√2·z), √2·max(z, 0) or z. The output is divided by √H twice: once as every layer is, and once more,
    which makes it a mean over the hidden units.

    With `step_offset` the hidden layer's weights are moved by an offset in every training step: the k-th forward pass
    in training uses W + k·c, and k is counted in the buffer `passes`. This is what the published code does in its map
    over initial weights: it adds the offset again in each step, and carries the sum on.
    """

    passes: Tensor
    step_offset: Tensor

    def __init__(
        self,
        inputs: int = 16,
        hidden: int = 16,
        outputs: int = 1,
        activation: str = "tanh",
        step_offset: float | None = None,
    ) -> None:
        """Draw the weights.

        Args:
            inputs: I, how many numbers a sample has.
            hidden: H, how many hidden units there are.
            outputs: O, how many numbers are predicted.
            activation: φ: "tanh", "relu" or "identity".
            step_offset: c, what every step of training adds to each weight of the hidden layer; nothing when None.

        Raises:
            ValueError: an activation that the published map does not have.
        """
        super().__init__()
        if activation not in ("tanh", "relu", "identity"):
            raise ValueError(f"activation = {activation!r}, and not 'tanh', 'relu' or 'identity'")
        self.inputs, self.hidden, self.activation = inputs, hidden, activation
        self.hidden_weight = nn.Parameter(torch.randn(hidden, inputs))
        self.output_weight = nn.Parameter(torch.randn(outputs, hidden))
        self.has_offset = step_offset is not None
        if step_offset is not None:
            self.register_buffer("step_offset", torch.tensor(float(step_offset)))
            self.register_buffer("passes", torch.tensor(0.0))

    def forward(self, inputs: Float[Tensor, "batch in"]) -> Float[Tensor, "batch out"]:
        """Return ŷ (batch, outputs) for x (batch, inputs)."""
        sums = nn.functional.linear(inputs, self._moved_weight()) / math.sqrt(self.inputs)
        return nn.functional.linear(self._activate(sums), self.output_weight) / self.hidden

    def _moved_weight(self) -> Tensor:
        if not self.has_offset:
            return self.hidden_weight
        if self.training:
            self.passes.add_(1)
        return self.hidden_weight + self.step_offset * self.passes

    def _activate(self, sums: Tensor) -> Tensor:
        if self.activation == "tanh":
            return torch.tanh(math.sqrt(2) * sums)
        return math.sqrt(2) * torch.relu(sums) if self.activation == "relu" else sums

    def extra_repr(self) -> str:
        """Name the sizes and the activation when the module is printed."""
        return f"{self.inputs}-{self.hidden}-{len(self.output_weight)}, activation={self.activation}"
