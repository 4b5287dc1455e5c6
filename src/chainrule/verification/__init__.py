"""Is this gradient right?"""

from chainrule.verification.finite_differences import GradientCheck, check_gradients
from chainrule.verification.results import FunctionCheck, ParameterCheck, Verification
from chainrule.verification.verifying import verify

__all__ = ["FunctionCheck", "GradientCheck", "ParameterCheck", "Verification", "check_gradients", "verify"]
