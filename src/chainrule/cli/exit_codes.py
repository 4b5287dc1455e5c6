"""What the commands return to the shell."""

from typing import Final

DONE: Final = 0
WRONG: Final = 1
"""Done, and something is wrong: the loss was no longer finite, or a gradient does not agree."""
UNUSABLE: Final = 2
INTERRUPTED: Final = 130
