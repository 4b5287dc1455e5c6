"""Setting the recorder aside for a while, and taking it up again.

torch has no public way to do that from within a hook.
"""

from torch.overrides import TorchFunctionMode

# The stack of modes; torch's own context managers do no more than these.
from torch.overrides import _get_current_function_mode as innermost_mode
from torch.overrides import _pop_mode as pop_mode
from torch.overrides import _push_mode as push_mode


class StandingAside:
    """Takes a mode off torch's stack of modes while it has nothing to see, and puts it back.

    Args:
        mode: the recorder.
    """

    def __init__(self, mode: TorchFunctionMode) -> None:
        self._mode = mode
        self.is_aside = False

    def begin(self) -> None:
        """Take the mode off the stack, if it is the innermost one; another one above it belongs to somebody else."""
        if not self.is_aside and innermost_mode() is self._mode:  # type: ignore[no-untyped-call]
            pop_mode()  # type: ignore[no-untyped-call]
            self.is_aside = True

    def end(self) -> None:
        """Put the mode back."""
        if self.is_aside:
            push_mode(self._mode)  # type: ignore[no-untyped-call]
            self.is_aside = False
