"""The catalogue of activations, and one activation with its plot, as documents."""

from chainrule.activations import ActivationFacts, Argument, PrintedFormula, describe, describe_all, sample_curves
from chainrule.documents import (
    Block,
    Callout,
    Cell,
    Chart,
    Column,
    Document,
    Fold,
    Formula,
    Heading,
    Prose,
    Series,
    Table,
)
from chainrule.formulas import number_text

_FORMULA_COLUMNS = (Column("name"), Column("f(x)"), Column("f′(x)"))
_FACT_COLUMNS = (
    Column("name"),
    Column("range"),
    Column("zero-centred"),
    Column("monotone"),
    Column("bounded"),
    Column("f′ vanishes"),
    Column("gain", ".4g"),
)
_LETTERS = (
    "Letters such as α stand for arguments; the facts are for PyTorch's defaults. Those with [i] take several inputs, "
    "and their derivative is ∂y[i]/∂x[j]; the facts are of one output over its own input."
)
_READING = (
    "Range: the values of the formula, with [ ] where an end is reached and ( ) where it is only approached. "
    "Zero-centred: the mean output for a standard normal input is 0. Monotone: rising never falls, falling never "
    "rises. Gain: the factor for the weights that keeps the mean square of the outputs at 1, 1/√E[f(z)²] for "
    "z ~ N(0, 1). `chainrule activations NAME` shows one with its plot."
)


def catalogue_document() -> Document:
    """Return all activations of torch.nn with PyTorch's defaults: a table of formulas and a table of facts."""
    catalogue = describe_all()
    definitions = dict.fromkeys(definition for facts in catalogue for definition in facts.definitions)
    return Document(
        "Activations of torch.nn",
        (
            Heading("Formulas"),
            Table(_FORMULA_COLUMNS, tuple(_formula_row(facts) for facts in catalogue)),
            *(Formula(definition.text, definition.latex) for definition in definitions),
            Prose(_LETTERS),
            Heading("Facts"),
            Table(_FACT_COLUMNS, tuple(_catalogue_row(facts) for facts in catalogue)),
            Prose(_READING),
        ),
    )


def activation_document(name: str, **arguments: Argument) -> Document:
    """Return one activation: formula, derivative, facts, and a chart of value and derivative.

    Args:
        name: a class of torch.nn or its name in torch.nn.functional.
        **arguments: arguments of that class that are in its formula; PyTorch's defaults for the others.

    Raises:
        UnknownNameError: there is no such activation, argument or choice.
        ChainruleError: a value is no finite number, or the formula makes no sense with it.
    """
    facts = describe(name, **arguments)
    blocks: list[Block] = [Prose(_call_text(facts)), *_formula_blocks(facts)]
    blocks += [Heading("Facts"), Table((Column("fact"), Column("value"), Column("meaning")), _fact_rows(facts))]
    if facts.breaks:
        blocks += [_breaks_table(facts)]
    blocks += [Heading("Value and derivative"), _chart(facts, arguments)]
    blocks += [Callout("note", note) for note in facts.notes]
    return Document(facts.title, tuple(blocks))


def _formula_row(facts: ActivationFacts) -> tuple[Cell, ...]:
    several = len(facts.derivatives) > 1
    derivatives = [f"{name} = {entry.text}" if several else entry.text for name, entry in facts.derivatives]
    return facts.title, facts.formula.text, ", ".join(derivatives)


def _catalogue_row(facts: ActivationFacts) -> tuple[Cell, ...]:
    return (
        facts.title,
        facts.range_text,
        _yes_or_no(facts.is_zero_centred),
        facts.monotone,
        facts.bounded_text,
        str(facts.vanishing),
        facts.gain_forward,
    )


def _yes_or_no(fact: bool) -> str:
    return "yes" if fact else "no"


def _call_text(facts: ActivationFacts) -> str:
    shown = ", ".join(f"{argument}={value!r}" for argument, value in facts.arguments)
    constants = ", ".join(f"{symbol} = {number_text(value)}" for symbol, value in facts.symbols)
    return f"torch.nn.{facts.name}({shown})" + (f", {constants}" if constants else "")


def _named_formulas(facts: ActivationFacts) -> list[PrintedFormula]:
    left, left_latex = ("y[i]", "y_i") if facts.slice_meaning else ("f(x)", "f(x)")
    formulas = [PrintedFormula(f"{left} = {facts.formula.text}", f"{left_latex} = {facts.formula.latex}")]
    for name, entry in facts.derivatives:
        formulas.append(PrintedFormula(f"{name} = {entry.text}", f"{_latex_name(name)} = {entry.latex}"))
    return formulas


def _latex_name(name: str) -> str:
    if name == "f′(x)":
        return "f'(x)"
    above, below = name.removeprefix("∂").split("/∂")
    return rf"\frac{{\partial {above[0]}_i}}{{\partial {below[0]}_j}}"


def _formula_blocks(facts: ActivationFacts) -> list[Block]:
    formulas = [*_named_formulas(facts), *facts.definitions]
    blocks: list[Block] = [Formula(formula.text, formula.latex) for formula in formulas]
    return [*blocks, Fold("LaTeX", tuple(Prose(formula.latex) for formula in formulas))]


def _fact_rows(facts: ActivationFacts) -> tuple[tuple[Cell, ...], ...]:
    slice_text = (
        f"of {facts.slice_meaning}" if facts.slice_meaning else "of the formula; rounding may reach an open end"
    )
    lowest = facts.output_range[0].lower
    sign = "yes" if lowest >= 0.0 else f"no, down to {number_text(lowest)}"
    rows: list[tuple[Cell, ...]] = [
        ("range", facts.range_text, slice_text),
        ("outputs never negative", sign, "the lower end of the range"),
        ("zero-centred", _yes_or_no(facts.is_zero_centred), "the mean output is 0 to within 1e-6"),
        ("mean output", facts.mean, "E[f(z)] for z ~ N(0, 1)"),
        ("monotone", facts.monotone, "rising never falls, falling never rises; steps below 1e-6 do not count"),
        ("bounded", facts.bounded_text, "the sides on which the range is finite"),
        ("derivative vanishes", str(facts.vanishing), "exactly on an interval or at a point, or in the limit (→)"),
        ("derivative below 0.01", _faint_text(facts), "towards an end where it vanishes in the limit"),
        ("gain, forward", facts.gain_forward, "1/√E[f(z)²] keeps the mean square of the outputs at 1"),
        ("gain, backward", facts.gain_backward, "1/√E[f′(z)²] keeps the mean square of the adjoints"),
        ("gain in PyTorch", facts.torch_gain, "torch.nn.init.calculate_gain"),
    ]
    return tuple(row for row in rows if row[1] is not None)


def _faint_text(facts: ActivationFacts) -> str | None:
    below, above = facts.vanishing.faint_below, facts.vanishing.faint_above
    texts = [f"x < {number_text(below, 4)}"] if below is not None else []
    texts += [f"x > {number_text(above, 4)}"] if above is not None else []
    return ", ".join(texts) or None


def _breaks_table(facts: ActivationFacts) -> Table:
    columns = ("x", "kind", "step of f", "f′ before", "f′ after", "f′ in PyTorch")
    rows = tuple(
        (gap.place, gap.kind, gap.jump, gap.slope_before, gap.slope_after, gap.torch_slope) for gap in facts.breaks
    )
    return Table(tuple(Column(header) for header in columns), rows, caption="Where there is no derivative.")


def _chart(facts: ActivationFacts, arguments: dict[str, Argument]) -> Chart:
    value, slope = sample_curves(facts.name, **arguments)
    return Chart(
        key=f"activation-{facts.name}",
        title=facts.title,
        x_label="x",
        y_label="value, derivative",
        series=(Series("f(x)", value.x, value.y), Series("f′(x)", slope.x, slope.y, style="dashed")),
        caption=facts.slice_meaning,
    )
