"""The quantities and lines of a program while it is written, and which scalar every recorded number is."""

from collections.abc import Mapping, Sequence

from sympy import Expr, Symbol

from chainrule.programs import Assignment, Kind, Quantity, Step, latex_name, sample_name
from chainrule.programs.program import symbol_of
from chainrule.shapes import Tensor

Index = tuple[int, ...]


class Ledger:
    """What is written so far.

    Every element of every recorded value is an expression: the symbol of a quantity, or a number. An op that only
    moves elements hands the expressions on; all others write lines.

    Args:
        samples: how many samples the step took; with one, no name has a sample's number.
    """

    def __init__(self, samples: int) -> None:
        self.samples = samples
        self.given: dict[str, Quantity] = {}
        self.computed: dict[str, Quantity] = {}
        self.lines: list[Assignment] = []
        self.elements: dict[int, list[Expr]] = {}  # by the id of the value
        self.recorded: dict[str, tuple[int, int]] = {}  # by name: the value's id and the element's flat number
        self.bare: dict[str, str] = {}  # names without the sample's number
        self.trained: set[str] = set()  # names of what depends on a parameter
        self.constant_sums: list[tuple[Expr, Expr]] = []
        self.notes: list[str] = []
        self._constants: dict[float, Symbol] = {}
        self._barriers: dict[str, int] = {}
        self._barrier = 0

    def give(
        self,
        name: str,
        kind: Kind,
        value: float,
        meaning: str,
        sample: int | None = None,
        origin: str = "",
    ) -> Symbol:
        """Add a quantity that is given, and return its symbol."""
        marked = sample_name(name, sample)
        self.given[marked] = Quantity(marked, latex_name(marked), kind, float(value), meaning, sample, origin)
        self.bare[marked] = name
        if kind == "parameter":
            self.trained.add(marked)
        return symbol_of(marked)

    def constant(self, value: float, meaning: str) -> Symbol:
        """Return the symbol of a number that has too many digits to stand in a formula: c1, c2, ..."""
        if value not in self._constants:
            self._constants[value] = self.give(f"c{len(self._constants) + 1}", "constant", value, meaning)
        return self._constants[value]

    def note(self, sentence: str) -> None:
        """Add a note, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def write(
        self,
        name: str,
        formula: Expr,
        step: Step,
        words: str,
        partials: Mapping[str, Expr],
        *,
        meaning: str,
        sample: int | None = None,
        origin: str = "",
        stable: Expr | None = None,
    ) -> Symbol:
        """Write one line, and return the symbol of what it computes."""
        marked = sample_name(name, sample)
        if any(self.computed[each.name].kind == "loss" for each in formula.free_symbols if each.name in self.computed):
            step = "loss"
        kind: Kind = "loss" if step == "loss" else "forward"
        belongs = {self.sample_of(symbol.name) for symbol in formula.free_symbols} - {None}
        own = sample if sample is not None or len(belongs) != 1 else belongs.pop()
        if len(belongs) > 1:
            self._barrier += 1  # it mixes samples, so it stands behind the lines of all of them
        self._barriers[marked] = self._barrier
        self.computed[marked] = Quantity(marked, latex_name(marked), kind, 0.0, meaning, own, origin)
        self.bare[marked] = name
        self.lines.append(Assignment(marked, formula, step, words, dict(partials), stable=stable))
        if any(operand in self.trained and partial != 0 for operand, partial in partials.items()):
            self.trained.add(marked)
        return symbol_of(marked)

    def sample_of(self, name: str) -> int | None:
        """Return the sample that a quantity belongs to; None when it belongs to all alike."""
        quantity = self.given.get(name) or self.computed.get(name)
        return None if quantity is None or self.samples == 1 else quantity.sample

    def is_trained(self, expression: Expr) -> bool:
        """Return whether an element depends on a parameter."""
        return any(symbol.name in self.trained for symbol in expression.free_symbols)

    def is_free(self, name: str) -> bool:
        """Return whether no quantity has a name yet."""
        return name not in self.given and name not in self.computed

    def ordered_lines(self) -> list[Assignment]:
        """Return the lines of one sample before those of the next, as far as samples do not mix; then the loss."""

        def place(line: Assignment) -> tuple[bool, int, int]:
            return line.step == "loss", self._barriers[line.name], self.sample_of(line.name) or 0

        forward = sorted((line for line in self.lines if line.step == "forward"), key=place)
        return [*forward, *(line for line in self.lines if line.step == "loss")]

    def ordered_quantities(self) -> dict[str, Quantity]:
        """Return what is given, inputs and targets first, without constants that no line takes; then what is computed.

        The computed ones stand in the order of their lines.
        """
        used = {
            symbol.name
            for line in self.lines
            for expression in (line.formula, line.computed, *line.partials.values())
            for symbol in expression.free_symbols
        }
        ranks = {"input": 0, "target": 1}
        given = sorted(self.given.values(), key=lambda quantity: ranks.get(quantity.kind, 2))
        kept = [quantity for quantity in given if quantity.kind != "constant" or quantity.name in used]
        computed = [self.computed[line.name] for line in self.ordered_lines()]
        return {quantity.name: quantity for quantity in (*kept, *computed)}


def index_of(flat: int, shape: Sequence[int]) -> Index:
    """Return the place of an element that is counted row by row."""
    place: list[int] = []
    for extent in reversed(shape):
        place.insert(0, flat % extent)
        flat //= extent
    return tuple(place)


def placed(path: str, index: Index) -> str:
    """Return the name of an element: "fc1.weight[0,1]"; the path alone for a single number."""
    return f"{path}[{','.join(map(str, index))}]" if index else path


def numbers_of(tensor: Tensor) -> list[float]:
    """Return a tensor's elements as Python numbers, row by row."""
    dense = tensor.to_dense() if tensor.is_sparse else tensor
    return [float(number) for number in dense.detach().reshape(-1).tolist()]
