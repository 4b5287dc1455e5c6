"""Finding an activation by name, and checking the arguments for it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sympy
from sympy import Basic, Expr, Float, Rational, Symbol

from chainrule.activations.elementwise import ELEMENTWISE
from chainrule.activations.rule import ActivationRule, Argument, Rule, torch_defaults
from chainrule.activations.vector import VECTOR
from chainrule.errors import ChainruleError, UnknownNameError, did_you_mean
from chainrule.formulas import to_text

RULES: tuple[Rule, ...] = (*ELEMENTWISE, *VECTOR)


@dataclass(frozen=True, slots=True)
class BoundRule:
    """A rule with its arguments filled in.

    Attributes:
        rule: the rule.
        arguments: every argument of torch that is in the formula.
        values: the value of every symbol of the formula, exact where the number is a simple fraction.
    """

    rule: Rule
    arguments: dict[str, Argument]
    values: dict[Symbol, Expr]


def activation_names() -> tuple[str, ...]:
    """Return the names of the catalogue, each once, in its order."""
    return tuple(dict.fromkeys(rule.name for rule in RULES))


def bind(name: str, arguments: Mapping[str, Argument]) -> BoundRule:
    """Find the rule for a name and fill its arguments in; those not given are PyTorch's defaults.

    Args:
        name: a class of torch.nn or its name in torch.nn.functional; case and underscores do not matter.
        arguments: arguments of that class.

    Raises:
        UnknownNameError: there is no such activation, argument or choice.
        ChainruleError: a value is no finite number, or the formula makes no sense with it.
    """
    rules = _rules_named(name)
    defaults = torch_defaults(rules[0].name)
    rule = _chosen(rules, arguments, defaults)
    if not isinstance(rule, ActivationRule):
        _refuse_unknown(rule.name, arguments, ())
        return BoundRule(rule, {}, {})
    option: dict[str, Argument] = dict([rule.option]) if rule.option else {}
    _refuse_unknown(rule.name, arguments, (*(parameter.argument for parameter in rule.parameters), *option))
    filled: dict[str, Argument] = {}
    values: dict[Symbol, Expr] = dict(rule.constants)
    for parameter in rule.parameters:
        default = defaults.get(parameter.argument, parameter.example)
        number = _number(rule.name, parameter.argument, arguments.get(parameter.argument, default))
        filled[parameter.argument] = number
        values[parameter.symbol] = exact(number)
    if rule.requires.xreplace(values) == False:  # noqa: E712  # SymPy's own false
        raise _unmet(rule, filled)
    return BoundRule(rule, filled | option, values)


def exact(number: float) -> Expr:
    """Return a number as a fraction with a denominator of at most 100 when it is one, else as it is in float64."""
    fraction = Rational(number).limit_denominator(100)
    return fraction if float(fraction) == number else Float(number, 17)


def _folded(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _rules_named(name: str) -> list[Rule]:
    rules = [rule for rule in RULES if _folded(rule.name) == _folded(name)]
    if not rules:
        raise UnknownNameError.unknown_name("activation", name, activation_names())
    return rules


def _chosen(rules: list[Rule], arguments: Mapping[str, Argument], defaults: Mapping[str, Any]) -> Rule:
    by_choice = {rule.option: rule for rule in rules if isinstance(rule, ActivationRule) and rule.option}
    if not by_choice:
        return rules[0]
    argument = next(iter(by_choice))[0]
    choice = str(arguments.get(argument, defaults[argument]))
    if (argument, choice) not in by_choice:
        choices = [known for _, known in by_choice]
        raise UnknownNameError.unknown_name(f"value of {argument}", choice, choices, where=rules[0].name)
    return by_choice[argument, choice]


def _refuse_unknown(name: str, arguments: Mapping[str, Argument], allowed: tuple[str, ...]) -> None:
    for argument in arguments:
        if argument not in allowed:
            raise UnknownNameError(
                what=f"The formula of {name} has no argument '{argument}'.",
                where=name,
                found=argument,
                expected="one of " + ", ".join(allowed) if allowed else "no argument",
                next_step=did_you_mean(argument, allowed),
            )


def _number(name: str, argument: str, value: Argument | None) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ChainruleError(
            what=f"The argument '{argument}' of {name} is no finite number.",
            where=name,
            found=repr(value),
            expected="a number such as 0.5",
        )
    return float(value)


def _unmet(rule: ActivationRule, filled: Mapping[str, Argument]) -> ChainruleError:
    words = {parameter.symbol: Symbol(parameter.argument) for parameter in rule.parameters}
    condition = rule.requires.func(*(side.xreplace(words) for side in rule.requires.args), evaluate=False)
    return ChainruleError(
        what=f"The formula of {rule.name} makes no sense with these arguments.",
        where=rule.name,
        found=", ".join(f"{argument} = {value:g}" for argument, value in filled.items()),
        expected=_condition_text(condition),
    )


def _condition_text(condition: Basic) -> str:
    signs = {"<": "<", "<=": "≤", ">": ">", ">=": "≥"}
    left, right = (side.name if isinstance(side, sympy.Symbol) else to_text(side) for side in condition.args)
    return f"{left} {signs[condition.rel_op]} {right}"
