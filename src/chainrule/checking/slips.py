"""The slips that people make, each a change of what belongs in a cell.

They are tried in this order, the commonest first (`search`); one fits when it gives the numbers of the cell.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from chainrule.checking.derivations import Derivation, Piece, Product, reading_of
from chainrule.checking.readings import (
    FIRST,
    Constant,
    Named,
    Operation,
    Reading,
    in_row,
    names_in,
    reading_text,
    renamed,
    replaced,
)
from chainrule.checking.scopes import Scope, everywhere, in_path, scopes_of
from chainrule.checking.truth import Truth
from chainrule.programs.layered import ACTIVATIONS
from chainrule.programs.program import symbol_of

_ONE = Constant(1.0)


@dataclass(frozen=True, slots=True)
class Slip:
    """A mistake, in words.

    Attributes:
        kind: which one of the usual slips: "wrong unit's activation".
        detail: what stands where what belongs.
    """

    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Changed:
    """A derivation with a slip in it."""

    slip: Slip
    products: tuple[Product, ...]


class Catalogue:
    """The slips that can be made in one derivation."""

    def __init__(self, truth: Truth, derivation: Derivation, offsets: Sequence[int]) -> None:
        self.truth, self.derivation, self.offsets = truth, derivation, offsets
        network = truth.network
        self.levels = [list(network.inputs), *([unit.output for unit in layer.units] for layer in network.layers)]
        self.nets = {unit.output: unit.net for layer in network.layers for unit in layer.units}
        self.kinds = {layer.activation for layer in network.layers}

    def changes(self, products: tuple[Product, ...]) -> Iterator[Changed]:
        """Yield the derivation with each slip in it."""
        yield from self._tanh_slopes(products)
        yield from self._substitutions(products)
        yield from self._later_weights(products)
        yield from self._signs(products)
        yield from self._missing(products)
        yield from self._scales(products)
        yield from self._other_slopes(products)
        yield from self._other_functions(products)
        yield from self._rows(products)
        yield from self._extra(products)

    # One quantity where another belongs

    def _substitutions(self, products: tuple[Product, ...]) -> Iterator[Changed]:
        for scope in scopes_of(products):
            for name in dict.fromkeys(name for piece in scope.pieces for name in names_in(piece.reading)):
                for kind, other in self._alternatives(name, scope):
                    new = scope.apply(products, _swapping(name, other))
                    if any(_is_zero(piece.reading) for product in new for piece in product.pieces):
                        continue  # a_o1 − a_o1: nobody writes that, and it would pass for a missing path
                    yield Changed(Slip(kind, self._where(scope, name, other)), new)

    def _where(self, scope: Scope, name: Named, other: Named) -> str:
        if len(scope.pieces) > 1 and len({piece.group for piece in scope.pieces}) == 1:
            readings = [piece.reading for piece in scope.pieces]
            was = "·".join(_bracketed(_swapped(reading, name, other)) for reading in readings)
            belongs = "·".join(_bracketed(reading) for reading in readings)
            return f"{was} stands where {belongs} belongs{scope.place}"
        return f"{_shown(other)} stands where {_shown(name)} belongs{scope.place}"

    def _alternatives(self, name: Named, scope: Scope) -> Iterator[tuple[str, Named]]:
        truth, network = self.truth, self.truth.network
        bare, mark = _split_sample(name.name)

        def at(other: str) -> Named:
            return Named(other + mark, name.offset)

        if bare in self.nets:
            level = next(level for level in self.levels if bare in level)
            if self.nets[bare] != bare:
                yield "pre-activation for activation", at(self.nets[bare])
            yield from (("wrong unit's activation", at(other)) for other in level if other != bare)
            for other_level in self.levels[1:]:
                if other_level is not level:
                    yield from (("wrong unit's activation", at(other)) for other in other_level)
            for other in level:
                if other != bare and self.nets[other] != other:
                    yield "pre-activation for activation", at(self.nets[other])
            if any(piece.role == "input" for piece in scope.pieces):
                yield from (("wrong input", at(other)) for other in self.levels[0])
        elif bare in network.inputs:
            yield from (("wrong input", at(other)) for other in network.inputs if other != bare)
            for level in self.levels[1:-1]:
                yield from (("wrong input", at(other)) for other in level)
        elif bare in network.targets:
            yield from (("wrong target", at(other)) for other in network.targets if other != bare)
            yield from (("wrong target", at(other)) for other in self.levels[-1])
        elif truth.is_parameter(bare):
            layer = next((unit.weights for layer in network.layers for unit in layer.units if bare in unit.weights), ())
            others = dict.fromkeys((*_neighbours(truth, bare), *layer, *network.weights, *network.biases))
            yield from (("wrong weight", at(other)) for other in others if other != bare)
        elif bare.startswith("∂E/∂"):
            below = bare.removeprefix("∂E/∂")
            if truth.is_parameter(below):
                others = dict.fromkeys((*_neighbours(truth, below), *network.trained))
                yield from (("another weight's gradient", at(f"∂E/∂{other}")) for other in others if other != below)
            else:
                names = [other for other in truth.program.by_name if other.startswith("∂E/∂")]
                yield from (("another unit's derivative", at(other)) for other in names if other != bare)
        elif bare in network.losses:
            yield from (("wrong output's loss", at(other)) for other in network.losses if other != bare)
        elif truth.is_net(bare):
            nets = [unit.net for layer in network.layers for unit in layer.units]
            yield from (("wrong unit", at(other)) for other in nets if other != bare)
            outputs = [output for output, net in self.nets.items() if net == bare and output != bare]
            yield from (("activation for pre-activation", at(output)) for output in outputs)

    def _later_weights(self, products: tuple[Product, ...]) -> Iterator[Changed]:
        updated = self.truth.program.updated

        def later(piece: Piece) -> Piece:
            if piece.role != "weight":
                return piece
            return replace(piece, reading=renamed(piece.reading, updated))

        if not self.derivation.is_sum_of_paths:
            return
        for scope in (
            everywhere(products, "weight"),
            *(in_path(products, place, "weight") for place in range(len(products))),
        ):
            if scope.pieces:
                names = ", ".join(
                    dict.fromkeys(_shown(name) for piece in scope.pieces for name in names_in(piece.reading))
                )
                after = ", ".join(f"{name}⁺" for name in names.split(", "))
                detail = f"{after} stand where {names}, from before the update, belong"
                if "," not in names:
                    detail = f"{after} stands where {names}, from before the update, belongs"
                yield Changed(Slip("updated weights in a gradient", detail + scope.place), scope.apply(products, later))

    # Signs, factors and terms

    def _signs(self, products: tuple[Product, ...]) -> Iterator[Changed]:
        is_update = self.derivation.offset < 0 or self.derivation.name.endswith("⁺")
        if is_update and len(products) > 1:
            flipped = (products[0], *(replace(product, sign=-product.sign) for product in products[1:]))
            yield Changed(Slip("wrong sign", "the update adds where it should subtract"), flipped)
        else:
            flipped = tuple(replace(product, sign=-product.sign) for product in products)
            detail = "minus the right value"
            error = next((piece for piece in products[0].pieces if piece.role == "error"), None) if products else None
            if error is not None and isinstance(error.reading, Operation) and error.reading.operator == "-":
                reverse = Operation("-", tuple(reversed(error.reading.arguments)))
                detail = f"{_bracketed(reverse)} stands where {_bracketed(error.reading)} belongs"
            yield Changed(Slip("wrong sign", detail), flipped)
        for place in range(len(products) if len(products) > 1 else 0):
            changed = list(products)
            changed[place] = replace(changed[place], sign=-changed[place].sign)
            sign = "−" if changed[place].sign < 0 else "+"
            where = f"the path through {changed[place].path}" if changed[place].path else _product_text(changed[place])
            yield Changed(Slip("wrong sign", f"{where} stands with a {sign}"), tuple(changed))
        for scope in scopes_of(products):
            for piece in scope.pieces:
                turned = _other_sign(piece.reading)
                if turned is not None:
                    new = scope.apply(
                        products,
                        _instead_of(piece, turned),
                    )
                    detail = f"{_bracketed(turned)} stands where {_bracketed(piece.reading)} belongs{scope.place}"
                    yield Changed(Slip("wrong sign", detail), new)

    def _missing(self, products: tuple[Product, ...]) -> Iterator[Changed]:
        if len(products) > 1:
            for place, product in enumerate(products):
                rest = products[:place] + products[place + 1 :]
                if product.path:
                    yield Changed(Slip("missing path", f"the path through {product.path} is left out"), rest)
                else:
                    yield Changed(Slip("missing term", f"{_product_text(product)} is left out"), rest)
        yield from self._missing_units(products)
        for scope in scopes_of(products):
            if len(scope.pieces) == len(products[0].pieces) and len(products) == 1:
                continue
            kind, behind = "missing factor", ""
            text = "·".join(_bracketed(piece.reading) for piece in scope.pieces)
            if any(piece.role == "rate" for piece in scope.pieces):
                text = f"the learning rate {text}"
            if {piece.role for piece in scope.pieces} == {"number"} and self.derivation.is_sum_of_paths:
                kind, text = "mean against sum", f"the factor {text}"
                behind = f"; the loss of this file is {self.truth.network.loss_words}"
            yield Changed(Slip(kind, f"{text} is left out{scope.place}{behind}"), scope.without(products))
        for scope in scopes_of(products):
            for piece in scope.pieces:
                reading = piece.reading
                if isinstance(reading, Operation) and reading.operator == "^":
                    new = scope.apply(
                        products,
                        _instead_of(piece, reading.arguments[0]),
                    )
                    yield Changed(Slip("missing square", f"{_bracketed(reading.arguments[0])} is not squared"), new)

    def _missing_units(self, products: tuple[Product, ...]) -> Iterator[Changed]:
        """Yield the derivation without all paths through one unit, where there are several."""
        groups = dict.fromkeys(piece.group for product in products for piece in product.pieces if piece.role == "slope")
        for group in groups:
            rest = tuple(product for product in products if group not in {piece.group for piece in product.pieces})
            if rest and len(products) - len(rest) > 1:
                unit = group.partition("/")[2]
                yield Changed(Slip("missing path", f"the paths through {unit} are left out"), rest)

    def _scales(self, products: tuple[Product, ...]) -> Iterator[Changed]:
        outputs = len(self.truth.network.outputs) * self.truth.network.samples
        for factor in dict.fromkeys((2.0, 0.5, float(outputs), 1.0 / outputs, 1.0 / self.truth.network.samples)):
            if factor == 1.0:
                continue
            scaled = tuple(
                replace(product, pieces=(Piece(Constant(factor), "number", "factor"), *product.pieces))
                for product in products[(1 if self.derivation.offset else 0) :]
            )
            kept = products[:1] if self.derivation.offset else ()
            text = f"{factor:.6g}"
            detail = f"{text} times what belongs there; the loss of this file is {self.truth.network.loss_words}"
            yield Changed(Slip("mean against sum", detail), (*kept, *scaled))

    def _other_slopes(self, products: tuple[Product, ...]) -> Iterator[Changed]:
        for scope in scopes_of(products):
            if not scope.pieces or {piece.role for piece in scope.pieces} != {"slope"}:
                continue
            if len({piece.group for piece in scope.pieces}) != 1 or not scope.is_whole_group:
                continue
            output, _, net = scope.pieces[0].group.partition("/")
            for words, slope in _slopes(Named(output), Named(net)):
                belongs = "·".join(_bracketed(piece.reading) for piece in scope.pieces)
                detail = f"{_bracketed(slope)} ({words}) stands where {belongs} belongs{scope.place}"
                yield Changed(Slip("derivative of another function", detail), scope.instead(products, slope))

    def _tanh_slopes(self, products: tuple[Product, ...]) -> Iterator[Changed]:
        """Yield 1 − z² for 1 − a², which anyone writes who takes tanh′ z = 1 − tanh² z for 1 − z²."""
        for scope in scopes_of(products):
            if len(scope.pieces) != 1 or scope.pieces[0].role != "slope":
                continue
            output, _, net = scope.pieces[0].group.partition("/")
            if scope.pieces[0].reading != _one_less(_square(Named(output))):
                continue
            words, slope = next(_slopes(Named(output), Named(net)))
            belongs = _bracketed(scope.pieces[0].reading)
            detail = f"{_bracketed(slope)} ({words}) stands where {belongs} belongs{scope.place}"
            yield Changed(Slip("derivative of another function", detail), scope.instead(products, slope))

    def _other_functions(self, products: tuple[Product, ...]) -> Iterator[Changed]:
        """Yield an output with another activation, or with the sigmoid's e^x for e^(−x)."""
        name = self.derivation.name
        net = self.nets.get(_split_sample(name)[0])
        if net is None or net == name or len(products) != 1 or len(products[0].pieces) != 1:
            return
        piece = products[0].pieces[0]
        power = Operation("EXP", (Named(net + _split_sample(name)[1]),))
        turned = replaced(piece.reading, lambda part: power if part == _negative(power) else None)
        if turned != piece.reading:
            detail = f"{reading_text(power)} stands where {reading_text(_negative(power))} belongs"
            yield Changed(Slip("wrong sign", detail), (replace(products[0], pieces=(replace(piece, reading=turned),)),))
        for kind, rule in ACTIVATIONS.items():
            reading = reading_of(rule.value(symbol_of(net + _split_sample(name)[1])))
            detail = (
                f"{kind.replace('_', ' ')} stands where the other units of the layer have {reading_text(piece.reading)}"
            )
            yield Changed(
                Slip("another activation", detail), (replace(products[0], pieces=(replace(piece, reading=reading),)),)
            )

    def _rows(self, products: tuple[Product, ...]) -> Iterator[Changed]:
        home = self.derivation.offset
        for scope in scopes_of(products):
            for name in dict.fromkeys(name for piece in scope.pieces for name in names_in(piece.reading)):
                for offset in self.offsets:
                    if offset == name.offset or (home == 0 and offset == 0):
                        continue
                    new = scope.apply(products, _swapping(name, Named(name.name, offset)))
                    detail = (
                        f"{name.name} of {_row_words(offset)} stands where that of {_row_words(name.offset)} belongs"
                    )
                    yield Changed(Slip("another row", detail + scope.place), new)
        for offset in self.offsets:
            if offset != home:
                new = tuple(
                    replace(
                        product,
                        pieces=tuple(replace(piece, reading=in_row(piece.reading, offset)) for piece in product.pieces),
                    )
                    for product in products
                )
                detail = f"all of it is read from {_row_words(offset)}, not from {_row_words(home)}"
                yield Changed(Slip("another row", detail), new)

    def _extra(self, products: tuple[Product, ...]) -> Iterator[Changed]:
        if not products:
            return
        pieces = dict.fromkeys(piece for product in products for piece in product.pieces)
        readings = list(dict.fromkeys(piece.reading for piece in pieces))
        row = self.derivation.offset
        names = [*self.truth.network.inputs, *self.truth.network.weights, *self.nets, *self.nets.values()]
        readings += [Named(name, row) for name in names if Named(name, row) not in readings]
        readings += [Operation("-", (_ONE, Named(name, row))) for name in self.nets]
        # (a_o1 − t1) of softmax with cross-entropy has no slope in it; a hand adds the sigmoid's, or that of tanh.
        for output in (Named(name, row) for name in self.nets):
            readings += [Operation("*", (output, _one_less(output))), _one_less(_square(output))]
        first = 1 if row and len(products) > 1 else 0
        own = {piece.reading for piece in pieces}
        for reading in dict.fromkeys(readings):
            is_own = reading in own or (isinstance(reading, Operation) and own.issuperset(reading.arguments))
            detail = f"{_bracketed(reading)} {'stands there once too often' if is_own else 'does not belong there'}"
            scaled = tuple(replace(product, pieces=(*product.pieces, Piece(reading))) for product in products[first:])
            yield Changed(Slip("extra factor", detail), (*products[:first], *scaled))
            for place in range(len(products) if len(products) > 1 else 0):
                changed = list(products)
                changed[place] = replace(changed[place], pieces=(*changed[place].pieces, Piece(reading)))
                where = f" in the path through {changed[place].path}" if changed[place].path else ""
                yield Changed(Slip("extra factor", detail + where), tuple(changed))


def _neighbours(truth: Truth, name: str) -> Iterator[str]:
    """Yield the parameters that a hand takes for another: into the same unit, or from the same unit."""
    for layer in truth.network.layers:
        for unit in layer.units:
            if name in unit.weights:
                place = unit.weights.index(name)
                yield from unit.weights
                yield from (other.weights[place] for other in layer.units)


def _slopes(output: Named, net: Named) -> Iterator[tuple[str, Reading]]:
    """Yield the derivatives of the usual activations, and the usual wrong ones."""
    yield "1 − z² for 1 − tanh² z", _one_less(_square(net))
    yield "the derivative of tanh", _one_less(_square(output))
    yield "the derivative of the sigmoid", Operation("*", (output, _one_less(output)))
    yield "the derivative of the sigmoid, of the pre-activation", Operation("*", (net, _one_less(net)))
    yield "the derivative of the ReLU", Operation("IF", (Operation(">", (net, Constant(0.0))), _ONE, Constant(0.0)))
    yield "the derivative of the identity", _ONE
    yield "the activation for its derivative", output
    yield "1 less the activation", _one_less(output)


def _other_sign(reading: Reading) -> Reading | None:
    if isinstance(reading, Operation) and reading.operator == "-" and len(reading.arguments) == 2:
        return Operation("+", reading.arguments)
    if isinstance(reading, Operation) and reading.operator == "^":
        base = _other_sign(reading.arguments[0])
        return None if base is None else Operation("^", (base, reading.arguments[1]))
    return None


def _negative(power: Operation) -> Operation:
    return Operation("EXP", (Operation("-", power.arguments),))


def _is_zero(reading: Reading) -> bool:
    return (
        isinstance(reading, Operation)
        and reading.operator == "-"
        and len(reading.arguments) == 2
        and reading.arguments[0] == reading.arguments[1]
    )


def _with(piece: Piece, name: Named, other: Named) -> Piece:
    return replace(piece, reading=_swapped(piece.reading, name, other))


def _swapped(reading: Reading, name: Named, other: Named) -> Reading:
    return replaced(reading, lambda part: other if part == name else None)


def _split_sample(name: str) -> tuple[str, str]:
    bare, mark, rest = name.partition("⁽")
    return bare, mark + rest


def _shown(name: Named) -> str:
    return name.name


@lru_cache(maxsize=8192)
def _bracketed(reading: Reading) -> str:
    text = reading_text(reading, lambda offset: "")
    return f"({text})" if isinstance(reading, Operation) and reading.operator in "+-" else text


def _product_text(product: Product) -> str:
    return "·".join(_bracketed(piece.reading) for piece in product.pieces)


def _row_words(offset: int) -> str:
    if offset == FIRST:
        return "the first row"
    if offset == 0:
        return "its own row"
    if offset in (-1, 1):
        return "the row above" if offset < 0 else "the row below"
    return f"the row {abs(offset)} {'above' if offset < 0 else 'below'}"


def _swapping(name: Named, other: Named) -> Callable[[Piece], Piece]:
    return lambda piece: _with(piece, name, other)


def _instead_of(old: Piece, reading: Reading) -> Callable[[Piece], Piece]:
    return lambda piece: replace(piece, reading=reading) if piece == old else piece


def _one_less(reading: Reading) -> Reading:
    return Operation("-", (_ONE, reading))


def _square(reading: Reading) -> Reading:
    return Operation("^", (reading, Constant(2.0)))
