"""Machine code for the processor that this runs on."""

from chainrule.native.machine_code import compile_function

__all__ = ["compile_function"]
