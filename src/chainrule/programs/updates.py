"""What an optimizer does to every parameter, as assignments: w5⁺ = w5 − η·∂E/∂w5.

Formulas: the algorithm boxes of torch.optim.SGD, Adam, AdamW and RMSprop.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sympy import Expr, Integer, Piecewise, Symbol, sqrt

from chainrule.errors import UnknownNameError, did_you_mean
from chainrule.programs.gradients import LOSS
from chainrule.programs.naming import derivative_name, latex_name, next_name
from chainrule.programs.program import Assignment, Quantity, symbol_of

_MEANINGS = {
    "η": "learning rate",
    "μ": "momentum",
    "τ": "dampening",
    "λ": "weight decay",
    "β1": "how much of the mean of gradients is kept",
    "β2": "how much of the mean of squared gradients is kept",
    "α": "how much of the mean of squared gradients is kept",
    "ε": "keeps the denominator from 0",
    "t": "number of this update, from 1",
}
_ALWAYS = frozenset({"η", "β1", "β2", "α", "ε"})  # settings that stand in the formulas even when they are 0
_FLAGS = frozenset({"nesterov"})  # settings that choose a formula and do not stand in it
TIME = symbol_of("t")
_STATES = {"u": "momentum buffer", "m": "mean of gradients", "v": "mean of squared gradients"}


@dataclass(frozen=True, slots=True)
class Updates:
    """An optimizer's part of a program: what it is told, what it remembers, and its lines."""

    settings: tuple[Quantity, ...]
    states: tuple[Quantity, ...]
    assignments: tuple[Assignment, ...]
    updated: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that one optimizer updates with the same settings.

    Attributes:
        optimizer: "SGD", "Adam", "AdamW" or "RMSprop".
        settings: by the names of the formulas: {"η": 0.5, "μ": 0.9}; "nesterov": 1 for Nesterov's momentum.
        parameters: their names.
    """

    optimizer: str
    settings: Mapping[str, float]
    parameters: Sequence[str]


def setting(name: str, value: float) -> Quantity:
    """Return a setting of an optimizer, such as η, or η_2 of the second group."""
    return Quantity(name, latex_name(name), "setting", value, _MEANINGS[name.partition("_")[0]])


def state(letter: str, parameter: str, value: float) -> Quantity:
    """Return what an optimizer remembers of a parameter: u_w5."""
    name = f"{letter}_{parameter}"
    return Quantity(name, latex_name(name), "state", value, f"{_STATES[letter]} of {parameter}")


def with_updates(
    optimizer: str, settings: Mapping[str, float], states: Mapping[str, float], parameters: Sequence[str]
) -> Updates:
    """Return an optimizer's lines for all parameters.

    Args:
        optimizer: "SGD", "Adam", "AdamW" or "RMSprop".
        settings: by the names of the formulas: {"η": 0.5, "μ": 0.9}; "nesterov": 1 for Nesterov's momentum.
        states: what it remembers before this step: {"m_w5": 0.0, "t": 3}; 0 where nothing is said, and t = 1.
        parameters: the names of the parameters.

    Raises:
        UnknownNameError: there are no formulas for this optimizer.
    """
    return with_group_updates([Group(optimizer, settings, parameters)], states)


def with_group_updates(groups: Sequence[Group], states: Mapping[str, float]) -> Updates:
    """Return the lines of several groups of parameters; settings in which they differ are η_1, η_2, ...

    Args:
        groups: with different parameters.
        states: as `with_updates` takes them.

    Raises:
        UnknownNameError: there are no formulas for an optimizer.
    """
    lines: list[Assignment] = []
    remembered: dict[str, str] = {}
    settings: dict[str, Quantity] = {}
    parameters = {name for group in groups for name in group.parameters}
    for group, names in zip(groups, _setting_names(groups), strict=True):
        if group.optimizer not in _RULES:
            raise UnknownNameError(
                what=f"There are no formulas for the updates of {group.optimizer}.",
                found=group.optimizer,
                expected="one of " + ", ".join(_RULES),
                next_step=did_you_mean(group.optimizer, _RULES),
            )
        settings |= {name: setting(name, group.settings[letter]) for letter, name in names.items()}
        used: dict[str, Expr] = {letter: symbol_of(name) for letter, name in names.items()}
        used |= {flag: Integer(1) for flag in _FLAGS if group.settings.get(flag)}
        for parameter in group.parameters:
            rule = _Lines(parameter, lines, remembered)
            gradient = symbol_of(derivative_name(LOSS, parameter))
            if "λ" in used and group.optimizer != "AdamW":
                gradient = gradient + used["λ"] * symbol_of(parameter)
            _RULES[group.optimizer](rule, used, gradient)
    if any(TIME in line.formula.free_symbols for line in lines):
        lines.append(Assignment(next_name("t"), TIME + 1, "update", "number of the next update"))
        remembered["t"] = next_name("t")
    return Updates(
        tuple(settings.values()),
        tuple(_state(name, states) for name in remembered if name not in parameters),
        tuple(lines),
        {name: remembered[name] for name in sorted(remembered, key=lambda name: name not in parameters)},
    )


def _setting_names(groups: Sequence[Group]) -> list[dict[str, str]]:
    """Return for each group what its settings are called: η, or η_2 where another group has another η."""
    used = [
        {
            letter: value
            for letter, value in group.settings.items()
            if letter not in _FLAGS and (value or letter in _ALWAYS)
        }
        for group in groups
    ]
    shared = {
        letter for own in used for letter in own if len({other[letter] for other in used if letter in other}) == 1
    }
    return [
        {letter: letter if letter in shared else f"{letter}_{number}" for letter in own}
        for number, own in enumerate(used, 1)
    ]


class _Lines:
    """Writes one parameter's lines."""

    def __init__(self, parameter: str, lines: list[Assignment], remembered: dict[str, str]) -> None:
        self.parameter, self.lines, self.remembered = parameter, lines, remembered

    def write(self, name: str, formula: Expr, words: str) -> Symbol:
        """Write one line, and return the symbol of what it computes."""
        self.lines.append(Assignment(name, formula, "update", words))
        return symbol_of(name)

    def state(self, letter: str) -> Symbol:
        """Return what the optimizer remembers before the step."""
        return symbol_of(f"{letter}_{self.parameter}")

    def remember(self, letter: str, formula: Expr) -> Symbol:
        """Write what the optimizer remembers after the step, and return its symbol."""
        name = f"{letter}_{self.parameter}"
        self.remembered[name] = next_name(name)
        return self.write(next_name(name), formula, _STATES[letter])

    def update(self, change: Expr) -> None:
        """Write the parameter after the step: w − change."""
        self.remembered[self.parameter] = next_name(self.parameter)
        self.write(next_name(self.parameter), symbol_of(self.parameter) - change, "update")


def _sgd(rule: _Lines, settings: Mapping[str, Expr], gradient: Expr) -> None:
    """SGD: u⁺ = μ·u + (1 − τ)·g, which is g at the first update; w⁺ = w − η·u⁺, or with Nesterov w − η·(g + μ·u⁺)."""
    rate, momentum = settings["η"], settings.get("μ")
    if momentum is None:
        rule.update(rate * gradient)
        return
    later = momentum * rule.state("u") + gradient
    if "τ" in settings:
        damped = momentum * rule.state("u") + (1 - settings["τ"]) * gradient
        later = Piecewise((gradient, TIME <= 1), (damped, True))
    buffer = rule.remember("u", later)
    rule.update(rate * (gradient + momentum * buffer) if "nesterov" in settings else rate * buffer)


def _adam(rule: _Lines, settings: Mapping[str, Expr], gradient: Expr) -> None:
    """Adam (Kingma & Ba 2015, algorithm 1); AdamW (Loshchilov & Hutter 2019) shrinks w by 1 − η·λ instead."""
    first, second = settings["β1"], settings["β2"]
    mean = rule.remember("m", first * rule.state("m") + (1 - first) * gradient)
    squares = rule.remember("v", second * rule.state("v") + (1 - second) * gradient**2)
    mean = rule.write(
        f"mhat_{rule.parameter}", mean / (1 - first**TIME), "mean of gradients, corrected for its start at 0"
    )
    squares = rule.write(
        f"vhat_{rule.parameter}",
        squares / (1 - second**TIME),
        "mean of squared gradients, corrected for its start at 0",
    )
    rule.update(settings["η"] * mean / (sqrt(squares) + settings["ε"]))


def _adamw(rule: _Lines, settings: Mapping[str, Expr], gradient: Expr) -> None:
    _adam(rule, settings, gradient)
    if "λ" in settings:
        line = rule.lines.pop()
        shrunk = line.formula - settings["η"] * settings["λ"] * symbol_of(rule.parameter)
        rule.lines.append(replace(line, formula=shrunk))


def _rmsprop(rule: _Lines, settings: Mapping[str, Expr], gradient: Expr) -> None:
    """RMSprop (Hinton 2012, lecture 6): v⁺ = α·v + (1 − α)·g²; w⁺ = w − η·g/(√v⁺ + ε)."""
    kept = settings["α"]
    squares = rule.remember("v", kept * rule.state("v") + (1 - kept) * gradient**2)
    change = gradient / (sqrt(squares) + settings["ε"])
    if "μ" in settings:
        change = rule.remember("u", settings["μ"] * rule.state("u") + change)
    rule.update(settings["η"] * change)


_RULES: Mapping[str, Callable[[_Lines, Mapping[str, Expr], Expr], None]] = {
    "SGD": _sgd,
    "Adam": _adam,
    "AdamW": _adamw,
    "RMSprop": _rmsprop,
}


def _state(name: str, states: Mapping[str, float]) -> Quantity:
    if name == "t":
        return Quantity("t", "t", "state", states.get("t", 1.0), _MEANINGS["t"])
    letter, _, parameter = name.partition("_")
    return state(letter, parameter, states.get(name, 0.0))
