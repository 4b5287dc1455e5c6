"""Counts and lists of names as messages and notes write them."""

from collections.abc import Sequence


def count_of(count: int, singular: str, plural: str = "") -> str:
    """Write a count with its noun: "1 row", "2 rows"."""
    return f"{count} {singular if count == 1 else plural or singular + 's'}"


def join_names(names: Sequence[str], shown: int = 5) -> str:
    """Write names as a list of at most `shown`, and say how many more there are."""
    text = ", ".join(names[:shown])
    return text if len(names) <= shown else f"{text} and {len(names) - shown} more"
