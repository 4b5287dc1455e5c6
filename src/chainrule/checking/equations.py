"""Checking a file of formulas: each equation at random points, against the network that they tell."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from sympy import Expr

from chainrule.checking.derivations import Derivation, derivation_of, reading_of
from chainrule.checking.evidence import Observed, free_numbers, observed_formula
from chainrule.checking.network import TOTAL, LossConvention, Network
from chainrule.checking.points import Points
from chainrule.checking.readings import Named, Reading, UnreadableError, compute, reading_text
from chainrule.checking.repairs import repaired_slips, unbracketed
from chainrule.checking.results import Checked, ColumnCheck, SheetCheck, Verdict
from chainrule.checking.search import find_slips
from chainrule.checking.slips import Slip
from chainrule.checking.targets import FormulaTarget, close
from chainrule.checking.truth import Truth
from chainrule.checking.understanding import (
    NotUnderstoodError,
    Shape,
    loss_candidates,
    loss_misfits,
    network_of,
    plain_names,
    shape_of,
)
from chainrule.checking.wording import conventions_of, described
from chainrule.errors import ChainruleError
from chainrule.notation import Equation, UnreadLine, read_equations
from chainrule.programs.gradients import LOSS
from chainrule.programs.naming import next_name
from chainrule.programs.program import symbol_of

_GUESSED = ("sigmoid", "tanh", "relu", "identity")
_MOST_LOSSES = 3  # tried where no equation says the loss
_USUAL = shape_of([*(f"w{number}" for number in range(1, 9)), "i1", "i2", "h1", "h2", "o1", "o2", "t1", "t2"])
_PLUS = re.compile(r"^(\s*[wb]_?\d+)\+ +=(?!=)", re.MULTILINE)  # w5+ = ..., the new w5
_LONGEST_FILE = 2_000_000  # bytes


class EquationEvidence:
    """The equations of a file, as what a network is read from."""

    def __init__(self, equations: Sequence[Equation]) -> None:
        self.readings: dict[str, Reading] = {}
        for equation in equations:
            if equation.left is not None:
                self.readings.setdefault(equation.left, reading_of(equation.right))

    def has(self, name: str) -> bool:
        """Return whether a quantity has an equation."""
        return name in self.readings

    def observed(self, name: str) -> Observed | None:
        """Return what a quantity's equation says at random points."""
        return observed_formula(self.readings[name], free_numbers) if name in self.readings else None

    @property
    def stated(self) -> Mapping[str, np.ndarray]:
        """Nothing: a file of formulas has no numbers."""
        return {}


def check_formulas(path: Path) -> Checked:
    """Check a file of formulas.

    Raises:
        ChainruleError: the file cannot be read.
    """
    lines = read_equations(_text(path))
    equations = [_as_update(line) for line in lines if isinstance(line, Equation) and line.left is not None]
    problems = [line for line in lines if isinstance(line, UnreadLine)]
    if not equations and any("=" in line.text for line in problems):
        first = next(line for line in problems if "=" in line.text)
        reason = f"Line {first.line} cannot be read, at {first.problem.where}: {first.problem.what}"
        unread = tuple(f"line {line.line}: {line.text}" for line in problems)
        check = SheetCheck(path.name, "not understood", unread=unread, reason=reason)
    else:
        check = _judge_equations(path.name, equations, tuple(f"line {line.line}: {line.text}" for line in problems))
    verdict: Verdict = check.verdict
    return Checked(str(path), verdict, (check,), (), check.reason if verdict == "not understood" else "")


def _as_update(equation: Equation) -> Equation:
    """Return w5 = w5 − η·∂E/∂w5 as the equation of w5⁺, which it is meant to be."""
    name = equation.left
    if name is None or equation.names[:1] == () or equation.names[0].kind != "parameter":
        return equation
    is_update = symbol_of(name) in equation.right.free_symbols
    return replace(equation, left=f"{name}⁺") if is_update else equation


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LONGEST_FILE:
            raise ChainruleError(what="This file is too long for a file of formulas.", where=str(path))
        return _PLUS.sub(r"\1⁺ =", path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ChainruleError(
            what="The file cannot be read.", where=str(path), found=str(error), expected="a text file in UTF-8"
        ) from error


def _judge_equations(name: str, equations: Sequence[Equation], unread: tuple[str, ...]) -> SheetCheck:
    if not equations:
        reason = (
            "There is no equation in it. Write one a line, such as dE/dw5 = (a_o1 - t1) * a_o1 * (1 - a_o1) * a_h1."
        )
        return SheetCheck(name, "not understood", unread=unread, reason=reason)
    clash = _clash(equations)
    if clash:
        return SheetCheck(name, "not understood", unread=unread, reason=clash)
    evidence = EquationEvidence(equations)
    names = _names(equations)
    remarks: list[str] = []
    try:
        shape, assumed = _shape(names)
        network, orders, biases = network_of(shape, evidence)
    except NotUnderstoodError as error:
        return SheetCheck(name, "not understood", unread=unread, reason=f"{error.reason} {error.next_step}")
    remarks += [assumed] if assumed else []
    truth, remark = _best(_trained(network), evidence, equations)
    remarks += [remark] if remark else []
    judge = _EquationJudge(truth)
    checks = tuple(judge.judge(equation) for equation in equations)
    undecided: list[str] = []
    if assumed:
        before, checks = checks, _undecided(checks, shape, evidence, equations)
        undecided = [check.quantity for check, old in zip(checks, before, strict=True) if check is not old]
    judged = [check for check in checks if check.is_right is not None]
    verdict: Verdict = "wrong" if any(check.is_right is False for check in checks) else "right"
    reason = ""
    if not any(check.quantity.startswith("∂") or check.quantity.endswith("⁺") for check in judged):
        verdict = "wrong" if verdict == "wrong" else "not understood"
        reason = "" if verdict == "wrong" else "No equation of a gradient or an update could be judged."
    elif undecided and verdict == "right":
        verdict = "not understood"
        reason = f"The file does not tell the whole network, so it stays open whether {', '.join(undecided)} is right."
    return SheetCheck(
        name,
        verdict,
        described(truth.network),
        conventions_of(truth.network, evidence, orders, biases),
        0,
        checks,
        unread,
        remarks=tuple(remarks),
        reason=reason,
    )


def _clash(equations: Sequence[Equation]) -> str:
    """Return what to say where two names are read as one quantity, z1 beside h1; nothing where none are."""
    spelled: dict[str, tuple[str, int | None]] = {}
    for equation in equations:
        written = equation.names[0] if equation.names else None
        if written is None or written.kind != "forward" or written.quantity != equation.left:
            continue
        first, line = spelled.setdefault(str(equation.left), (written.text, equation.line))
        if first != written.text and not (written.is_certain and first == equation.left):
            return (
                f"{written.text} on line {equation.line} and {first} on line {line} are both read as {equation.left}. "
                "Name the net inputs h1, h2, ... of hidden units and o1, o2, ... of outputs."
            )
    return ""


def _names(equations: Iterable[Equation]) -> set[str]:
    names = {equation.left for equation in equations if equation.left is not None}
    for equation in equations:
        for side in (*equation.sides, equation.right):
            names |= {symbol.name for symbol in side.free_symbols}
    return names


def _shape(names: Iterable[str]) -> tuple[Shape, str]:
    """Return the shape that the names tell; where they tell too little and all fit the 2-2-2 network, that one."""
    known = set(names)
    try:
        return shape_of(known), ""
    except NotUnderstoodError:
        usual = {*_USUAL.inputs, *_USUAL.weights, *_USUAL.targets, *(unit for layer in _USUAL.units for unit in layer)}
        usual |= {f"a_{unit}" for layer in _USUAL.units for unit in layer} | {"E1", "E2", "E_total", "E", "η"}
        usual |= {next_name(weight) for weight in _USUAL.weights}
        parts = plain_names(known)
        biases = tuple(sorted(part for part in parts if part in ("b1", "b2", "b3", "b4")))
        if not parts <= usual | set(biases):
            raise
        shape = replace(_USUAL, biases=biases)
        return shape, "The names do not tell the whole network; it is taken as the 2-2-2 network with w1, w2 into h1."


def _other_shapes(names: Iterable[str], biases: tuple[str, ...]) -> Iterator[Shape]:
    """Yield the other small networks with all that is named: one output first, then those nearest to 2-2-2.

    One input and three hidden units are not tried: that w5 leads from h2 would then be said of too many a slip.
    """
    parts = plain_names(names)
    every = [sizes for sizes in product((1, 2, 3), (1, 2, 3), (1, 2)) if sizes[:2] != (1, 3)]
    for sizes in sorted(every, key=lambda sizes: (sizes[2], sum(abs(size - 2) for size in sizes))):
        inputs, hidden, outputs = (
            tuple(f"{letter}{n + 1}" for n in range(size)) for letter, size in zip("iho", sizes, strict=True)
        )
        weights = tuple(f"w{n + 1}" for n in range(len(hidden) * (len(inputs) + len(outputs))))
        targets = tuple(f"t{n + 1}" for n in range(len(outputs)))
        units = (*hidden, *outputs)
        partial = {f"E{n + 1}" for n in range(len(outputs))} if len(outputs) > 1 else set()
        known = {*inputs, *units, *weights, *targets, *biases, *(f"a_{unit}" for unit in units), *partial}
        if sizes != (2, 2, 2) and parts <= known | {TOTAL, LOSS, "η"}:
            yield Shape(inputs, (hidden, outputs), weights, biases, targets)


def _trained(network: Network) -> Network:
    return replace(network, trained=(*network.weights, *network.biases))


def _best(
    network: Network, evidence: EquationEvidence, equations: Sequence[Equation], *, is_near_enough: bool = True
) -> tuple[Truth, str]:
    """Return the network whose activations and loss the equations say; where they do not, that which fits the most.

    Where no equation is right in any, it is the one that most of them are a slip away from, if that is enough.
    """
    choices: list[tuple[str, ...]] = []
    known = _names(equations)
    is_marked = any(f"a_{unit.net}" in known for unit in network.layers[-1].units)
    for place, layer in enumerate(network.layers):
        is_told = any(evidence.has(unit.output) for unit in layer.units if layer.activation != "identity")
        is_told |= any(evidence.has(f"a_{unit.net}") for unit in layer.units)
        is_hidden = place < len(network.layers) - 1
        named = any(f"a_{unit.net}" in known for unit in layer.units)
        # A file that tells a_o1 from o1 tells a_h1 from h1 too: h1 alone, where no equation says what o1 reads, is one
        # taken for the other.
        is_linear = is_hidden and any(evidence.has(unit.net) for unit in network.layers[place + 1].units)
        named |= is_hidden and is_marked and not is_linear
        guesses = tuple(kind for kind in _GUESSED if kind != "identity") if is_hidden else _GUESSED
        choices.append((layer.activation,) if is_told or not named else guesses)
    # What is not told is guessed: one activation for all hidden layers, and the usual ones for the outputs.
    combined = [
        guess
        for guess in product(*choices)
        if len({kind for kind, choice in zip(guess[:-1], choices[:-1], strict=True) if len(choice) > 1}) < 2
        and (len(choices[-1]) == 1 or guess[-1] in ("identity", "sigmoid") or set(guess) == {"tanh"})
    ]
    truths: list[Truth] = []
    scores: list[int] = []
    for activations in combined:
        layers = tuple(
            replace(
                layer,
                activation=activation,
                units=tuple(
                    replace(unit, output=unit.net if activation == "identity" else f"a_{unit.net}")
                    if len(choice) > 1
                    else unit
                    for unit in layer.units
                ),
            )
            for layer, activation, choice in zip(network.layers, activations, choices, strict=True)
        )
        renamed = _connected(replace(network, layers=layers))
        for loss in _losses(renamed, evidence):
            truths.append(Truth(replace(renamed, loss=loss)))
            scores.append(_EquationJudge(truths[-1]).right(equations))
            if scores[-1] == len(equations):
                break
        if scores[-1] == len(equations):
            break
    if is_near_enough and not any(scores) and len(truths) > 1:
        usual = {truth.network.layers: truth for truth in reversed(truths)}  # with the first loss
        truths = list(usual.values())[::-1]
        scores = [_EquationJudge(truth).near(equations) for truth in truths]
    best = truths[scores.index(max(scores))]
    guessed = [number for number, choice in enumerate(choices) if len(choice) > 1]
    remark = ""
    if guessed:
        found = ", ".join(dict.fromkeys(best.network.layers[number].activation for number in guessed))
        of = " of the outputs" if guessed == [len(choices) - 1] and len(choices) > 1 else ""
        remark = f"No equation says the activation{of}; {found} is what fits most of the equations."
    return best, remark


def _connected(network: Network) -> Network:
    """Return a network in which every layer reads the outputs of the layer below, whatever they are called now."""
    below = network.inputs
    layers = []
    for layer in network.layers:
        units = tuple(replace(unit, inputs=below) for unit in layer.units)
        layers.append(replace(layer, units=units))
        below = tuple(unit.output for unit in units)
    return replace(network, layers=tuple(layers))


def _losses(network: Network, evidence: EquationEvidence) -> Iterator[LossConvention]:
    candidates = loss_candidates(len(network.outputs), network.layers[-1].activation)
    fits = {loss: sum(misfit == 0 for misfit in loss_misfits(loss, network, evidence)) for loss in candidates}
    most = max(fits.values())
    found = [loss for loss in candidates if fits[loss] == most]
    yield from found if most else found[:_MOST_LOSSES]


class _EquationJudge:
    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.points = Points(truth, {*truth.network.settings})

    def right(self, equations: Sequence[Equation]) -> int:
        """Return how many equations are right."""
        return sum(self.judge(one, most=0).is_right is True for one in equations if self._is_known(one))

    def near(self, equations: Sequence[Equation]) -> int:
        """Return how many equations are a single slip away from being right."""
        return sum(bool(self.judge(one, most=1).slip_kinds) for one in equations if self._is_known(one))

    def _is_known(self, equation: Equation) -> bool:
        return equation.left is not None and self.truth.knows(equation.left)

    def judge(self, equation: Equation, most: int = 2) -> ColumnCheck:
        """Judge every side of an equation; the first wrong one is reported."""
        name, text = str(equation.left), equation.text.strip()
        derivation = derivation_of(self.truth, name) if self._is_known(equation) else None
        if derivation is None:
            is_given = name in self.truth.given
            reason = f"{name} is given, not computed." if is_given else f"This network has no {name}."
            return ColumnCheck(text, name, None, reason=reason)
        wrong: Reading | None = None
        judged = 0
        reason = ""
        sides = equation.sides or (equation.right,)
        # "= 0.0822" at the end of a line is its value for somebody's numbers, and no formula.
        for side in [one for one in sides if one.free_symbols] or sides:
            if side == symbol_of(name):
                reason = f"It says only that {name} is {name}."
                continue
            reading = reading_of(side)
            if _is_quotient(side, name):
                reason = "It is the chain rule written without ∂, which cannot be computed as it stands."
                continue
            try:
                is_right = close(self._numbers(reading), self.points.value_of(name, 0))
            except UnreadableError as error:
                reason = f"It cannot be judged: {error}."
                continue
            judged += 1
            if not is_right and wrong is None:
                wrong = reading
        if wrong is None:
            return ColumnCheck(text, name, True if judged else None, judged, reason="" if judged else reason)
        slips = self._slips(derivation, wrong, most)
        return ColumnCheck(
            text,
            name,
            False,
            judged,
            1,
            f"line {equation.line}" if equation.line is not None else "",
            found_formula=text,
            found_in_names=reading_text(wrong),
            expected_formula=f"{name} = {reading_text(derivation.reading)}",
            expected_in_names=reading_text(derivation.reading),
            slip="; and ".join(map(str, slips)) or "none of the usual slips",
            slip_kinds=tuple(slip.kind for slip in slips),
        )

    def _numbers(self, reading: Reading) -> np.ndarray:
        def value_of(part: Named) -> np.ndarray:
            try:
                return self.points.value_of(part.name, 0)
            except KeyError as error:
                raise UnreadableError(f"this network has no {part.name}") from error

        return compute(reading, value_of)

    def _slips(self, derivation: Derivation, reading: Reading, most: int) -> tuple[Slip, ...]:
        target = self._numbers(reading)

        formula = FormulaTarget(self._numbers, target)
        is_right: Callable[[Reading], bool] = lambda other: close(  # noqa: E731
            self._numbers(other), self.points.value_of(derivation.name, 0)
        )
        single = find_slips(self.truth, derivation, (0,), formula, most=1) if most else ()
        if single or most < 2:
            return single
        for slip, unbracketed_reading in unbracketed(derivation):
            if close(self._numbers(unbracketed_reading), target):
                return (slip,)
        return repaired_slips(reading, is_right) or find_slips(self.truth, derivation, (0,), formula)


def _undecided(
    checks: tuple[ColumnCheck, ...], shape: Shape, evidence: EquationEvidence, equations: Sequence[Equation]
) -> tuple[ColumnCheck, ...]:
    """Take back the verdicts that only the guess of the network has made.

    An equation is not judged where another network that has all names of the file makes it right, and with it every
    equation that is right in the guessed one, or more of them. Where the other equations speak of a second output, a
    path through it that is missing is therefore wrong.
    """
    right = {number for number, check in enumerate(checks) if check.is_right}
    found = list(checks)
    for other in _other_shapes(_names(equations), shape.biases):
        if all(check.is_right is not False for check in found):
            break
        try:
            network, _, _ = network_of(other, evidence)
        except NotUnderstoodError:
            continue
        judge = _EquationJudge(_best(_trained(network), evidence, equations, is_near_enough=False)[0])
        right_there = {n for n, equation in enumerate(equations) if judge.judge(equation, most=0).is_right}
        if not (right <= right_there or len(right) < len(right_there)):
            continue
        sizes = "-".join(str(len(layer)) for layer in (other.inputs, *other.units))
        for number in right_there:
            if found[number].is_right is False:
                found[number] = _taken_back(found[number], sizes)
    return tuple(found)


def _taken_back(check: ColumnCheck, sizes: str) -> ColumnCheck:
    reason = (
        f"It is right for a {sizes} network; in the 2-2-2 network it is wrong ({check.slip}). "
        "Write the forward pass too, such as o1 = w5*a_h1 + w6*a_h2."
    )
    return ColumnCheck(check.header, check.quantity, None, reason=reason)


def _is_quotient(side: Expr, name: str) -> bool:
    """Return whether a side is E/w1 where ∂E/∂w1 is meant: (E/a_o1)·(a_o1/o1)·... without a single ∂."""
    above, slash, below = name.removeprefix("∂").partition("/∂")
    above = TOTAL if above == LOSS else above
    return bool(slash) and side == symbol_of(above) / symbol_of(below)
