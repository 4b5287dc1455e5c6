"""The tensor types of public functions: `Float[Tensor, "batch out"]`.

The letters are the same in formulas, einsum and tables: `batch` samples, `in` inputs, `out` outputs. Shapes are
checked while the tests run (pytest's --jaxtyping-packages) and never in a user's training loop.
"""

from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

__all__ = ["Bool", "Float", "Int", "Num", "Tensor"]
