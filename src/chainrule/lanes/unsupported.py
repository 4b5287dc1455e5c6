"""What this engine says to a training step that it cannot compute."""

from chainrule.errors import ChainruleError


class Unsupported(ChainruleError):  # noqa: N818 - it says what is so, as the error of every other engine does
    """A training step that lanes cannot compute, or computed otherwise than PyTorch; another engine can run it."""

    @classmethod
    def because(cls, reason: str, where: str = "", found: str = "", expected: str = "") -> "Unsupported":
        """Return the error for a step that cannot be compiled, with the reason as a sentence."""
        return cls(
            what="The lanes engine cannot compile this training step.",
            where=where,
            found=found,
            expected=expected,
            cause=reason,
            next_step="Run it with plain PyTorch.",
        )
