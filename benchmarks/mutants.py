"""How well `chainrule check` judges: right workbooks in many layouts, and the same with one slip in them.

    python benchmarks/mutants.py [--right N] [--mutants N] [--seed S] [--verbose]

Workbooks are written by `handmade.py` from its own formulas and read back as a learner's file is. The share of slips
found should be 100 %, of slips named as they were made at least 95 %, and no right workbook, and no right column of a
wrong one, may be accused.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from handmade import (
    NETS,
    Change,
    Formulas,
    Layout,
    Net,
    Sheet,
    error_of,
    formulas,
    gradient,
    layouts,
    slope,
    trained,
    write,
)

from chainrule.checking import Checked, check_file

# Slips


@dataclass(frozen=True)
class Mutant:
    """A slip made: in which column, and the names that fit it."""

    column: str
    kinds: frozenset[str]
    made: Formulas
    words: str
    typed: Mapping[tuple[str, int], float] = field(default_factory=dict)


def mutants(net: Net, layout: Layout, sheet: Sheet) -> Iterator[Mutant]:
    """Yield every slip at every place of a workbook."""
    right = formulas(net, layout)
    yield from _of_gradients(net, layout, right)
    yield from _of_shared_biases(net, layout, right)
    yield from _of_updates(net, layout, sheet, right)
    yield from _of_sums(net, right)
    yield from _of_losses(net, right)


def _made(right: Formulas, column: str, formula: str, kinds: str, words: str) -> Iterator[Mutant]:
    if formula.replace(" ", "") != right[column].replace(" ", ""):
        yield Mutant(column, frozenset(kinds.split("|")), {**right, column: formula}, words)


def _of_gradients(net: Net, layout: Layout, right: Formulas) -> Iterator[Mutant]:
    style = "factored" if layout.gradients == "deltas" else layout.gradients
    for name, x, u in net.weights:
        column = f"∂E/∂{name}"

        def slipped(
            change: Change, kinds: str, words: str, column: str = column, x: str = x, u: str = u
        ) -> Iterator[Mutant]:
            yield from _made(right, column, gradient(net, x, u, style, change), kinds, words)

        kind = net.output if u[0] == "o" else net.hidden
        for other in net.units(net.layer_of(u)):
            if other != u and kind not in ("identity", "softmax"):
                yield from slipped(
                    Change(slopes={u: slope(net, u, f"a_{other}")}),
                    "wrong unit's activation|wrong unit",
                    "slope of another unit",
                )
        if kind in ("sigmoid", "tanh"):
            z = {"sigmoid": f"[{u}]*(1-[{u}])", "tanh": f"(1-[{u}]^2)"}[kind]
            expected = "pre-activation for activation" + ("|derivative of another function" if kind == "tanh" else "")
            yield from slipped(Change(slopes={u: z}), expected, "slope of the pre-activation")
        if kind == "tanh":
            yield from slipped(
                Change(slopes={u: f"[a_{u}]*(1-[a_{u}])"}), "derivative of another function", "sigmoid's slope for tanh"
            )
        if kind == "sigmoid":
            yield from slipped(
                Change(slopes={u: f"(1-[a_{u}]^2)"}), "derivative of another function", "tanh's slope for the sigmoid"
            )
            yield from slipped(
                Change(slopes={u: f"[a_{u}]"}), "missing factor|derivative of another function", "1 − a left out"
            )
        if kind not in ("identity", "softmax"):
            yield from slipped(Change(slopes={u: ""}), "missing factor", "slope left out")
        outputs = net.units(net.depth)
        reached = outputs if u[0] != "o" else [u]
        if net.sizes[-1] > 1:
            number = int(reached[-1][1:])
            wrong_target = 1 if number != 1 else 2
            right_error = error_of(net, number, Change())
            yield from slipped(
                Change(errors={f"o{number}": right_error.replace(f"[t{number}]", f"[t{wrong_target}]")}),
                "wrong target",
                "another target",
            )
        number = int(reached[0][1:])
        right_error = error_of(net, number, Change())
        a = f"[{net.out(f'o{number}')}]-[t{number}]"
        yield from slipped(
            Change(
                errors={
                    f"o{n[1:]}": error_of(net, int(n[1:]), Change()).replace(
                        f"[{net.out(n)}]-[t{n[1:]}]", f"[t{n[1:]}]-[{net.out(n)}]"
                    )
                    for n in reached
                }
            ),
            "wrong sign",
            "sign",
        )
        yield from slipped(
            Change(errors={f"o{number}": right_error.replace(f"({a})", f"([{net.out(f'o{number}')}]+[t{number}])")}),
            "wrong sign",
            "plus the target",
        )
        sources = net.units(net.layer_of(u) - 1)
        for other in sources:
            if other != x:
                yield from slipped(
                    Change(source=net.out(other)),
                    "wrong input" if x[0] == "i" else "wrong unit's activation",
                    "another input",
                )
        if x[0] != "i" and net.hidden in ("sigmoid", "tanh"):
            yield from slipped(Change(source=x), "pre-activation for activation", "input before its activation")
        if u[0] != "o":
            above = net.units(net.layer_of(u) + 1)
            for v in above:
                for other in net.units(net.layer_of(u)):
                    if other != u:
                        yield from slipped(
                            Change(weights={(u, v): net.weight(other, v)}), "wrong weight", "another weight in a path"
                        )
                if len(above) > 1:
                    yield from slipped(Change(without=frozenset([v])), "missing path", "a path left out")
            later = {(u, v): net.weight(u, v) + ("⁺" if layout.update == "own" else "@1") for v in above}
            yield from slipped(Change(weights=later), "updated weights in a gradient", "weights from behind the update")
            if len(above) > 1 and style == "factored":
                yield from slipped(Change(sum_brackets=False), "missing brackets", "no brackets around the paths")
        if kind == "sigmoid":
            yield from slipped(Change(slopes={u: f"[a_{u}]*1-[a_{u}]"}), "missing brackets", "no brackets around 1 − a")
        if net.loss != "cross-entropy" and u[0] == "o" and kind == "sigmoid":
            yield from slipped(
                Change(errors={u: right_error.replace("(", "").replace(")", "")}),
                "missing brackets",
                "no brackets around a − t",
            )
        whole = gradient(net, x, u, style)
        yield from _made(right, column, f"2*({whole})", "mean against sum", "factor 2")
        yield from _made(right, column, f"({whole})/2", "mean against sum", "factor ½")
        yield from _made(right, column, f"({whole})*[{net.out(u)}]", "extra factor", "a factor too many")
        if u[0] == "o" and net.depth > 1:
            yield from _made(
                right,
                column,
                whole.replace(f"[{net.out(x)}]", f"[{net.out(x)}@first]"),
                "another row",
                "a frozen reference",
            )
        if layout.gradients == "deltas":
            for other_u in net.units(net.layer_of(u)):
                if other_u != u:
                    yield from _made(
                        right,
                        column,
                        right[column].replace(f"[∂E/∂{u}]", f"[∂E/∂{other_u}]"),
                        "another unit's derivative",
                        "another unit's δ",
                    )


def _of_shared_biases(net: Net, layout: Layout, right: Formulas) -> Iterator[Mutant]:
    style = "factored" if layout.gradients == "deltas" else layout.gradients
    if net.bias in ("shared",) and layout.gradients != "deltas":
        for name in net.biases:
            users = [u for k in range(1, net.depth + 1) for u in net.units(k) if net.bias_of(u) == name]
            if len(users) > 1:
                yield from _made(
                    right,
                    f"∂E/∂{name}",
                    gradient(net, "", users[0], style),
                    "missing path|missing term",
                    "only one unit of a shared bias",
                )


def _of_updates(net: Net, layout: Layout, sheet: Sheet, right: Formulas) -> Iterator[Mutant]:
    names = trained(net)
    for place, name in enumerate(names):
        column = f"{name}⁺" if layout.update == "own" else name
        other = names[place - 1]
        formula = right[column]
        yield from _made(
            right,
            column,
            formula.replace(f"[∂E/∂{name}", f"[∂E/∂{other}"),
            "another weight's gradient",
            "another weight's gradient",
        )
        yield from _made(right, column, formula.replace("]-[η", "]+[η"), "wrong sign", "an update with plus")
        if sheet.start["η"] != 1.0:
            yield from _made(right, column, formula.replace("[η]*", ""), "missing factor", "no learning rate")
        if layout.update == "row":
            yield from _made(
                right,
                column,
                formula.replace(f"[{name}@-1]", f"[{name}@first]", 1),
                "another row",
                "always from the first weight",
            )
            yield from _made(
                right,
                column,
                formula.replace(f"[{name}@-1]", f"[{other}@-1]", 1),
                "wrong weight",
                "from another weight",
            )
        yield Mutant(
            column, frozenset(["copied number"]), right, "a number typed over a formula", {(column, 3): 0.123456}
        )


def _of_sums(net: Net, right: Formulas) -> Iterator[Mutant]:
    for layer in range(1, net.depth + 1):
        for u in net.units(layer):
            first = net.units(layer - 1)[0]
            term = f"[{net.weight(first, u)}]*[{net.out(first)}]"
            if net.sizes[layer - 1] > 1:
                yield from _made(right, u, right[u].replace(term + "+", ""), "missing term", "a term left out")
                second = net.units(layer - 1)[1]
                other_term = term.replace(net.weight(first, u), net.weight(second, u))
                yield from _made(
                    right, u, right[u].replace(term, other_term), "wrong weight", "another weight in a sum"
                )
                other_term = term.replace(f"[{net.out(first)}]", f"[{net.out(second)}]")
                yield from _made(
                    right,
                    u,
                    right[u].replace(term, other_term),
                    "wrong input" if layer == 1 else "wrong unit's activation",
                    "another input in a sum",
                )
            if net.bias_of(u):
                yield from _made(right, u, right[u].replace(f"+[{net.bias_of(u)}]", ""), "missing term", "no bias")
            others = [v for v in net.units(layer) if v != u]
            if f"a_{u}" in right and others and right[f"a_{u}"].count("[") <= 2:
                yield from _made(
                    right,
                    f"a_{u}",
                    right[f"a_{u}"].replace(f"[{u}]", f"[{others[0]}]"),
                    "wrong unit",
                    "another unit's net input",
                )


def _of_losses(net: Net, right: Formulas) -> Iterator[Mutant]:
    for number in range(1, net.sizes[-1] + 1):
        name = f"E{number}"
        if net.sizes[-1] > 1:
            other_number = number % net.sizes[-1] + 1
            yield from _made(
                right,
                name,
                right[name].replace(f"[t{number}]", f"[t{other_number}]"),
                "wrong target",
                "another target in the loss",
            )
            a = f"[{net.out(f'o{number}')}]"
            yield from _made(
                right,
                name,
                right[name].replace(a, f"[{net.out(f'o{other_number}')}]"),
                "wrong unit's activation|wrong unit",
                "another output in the loss",
            )
            yield from _made(
                right,
                "E_total",
                right["E_total"].replace(f"[E{number}]", f"[E{other_number}]"),
                "wrong output's loss",
                "one loss twice",
            )


# Judging the judge


@dataclass
class Score:
    """What came out."""

    right: int = 0
    accused: list[str] = field(default_factory=list)
    mutants: int = 0
    missed: list[str] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)
    also_accused: list[str] = field(default_factory=list)


def checked(
    sheet: Sheet, made: Formulas, folder: Path, typed: Mapping[tuple[str, int], float] | None = None
) -> Checked:
    """Write a workbook and check it."""
    path = folder / "workbook.xlsx"
    write(path, sheet, made, typed)
    return check_file(path)


def judge_right(count: int, seed: int, folder: Path, score: Score) -> None:
    """Check right workbooks."""
    for number in range(count):
        numbers = random.Random(1000 * seed + number)  # noqa: S311
        net = NETS[number % len(NETS)]
        layout = layouts(net, numbers)
        result = checked(Sheet(net, layout, numbers), formulas(net, layout), folder)
        score.right += 1
        if result.verdict != "right" or any(column.is_right is None for one in result.sheets for column in one.columns):
            score.accused.append(f"right {number}: {net} {layout}: {_told(result)}")


def judge_mutants(count: int, seed: int, folder: Path, score: Score) -> None:
    """Check workbooks with one slip each, spread over all networks and all slips."""
    pools = []
    for number, net in enumerate(NETS):
        numbers = random.Random(77 * seed + number)  # noqa: S311
        layout = layouts(net, numbers)
        sheet = Sheet(net, layout, numbers)
        made = list(mutants(net, layout, sheet))
        numbers.shuffle(made)
        by_words: dict[str, list[Mutant]] = {}
        for mutant in made:
            by_words.setdefault(mutant.words, []).append(mutant)
        # Every slip once before any of them twice.
        turns = [
            pool[turn]
            for turn in range(max(map(len, by_words.values())))
            for pool in by_words.values()
            if turn < len(pool)
        ]
        pools.append((net, layout, sheet, turns))
    turn = 0
    while score.mutants < count and any(turn < len(pool) for *_, pool in pools):
        for net, layout, sheet, pool in pools:
            if turn < len(pool) and score.mutants < count:
                _judge_mutant(net, layout, sheet, pool[turn], folder, score)
        turn += 1


def _judge_mutant(net: Net, layout: Layout, sheet: Sheet, mutant: Mutant, folder: Path, score: Score) -> None:
    result = checked(sheet, mutant.made, folder, mutant.typed)
    score.mutants += 1
    wrong = {column.quantity: column for one in result.sheets for column in one.wrong}
    label = f"{net} {layout} {mutant.column}: {mutant.words}"
    if mutant.column not in wrong:
        score.missed.append(f"{label}: {_told(result)}")
        return
    kinds = wrong[mutant.column].slip_kinds
    if len(kinds) != 1 or kinds[0] not in mutant.kinds:
        score.unnamed.append(f"{label}: {wrong[mutant.column].slip} {wrong[mutant.column].found_formula}")
    if len(wrong) > 1:
        score.also_accused.append(f"{label}: {sorted(set(wrong) - {mutant.column})}")


def _told(result: Checked) -> str:
    told = [one.reason for one in result.sheets if one.reason]
    told += [
        f"{column.quantity} {column.slip}{column.reason}"
        for one in result.sheets
        for column in one.columns
        if not column.is_right
    ]
    return f"{result.verdict}: {'; '.join(told)[:300]} {result.notes}"


def main() -> int:
    """Print the shares; 0 when they are as they should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--right", type=int, default=120)
    parser.add_argument("--mutants", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    asked = parser.parse_args()
    score = Score()
    with tempfile.TemporaryDirectory() as folder:
        judge_right(asked.right, asked.seed, Path(folder), score)
        judge_mutants(asked.mutants, asked.seed, Path(folder), score)
    found = score.mutants - len(score.missed)
    print(f"right workbooks:           {score.right}, accused {len(score.accused)}")
    if score.mutants:
        print(f"workbooks with a slip:     {score.mutants} over {len({net.sizes for net in NETS})} shapes")
        print(f"slips found:               {found} ({100 * found / score.mutants:.1f} %)")
        named = found - len(score.unnamed)
        print(f"slips named as made:       {named} ({100 * named / score.mutants:.1f} %)")
        print(f"right columns accused:     {len(score.also_accused)}")
    if asked.verbose:
        for title in ("accused", "missed", "unnamed", "also_accused"):
            for line in getattr(score, title):
                print(f"{title}: {line}")
    is_good = not score.accused and not score.missed and not score.also_accused
    return 0 if is_good and len(score.unnamed) <= 0.05 * score.mutants else 1


if __name__ == "__main__":
    sys.exit(main())
