"""Normalisation as people write it, in several lines.

mean = Σ x/n, var = Σ (x − mean)²/n, z = (x − mean)/√(var + ε), y = w·z + b. These are the op's own rule taken apart,
with the same places of the same elements; so every derivative is short.
"""

from collections.abc import Sequence
from typing import final

from sympy import Add, Expr, Integer, Rational, S, Symbol, sqrt

from chainrule.ops import Wiring
from chainrule.ops.letters import EPSILON, I
from chainrule.programs import Step, sample_name
from chainrule.programs.program import symbol_of
from chainrule.shapes import Tensor
from chainrule.trace import Value
from chainrule.worked.calls import Call, data_of, is_number
from chainrule.worked.expressions import short
from chainrule.worked.forward import Forward, summed

_WITH_MEAN = ("layer_norm", "batch_norm", "group_norm", "instance_norm")


@final
class Normalisation:
    """Writes normalisations.

    Args:
        forward: holds the ledger, and names what the ops make.
    """

    def __init__(self, forward: Forward) -> None:
        self.forward, self.ledger, self.namer = forward, forward.ledger, forward.namer

    def write(self, call: Call) -> bool:
        """Write an op when it normalises by the data's own mean and variance; return False for all others."""
        value = self.forward.trace.values[call.op.outputs[0]]
        if call.rule.name not in (*_WITH_MEAN, "rms_norm") or not call.op.gradients_on or not is_number(value):
            return False
        wiring = call.rule.wiring(call.arguments, data_of(self.forward.trace, value.id))
        owns = wiring.numbers.get(I)
        if not isinstance(owns, Tensor):  # by its running mean: one line, as any other op
            return False
        step: Step = "loss" if call.op.phase == "loss" else "forward"
        normalised = self._write_normalised(call, value, wiring, owns.tolist(), step)
        self._write_scaled(call, value, wiring, normalised)
        return True

    def _write_normalised(
        self, call: Call, value: Value, wiring: Wiring, owns: Sequence[int], step: Step
    ) -> list[Symbol]:
        elements = self.forward.taken(call, "input")
        offset = wiring.numbers[EPSILON]
        assert isinstance(offset, int | float)  # noqa: S101  # a setting of the call
        keys = [tuple(row) for row in wiring.places["input"].tolist()]
        spreads: dict[tuple[int, ...], tuple[Expr, Expr]] = {}
        for key in keys:
            if key not in spreads:
                spreads[key] = self._write_spread(call, value, len(spreads), [elements[place] for place in key], step)
        made = []
        for flat, (key, own) in enumerate(zip(keys, owns, strict=True)):
            x, (mean, variance) = elements[key[own]], spreads[key]
            below = variance + short(offset)
            name, sample = self.namer.inside(value, flat, "z")
            z = symbol_of(sample_name(name, sample))
            partials = summed(
                [(x, below ** Rational(-1, 2)), (mean, -(below ** Rational(-1, 2))), (variance, -z / (2 * below))]
            )
            self.ledger.write(
                name, (x - mean) / sqrt(below), step, "normalised", partials, meaning="normalised", sample=sample
            )
            made.append(z)
        return made

    def _write_spread(
        self, call: Call, value: Value, number: int, members: Sequence[Expr], step: Step
    ) -> tuple[Expr, Expr]:
        """Write mean and variance of a group of elements; for a root mean square the mean of squares, and no mean."""
        count = Rational(1, len(members))
        samples = {self.ledger.sample_of(symbol.name) for x in members for symbol in x.free_symbols} - {None}
        sample = samples.pop() if len(samples) == 1 else None
        mean: Expr = Integer(0)
        word, meaning = "square", "mean of squares"
        if call.rule.name in _WITH_MEAN:
            word, meaning = "var", "variance"
            name = self.namer.of_group(value, "mean", number, members, sample)
            partials = summed([(x, count) for x in members])
            mean = self.ledger.write(name, Add(*members) * count, step, "mean", partials, meaning="mean", sample=sample)
        name = self.namer.of_group(value, word, number, members, sample)
        formula = Add(*((x - mean) ** 2 for x in members)) * count
        # By the mean itself the variance has the slope Σ −2(x − mean)/n, which is 0.
        partials = summed([(x, 2 * (x - mean) * count) for x in members])
        return mean, self.ledger.write(name, formula, step, meaning, partials, meaning=meaning, sample=sample)

    def _write_scaled(self, call: Call, value: Value, wiring: Wiring, normalised: Sequence[Symbol]) -> None:
        if "weight" not in wiring.places and "bias" not in wiring.places:
            self.ledger.elements[value.id] = list(normalised)
            self.ledger.recorded |= {z.name: (value.id, flat) for flat, z in enumerate(normalised)}
            return
        weights = self._taken(call, wiring, "weight", S.One)
        biases = self._taken(call, wiring, "bias", S.Zero)
        terms = list(zip(weights, normalised, biases, strict=True))
        self.forward.write_lines(
            call,
            value,
            [weight * z + bias for weight, z, bias in terms],
            [summed([(weight, z), (z, weight), (bias, S.One)]) for weight, z, bias in terms],
        )

    def _taken(self, call: Call, wiring: Wiring, argument: str, default: Expr) -> list[Expr]:
        if argument not in wiring.places:
            return [default] * len(wiring.places["input"])
        elements = self.forward.taken(call, argument)
        return [elements[place] for place in wiring.places[argument].tolist()]
