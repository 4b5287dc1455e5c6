"""Losses taken apart as people write them: E1, E2, ... of the outputs, and E_total, their sum or mean.

squares         E1 = ½(t1 − a_o1)²; also where the loss is written with sub, square and sum
cross-entropy   p = softmax(o), E1 = −t1·ln p1 with the targets t as numbers, one of them 1
NLL             E1 = −t1·a_o1 with the logarithms of probabilities a
all that torch computes one by one (L1, Huber, BCE, ...)    E1 = the loss of output 1, from its rule
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from sympy import Add, Expr, Integer, Max, Mul, Rational, Symbol, exp, log

from chainrule.ops import rule_of, scalar_derivatives, scalar_formula
from chainrule.programs import sample_name, unit_name
from chainrule.shapes import Tensor
from chainrule.trace import Trace
from chainrule.worked.calls import Call, data_of
from chainrule.worked.expressions import plain, short
from chainrule.worked.forward import Forward
from chainrule.worked.ledger import index_of, placed
from chainrule.worked.refusals import without_formula

_ONE, _HALF = Integer(1), Rational(1, 2)
_NO_REDUCTION = {"reduction": "none", "size_average": None, "reduce": None}
_LOSS_MODULE = "loss_fn"


@dataclass(frozen=True, slots=True)
class Squares:
    """A loss that is a sum or a mean of squared differences, times a number.

    Attributes:
        first, second: the ids of the values whose difference is squared.
        factor: what the sum or the mean is multiplied by.
        is_mean: whether it is the mean.
        is_halved: whether ½ is among the numbers of the factor.
        absorbed: the ids of the ops that make it, the last one left out.
    """

    first: int
    second: int
    factor: Expr
    is_mean: bool
    is_halved: bool
    absorbed: tuple[int, ...]


@final
class Losses:
    """Finds the losses among the ops of a step, and writes them.

    Args:
        trace: the recorded step.
        calls: the ops on which its loss depends.
        forward: writes them into the ledger.
        loss: the id of the value that is the loss, before ops that only move it.
        class_names: from a class, counted from 0, to the user's name of it, "" where there is none.
    """

    def __init__(
        self, trace: Trace, calls: Sequence[Call], forward: Forward, loss: int, class_names: Callable[[int], str]
    ) -> None:
        self.trace, self.forward, self.ledger = trace, forward, forward.ledger
        self.loss, self.class_names = loss, class_names
        self._makers = {output: call for call in calls for output in call.op.outputs}
        self._uses = Counter(use.value for call in calls for use in call.op.inputs)
        note = trace.modules.get(_LOSS_MODULE)
        candidates = [loss, *(note.outputs if note is not None else ())]
        found = {value: self._squares(value) for value in candidates if value in self._makers}
        self._squared = {self._makers[value].op.id: squares for value, squares in found.items() if squares}
        forward.namer.penalties = self._penalties([*found])
        self._absorbed = {op for squares in self._squared.values() for op in squares.absorbed}

    def write(self, call: Call) -> bool:
        """Write an op when it is a loss that is taken apart, or part of one; return False for all others."""
        if call.op.id in self._absorbed:
            return True
        if call.op.id in self._squared:
            self._write_squares(call, self._squared[call.op.id])
            return True
        value = self.trace.values[call.op.outputs[0]]
        if value.shape or "reduction" not in call.arguments:
            return False
        if call.rule.name == "cross_entropy":
            self._write_cross_entropy(call)
        elif call.rule.name == "nll_loss":
            self._write_likelihood(call)
        else:
            return self._write_elements(call)
        return True

    def _penalties(self, losses: Sequence[int]) -> frozenset[int]:
        """Return what is added to a loss on the way to the loss of the step: the penalties."""
        found: set[int] = set()
        call = self._makers.get(self.loss)
        while call is not None and call.rule.name == "add" and call.arguments.get("alpha", 1) == 1:
            terms = [*call.values("input"), *call.values("other")]
            found |= {self._before_idle(term) for term in terms[1:]}
            call = self._makers.get(terms[0])
        return frozenset(value for value in found - set(losses) if not self.trace.values[value].shape)

    def _before_idle(self, value: int) -> int:
        """Return the value that another one is, before ops that multiply it or divide it by 1."""
        call = self._makers.get(value)
        while call is not None and call.rule.name in ("mul", "div") and call.arguments.get("other") == 1:
            (value,) = call.values("input")
            call = self._makers.get(value)
        return value

    # -- squares -------------------------------------------------------------------------------------------------------

    def _squares(self, value: int) -> Squares | None:
        factors: list[Expr] = []
        absorbed: list[int] = []
        call = self._makers[value]
        while call.rule.name in ("mul", "div"):
            tensors = call.values("input") + call.values("other")
            number = call.arguments["other" if call.values("input") else "input"]
            is_scaled = len(tensors) == 1 and isinstance(number, int | float)
            if not is_scaled or (call.rule.name == "div" and not call.values("input")):
                return None
            factors.append(short(number) if call.rule.name == "mul" else 1 / short(number))
            following = self._only(tensors[0], absorbed)
            if following is None:
                return None
            call = following
        found = self._total_of_squares(call, absorbed)
        if found is None:
            return None
        return Squares(found[0], found[1], Mul(*factors), found[2], _HALF in factors, tuple(absorbed))

    def _only(self, value: int, absorbed: list[int]) -> Call | None:
        """Return what made a value that nothing else takes."""
        call = self._makers.get(value)
        if call is None or self._uses[value] != 1 or call.op.overwrites:
            return None
        absorbed.append(call.op.id)
        return call

    def _total_of_squares(self, call: Call, absorbed: list[int]) -> tuple[int, int, bool] | None:
        if call.rule.name == "mse_loss":
            return self._mean_square(call)
        if call.rule.name not in ("sum", "mean") or call.arguments.get("dim") is not None:
            return None
        is_mean = call.rule.name == "mean"
        squared = self._only(call.values("input")[0], absorbed)
        if squared is None:
            return None
        if squared.rule.name == "square" or (squared.rule.name == "pow" and squared.arguments.get("exponent") == 2):
            gap = self._only(squared.values("input")[0], absorbed)
            if gap is not None and gap.rule.name == "sub" and gap.arguments.get("alpha", 1) == 1:
                return self._pair(gap.values("input"), gap.values("other"), is_mean)
        return None

    def _mean_square(self, call: Call) -> tuple[int, int, bool] | None:
        reduction = self._reduction(call)
        if call.arguments.get("weight") is not None or reduction == "none":
            return None
        return self._pair(call.values("target"), call.values("input"), reduction == "mean")

    def _pair(self, first: Sequence[int], second: Sequence[int], is_mean: bool) -> tuple[int, int, bool] | None:
        if len(first) != 1 or len(second) != 1:
            return None
        values = self.trace.values[first[0]], self.trace.values[second[0]]
        return (first[0], second[0], is_mean) if values[0].shape == values[1].shape else None

    def _write_squares(self, call: Call, squares: Squares) -> None:
        targets, outputs = self.forward.elements(squares.first), self.forward.elements(squares.second)
        if any(self.ledger.is_trained(element) for element in targets):
            targets, outputs = outputs, targets
        half = _HALF if squares.is_halved else _ONE
        words = "squared error" if half == 1 else "half squared error"
        shape = self.trace.values[squares.first].shape
        parts = []
        for flat, (target, output) in enumerate(zip(targets, outputs, strict=True)):
            slope = -2 * half * (target - output)
            partials = {output.name: slope} if isinstance(output, Symbol) else {}
            if self.ledger.is_trained(target):
                partials |= {target.name: -slope}
            parts.append(self._part(shape, flat, half * (target - output) ** 2, words, partials))
        scale = squares.factor / half / (len(parts) if squares.is_mean else 1)
        self._write_total(call, parts, scale)

    # -- losses that torch computes one by one -------------------------------------------------------------------------

    def _reduction(self, call: Call) -> str:
        legacy = [call.arguments.get("size_average"), call.arguments.get("reduce")]
        if any(argument is not None for argument in legacy):
            raise without_formula(call.op, "It uses size_average or reduce.", "Use reduction in their place.")
        return str(call.arguments["reduction"])

    def _write_elements(self, call: Call) -> bool:
        reduction = self._reduction(call)
        whole = rule_of(call.op)
        assert whole is not None  # noqa: S101  # the call has one
        arguments = {name: _NO_REDUCTION.get(name, value) for name, value in call.arguments.items()}
        rule = whole.chosen(arguments)
        value = self.trace.values[call.op.outputs[0]]
        recorded = data_of(self.trace, value.id)
        wiring = rule.wiring(arguments, recorded)
        count = len(next(iter(wiring.places.values())))
        scales = {"sum": 1, "mean": count, "batchmean": len(call.arguments["input"])}
        total = rule.forward(arguments, torch.zeros(count)).sum() / scales[reduction]
        if not torch.isclose(total, recorded.to(total.dtype), rtol=1e-4, atol=1e-7):
            return False  # a mean that divides by weights: its rule says it as a whole
        taken = {argument: self.forward.taken(call, argument) for argument in wiring.places}

        def name(argument: str, place: int) -> Expr:
            return taken[argument][place]

        shape = self._shape_of(call, count)
        parts = []
        for flat in range(count):
            partials: dict[str, Expr] = {}
            for argument in taken:
                for place, slope in scalar_derivatives(rule, wiring, flat, name, argument, False).items():
                    operand = taken[argument][place]
                    if self.ledger.is_trained(operand):
                        slope = plain(call.op, slope, self.ledger)
                        partials[operand.name] = partials.get(operand.name, Integer(0)) + slope
            formula = plain(call.op, scalar_formula(rule, wiring, flat, name), self.ledger)
            parts.append(self._part(shape, flat, formula, rule.name, partials))
        self._write_total(call, parts, Rational(1, scales[reduction]))
        return True

    def _shape_of(self, call: Call, count: int) -> tuple[int, ...]:
        shapes = [tuple(part.shape) for part in call.arguments.values() if isinstance(part, Tensor)]
        return next((shape for shape in shapes if math.prod(shape) == count), (count,))

    # -- losses that choose a class ------------------------------------------------------------------------------------

    def _write_cross_entropy(self, call: Call) -> None:
        parts = []
        for row in self._rows(call):
            targets = self._smoothed(row, call.arguments.get("label_smoothing", 0.0))
            probabilities, logarithms = self._softmax(row)
            for number, (target, own, logarithm) in enumerate(zip(targets, probabilities, logarithms, strict=True)):
                parts.append(
                    self._of_class(row, number, -target * log(own), {own.name: -target / own}, -target * logarithm)
                )
        self._write_total(call, parts, self._class_scale(call))

    def _write_likelihood(self, call: Call) -> None:
        parts = []
        for row in self._rows(call):
            for number, (target, score) in enumerate(zip(row.targets, row.scores, strict=True)):
                partials = {score.name: -target} if isinstance(score, Symbol) else {}
                parts.append(self._of_class(row, number, -target * score, partials, None))
        self._write_total(call, parts, self._class_scale(call))

    def _class_scale(self, call: Call) -> Expr:
        return (
            Rational(1, math.prod(call.arguments["input"].shape) // self._classes(call))
            if (self._reduction(call) == "mean")
            else _ONE
        )

    def _classes(self, call: Call) -> int:
        scores: Tensor = call.arguments["input"]
        return int(scores.shape[1 if scores.dim() > 1 else 0])

    def _rows(self, call: Call) -> list["_Row"]:
        scores, target = call.arguments["input"], call.arguments["target"]
        if call.arguments.get("weight") is not None:
            raise without_formula(
                call.op, "Its classes have weights.", "Take the loss without weight, or weigh the samples by hand."
            )
        places = _by_row(scores)
        elements = self.forward.taken(call, "input")
        is_soft = target.is_floating_point()
        if not is_soft and bool((target == call.arguments.get("ignore_index", -100)).any()):
            raise without_formula(call.op, "It leaves samples out (ignore_index).", "Take them out of the batch.")
        soft = self.forward.taken(call, "target") if is_soft else []
        soft_places = _by_row(target) if is_soft else places
        rows = []
        for number, row in enumerate(places.tolist()):
            own = [elements[place] for place in row]
            sample, position = self._position(own, number, len(places))
            if is_soft:
                targets = [soft[place] for place in soft_places[number].tolist()]
                total = float(target.reshape(-1)[soft_places[number]].to(torch.float64).sum())
            else:
                targets = self._one_hot(call, int(target.reshape(-1)[number]), number, sample, position, len(row))
                total = 1.0
            if abs(total - 1) < 1e-12:
                self.ledger.constant_sums.append((Add(*targets), _ONE))
            rows.append(_Row(own, targets, sample, position))
        return rows

    def _position(self, scores: Sequence[Expr], number: int, rows: int) -> tuple[int | None, int | None]:
        """Return which sample a row belongs to, and its number where a sample has several or none is its own."""
        samples = {self.ledger.sample_of(symbol.name) for score in scores for symbol in score.free_symbols} - {None}
        if rows == self.ledger.samples and (rows == 1 or samples == {number + 1}):
            return (number + 1 if rows > 1 else None), None
        return None, number + 1

    def _one_hot(
        self, call: Call, label: int, row: int, sample: int | None, position: int | None, classes: int
    ) -> list[Expr]:
        (value,) = call.values("target")
        origin = placed(self.trace.values[value].name, index_of(row, self.trace.values[value].shape))
        targets: list[Expr] = []
        for number in range(classes):
            name = self._free("t", number + 1, position, sample)
            own = self.class_names(number)
            meaning = f"target {number + 1}" + (f", {own}" if own else "")
            targets.append(self.ledger.give(name, "target", float(number == label), meaning, sample, origin))
        return targets

    def _smoothed(self, row: "_Row", smoothing: float) -> list[Expr]:
        if not smoothing:
            return list(row.targets)
        share = short(smoothing)
        targets: list[Expr] = []
        for number, target in enumerate(row.targets):
            formula = target * (1 - share) + share / len(row.targets)
            name = self._free("s", number + 1, row.position, row.sample)
            meaning = f"target {number + 1}, smoothed"
            targets.append(
                self.ledger.write(name, formula, "loss", "label smoothing", {}, meaning=meaning, sample=row.sample)
            )
        for place, (total, _) in enumerate(self.ledger.constant_sums):
            if total == Add(*row.targets):
                self.ledger.constant_sums[place] = (Add(*targets), _ONE)
        return targets

    def _softmax(self, row: "_Row") -> tuple[list[Symbol], list[Expr]]:
        """Write p = softmax(o), and return the p, and ln p in the form that does not overflow."""
        scores = row.scores
        names = [self._free("p", number + 1, row.position, row.sample) for number in range(len(scores))]
        symbols = [Symbol(sample_name(name, row.sample), real=True) for name in names]
        largest = Max(*scores, evaluate=False) if len(scores) > 1 else scores[0]
        shifted = [score - largest for score in scores]  # e^710 would overflow; the largest cancels
        total = Add(*map(exp, shifted))
        for number, name in enumerate(names):
            own = symbols[number]
            partials: dict[str, Expr] = {}
            for place, score in enumerate(scores):
                if isinstance(score, Symbol):
                    slope = own * (1 - own) if place == number else -own * symbols[place]
                    partials[score.name] = partials.get(score.name, Integer(0)) + slope
            named = self.class_names(number)
            self.ledger.write(
                name,
                exp(scores[number]) / Add(*map(exp, scores)),
                "loss",
                "softmax",
                partials,
                meaning=f"probability of class {number + 1}" + (f", {named}" if named else ""),
                sample=row.sample,
                stable=exp(shifted[number]) / total,
            )
        return symbols, [each - log(total) for each in shifted]

    def _of_class(
        self, row: "_Row", number: int, formula: Expr, partials: Mapping[str, Expr], stable: Expr | None
    ) -> Symbol:
        name = self._free("E", number + 1, row.position, row.sample)
        return self.ledger.write(
            name,
            formula,
            "loss",
            "cross-entropy",
            partials,
            meaning=f"loss of output {number + 1}",
            sample=row.sample,
            stable=stable,
        )

    # -- parts and their total -----------------------------------------------------------------------------------------

    def _free(self, letter: str, number: int, position: int | None, sample: int | None) -> str:
        name, count = unit_name(letter, number, position), 2
        while not self.ledger.is_free(sample_name(name, sample)):
            name, count = unit_name(letter, number, count), count + 1
        return name

    def _part(self, shape: Sequence[int], flat: int, formula: Expr, words: str, partials: Mapping[str, Expr]) -> Symbol:
        count, sample = math.prod(shape), None
        if self.ledger.samples > 1 and len(shape) and shape[0] == self.ledger.samples:
            rest = count // shape[0]
            sample, flat = flat // rest + 1, flat % rest
        name = self._free("E", flat + 1, None, sample)
        meaning = f"loss of output {flat + 1}"
        return self.ledger.write(name, formula, "loss", words, partials, meaning=meaning, sample=sample)

    def _write_total(self, call: Call, parts: Sequence[Symbol], scale: Expr) -> None:
        """Write the loss of parts: E_total, or E_loss where more is added to it."""
        value = self.trace.values[call.op.outputs[0]]
        name, meaning = (
            ("E_total", "the loss") if value.id == self.loss else ("E_loss", "the loss without what is added")
        )
        count = 2
        while not self.ledger.is_free(name):
            name, count = f"E_loss{count}", count + 1
        words = "sum" if scale == 1 else "mean"
        partials = {part.name: scale for part in parts}
        total = self.ledger.write(
            name, Add(*parts) * scale, "loss", words, partials, meaning=meaning, origin=value.name
        )
        self.ledger.elements[value.id] = [total]
        self.ledger.recorded[total.name] = (value.id, 0)


@dataclass(frozen=True, slots=True)
class _Row:
    """The scores and targets of one choice between classes, and whose it is."""

    scores: Sequence[Expr]
    targets: Sequence[Expr]
    sample: int | None
    position: int | None


def _by_row(scores: Tensor) -> Tensor:
    """Return element numbers (rows, classes) of scores whose classes are on axis 1, or on the only one."""
    places = torch.arange(scores.numel()).reshape(scores.shape)
    return places.reshape(1, -1) if scores.dim() == 1 else places.movedim(1, -1).reshape(-1, scores.shape[1])
