"""Attention as people write it, in several lines.

score = c·Σ q·k, share = e^score/Σ e^score, y = Σ share·v. These are the op's own rule taken apart, with the same places
of the same elements. A key that is masked has no score and takes no part.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from sympy import Add, Expr, Max, Mul, S, Symbol, exp

from chainrule.ops import Wiring
from chainrule.ops.letters import AS, C, P
from chainrule.programs import Step
from chainrule.programs.program import symbol_of
from chainrule.shapes import Tensor
from chainrule.trace import Value
from chainrule.worked.calls import Call, data_of
from chainrule.worked.expressions import short, spoken
from chainrule.worked.forward import Forward, summed

_KEPT = "m"  # the letter of a dropout's mask


@dataclass(frozen=True, slots=True)
class _Query:
    """One query: the share of each key, None where it is masked, and what dropout multiplies it with."""

    shares: Sequence[Expr | None]
    factors: Sequence[Expr]


@final
class Attention:
    """Writes scaled_dot_product_attention.

    Args:
        forward: holds the ledger, and names what the ops make.
    """

    def __init__(self, forward: Forward) -> None:
        self.forward, self.ledger, self.namer = forward, forward.ledger, forward.namer

    def write(self, call: Call) -> bool:
        """Write an op when it is an attention; return False for all others."""
        if call.rule.name != "scaled_dot_product_attention" or not call.op.gradients_on:
            return False
        value = self.forward.trace.values[call.op.outputs[0]]
        wiring = call.rule.wiring(call.arguments, data_of(self.forward.trace, value.id))
        values, places = self.forward.taken(call, "value"), wiring.places["value"].tolist()
        queries: dict[object, _Query] = {}
        formulas, partials = [], []
        for flat, row in enumerate(places):
            key = self._key(wiring, flat)
            if key not in queries:
                queries[key] = self._write_query(call, value, wiring, flat, len(queries))
            query = queries[key]
            terms = [
                (share, factor, values[place])
                for share, factor, place in zip(query.shares, query.factors, row, strict=True)
                if share is not None
            ]
            formulas.append(Add(*(Mul(*term) for term in terms)))
            slopes = [pair for share, factor, v in terms for pair in ((share, factor * v), (v, factor * share))]
            partials.append(summed(slopes))
        self.forward.write_lines(call, value, formulas, partials)
        return True

    def _key(self, wiring: Wiring, flat: int) -> object:
        """Return what the outputs of one query have in common."""
        taken = [wiring.places[name][flat] for name in ("query", "key", "attn_mask") if name in wiring.places]
        numbers = [number[flat] for letter, number in wiring.numbers.items() if str(letter) in (str(AS), _KEPT)]  # type: ignore[index]
        return tuple(str(part.tolist()) for part in (*taken, *numbers))

    def _write_query(self, call: Call, value: Value, wiring: Wiring, flat: int, number: int) -> _Query:
        step: Step = "loss" if call.op.phase == "loss" else "forward"
        query, keys = self.forward.taken(call, "query"), self.forward.taken(call, "key")
        factor = wiring.numbers[C]
        assert isinstance(factor, int | float)  # noqa: S101  # a setting of the call
        scale = spoken(call.op, factor, self.ledger)
        scores: list[Symbol | None] = []
        added = self._added(call, wiring, flat)
        for place, row in enumerate(wiring.places["key"][flat].tolist()):
            if added[place] == S.NegativeInfinity or -1 in row:
                scores.append(None)
                continue
            pairs = [
                (query[one], keys[other]) for one, other in zip(wiring.places["query"][flat].tolist(), row, strict=True)
            ]
            slopes = [pair for q, k in pairs for pair in ((q, scale * k), (k, scale * q))]
            formula = scale * Add(*(q * k for q, k in pairs)) + added[place]
            name = self.namer.part(value, "score", (number, place))
            scores.append(
                self.ledger.write(
                    name, formula, step, "score", summed([*slopes, (added[place], S.One)]), meaning="score of a key"
                )
            )
        return _Query(self._write_shares(value, number, scores, step), self._factors(call, value, wiring, flat, number))

    def _write_shares(
        self, value: Value, number: int, scores: Sequence[Symbol | None], step: Step
    ) -> list[Expr | None]:
        allowed = [(place, score) for place, score in enumerate(scores) if score is not None]
        names = {place: self.namer.part(value, "share", (number, place)) for place, _ in allowed}
        shares = {place: symbol_of(name) for place, name in names.items()}
        every = [score for _, score in allowed]
        largest = Max(*every, evaluate=False) if len(every) > 1 else every[0] if every else S.Zero
        for place, score in allowed:
            own = shares[place]
            self.ledger.write(
                names[place],
                exp(score) / Add(*map(exp, every)),
                step,
                "softmax",
                {other.name: own * (1 - own) if at == place else -own * shares[at] for at, other in allowed},
                meaning="share of a key",
                stable=exp(score - largest) / Add(*(exp(other - largest) for other in every)),
            )
        return [shares.get(place) for place in range(len(scores))]

    def _added(self, call: Call, wiring: Wiring, flat: int) -> list[Expr]:
        """Return what is added to each score: a mask's element, a number, or −∞ where the key is masked."""
        if "attn_mask" in wiring.places:
            elements = self.forward.taken(call, "attn_mask")
            return [elements[place] for place in wiring.places["attn_mask"][flat].tolist()]
        numbers = wiring.numbers[AS]
        assert isinstance(numbers, Tensor)  # noqa: S101  # one for each key
        return [
            S.NegativeInfinity if number == -float("inf") else spoken(call.op, number, self.ledger)
            for number in numbers[flat].tolist()
        ]

    def _factors(self, call: Call, value: Value, wiring: Wiring, flat: int, number: int) -> list[Expr]:
        """Return what dropout multiplies each share with: its mask over what is kept on average; 1 without dropout."""
        kept = next((drawn for letter, drawn in wiring.numbers.items() if str(letter) == _KEPT), None)
        if not isinstance(kept, Tensor):
            return [S.One] * wiring.places["key"].shape[1]
        dropped = wiring.numbers[P]
        assert isinstance(dropped, int | float)  # noqa: S101  # a setting of the call
        return [
            self.ledger.give(
                self.namer.part(value, "mask", (number, place)), "constant", drawn, f"mask of {call.op.name}"
            )
            / (1 - short(dropped))
            for place, drawn in enumerate(kept[flat].tolist())
        ]
