"""The split into training, validation and test part: seeded, and stratified for a classification.

Of N rows, a share s gives the whole number nearest to s·N (halves up). Within a classification each class gives its
part of them in proportion to its rows, by largest remainder (ties to the class that comes first); but every class
keeps at least one row for the training, so that a class of one row is never held out.
"""

import math
from dataclasses import dataclass

import torch

from chainrule.data.wording import count_of
from chainrule.errors import DataError
from chainrule.shapes import Int, Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """The rows of each part, as indices in rising order. The three are disjoint and together are all rows."""

    training: Int[Tensor, " training"]
    validation: Int[Tensor, " validation"]
    test: Int[Tensor, " test"]


def split_rows(classes: Int[Tensor, " rows"], validation: float, test: float, seed: int) -> Split:
    """Divide the rows into parts.

    The order is drawn from a generator of its own, so torch's global one neither matters nor moves.

    Args:
        classes: the class id of each row; all 0 for a regression, which is then split as one class.
        validation: the share of all rows for the validation part, in [0, 1).
        test: the share of all rows for the test part, in [0, 1).
        seed: the seed of the generator.

    Raises:
        DataError: a part that was asked for would be empty, or a class would have no row left for the training.
    """
    rows = classes.shape[0]
    counts: list[int] = torch.bincount(classes).tolist()
    test_rows = _count_part("test", test, rows)
    validation_rows = _count_part("validation", validation, rows)
    free = [max(count - 1, 0) for count in counts]
    if test_rows + validation_rows > sum(free):
        kept = rows - sum(free)
        raise DataError(
            what="Too few rows would be left for the training.",
            where="data.test and data.validation",
            found=f"{count_of(rows, 'row')}: {test_rows} for the test, {validation_rows} for the validation",
            expected=f"at least {kept} left over" + (", one for each class" if kept > 1 else ""),
            next_step="Hold out a smaller share, or give more rows.",
        )
    test_counts = _allot(test_rows, counts, free)
    free = [most - taken for most, taken in zip(free, test_counts, strict=True)]
    validation_counts = _allot(validation_rows, counts, free)
    return _draw(classes, validation_counts, test_counts, seed)


def _draw(classes: Int[Tensor, " rows"], validation: list[int], test: list[int], seed: int) -> Split:
    """Draw the rows of each class in a random order, and give the first to the test and the next to validation."""
    generator = torch.Generator().manual_seed(seed)
    parts: tuple[list[Tensor], ...] = ([], [], [])
    grouped = torch.split(torch.argsort(classes, stable=True), torch.bincount(classes).tolist())
    for members, for_validation, for_test in zip(grouped, validation, test, strict=True):
        order = members[torch.randperm(len(members), generator=generator)]
        for_training = len(members) - for_test - for_validation
        for part, drawn in zip(parts, torch.split(order, [for_test, for_validation, for_training]), strict=True):
            part.append(drawn)
    held_out, validated, trained = (torch.cat(part).sort().values for part in parts)
    return Split(trained, validated, held_out)


def _count_part(name: str, share: float, rows: int) -> int:
    count = math.floor(share * rows + 0.5)
    if share > 0 and count == 0:
        raise DataError(
            what=f"The {name} part would be empty.",
            where=f"data.{name}",
            found=f"a share of {share:g} of {count_of(rows, 'row')}",
            expected=f"a share of at least {0.5 / rows:.4g}, or 0 for no {name} part" if rows > 1 else "0",
            next_step="Hold out a larger share, or give more rows.",
        )
    return count


def _allot(total: int, counts: list[int], free: list[int]) -> list[int]:
    """Divide `total` among the classes in proportion to `counts`, none above `free`, by largest remainder."""
    shares = [total * count / sum(counts) for count in counts]
    given = [min(math.floor(share), most) for share, most in zip(shares, free, strict=True)]
    while (left := total - sum(given)) > 0:
        open_classes = [index for index, most in enumerate(free) if given[index] < most]
        open_classes.sort(key=lambda index: given[index] - shares[index])
        for index in open_classes[:left]:
            given[index] += 1
    return given
