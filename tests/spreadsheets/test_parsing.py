import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.spreadsheets import (
    Array,
    Binary,
    Boolean,
    Call,
    DefinedName,
    ErrorLiteral,
    ErrorValue,
    FormulaError,
    Missing,
    Node,
    Number,
    RangeReference,
    Reference,
    Text,
    Unary,
    parse_formula,
)

A1, B2 = Reference(None, 1, 1), Reference(None, 2, 2)
TWO = Number(2.0)


@pytest.mark.parametrize(
    ("formula", "tree"),
    [
        ("=A1", A1),
        ("A1+B2", Binary("+", A1, B2)),
        ("-2^2", Binary("^", Unary("-", TWO), TWO)),
        ("2^-2^2", Binary("^", Binary("^", TWO, Unary("-", TWO)), TWO)),
        ("-2%", Unary("%", Unary("-", TWO))),
        ("2%^2", Binary("^", Unary("%", TWO), TWO)),
        ("A1-B2-2", Binary("-", Binary("-", A1, B2), TWO)),
        ("A1-(B2-2)", Binary("-", A1, Binary("-", B2, TWO))),
        ("A1/B2*2", Binary("*", Binary("/", A1, B2), TWO)),
        ("A1+B2*2", Binary("+", A1, Binary("*", B2, TWO))),
        ("A1&B2=2", Binary("=", Binary("&", A1, B2), TWO)),
        ("A1 >= B2", Binary(">=", A1, B2)),
        ("$A1", Reference(None, 1, 1, False, True)),
        ("a$1", Reference(None, 1, 1, True, False)),
        ("$XFD$1048576", Reference(None, 1_048_576, 16_384, True, True)),
        ("A1:B2", RangeReference(A1, B2)),
        ("Sheet1!A1:B2", RangeReference(Reference("Sheet1", 1, 1), B2)),
        ("Sheet1!A1:Sheet1!B2", RangeReference(Reference("Sheet1", 1, 1), B2)),
        ("'My ''own'' sheet'!B2", Reference("My 'own' sheet", 2, 2)),
        ("'0.1'!B2", Reference("0.1", 2, 2)),
        ("Größe!B2", Reference("Größe", 2, 2)),
        ("A:B", RangeReference(Reference(None, 1, 1, True), Reference(None, 1_048_576, 2, True))),
        ("$2:2", RangeReference(Reference(None, 2, 1, True, True), Reference(None, 2, 16_384, False, True))),
        ("LOG10(2)", Call("LOG10", (TWO,))),
        ("pi()", Call("PI", ())),
        ("_xlfn.STDEV.S(A1)", Call("STDEV.S", (A1,))),
        ("IF(A1;2;B2)", Call("IF", (A1, TWO, B2))),
        ("IF(A1,,2)", Call("IF", (A1, Missing(), TWO))),
        ("IF(A1,2,)", Call("IF", (A1, TWO, Missing()))),
        ("MAX(A1;0,5)", Call("MAX", (A1, Number(0.5)))),
        ("MAX(A1,0.5)", Call("MAX", (A1, Number(0.5)))),
        ("0,5*A1", Binary("*", Number(0.5), A1)),
        ("MAX(1,2)", Call("MAX", (Number(1.0), TWO))),
        ('"a,b;"&A1', Binary("&", Text("a,b;"), A1)),
        ('"say ""hi"""', Text('say "hi"')),
        ("TRUE", Boolean(True)),
        ("true()", Call("TRUE", ())),
        ("#REF!", ErrorLiteral(ErrorValue("#REF!"))),
        ("Sheet1!#REF!", ErrorLiteral(ErrorValue("#REF!"))),
        ('{1,-2;TRUE,"x"}', Array(((Number(1.0), Number(-2.0)), (Boolean(True), Text("x"))))),
        ("1.5e-3", Number(0.0015)),
        (".5", Number(0.5)),
        ("rate_1*2", Binary("*", DefinedName("rate_1"), TWO)),
        ("XFE1", DefinedName("XFE1")),
        ("RC5", Reference(None, 5, 471)),
    ],
)
def test_a_formula_reads_as_excel_reads_it(formula: str, tree: Node) -> None:
    assert parse_formula(formula) == tree


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (
            "",
            "A formula cannot be read: it ends too early.\n  where:    the end\n"
            "  expected: a number, a cell, a function or a bracket",
        ),
        (
            "=1+)",
            "A formula cannot be read: ) stands where it cannot.\n  where:    character 4\n  found:    =1+)\n"
            "  expected: a number, a cell, a function or a bracket",
        ),
        ("=SUM(A1", "A formula cannot be read: a closing ) is missing.\n  where: the end\n  found: =SUM(A1"),
        (
            "=A1 B1",
            "A formula cannot be read: there is no operator before B1.\n  where:    character 5\n  found:    =A1 B1\n"
            "  expected: + - * / ^ & or a comparison",
        ),
        (
            "=A1−B1",
            "A formula cannot be read: − is no sign of a spreadsheet.\n  where:    character 4\n  found:    =A1−B1\n"
            "  expected: -",
        ),
        (
            "=2A1",
            "A formula cannot be read: a number is followed by a letter.\n  where:    character 2\n  found:    =2A1\n"
            "  expected: an operator between them, such as 2*A1",
        ),
        (
            "=R[-1]C*2",
            "A formula cannot be read: it names cells in R1C1 style.\n  where:    character 2\n  found:    =R[-1]C*2\n"
            "  expected: A1 style, such as B3 or $B$3\n"
            "Switch R1C1 reference style off in the spreadsheet's options, and save again.",
        ),
        (
            "=[1]Sheet1!A1",
            "A formula cannot be read: it reads a table or another workbook.\n  where:    character 2\n"
            "  found:    =[1]Sheet1!A1\n  expected: cells of this workbook, such as A1 or Sheet2!A1\n"
            "Other workbooks are never opened: copy the values that are needed into this one.",
        ),
        (
            "='C:\\[other.xlsx]S'!A1",
            "A formula cannot be read: it reads another workbook.\n  where:    character 2\n"
            "  found:    ='C:\\[other.xlsx]S'!A1\n  expected: cells of this workbook, such as A1 or Sheet2!A1\n"
            "Other workbooks are never opened: copy the values that are needed into this one.",
        ),
        (
            "=cmd|'/c calc'!A1",
            "A formula cannot be read: '|' does not belong in a formula.\n  where: character 5\n"
            "  found: =cmd|'/c calc'!A1",
        ),
        ('="a', 'A formula cannot be read: the quotation mark " is not closed.\n  where: character 2\n  found: ="a'),
        (
            "1E999",
            "A formula cannot be read: a number is too large.\n  where:    character 1\n  found:    1E999\n"
            "  expected: at most 1.8E308",
        ),
        (
            "SUM(A1:A2 B1)",
            "A formula cannot be read: there is no operator before B1.\n  where:    character 11\n"
            "  found:    SUM(A1:A2 B1)\n  expected: + - * / ^ & or a comparison",
        ),
    ],
)
def test_an_error_says_what_and_where(formula: str, message: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula(formula)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "formula",
    [
        "R1C1",
        "A1:B2:C3",
        "A1:2",
        "A1,B1",
        "{A1}",
        "{1,2;3}",
        "{-}",
        "{1",
        "Sheet1:Sheet3!A1",
        "Table1[x]",
        "A1#",
        "()",
        "1 2",
        "A1:",
        "Sheet1!",
        "A1:rate",
        "@A1",
        "A1%%A",
        "SUM(",
        "XFE:XFE",
        "0:1",
    ],
)
def test_what_is_no_formula_is_refused(formula: str) -> None:
    with pytest.raises(FormulaError):
        parse_formula(formula)


def test_length_and_depth_are_bounded() -> None:
    with pytest.raises(FormulaError) as caught:
        parse_formula("1+" * 4096 + "1")
    assert (
        str(caught.value)
        == f"A formula is too long.\n  found:    8193 characters: {'1+' * 20}…\n  expected: at most 8192, as in Excel"
    )
    assert parse_formula("(" * 63 + "1" + ")" * 63) == Number(1.0)
    for deep in (
        "(" * 64 + "1" + ")" * 64,
        "-" * 4000 + "1",
        "SUM(" * 2000,
        "{" * 4000,
        "1^" * 150 + "1",
        "1%" + "%" * 4000,
    ):
        with pytest.raises(FormulaError):
            parse_formula(deep)


def _read(text: str) -> FormulaError | None:
    try:
        parse_formula(text)
    except FormulaError as error:
        return error
    return None


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="A1$:!'\"(),;{}+-*/^&%=<>. eE[]#\\|iFSUMtrue_0é", max_size=40))
def test_any_formula_like_text_is_a_formula_or_a_formula_error(text: str) -> None:
    error = _read(text)
    assert error is None or 0 <= error.position <= len(text)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_a_formula_or_a_formula_error(text: str) -> None:
    error = _read(text)
    assert error is None or 0 <= error.position <= len(text)
