"""Machine code for the processor that this runs on."""

from chainrule.native.machine_code import compile_function, vector_registers

__all__ = ["compile_function", "vector_registers"]
