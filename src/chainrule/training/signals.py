"""Ctrl-C and SIGTERM: the run finishes its update, saves and says how to go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from chainrule.training.state import State


@contextmanager
def stopping_at_signals(state: State) -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM stop the run after its update; a second one ends the program at once.

    Where processes share a batch, a second one changes nothing: torchrun passes on to its processes what the terminal
    has sent to them already, and ends those that do not stop by themselves.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: object) -> None:
        state.stop_requested = True
        if state.place.world == 1:
            for each, handler in before.items():
                signal.signal(each, handler)

    for number in before:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
