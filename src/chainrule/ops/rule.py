"""Rules: what an op computes, as one record with one formula.

A rule has a **formula** for one element of the output, and a **wiring** that says, for a concrete call, which element
of which input stands in each slot of the formula. The derivative, the printed forms, the numbers, and the formula of
every single scalar follow from the two.

How to write one, here for `linear`, y = Σₖ x[k]·w[k] + b:

    def _linear(output: Tensor, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Wiring:
        rows = numbered(input).unsqueeze(-2)  # tensors of element numbers take the way that the elements take
        return Wiring(
            {
                "input": aligned(rows, (*output.shape, weight.shape[1]), output.dim()),
                "weight": aligned(numbered(weight), (*output.shape, weight.shape[1]), output.dim()),
            }
            | optional("bias", bias, output)
        )

    OpRule(
        "linear",
        Sum(XS[K] * WS[K], (K, 1, N)) + B,
        {"input": XS[K], "weight": WS[K], "bias": B},
        _linear,
    )

- The wiring's parameters are torch's arguments by torch's names, with torch's defaults ("input" is the tensor of a
  method); its first parameter is the output. `bind` reads them from there.
- `slots` names the slot of every argument that has a derivative. A plain letter is one element for each output (its
  places have the shape (outputs,)); a letter with brackets is several (outputs, K). A list of tensors is one argument:
  its elements are numbered through, one tensor after the other.
- A place of −1 is a number that is in no input, such as padding; `Wiring.fills` says which, 0 if nothing does.
- An argument that is a Python number stands in its slot as that number; None stands there as 0.
- What is no slot (settings such as alpha, masks, class numbers, own indices) is given by the wiring in `numbers`, as a
  number or as a tensor with the outputs as its first axis.
- An own index (softmax: y[i] = e^x[i] / Σₖ e^x[k]) is the letter I, with its places in `numbers`.
- Index letters of nested sums must differ. The largest of several is `Largest`; n is the length of the first array
  when the wiring does not say otherwise.
- A wiring that would be large (a convolution) can take a keyword `outputs`, the flat numbers of the outputs that are
  asked for or None, and return their rows only. For all others the rows are chosen afterwards.
- Where arguments choose between formulas (a reduction, an approximation), `choose` returns another rule.
- An op that only moves elements (views, indexing, joining) has `move` in place of formula and wiring: the op itself.
  It is run on element numbers. Anything that `move` does not name by its parameters is the same for all of them.

Add a rule to the tuple of its file; `lookup.py` joins the tuples. Then add its row to the table of its tests
(tests/ops/cases.py, or a file beside it whose rows test_rules.py joins).
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Literal, final

import torch
from sympy import Expr, Indexed, IndexedBase, S, Sum, Symbol

from chainrule.errors import UnknownNameError, did_you_mean
from chainrule.formulas import to_latex, to_text
from chainrule.ops.differentiation import Largest, differentiate
from chainrule.ops.evaluation import Numbers, evaluate
from chainrule.ops.letters import I, K, L, M, N, X, Y
from chainrule.ops.places import Arguments, Scalar, Wiring, argument_value, call, flat, numbered, numbered_through
from chainrule.shapes import Bool, Float, Int, Tensor

Mask = Callable[[Arguments, Tensor, float], Tensor]
THRESHOLD = 1e-3


@dataclass(frozen=True, slots=True)
class Silencer:
    """How an op can keep a gradient from coming through.

    Attributes:
        name: such as "ReLU is flat".
        words: completes "the input is ...": "negative, where ReLU is flat".
        argument: the input whose gradient is silenced.
        find: from the bound arguments, the output and the threshold to a mask of the argument's shape.
    """

    name: str
    words: str
    argument: str
    find: Mask = field(repr=False)

    def mask(self, arguments: Arguments, output: Tensor, threshold: float = THRESHOLD) -> Bool[Tensor, "..."]:
        """Return where the local derivative is zero, or below `threshold` of the largest that it can be."""
        found = self.find(arguments, output, threshold)
        return found.broadcast_to(argument_value(arguments, self.argument).shape)


@dataclass(frozen=True, slots=True)
class Hazard:
    """How an op can make a NaN or an infinity of finite numbers.

    Attributes:
        name: such as "log of 0".
        words: completes "the input is ...": "0, where the logarithm is −∞".
        argument: the input that does it.
        hits: whether the op's value is hit ("forward"), or only what it sends back ("backward").
        find: from the bound arguments and the output to a mask of the argument's shape.
    """

    name: str
    words: str
    argument: str
    hits: Literal["forward", "backward"]
    find: Callable[[Arguments, Tensor], Tensor]

    def mask(self, arguments: Arguments, output: Tensor) -> Bool[Tensor, "..."]:
        """Return where it happens."""
        return self.find(arguments, output).broadcast_to(argument_value(arguments, self.argument).shape)


@final
@dataclass(frozen=True, slots=True, eq=False)
class OpRule:
    """What an op computes.

    Attributes:
        name: torch's own function name, such as "linear".
        formula: one element of the output; None when the op has none (argmax).
        slots: the letter of each argument that has a derivative: {"input": x[k], "bias": b}.
        wire: the wiring of a call: (output, torch's arguments by name) → Wiring.
        aliases: other names for the same call: ("true_divide",).
        stable: an equal formula that does not overflow, when the formula itself would (softmax).
        school: the derivative in terms of the output y, by argument, where that is how it is taught: a·(1 − a).
        move: the op itself, when all it does is to move elements.
        choose: the rule for given arguments, when they choose between formulas.
        cuts: why no gradient comes through, as a sentence; "" for all others.
        silencers: how it can keep a gradient from coming through.
        hazards: how it can make a NaN or an infinity.
        note: what the formula does not say.
        others: the rules of the second, third, ... output, where they are not that of the first: the mean beside the
            variance, the places beside the values.
    """

    name: str
    formula: Expr | None
    slots: Mapping[str, Expr] = field(default_factory=dict)
    wire: Callable[..., Wiring] | None = None
    aliases: tuple[str, ...] = ()
    stable: Expr | None = None
    school: Mapping[str, Expr] = field(default_factory=dict)
    move: Callable[..., Any] | None = None
    choose: Callable[[Arguments], "OpRule"] | None = None
    cuts: str = ""
    silencers: tuple[Silencer, ...] = ()
    hazards: tuple[Hazard, ...] = ()
    note: str = ""
    others: tuple["OpRule", ...] = ()

    # -- what it says ------------------------------------------------------------------------------------------------

    def chosen(self, arguments: Arguments) -> "OpRule":
        """Return the rule for these arguments: itself, unless they choose between formulas."""
        return self.choose(arguments) if self.choose else self

    def of_output(self, number: int) -> "OpRule":
        """Return the rule of one of several outputs; its own where they are all alike."""
        return self.others[number - 1] if 0 < number <= len(self.others) else self

    @property
    def left_side(self) -> Expr:
        """The letter of the output: y, or y[i] when the formula has an index of its own."""
        return IndexedBase("y", real=True)[I] if self.formula is not None and self.formula.has(I) else Y

    def text(self) -> str:
        """Return the formula as text: "y = Σₖ x[k]·w[k] + b"; "" when there is none."""
        return "" if self.formula is None else f"{to_text(self.left_side)} = {to_text(self.formula)}"

    def latex(self) -> str:
        """Return the formula as LaTeX; "" when there is none."""
        return "" if self.formula is None else f"{to_latex(self.left_side)} = {to_latex(self.formula)}"

    def slot(self, argument: str) -> Expr:
        """Return the letter of an argument as its derivative names it: x, w[k], or x[m] where k is summed over.

        Raises:
            UnknownNameError: the formula has no such argument.
        """
        return _differentiated(self, self._known(argument))[0]

    def derivative(self, argument: str) -> Expr:
        """Return the derivative of the formula by an argument's slot, such as x[k] for linear's weight.

        Raises:
            UnknownNameError: the formula has no such argument.
        """
        return _differentiated(self, self._known(argument))[1]

    def derivative_text(self, argument: str) -> str:
        """Return the derivative as text: "∂y/∂w[k] = x[k]"."""
        slot, derivative = _differentiated(self, self._known(argument))
        return f"∂{to_text(self.left_side)}/∂{to_text(slot)} = {to_text(derivative)}"

    def derivative_latex(self, argument: str) -> str:
        """Return the derivative as LaTeX."""
        slot, derivative = _differentiated(self, self._known(argument))
        return rf"\frac{{\partial {to_latex(self.left_side)}}}{{\partial {to_latex(slot)}}} = {to_latex(derivative)}"

    def school_text(self, argument: str) -> str:
        """Return the derivative in terms of the output: "∂y/∂x = y·(1 − y)"; "" where it has no such form."""
        if argument not in self.school:
            return ""
        slot = _lettered(self.slots[argument])
        return f"∂{to_text(self.left_side)}/∂{to_text(slot)} = {to_text(self.school[argument])}"

    # -- what it gives -----------------------------------------------------------------------------------------------

    @property
    def parameters(self) -> tuple[inspect.Parameter, ...]:
        """The arguments of a call, by torch's names and with torch's defaults."""
        return _parameters(self)

    def wiring(
        self, arguments: Arguments, output: Tensor, number: int = 0, outputs: Int[Tensor, "chosen"] | None = None
    ) -> Wiring:
        """Return which elements stand in the slots of a call.

        Args:
            arguments: as `bind` returns them.
            output: the output of the call.
            number: which output, where there are several.
            outputs: the flat numbers of the elements of the output that are asked for; all unless it is said.
        """
        rule = self.of_output(number)
        if rule.move is None:
            return _wired(rule, arguments, output, outputs)
        wiring = _moved(rule, arguments, number)
        return wiring if outputs is None else wiring.only(outputs)

    def forward(self, arguments: Arguments, output: Tensor, number: int = 0) -> Float[Tensor, "..."]:
        """Return the formula's values for every output element, in float64 and of the output's shape."""
        rule = self.of_output(number)
        if rule.formula is None:
            raise rule.without_formula()
        wiring = rule.wiring(arguments, output, 0 if rule is not self else number)
        formula = rule.formula if rule.stable is None else rule.stable
        return evaluate(formula, _numbers(rule, wiring, arguments, output)).reshape(output.shape)

    def local(
        self,
        argument: str,
        arguments: Arguments,
        output: Tensor,
        number: int = 0,
        school: bool | None = None,
        outputs: Int[Tensor, "chosen"] | None = None,
    ) -> tuple[Int[Tensor, "outputs ..."], Float[Tensor, "outputs ..."]]:
        """Return the local derivatives by one argument, with the elements that they belong to.

        Args:
            argument: such as "weight".
            arguments: as `bind` returns them.
            output: the output of the call.
            number: which output, where there are several.
            school: whether to compute the form in terms of the output; by default where the formula itself overflows.
            outputs: the flat numbers of the elements of the output that are asked for; all unless it is said. A
                convolution, a matrix product or the like then builds nothing for the others.

        Returns:
            For every output element that is asked for, the flat element numbers of the argument that it takes (−1:
            none), and ∂y/∂ each of them. An element may occur several times; then its derivative is the sum.
        """
        rule = self.of_output(number)
        if rule is not self:
            return rule.local(argument, arguments, output, 0, school, outputs)
        wiring = self.wiring(arguments, output, number, outputs)
        letters, derivative = self.local_derivative(argument, school)
        places = wiring.places[argument]
        free = dict(zip(letters, places.shape[1:], strict=True))
        values = evaluate(derivative, _numbers(self, wiring, arguments, output), free)
        return places, torch.where(places >= 0, values.expand(places.shape), 0.0)

    def jacobian(
        self, argument: str, arguments: Arguments, output: Tensor, number: int = 0, school: bool | None = None
    ) -> Float[Tensor, "outputs inputs"]:
        """Return ∂output/∂argument as a matrix over flat element numbers; for small calls."""
        places, values = self.local(argument, arguments, output, number, school)
        count = flat(argument_value(arguments, argument)).numel()
        result = torch.zeros(output.numel(), count + 1, dtype=torch.float64)
        result.scatter_add_(1, places.reshape(output.numel(), -1) % (count + 1), values.reshape(output.numel(), -1))
        return result[:, :count]

    def local_derivative(self, argument: str, school: bool | None = None) -> tuple[tuple[Symbol, ...], Expr]:
        """Return the letters of the place at which a derivative is taken, and the derivative.

        Args:
            argument: such as "weight".
            school: whether in terms of the output; by default where the formula itself overflows.
        """
        slot = self.slots[self._known(argument)]
        if school is None:
            school = self.stable is not None and argument in self.school
        return _letters(slot), self.school[argument] if school else _stable_derivative(self, argument)

    def without_formula(self) -> UnknownNameError:
        """Return the error that says that there is no formula, and why."""
        return UnknownNameError(what=f"{self.name} has no formula for its values.", where=self.name, cause=self.cuts)

    def _known(self, argument: str) -> str:
        if argument in self.slots and self.formula is not None:
            return argument
        raise UnknownNameError(
            what=f"The formula of {self.name} has no derivative by '{argument}'.",
            where=self.name,
            found=argument,
            expected="one of " + ", ".join(self.slots) if self.slots else "no argument",
            next_step=did_you_mean(argument, self.slots),
        )


def moving(
    name: str,
    move: Callable[..., Any],
    *,
    argument: str = "input",
    aliases: tuple[str, ...] = (),
    left_out: str = "",
    cuts: str = "",
    note: str = "",
) -> OpRule:
    """Return the rule of an op that only moves elements: y = x.

    Args:
        name: torch's function name.
        move: the op itself, with torch's arguments by torch's names.
        argument: the argument whose elements are moved: a tensor, or a list of tensors.
        aliases: other names for the same call.
        left_out: the words of the silencer for elements that the op leaves out; "" when it never does.
        cuts: why no gradient comes through.
        note: what the formula does not say.
    """

    def find(arguments: Arguments, output: Tensor, threshold: float) -> Tensor:
        source = arguments[argument]
        made = call(move, {**arguments, argument: numbered(source, 1)})
        arrived = torch.zeros(source.numel() + 1, dtype=torch.bool, device="cpu")
        for part in (made,) if isinstance(made, Tensor) else made:
            arrived[part.reshape(-1)] = True
        return ~arrived[1:].reshape(source.shape)

    silencers = (Silencer("left out", left_out, argument, find),) if left_out else ()
    return OpRule(name, X, {argument: X}, aliases=aliases, move=move, cuts=cuts, silencers=silencers, note=note)


def _lettered(slot: Expr) -> Expr:
    return slot.base[_letters(slot)] if isinstance(slot, Indexed) else slot


def _letters(slot: Expr) -> tuple[Symbol, ...]:
    return (M, L)[: len(slot.indices)] if isinstance(slot, Indexed) else ()


@cache
def _raw_derivative(rule: OpRule, argument: str) -> Expr:
    assert rule.formula is not None  # noqa: S101  # asked before
    if rule.cuts:
        return S.Zero
    return differentiate(rule.formula, _lettered(rule.slots[argument]), tuple(rule.slots.values()))


@cache
def _stable_derivative(rule: OpRule, argument: str) -> Expr:
    """The derivative of the form that does not overflow: that of e^(x − c)/Σe^(x − c), with the largest x as c.

    The form does not depend on c, so that c counts as a constant.
    """
    if rule.stable is None or rule.cuts:
        return _raw_derivative(rule, argument)
    letters = {limit[0] for total in rule.stable.atoms(Sum) for limit in total.limits}
    bases = {
        IndexedBase(f"shift{number}", real=True): (shift, tuple(sorted(shift.free_symbols & letters, key=str)) or (K,))
        for number, shift in enumerate(rule.stable.atoms(Largest))
    }
    shifted = rule.stable.xreplace({shift: base[own] for base, (shift, own) in bases.items()})
    derivative = differentiate(shifted, _lettered(rule.slots[argument]), tuple(rule.slots.values()))
    back = {}
    for place in derivative.atoms(Indexed):
        if place.base in bases:
            shift, own = bases[place.base]
            back[place] = shift.xreplace(dict(zip(own, place.indices, strict=True)))
    return derivative.xreplace(back)


@cache
def _differentiated(rule: OpRule, argument: str) -> tuple[Expr, Expr]:
    # ∂y/∂w[k] = x[k] reads better than ∂y/∂w[m] = x[m]; but not where k is summed over in the derivative.
    derivative, slot = _raw_derivative(rule, argument), rule.slots[argument]
    lettered = _lettered(slot)
    own = slot.indices if isinstance(slot, Indexed) else ()
    if own and not any(derivative.has(index) for index in own) and I not in own and rule.left_side == Y:
        back = dict(zip(_letters(slot), own, strict=True))
        return slot, derivative.subs(back)
    return lettered, derivative


@cache
def _parameters(rule: OpRule) -> tuple[inspect.Parameter, ...]:
    described = rule.move or rule.wire
    if described is None:
        return ()
    parameters = tuple(inspect.signature(described).parameters.values())
    return parameters if rule.move else tuple(each for each in parameters[1:] if each.name != "outputs")


def _wired(rule: OpRule, arguments: Arguments, output: Tensor, outputs: Tensor | None) -> Wiring:
    if rule.wire is None:
        raise rule.without_formula()
    if "outputs" in inspect.signature(rule.wire).parameters:
        wiring: Wiring = call(partial(rule.wire, output, outputs=outputs), arguments)
    else:
        wiring = call(partial(rule.wire, output), arguments)
        wiring = wiring if outputs is None else wiring.only(outputs)
    fixed = {
        symbol: 0.0 if arguments.get(argument) is None else float(arguments[argument])
        for argument, symbol in rule.slots.items()
        if argument not in wiring.places and isinstance(arguments.get(argument), int | float | None)
    }
    return Wiring(wiring.places, {**fixed, **wiring.numbers}, wiring.fills, outputs)


def _moved(rule: OpRule, arguments: Arguments, number: int) -> Wiring:
    assert rule.move is not None  # noqa: S101  # asked before
    (argument,) = rule.slots
    source = arguments[argument]
    # Counted from 1: what the op fills in with zeros is then no element, and has the place −1.
    numbers = numbered(source, 1) if isinstance(source, Tensor) else numbered_through(source, 1)
    made = call(rule.move, {**arguments, argument: numbers})
    places = made if isinstance(made, Tensor) else tuple(made)[number]
    return Wiring({argument: places.reshape(-1) - 1})


def _numbers(rule: OpRule, wiring: Wiring, arguments: Arguments, output: Tensor) -> Numbers:
    own = output.reshape(-1) if wiring.outputs is None else output.reshape(-1)[wiring.outputs]
    scalars: dict[Symbol, Scalar] = {Y: own.to(torch.float64)}
    arrays: dict[IndexedBase, Tensor] = {}
    for argument, places in wiring.places.items():
        source = output if argument == "output" else argument_value(arguments, argument)
        slot = IndexedBase("y", real=True)[M] if argument == "output" else rule.slots[argument]
        values = _gathered(flat(source).detach().to(torch.float64), places, wiring.fills.get(argument, 0.0))
        if isinstance(slot, Indexed):
            arrays[slot.base] = values
        else:
            scalars[slot] = values
    for letter, number in wiring.numbers.items():
        if isinstance(letter, IndexedBase):
            arrays[letter] = torch.as_tensor(number)
        else:
            scalars[letter] = number
    if N not in scalars and arrays:
        scalars[N] = float(next(iter(arrays.values())).shape[1])
    return Numbers(scalars, arrays, own.numel())


def _gathered(elements: Tensor, places: Tensor, fill: float) -> Tensor:
    return torch.cat([elements, elements.new_tensor([fill])])[places]  # −1 is the last
