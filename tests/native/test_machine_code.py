"""LLVM's code becomes a function of this process, once."""

import ctypes
import threading

import pytest

from chainrule.native import compile_function, vector_registers

ADD = """
define void @add(double %x, double %y, ptr %out) {
  %sum = fadd double %x, %y
  store double %sum, ptr %out
  ret void
}
"""
# It ends when another thread writes to the flag, which a thread can do that gets Python's global lock.
WAIT = """
define void @wait(ptr %flag) {
begin:
  br label %again
again:
  %seen = load atomic i64, ptr %flag acquire, align 8
  %stays = icmp eq i64 %seen, 0
  br i1 %stays, label %again, label %end
end:
  ret void
}
"""
ARGUMENTS = (ctypes.c_double, ctypes.c_double, ctypes.c_void_p)


@pytest.mark.parametrize("passes", [True, False])
def test_it_computes(passes: bool) -> None:
    out = ctypes.c_double()
    compile_function(ADD, "add", ARGUMENTS, passes=passes)(0.5, 0.25, ctypes.addressof(out))
    assert out.value == 0.75


def test_the_same_code_is_compiled_once() -> None:
    assert compile_function(ADD, "add", ARGUMENTS) is compile_function(ADD, "add", ARGUMENTS)
    assert compile_function(ADD, "add", ARGUMENTS) is not compile_function(ADD + " ", "add", ARGUMENTS)


def test_other_threads_go_on_while_it_runs() -> None:
    wait = compile_function(WAIT, "wait", (ctypes.c_void_p,))
    flag = ctypes.c_int64(0)
    thread = threading.Thread(target=wait, args=(ctypes.addressof(flag),), daemon=True)
    thread.start()
    flag.value = 1
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_code_that_llvm_cannot_read() -> None:
    with pytest.raises(RuntimeError, match="expected top-level entity"):
        compile_function("nonsense", "add", ARGUMENTS)


def test_a_function_that_is_not_there() -> None:
    with pytest.raises(RuntimeError) as caught:
        compile_function(ADD, "subtract", ARGUMENTS)
    assert str(caught.value) == "The code has no function 'subtract'."


def test_the_registers_hold_whole_numbers_of_float64() -> None:
    bits, count = vector_registers()
    assert bits in (128, 256, 512)
    assert count in (16, 32)
