"""LLVM's intermediate code to functions of this process: no C compiler is needed, on any system.

The import of llvmlite and the first function take about 0.2 s, further ones 20 ms each. So what needs them imports
this package when the work has proved large, and not before.
"""

import ctypes
import threading
from collections.abc import Callable
from functools import cache
from typing import TypeAlias

import llvmlite.binding as llvm

Function: TypeAlias = Callable[..., None]

_FASTEST = 3  # LLVM's highest level
_ONE_AT_A_TIME = threading.Lock()  # LLVM's context is one for the process
_ENGINES: list[llvm.ExecutionEngine] = []  # they own the code, which lives as long as the process


def compile_function(
    code: str, name: str, arguments: tuple[type, ...], *, passes: bool = True, loops: bool = True
) -> Function:
    """Return a function of LLVM code that returns nothing; Python's global lock is released while it runs.

    The same code is compiled once in a process. Nothing checks what the function does with the addresses that it is
    given.

    Args:
        code: a module in LLVM's language, with `ptr` as the only type of pointers and without a target.
        name: the function in it.
        arguments: their types, of ctypes.
        passes: optimise the code before it becomes machine code (30 ms). Code that is already in the vectors of the
            processor does not need it.
        loops: let the passes make vectors of loops and unroll them, too. Code whose numbers are vectors already gains
            nothing from it, and takes twice as long.

    Raises:
        RuntimeError: LLVM cannot read the code or knows nothing of this processor; its own words.
    """
    with _ONE_AT_A_TIME:
        return _compiled(code, name, arguments, passes, loops)


@cache
def _compiled(code: str, name: str, arguments: tuple[type, ...], passes: bool, loops: bool) -> Function:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    module = llvm.parse_assembly(code)
    module.verify()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=_features(), opt=_FASTEST, jit=True
    )
    if passes:
        options = llvm.create_pipeline_tuning_options(speed_level=_FASTEST)
        options.loop_vectorization = options.slp_vectorization = options.loop_interleaving = loops
        options.loop_unrolling = loops
        builder = llvm.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _ENGINES.append(engine)
    address = engine.get_function_address(name)
    if not address:
        raise RuntimeError(f"The code has no function '{name}'.")
    function: Function = ctypes.CFUNCTYPE(None, *arguments)(address)
    return function


def vector_registers() -> tuple[int, int]:
    """Return the bits of this processor's vector registers and how many it has."""
    features = _features()
    if "+avx512f" in features:
        return 512, 32
    if "+avx2" in features:
        return 256, 16
    return (128, 32) if "+neon" in features else (128, 16)


def _features() -> str:
    """Return what this processor has beyond its name; nothing where LLVM cannot ask it."""
    try:
        return str(llvm.get_host_cpu_features().flatten())
    except RuntimeError:
        return ""
