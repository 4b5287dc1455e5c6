"""One training step of the user's own model, recorded."""

from chainrule.recorder.randomness import drawn_again, random_state, random_states
from chainrule.recorder.recording import BYTE_BUDGET, Recorder
from chainrule.recorder.step import record

__all__ = ["BYTE_BUDGET", "Recorder", "drawn_again", "random_state", "random_states", "record"]
