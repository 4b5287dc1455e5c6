"""What belongs in a cell: a sum of products, written as people write it, in pieces that a slip can change.

∂E/∂w3 is a sum over paths, each a product: (a_o1 − t1), a_o1, (1 − a_o1), w6, a_h2, (1 − a_h2), i1.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from sympy import Add, Expr, Max, Mul, Piecewise, Pow, Symbol, exp, factor_terms, log, tanh

from chainrule.checking.readings import Constant, Named, Operation, Reading, names_in
from chainrule.checking.truth import Truth
from chainrule.errors import ChainruleError
from chainrule.formulas import Sigmoid, Softplus
from chainrule.programs import Factor, Path, derivative_name, paths_to
from chainrule.programs.gradients import LOSS

Role = Literal["error", "slope", "weight", "input", "rate", "gradient", "number", "other"]
_MOST_PATHS = 200
_ORDER: tuple[Role, ...] = ("number", "rate", "gradient", "weight", "input", "other")
_RELATIONS = {">": ">", "<": "<", ">=": ">=", "<=": "<=", "==": "=", "!=": "<>"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A factor of a product.

    Attributes:
        reading: the factor.
        role: what it is in the chain rule.
        group: what it is a part of: the slope of h2 is a_h2 times 1 − a_h2.
    """

    reading: Reading
    role: Role = "other"
    group: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    """One term: a path of the chain rule, or a term of a sum."""

    pieces: tuple[Piece, ...]
    path: str = ""
    sign: int = 1


@dataclass(frozen=True, slots=True)
class Derivation:
    """What belongs in a column.

    Attributes:
        name: the quantity.
        products: the terms that add up to it.
        offset: the row that the terms stand in: −1 where a column is made from the row above.
    """

    name: str
    products: tuple[Product, ...]
    offset: int = 0

    @property
    def is_sum_of_paths(self) -> bool:
        """Whether the terms are paths of the chain rule."""
        return self.name.startswith(("∂", "−∂"))

    @property
    def reading(self) -> Reading:
        """The whole formula, with what the paths have in common written once."""
        return _nested(self.products)


def derivation_of(truth: Truth, name: str, offset: int = 0, adjoints: Collection[str] = ()) -> Derivation | None:
    """Return what belongs in the column of a quantity; None where there is nothing to compute: inputs, targets.

    Args:
        truth: the network.
        name: the quantity.
        offset: −1 for a parameter or state, which the row above makes.
        adjoints: derivatives that stand in columns of their own, such as ∂E/∂o1; the paths begin at them.
    """
    program = truth.program
    if name.startswith("−"):
        inner = derivation_of(truth, name[1:], offset, adjoints)
        if inner is None:
            return None
        return Derivation(name, tuple(replace(one, sign=-one.sign) for one in inner.products), offset)
    plain = truth.aliases.get(name, name)
    if offset and plain in program.updated:
        return _of_formula(truth, name, program.by_name[program.updated[plain]].computed, offset)
    if name.startswith("Δ") and name[1:] in program.updated:
        line = program.by_name[program.updated[name[1:]]]
        return _of_formula(truth, name, line.formula - Symbol(name[1:], real=True), 0)
    if plain in program.by_name and not plain.startswith("∂"):
        return _of_formula(truth, name, program.by_name[plain].formula, 0)
    if not name.startswith("∂"):
        return None
    known = {truth.aliases.get(adjoint, adjoint): adjoint for adjoint in adjoints if adjoint != name}
    if known and plain in program.by_name:
        return Derivation(name, tuple(_from_adjoints(truth, plain, known)))
    paths = _paths(truth, plain)
    return None if paths is None else Derivation(name, tuple(_product(truth, path) for path in paths))


def _paths(truth: Truth, name: str) -> tuple[Path, ...] | None:
    program = truth.program
    above, _, below = name.removeprefix("∂").partition("/∂")
    try:
        if above in (LOSS, program.loss):
            return paths_to(program, below, _MOST_PATHS)
        partial = truth.derivative_program(name)
        return paths_to(partial, truth.aliases.get(below, below), _MOST_PATHS)
    except ChainruleError:
        return None


def _from_adjoints(truth: Truth, name: str, known: Mapping[str, str]) -> Iterator[Product]:
    """Yield the terms of an adjoint or a gradient, from the adjoints that are known."""
    line = truth.program.by_name[name]
    below = name.removeprefix(derivative_name(LOSS, ""))
    if any(not isinstance(term.upstream, Symbol) for term in line.terms):  # it comes from the loss directly
        yield _product(truth, Path((Factor(LOSS, below, line.formula),)))
        return
    for term in line.terms:
        upstream = str(term.upstream)
        last = tuple(_pieces(truth, Factor(term.through, below, term.partial)))  # every path below ends with them
        if upstream in known:
            first = Piece(Named(known[upstream]), "gradient", known[upstream])
            yield Product((first, *last), term.through if len(line.terms) > 1 else "")
        else:
            for product in _from_adjoints(truth, upstream, known):
                path = product.path or (term.through if len(line.terms) > 1 else "")
                yield replace(product, pieces=(*product.pieces, *last), path=path)


def _product(truth: Truth, path: Path) -> Product:
    pieces = [piece for factor in path.factors for piece in _pieces(truth, factor)]
    turns = [factor.above for factor in path.factors if truth.is_net(factor.above)]
    return Product(tuple(pieces), turns[0] if turns else "")


def _pieces(truth: Truth, factor: Factor) -> Iterator[Piece]:
    if factor.expression != 1:
        role: Role
        is_slope = truth.is_activation(factor.above)
        if factor.above == LOSS or factor.above in truth.losses:
            role = "error"
        elif is_slope:
            role = "slope"
        elif factor.expression.is_number:
            role = "number"
        else:
            role = "input" if truth.is_parameter(factor.below) else "weight"
        # The two factors of a·(1 − a) are two pieces of one group; so are those of 2·(a_o1 − t1).
        expression = factor.expression if is_slope else factor_terms(factor.expression)
        parts = Mul.make_args(expression) if is_slope or role == "error" else (expression,)
        for part in sorted(parts, key=lambda part: (not part.is_number, bool(part.is_Add))):
            yield Piece(reading_of(part), "number" if part.is_number else role, f"{factor.above}/{factor.below}")


def _of_formula(truth: Truth, name: str, formula: Expr, offset: int) -> Derivation:
    products = []
    terms = sorted(Add.make_args(formula), key=lambda term: bool(term.could_extract_minus_sign()))
    for term in terms:
        sign = -1 if term.could_extract_minus_sign() else 1
        factors = [factor for factor in Mul.make_args(sign * term) if factor != 1]
        pieces = tuple(
            Piece(reading_of(factor, 0 if truth.is_setting(str(factor)) else offset), _role(truth, factor), str(factor))
            for factor in sorted(factors, key=lambda factor: _ORDER.index(_role(truth, factor)))
        )
        products.append(Product(pieces, "", sign))
    return Derivation(name, tuple(products), offset)


def _role(truth: Truth, factor: Expr) -> Role:
    if factor.is_number:
        return "number"
    if not isinstance(factor, Symbol):
        return "other"
    if factor.name.startswith("∂"):
        return "gradient"
    if truth.is_setting(factor.name):
        return "rate"
    return "weight" if truth.is_parameter(factor.name) else "input"


def reading_of(expression: Expr, offset: int = 0) -> Reading:
    """Return a SymPy expression over quantities as a reading, in the row `offset` rows below."""
    if isinstance(expression, Symbol):
        return Named(expression.name, offset)
    if expression.is_number and not expression.free_symbols:
        return Constant(float(expression))
    if isinstance(expression, Add):
        return _sum(sorted(expression.args, key=lambda term: bool(term.could_extract_minus_sign())), offset)
    if isinstance(expression, Mul):
        return _fraction(expression, offset)
    if isinstance(expression, Pow):
        return Operation("^", (reading_of(expression.base, offset), reading_of(expression.exp, offset)))
    if isinstance(expression, Sigmoid):
        power = Operation("EXP", (Operation("-", (reading_of(expression.args[0], offset),)),))
        return Operation("/", (Constant(1.0), Operation("+", (Constant(1.0), power))))
    if isinstance(expression, Softplus):
        return reading_of(Softplus.definition(expression.args[0]), offset)
    if isinstance(expression, Piecewise):
        return _cases(expression, offset)
    functions = {exp: "EXP", log: "LN", tanh: "TANH", Max: "MAX"}
    if expression.func in functions:
        arguments = sorted(expression.args, key=lambda part: bool(part.is_number))
        return Operation(functions[expression.func], tuple(reading_of(part, offset) for part in arguments))
    raise TypeError(f"no reading of {type(expression).__name__}")


def _sum(terms: Sequence[Expr], offset: int) -> Reading:
    total = reading_of(terms[0], offset)
    for term in terms[1:]:
        is_negative = bool(term.could_extract_minus_sign())
        total = Operation("-" if is_negative else "+", (total, reading_of(-term if is_negative else term, offset)))
    return total


def _fraction(expression: Expr, offset: int) -> Reading:
    if expression.could_extract_minus_sign():
        return Operation("-", (reading_of(-expression, offset),))
    above, below = expression.as_numer_denom()
    if below != 1:
        return Operation("/", (reading_of(above, offset), reading_of(below, offset)))
    return product_of([reading_of(factor, offset) for factor in Mul.make_args(expression)])


def _cases(expression: Expr, offset: int) -> Reading:
    *cases, (value, _) = expression.args
    result = reading_of(value, offset)
    for value, condition in reversed(cases):
        sides = (reading_of(condition.lhs, offset), reading_of(condition.rhs, offset))
        result = Operation("IF", (Operation(_RELATIONS[condition.rel_op], sides), reading_of(value, offset), result))
    return result


def product_of(factors: Sequence[Reading]) -> Reading:
    """Return the product of readings."""
    if not factors:
        return Constant(1.0)
    result = factors[0]
    for factor in factors[1:]:
        result = Operation("*", (result, factor))
    return result


def sum_of(terms: Sequence[tuple[int, Reading]]) -> Reading:
    """Return the sum of readings with signs."""
    if not terms:
        return Constant(0.0)
    sign, result = terms[0]
    if sign < 0:
        result = Operation("-", (result,))
    for sign, term in terms[1:]:
        result = Operation("+" if sign > 0 else "-", (result, term))
    return result


def flat_reading(products: Iterable[Product]) -> Reading:
    """Return the sum of products as they stand, nothing taken out of brackets."""
    return sum_of([(product.sign, product_of([piece.reading for piece in product.pieces])) for product in products])


def _nested(products: Sequence[Product]) -> Reading:
    if len(products) < 2 or not products[0].path:
        return flat_reading(products)
    common = 0
    shortest = min(len(product.pieces) for product in products)
    while common < shortest and len({product.pieces[-1 - common] for product in products}) == 1:
        common += 1
    if common == shortest:  # one path is only a part of the others: nothing to gain
        common = 0
    tail = list(products[0].pieces[len(products[0].pieces) - common :])
    heads = [replace(product, pieces=product.pieces[: len(product.pieces) - common]) for product in products]
    groups: dict[Piece, list[Product]] = {}
    for head in heads:
        groups.setdefault(head.pieces[-1], []).append(head)
    if len(groups) == 1:
        return flat_reading(products)
    inner = sum_of(
        [
            (1, _nested(group)) if len(group) > 1 else (group[0].sign, flat_reading([replace(group[0], sign=1)]))
            for group in groups.values()
        ]
    )
    return product_of([inner, *(piece.reading for piece in tail)])


def names_of(derivation: Derivation) -> Iterator[Named]:
    """Yield the quantities in a derivation."""
    for product in derivation.products:
        for piece in product.pieces:
            yield from names_in(piece.reading)
