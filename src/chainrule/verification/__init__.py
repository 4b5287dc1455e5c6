"""Is this gradient right?"""

from chainrule.verification.finite_differences import GradientCheck, check_gradients

__all__ = ["GradientCheck", "check_gradients"]
