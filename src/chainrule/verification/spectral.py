"""Which parameters are under torch's spectral norm, whose gradient leaves a part of the derivative out by design."""

import torch
from torch import nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm


def under_spectral_norm(model: nn.Module) -> tuple[str, ...]:
    """Return the parameters that a spectral norm divides by their largest singular value σ = uᵀWv, in training mode.

    torch finds u and v by power iteration without a gradient (Miyato et al., 2018, https://arxiv.org/abs/1802.05957,
    equation 12), so that ∂σ/∂W = uvᵀ is the derivative only where the iteration has converged.
    """
    found = []
    for path, module in model.named_modules():
        if not module.training:
            continue
        prefix = f"{path}." if path else ""
        if isinstance(module, _SpectralNorm):
            found.append(f"{prefix.removesuffix('0.')}original" if prefix.endswith("0.") else f"{prefix}original")
        hooks = [] if isinstance(module, torch.jit.ScriptModule) else module._forward_pre_hooks.values()
        found += [f"{prefix}{hook.name}_orig" for hook in hooks if isinstance(hook, SpectralNorm)]
    return tuple(found)
