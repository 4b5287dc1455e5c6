"""What is said about a command line that cannot be understood."""

from collections.abc import Sequence
from itertools import chain

from cyclopts import CycloptsError, UnknownCommandError, UnknownOptionError, UnusedCliTokensError

from chainrule.cli.overrides import SHORT, WHOLE_KEYS
from chainrule.errors import ChainruleError, did_you_mean


class UsageError(ChainruleError):
    """A command line that names no command, or gives a command what it does not take."""


def usage_error(error: CycloptsError, tokens: Sequence[str], commands: Sequence[str]) -> UsageError:
    """Say in the words of chainrule what cyclopts found wrong with a command line.

    Args:
        error: what cyclopts raised.
        tokens: the command line.
        commands: the names of all commands.
    """
    command = tokens[0] if tokens and tokens[0] in commands else ""
    help_line = f"`chainrule {command} --help` says what it takes." if command else ""
    if isinstance(error, UnknownCommandError):
        return UsageError.unknown_name("command", tokens[0], commands)
    if isinstance(error, UnknownOptionError):
        found = error.token.keyword or error.token.value
        names = list(chain.from_iterable(argument.names for argument in error.argument_collection if argument.parse))
        if command in ("train", "record", "explain"):
            names += [f"--{key}" for key in (*WHOLE_KEYS, *SHORT)]
        return unknown_option(found, names, command)
    if isinstance(error, UnusedCliTokensError):
        extra = " ".join(error.unused_tokens or ())
        return UsageError(what=f"`chainrule {command}` does not take '{extra}'.", found=extra, next_step=help_line)
    return UsageError(what=str(error), next_step=help_line)


def unknown_option(option: str, known: Sequence[str], command: str) -> UsageError:
    """Return the error for an option that a command does not take."""
    return UsageError(
        what=f"There is no option {option}.",
        found=option,
        cause=did_you_mean(option, known),
        next_step=f"`chainrule {command} --help` lists the options.".replace("  ", " "),
    )
