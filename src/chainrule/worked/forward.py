"""The lines of a forward pass: every element of every op, with its partial derivatives, from the rules.

The derivatives have the form in which they are taught, in terms of the output, where the rule has one: a·(1 − a). A
form that takes numbers of its own from the recorded data (the shares of a softmax) is not used: the line would be
wrong for other weights.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import final

import torch
from sympy import Expr, IndexedBase, Integer, Symbol

from chainrule.ops import OpRule, Wiring, scalar_derivatives, scalar_formula
from chainrule.ops.letters import K
from chainrule.programs import Step, sample_name
from chainrule.programs.layered import ACTIVATIONS
from chainrule.programs.program import symbol_of
from chainrule.shapes import Tensor
from chainrule.trace import Trace, Value, where_of
from chainrule.worked.calls import Call, cuts_off, data_of, is_number
from chainrule.worked.expressions import plain
from chainrule.worked.ledger import Ledger, index_of, placed
from chainrule.worked.naming import Namer
from chainrule.worked.refusals import without_formula

# Letters of rules whose numbers differ from element to element and are none of the data's: what they are.
_FIXED = {"m": "mask", "mu": "running_mean", "v": "running_var"}
_SETTINGS = {"leaky_relu": {"negative_slope": 0.01}, "softplus": {"beta": 1.0, "threshold": 20.0}}


@final
class Forward:
    """Writes ops into a ledger.

    Args:
        trace: the recorded step.
        ledger: where quantities and lines go.
        namer: names them.
    """

    def __init__(self, trace: Trace, ledger: Ledger, namer: Namer) -> None:
        self.trace, self.ledger, self.namer = trace, ledger, namer

    def elements(self, value: int) -> list[Expr]:
        """Return the expressions of a value's elements; those of a leaf are entered when they are first asked for."""
        if value not in self.ledger.elements:
            self.namer.enter(self.trace.values[value])
        return self.ledger.elements[value]

    def taken(self, call: Call, argument: str) -> list[Expr]:
        """Return the expressions of an argument's elements, of a list of tensors one after the other."""
        return [element for value in call.values(argument) for element in self.elements(value)]

    def write(self, call: Call) -> None:
        """Write the lines of an op."""
        made = [self.trace.values[output] for output in call.op.outputs]
        for number, value in enumerate(made):
            if value.producer == call.op.id and is_number(value):
                self._write_output(call, number, value)

    def _write_output(self, call: Call, number: int, value: Value) -> None:
        rule = call.rule.of_output(number)
        if cuts_off(call.op) or (rule.formula is None and rule.move is None):
            if call.op.random_state is not None:
                self.ledger.note(f"What {where_of(call.op)} drew at random stands in the formulas as constants.")
            self.namer.enter(value)
            return
        output = data_of(self.trace, value.id)
        number = number if rule is call.rule else 0
        wiring = rule.wiring(call.arguments, output, number)
        if all(self._is_constant(call, argument) for argument in wiring.places if argument != "output"):
            self.namer.enter(value)
            return
        writer = _Writer(self, call, value, rule, wiring, _moving(call, rule, output, number))
        formulas = [writer.formula(flat) for flat in range(output.numel())]
        is_cut = bool(rule.cuts) or not call.op.gradients_on
        is_moved = [
            (formula.is_Symbol or formula.is_number) and not (is_cut and self.ledger.is_trained(formula))
            for formula in formulas
        ]
        if all(is_moved):
            self.ledger.elements[value.id] = formulas
            return
        if is_cut:
            self.write_lines(call, value, formulas, [{} for _ in formulas])
        else:
            stable = [writer.stable(flat) for flat in range(len(formulas))]
            self.write_lines(call, value, formulas, writer.partials, stable)

    def _is_constant(self, call: Call, argument: str) -> bool:
        """Return whether an argument is made of constants alone, so that what is made of it is a constant too."""
        given = self.ledger.given
        return all(
            symbol.name in given and given[symbol.name].kind == "constant" and symbol.name not in self.ledger.trained
            for element in self.taken(call, argument)
            for symbol in element.free_symbols
        )

    def write_lines(
        self,
        call: Call,
        value: Value,
        formulas: Sequence[Expr],
        partials: Sequence[dict[str, Expr]] | Callable[[int, Sequence[Symbol]], dict[str, Expr]],
        stable: Sequence[Expr | None] = (),
    ) -> None:
        """Write a line for every element that an op makes.

        Args:
            call: the op.
            value: what it makes.
            formulas: one for each element.
            partials: their derivatives, or a function from an element and the symbols of all to its derivatives.
            stable: the formulas in a form that does not overflow, None where they do not.
        """
        step: Step = "loss" if call.op.phase == "loss" else "forward"
        names = self.namer.outputs(call, value, [self._sample(formula) for formula in formulas])
        symbols = [symbol_of(sample_name(name, sample)) for name, sample, _ in names]
        self.ledger.elements[value.id] = list(symbols)
        for flat, (name, sample, meaning) in enumerate(names):
            self.ledger.write(
                name,
                formulas[flat],
                step,
                call.rule.name,
                partials(flat, symbols) if callable(partials) else partials[flat],
                meaning=meaning,
                sample=sample,
                origin=placed(value.name, index_of(flat, value.shape)),
                stable=stable[flat] if stable else None,
            )
            self.ledger.recorded[symbols[flat].name] = (value.id, flat)

    def _sample(self, formula: Expr) -> int | None:
        samples = {self.ledger.sample_of(symbol.name) for symbol in formula.free_symbols} - {None}
        return samples.pop() if len(samples) == 1 else None


class _Writer:
    """The formulas and derivatives of one output of one op."""

    def __init__(
        self, forward: Forward, call: Call, output: Value, rule: OpRule, wiring: Wiring, moving: set[str]
    ) -> None:
        self.call, self.ledger, self.arguments = call, forward.ledger, tuple(rule.slots)
        self.taken = {argument: forward.taken(call, argument) for argument in wiring.places if argument != "output"}
        self.taught = _taught(call)
        if rule.formula is not None and _letters_of(rule.formula) & moving and call.op.random_state is None:
            raise without_formula(call.op, "Its formula takes numbers from the data, and would be wrong for others.")
        self.rule, self.wiring = self._with_constants(forward, output, rule, wiring)
        self.written = self.rule if rule.stable is None else replace(self.rule, stable=None)
        self.school = {
            argument: argument in rule.school and not _letters_of(rule.school[argument]) & moving
            for argument in rule.slots
        }

    def _with_constants(self, forward: Forward, output: Value, rule: OpRule, wiring: Wiring) -> tuple[OpRule, Wiring]:
        """Return rule and wiring with the numbers that differ from element to element as constants of the program.

        The mask of a dropout is one; the numbers of a running mean are others.
        """
        slots, places, numbers = dict(rule.slots), dict(wiring.places), dict(wiring.numbers)
        for letter, number in wiring.numbers.items():
            is_varied = isinstance(number, Tensor) and number.is_floating_point() and number.dim() > 0
            if not is_varied or rule.move is not None or str(letter) not in _FIXED:
                continue
            assert isinstance(number, Tensor)  # noqa: S101  # asked on the line before
            name, word = f"constant {letter}", _FIXED[str(letter)]
            slots[name] = letter if isinstance(letter, Symbol) else letter[K]
            places[name] = torch.arange(number.numel()).reshape(number.shape)
            del numbers[letter]
            self.taken[name] = forward.namer.enter_constants(self.call, output, word, number)
        return replace(rule, slots=slots), Wiring(places, numbers, wiring.fills, wiring.outputs)

    def formula(self, flat: int) -> Expr:
        """Return an element's formula, as people write it."""
        if self.taught:
            return ACTIVATIONS[self.rule.name].value(self._only(flat))
        return plain(self.call.op, scalar_formula(self.written, self.wiring, flat, self._name), self.ledger)

    def stable(self, flat: int) -> Expr | None:
        """Return an element's formula in the form that does not overflow, None where the formula does not."""
        if self.rule.stable is None or self.taught:
            return None
        return plain(self.call.op, scalar_formula(self.rule, self.wiring, flat, self._name), self.ledger)

    def partials(self, flat: int, outputs: Sequence[Symbol]) -> dict[str, Expr]:
        """Return the derivatives of an element by all symbols in its formula."""
        if self.taught:
            x = self._only(flat)
            return {x.name: ACTIVATIONS[self.rule.name].slope(x, outputs[flat])} if isinstance(x, Symbol) else {}

        def name(argument: str, place: int) -> Expr:
            return outputs[place] if argument == "output" else self.taken[argument][place]

        found: dict[str, Expr] = {}
        for argument in self.arguments:
            if argument not in self.wiring.places:
                continue
            slopes = scalar_derivatives(self.rule, self.wiring, flat, name, argument, self.school[argument])
            for place, slope in slopes.items():
                operand = self.taken[argument][place]
                if isinstance(operand, Symbol):
                    found[operand.name] = found.get(operand.name, Integer(0)) + plain(self.call.op, slope, self.ledger)
        return found

    def _only(self, flat: int) -> Expr:
        return self.taken["input"][int(self.wiring.places["input"][flat])]

    def _name(self, argument: str, place: int) -> Expr:
        return self.taken[argument][place]


def summed(slopes: Sequence[tuple[Expr, Expr]]) -> dict[str, Expr]:
    """Return derivatives by name, those by one symbol added up; operands that are numbers have none."""
    found: dict[str, Expr] = {}
    for operand, slope in slopes:
        if isinstance(operand, Symbol):
            found[operand.name] = found.get(operand.name, Integer(0)) + slope
    return found


def _taught(call: Call) -> bool:
    """Return whether an activation is one that `programs.ACTIVATIONS` writes out, with the same settings."""
    if call.rule.name not in ACTIVATIONS:
        return False
    if any(call.arguments.get(key, usual) != usual for key, usual in _SETTINGS.get(call.rule.name, {}).items()):
        return False
    # Above its threshold of 20, torch's softplus is x itself.
    return call.rule.name != "softplus" or bool((call.arguments["input"] <= _SETTINGS["softplus"]["threshold"]).all())


def _letters_of(expression: Expr) -> set[str]:
    return {str(letter) for letter in expression.free_symbols} | {str(base) for base in expression.atoms(IndexedBase)}


def _moving(call: Call, rule: OpRule, output: Tensor, number: int) -> set[str]:
    """Return the letters whose numbers a wiring takes from the values of its tensors: they move when these do."""
    if rule.move is not None:
        return set()
    moved = {
        name: value * 1.25 + 0.125 if name in rule.slots and _is_float(value) else value
        for name, value in call.arguments.items()
    }
    before, after = (rule.wiring(arguments, output, number).numbers for arguments in (call.arguments, moved))
    return {str(letter) for letter, now in before.items() if not _is_same(now, after[letter])}


def _is_float(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _is_same(first: object, second: object) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return torch.equal(first, second)
    return first == second
