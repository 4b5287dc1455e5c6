"""What a source gives, before it is split and scaled: the common ground of files, arrays and built-in sets."""

from dataclasses import dataclass

from chainrule.data.dataset import ColumnInfo
from chainrule.data.targets import Targets
from chainrule.shapes import Float, Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """All rows of a source, in its own order and units.

    Attributes:
        name: the name of the built-in set or of the file, or "arrays".
        inputs: float64. A missing value is NaN, and stands only where `data.missing` is "mean". In a column of
            words, the number is the position of the word in `words`.
        targets: class ids or numbers.
        input_names: one name a column; empty for inputs of more than two dimensions.
        target_names: one name a target column.
        words: for each column, the words in it in alphabetical order; empty for a column of numbers. No entries at
            all when no column holds words.
        columns: every column of the source.
        notes: sentences on how it was read.
    """

    name: str
    inputs: Float[Tensor, "rows ..."]
    targets: Targets
    input_names: tuple[str, ...]
    target_names: tuple[str, ...]
    columns: tuple[ColumnInfo, ...]
    notes: tuple[str, ...]
    words: tuple[tuple[str, ...], ...] = ()
