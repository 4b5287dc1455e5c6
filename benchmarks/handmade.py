"""Workbooks as learners make them: networks, layouts, spellings, and formulas that are written out by this file alone.

Nothing here asks chainrule what is right, so what `chainrule check` says of these workbooks can be measured.
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from xlsxwriter import Workbook  # type: ignore[import-untyped]
from xlsxwriter.utility import xl_col_to_name  # type: ignore[import-untyped]

ROWS = 5


@dataclass(frozen=True)
class Net:
    """A network with its conventions; sizes from inputs to outputs."""

    sizes: tuple[int, ...]
    hidden: str = "sigmoid"
    output: str = "sigmoid"
    loss: str = "half"  # half, sum, mean, cross-entropy
    bias: str = "none"  # none, fixed, shared, separate
    by_input: bool = False  # w1, w3 into h1

    @property
    def depth(self) -> int:
        """How many layers have weights."""
        return len(self.sizes) - 1

    def unit(self, layer: int, number: int) -> str:
        """Return the name of a unit; of layer 0 of an input."""
        if layer == 0:
            return f"i{number}"
        if layer == self.depth:
            return f"o{number}"
        return f"h{number}" if self.depth == 2 else f"h{layer}_{number}"

    def units(self, layer: int) -> list[str]:
        """Return the names of a layer's units."""
        return [self.unit(layer, number) for number in range(1, self.sizes[layer] + 1)]

    def out(self, unit: str) -> str:
        """Return the name of a unit's output."""
        if unit[0] == "i":
            return unit
        kind = self.output if unit[0] == "o" else self.hidden
        return unit if kind == "identity" else f"a_{unit}"

    def layer_of(self, unit: str) -> int:
        """Return which layer a unit is in."""
        return next(layer for layer in range(self.depth + 1) if unit in self.units(layer))

    def weight(self, source: str, unit: str) -> str:
        """Return the name of a weight."""
        layer = self.layer_of(unit)
        before = sum(self.sizes[k] * self.sizes[k + 1] for k in range(layer - 1))
        below, here = self.units(layer - 1), self.units(layer)
        if self.by_input:
            return f"w{before + below.index(source) * len(here) + here.index(unit) + 1}"
        return f"w{before + here.index(unit) * len(below) + below.index(source) + 1}"

    def bias_of(self, unit: str) -> str | None:
        """Return the name of a unit's bias, if it has one."""
        layer = self.layer_of(unit)
        if self.bias == "none":
            return None
        if self.bias == "separate":
            return f"b{sum(self.sizes[1:layer]) + self.units(layer).index(unit) + 1}"
        return f"b{layer}"

    @property
    def weights(self) -> list[tuple[str, str, str]]:
        """Name, from, into; in the order of the names."""
        all_ = [
            (self.weight(x, u), x, u)
            for layer in range(1, self.depth + 1)
            for u in self.units(layer)
            for x in self.units(layer - 1)
        ]
        return sorted(all_, key=lambda each: int(each[0][1:]))

    @property
    def biases(self) -> list[str]:
        """The names of all biases."""
        names = [self.bias_of(u) for layer in range(1, self.depth + 1) for u in self.units(layer)]
        return list(dict.fromkeys(name for name in names if name))


@dataclass(frozen=True)
class Layout:
    """How the workbook is laid out and spelled."""

    spelling: int = 0
    row: int = 0
    column: int = 0
    rate: str = "above"  # above, column, beside, literal, unnamed
    gradients: str = "factored"  # factored, expanded, deltas
    update: str = "row"  # row: in the next row; own: in columns of their own
    given: str = "typed"  # typed, copied: =A5, side: $-references to cells beside the table
    is_turned: bool = False
    has_notes: bool = False
    equal_targets: bool = False
    bias_place: str = "columns"  # of fixed biases: columns, cells


Formulas = dict[str, str]


def spelled(name: str, style: int) -> str:
    """Return a header in one of several spellings."""
    gradient = re.fullmatch(r"∂E/∂(.+)", name)
    if gradient:
        below = spelled(gradient[1], style)
        return [
            f"∂E/∂{below}", f"dE/d{below}", f"∂E_total/∂{below}", f"δE_t/δ{below}", f"grad {below}", f"E∂{below}",
            f"dE_total/d{below}", f"∂Etotal/∂{below}", f"dE/d{below}", f"∂E/∂{below}",
        ][style % 10]  # fmt: skip
    match = re.fullmatch(r"(a_)?([hoitwbE])(\d+)(_\d+)?", name)
    if match and match[1]:
        rest = name[2:]
        forms = [
            name,
            f"a{rest}",
            f"out_{rest}",
            f"σ({rest})",
            name.upper().replace("A_", "a_"),
            name,
            f"out_{rest}",
            f"a_{rest}",
        ]
        return forms[style % len(forms)] if "_" not in rest else name
    if match and "_" not in name:
        letter, number = name[0], name[1:]
        if letter == "w":
            return [name, f"W{number}", f"w_{number}", name, f"W{number}", name][style % 6]
        if letter == "i":
            return [name, f"x{number}", name, f"I{number}", f"x_{number}", name][style % 6]
        if letter in "ho":
            return [name, f"net_{name}", name, name, f"z_{name}", name][style % 6]
        if letter == "t":
            return [name, name, f"target{number}", f"T{number}", name][style % 5]
    if name == "E_total":
        return ["E_total", "E_tot", "Etotal", "E_Total", "E", "Total error"][style % 6]
    if name == "η":
        return ["η", "lr", "learning rate", "η =", "LR", "Learning Rate"][style % 6]
    if name.endswith("⁺"):
        below = spelled(name[:-1], style)
        return [f"new {below}", f"{below}_new", f"{below}+"][style % 3]
    return name


# The formulas: [w5] is w5 of the row, [w5@-1] of the row above


def activation(kind: str, net: str) -> str:
    """Return the formula of an output."""
    return {
        "sigmoid": f"1/(1+EXP(-[{net}]))",
        "tanh": f"TANH([{net}])",
        "relu": f"MAX(0,[{net}])",
        "leaky_relu": f"IF([{net}]>0,[{net}],0.01*[{net}])",
    }[kind]


def slope(net: Net, unit: str, of: str | None = None) -> str:
    """Return the derivative of a unit's activation, of another unit's numbers when `of` says so."""
    kind = net.output if unit[0] == "o" else net.hidden
    a = of or f"a_{unit}"
    z = unit if of is None else of.removeprefix("a_")
    return {
        "sigmoid": f"[{a}]*(1-[{a}])",
        "tanh": f"(1-[{a}]^2)",
        "relu": f"IF([{z}]>0,1,0)",
        "leaky_relu": f"IF([{z}]>0,1,0.01)",
        "identity": "",
        "softmax": "",
    }[kind]


@dataclass(frozen=True)
class Change:
    """A slip in the formula of one gradient: what is written instead of its parts."""

    slopes: Mapping[str, str] = field(default_factory=dict)  # unit → text
    errors: Mapping[str, str] = field(default_factory=dict)  # output → text
    weights: Mapping[tuple[str, str], str] = field(default_factory=dict)  # (from, into) → name
    source: str | None = None
    without: frozenset[str] = frozenset()  # outputs or units whose paths are left out
    sum_brackets: bool = True


def times(*factors: str) -> str:
    """Return the product of formulas; empty ones are left out."""
    return "*".join(factor for factor in factors if factor)


def error_of(net: Net, number: int, change: Change) -> str:
    """Return ∂E/∂(output), with the loss's own factor."""
    o = f"o{number}"
    if o in change.errors:
        return change.errors[o]
    factor = {"half": "", "sum": "2*", "cross-entropy": "", "mean": f"2/{net.sizes[-1]}*"}[net.loss]
    return f"{factor}([{net.out(o)}]-[t{number}])"


def delta(net: Net, unit: str, change: Change) -> str:
    """Return ∂E/∂net of a unit, written out."""
    own = change.slopes.get(unit, slope(net, unit))
    if unit[0] == "o":
        return times(error_of(net, int(unit[1:]), change), own)
    layer = net.layer_of(unit) + 1
    terms = [
        times(
            delta(net, above, replace(change, sum_brackets=True)),
            f"[{change.weights.get((unit, above), net.weight(unit, above))}]",
        )
        for above in net.units(layer)
        if above not in change.without
    ]
    total = " + ".join(terms)
    if len(terms) > 1 and change.sum_brackets:
        total = f"({total})"
    return times(total, own)


def gradient(net: Net, source: str, unit: str, style: str, change: Change = Change()) -> str:
    """Return ∂E/∂w of the weight from `source` into `unit`; the bias's where the source is empty."""
    x = "" if not source else f"[{change.source or net.out(source)}]"
    if style == "deltas" and change == Change():
        return times(f"[∂E/∂{unit}]", x) if x else f"[∂E/∂{unit}]"
    if style == "expanded" and unit[0] != "o" and change.sum_brackets:
        own = change.slopes.get(unit, slope(net, unit))
        layer = net.layer_of(unit) + 1
        terms = [
            times(delta(net, above, change), f"[{change.weights.get((unit, above), net.weight(unit, above))}]", own, x)
            for above in net.units(layer)
            if above not in change.without
        ]
        return " + ".join(terms)
    return times(delta(net, unit, change), x)


def formulas(net: Net, layout: Layout) -> Formulas:
    """Return the right formula of every computed column, in the order of computation."""
    made: Formulas = {}
    for layer in range(1, net.depth + 1):
        for u in net.units(layer):
            terms = [f"[{net.weight(x, u)}]*[{net.out(x)}]" for x in net.units(layer - 1)]
            bias = net.bias_of(u)
            made[u] = "+".join([*terms, *([f"[{bias}]"] if bias else [])])
            kind = net.output if layer == net.depth else net.hidden
            if kind in ("sigmoid", "tanh", "relu", "leaky_relu"):
                made[f"a_{u}"] = activation(kind, u)
        if layer == net.depth and net.output == "softmax":
            total = "+".join(f"EXP([{u}])" for u in net.units(layer))
            made |= {f"a_{u}": f"EXP([{u}])/({total})" for u in net.units(layer)}
    for number in range(1, net.sizes[-1] + 1):
        a, t = f"[{net.out(f'o{number}')}]", f"[t{number}]"
        made[f"E{number}"] = {
            "half": f"0.5*({t}-{a})^2", "sum": f"({t}-{a})^2", "mean": f"({t}-{a})^2", "cross-entropy": f"-{t}*LN({a})",
        }[net.loss]  # fmt: skip
    total = "+".join(f"[E{number}]" for number in range(1, net.sizes[-1] + 1))
    made["E_total"] = f"({total})/{net.sizes[-1]}" if net.loss == "mean" else total
    if layout.gradients == "deltas":
        for layer in range(net.depth, 0, -1):
            for u in net.units(layer):
                if layer == net.depth:
                    made[f"∂E/∂{u}"] = delta(net, u, Change())
                else:
                    terms = [f"[∂E/∂{v}]*[{net.weight(u, v)}]" for v in net.units(layer + 1)]
                    made[f"∂E/∂{u}"] = times("(" + "+".join(terms) + ")", slope(net, u))
    for name, x, u in net.weights:
        made[f"∂E/∂{name}"] = gradient(net, x, u, layout.gradients)
    if net.bias in ("shared", "separate"):
        for name in net.biases:
            users = [u for k in range(1, net.depth + 1) for u in net.units(k) if net.bias_of(u) == name]
            made[f"∂E/∂{name}"] = " + ".join(gradient(net, "", u, layout.gradients) for u in users)
    for name in trained(net):
        if layout.update == "own":
            made[f"{name}⁺"] = f"[{name}]-[η]*[∂E/∂{name}]"
        else:
            made[name] = f"[{name}@-1]-[η]*[∂E/∂{name}@-1]"
    return made


def trained(net: Net) -> list[str]:
    """Return the names of the parameters that are trained."""
    return [name for name, _, _ in net.weights] + (net.biases if net.bias in ("shared", "separate") else [])


# Writing


class Sheet:
    """Where everything stands."""

    def __init__(self, net: Net, layout: Layout, numbers: random.Random) -> None:
        self.net, self.layout = net, layout
        given = [*(f"t{n}" for n in range(1, net.sizes[-1] + 1)), *net.units(0)]
        made = formulas(net, layout)
        computed = [name for name in made if name not in trained(net)]
        weights = [name for name, _, _ in net.weights]
        first = net.sizes[0] * net.sizes[1]
        biases = net.biases if layout.bias_place == "columns" or net.bias != "fixed" else []
        forward = [name for name in computed if name[0] in "hoaE"]
        hidden = [name for name in forward if "h" in name]
        rest = [name for name in computed if name not in hidden]
        columns = [*weights[:first], *hidden, *weights[first:], *biases, *rest]
        columns = (given if layout.given != "side" else given[: net.sizes[-1]]) + columns
        if layout.rate == "column":
            columns = ["η", *columns] if layout.spelling % 2 else [*columns, "η"]
        self.columns = columns
        self.start: dict[str, float] = {name: round(numbers.uniform(-1, 1), 3) for name in (*weights, *net.biases)}
        self.start |= {name: round(numbers.uniform(0.05, 0.95), 3) for name in net.units(0)}
        targets = [round(numbers.uniform(0.05, 0.95), 3) for _ in range(net.sizes[-1])]
        if layout.equal_targets:
            targets = [0.5] * net.sizes[-1]
        if net.loss == "cross-entropy":
            targets = [1.0] + [0.0] * (net.sizes[-1] - 1)
        self.start |= {f"t{n}": value for n, value in enumerate(targets, 1)}
        self.start["η"] = numbers.choice([0.1, 0.5, 1.0, 2.0])
        self.top = layout.row + 12  # of the header
        self.beside: dict[str, tuple[int, int]] = {}
        if layout.rate in ("above", "unnamed"):
            self.beside["η"] = (self.top - 2, layout.column + 3)
        if layout.rate == "beside":
            self.beside["η"] = (self.top + 1, layout.column + len(columns) + 3)
        if layout.given == "side":
            for place, name in enumerate(net.units(0)):
                self.beside[name] = (2 + place, layout.column + 2)
        if net.bias == "fixed" and layout.bias_place == "cells":
            for place, name in enumerate(net.biases):
                self.beside[name] = (2 + place, layout.column + 6)

    def cell(self, name: str, row: int) -> str:
        """Return the address of a quantity in a row of data, from 0."""
        if name in self.beside:
            line, column = self.beside[name]
            return f"${xl_col_to_name(column)}${line + 1}"
        place, number = self.layout.column + self.columns.index(name), self.top + 1 + row
        if self.layout.is_turned:
            place, number = number, place
        return f"{xl_col_to_name(place)}{number + 1}"

    def text(self, formula: str, row: int) -> str:
        """Return a formula in a row, with cells in the place of names."""

        def place(found: re.Match[str]) -> str:
            name, _, offset = found[1].partition("@")
            if name == "η" and self.layout.rate == "literal":
                return repr(self.start["η"])
            if offset == "first":
                return re.sub(r"([A-Z]+)(\d+)", r"$\1$\2", self.cell(name, 0))
            return self.cell(name, row + int(offset or 0))

        return "=" + re.sub(r"\[([^\]]+)\]", place, formula)


def write(path: Path, sheet: Sheet, made: Formulas, typed: Mapping[tuple[str, int], float] | None = None) -> None:
    """Write a workbook; `typed` puts numbers in the place of formulas."""
    net, layout = sheet.net, sheet.layout
    book = Workbook(str(path))
    page = book.add_worksheet("Sheet1" if layout.spelling % 2 else "backprop")

    def put(line: int, column: int, value: str | float) -> None:
        if layout.is_turned and (line >= sheet.top and (line, column) not in sheet.beside.values()):
            line, column = column, line
        if isinstance(value, str) and value.startswith("="):
            page.write_formula(line, column, value)
        else:
            page.write(line, column, value)

    if layout.has_notes:
        page.write(0, 0, "Backpropagation by hand")
        page.write(1, 0, "h1 = w1*i1 + w2*i2")
        page.write(3, 0, "∂E/∂w5 = (a_o1 - t1) * a_o1 * (1 - a_o1) * a_h1")
    for name, (line, column) in sheet.beside.items():
        if not (name == "η" and layout.rate == "unnamed"):
            page.write(line, column - 1, spelled(name, layout.spelling))
        page.write(line, column, sheet.start[name])
    for place, name in enumerate(sheet.columns):
        column = layout.column + place
        put(sheet.top, column, spelled(name, layout.spelling))
        for row in range(ROWS):
            value: str | float
            if typed and (name, row) in typed:
                value = typed[name, row]
            elif name in trained(net):
                after = f"[{name}⁺@-1]" if layout.update == "own" else made[name]
                value = sheet.start[name] if row == 0 else sheet.text(after, row)
            elif name in made:
                formula = made.get(f"{name}#{row}", made[name])
                value = sheet.text(formula, row)
            else:
                value = sheet.start[name]
                if row and layout.given == "copied":
                    value = "=" + sheet.cell(name, row - 1)
            put(sheet.top + 1 + row, column, value)
    book.close()


# Right workbooks


NETS = (
    Net((2, 2, 2)),
    Net((2, 2, 2), bias="fixed"),
    Net((2, 2, 2), bias="separate", loss="sum"),
    Net((2, 2, 2), bias="shared", loss="mean"),
    Net((2, 3, 1), hidden="tanh", output="identity"),
    Net((2, 3, 1), hidden="tanh", bias="separate"),
    Net((3, 4, 3), hidden="relu", output="softmax", loss="cross-entropy", bias="separate"),
    Net((3, 2, 2), hidden="relu", output="sigmoid", loss="sum"),
    Net((2, 2, 2), by_input=True),
    Net((2, 2, 2, 2), hidden="sigmoid"),
    Net((2, 3, 2), hidden="tanh", output="tanh", bias="shared"),
    Net((1, 2, 1), hidden="leaky_relu", output="identity", bias="separate"),
    Net((2, 2, 2), output="softmax", loss="cross-entropy"),
    Net((3, 1)),
    Net((2, 2), bias="separate"),
)


def layouts(net: Net, numbers: random.Random) -> Layout:
    """Draw a layout."""
    choose = numbers.choice
    layout = Layout(
        spelling=numbers.randrange(60),
        row=choose([0, 0, 3, 17]),
        column=choose([0, 0, 1, 5]),
        rate=choose(["above", "above", "column", "beside", "literal", "unnamed"]),
        gradients=choose(["factored", "factored", "expanded", "deltas"]),
        update=choose(["row", "row", "row", "own"]),
        given=choose(["typed", "copied", "typed", "side"]),
        is_turned=numbers.random() < 0.1,
        has_notes=choose([True, False]),
        equal_targets=choose([True, False, False]),
        bias_place=choose(["columns", "cells"]),
    )
    if layout.is_turned:
        layout = replace(
            layout, rate=choose(["column", "literal"]), given="typed", bias_place="columns", has_notes=False
        )
    if net.depth > 2:
        layout = replace(layout, spelling=0)
    return layout
