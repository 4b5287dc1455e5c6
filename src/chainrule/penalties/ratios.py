"""How strongly a penalty pulls on each parameter, beside the loss."""

import math
from collections.abc import Mapping

import torch

from chainrule.shapes import Float, Tensor


def gradient_ratios(
    penalty: Float[Tensor, ""], loss: Float[Tensor, ""], parameters: Mapping[str, Tensor]
) -> dict[str, float]:
    """Return ‖∂penalty/∂w‖₂ / ‖∂loss/∂w‖₂ for each parameter w.

    A strength says little by itself, for it depends on the normalisation and on the sizes of the layers; this ratio
    says how much of the step the penalty takes. Neither graph is freed and no `.grad` is touched, so call it before
    `backward`.

    Args:
        penalty: what a penalty adds to the loss.
        loss: the loss without the penalty.
        parameters: the parameters by name, any shapes.

    Returns:
        The ratio by name. 0 where the penalty's gradient is 0, or does not reach the parameter, or the parameter is
        frozen, also where the loss's gradient is 0 as well; infinity where only the loss's gradient is 0; NaN where
        a gradient is NaN or both are infinite.
    """
    trained = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    pulls = _gradient_norms(penalty, trained)
    pushes = _gradient_norms(loss, trained)
    return {name: _ratio(pulls.get(name, 0.0), pushes.get(name, 0.0)) for name in parameters}


def _gradient_norms(scalar: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, float]:
    if not parameters or not scalar.requires_grad:
        return {}
    gradients = torch.autograd.grad(scalar, list(parameters.values()), retain_graph=True, allow_unused=True)
    return {
        name: 0.0 if gradient is None else _norm(gradient) for name, gradient in zip(parameters, gradients, strict=True)
    }


def _norm(gradient: Tensor) -> float:
    wide = gradient.float() if gradient.dtype in (torch.float16, torch.bfloat16) else gradient
    return float(torch.linalg.vector_norm(wide))


def _ratio(pull: float, push: float) -> float:
    if push != 0.0:
        return pull / push
    return math.inf if pull > 0.0 else pull
