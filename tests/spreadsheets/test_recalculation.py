from pathlib import Path

import pytest

from chainrule.spreadsheets import Address, Book, Cell, ErrorValue, Formula, Sheet, Value, read_address, recalculated
from chainrule.spreadsheets.patterns import Patterns

CIRCULAR = ErrorValue("#CIRCULAR!")


def _book(cells: dict[str, Value], stored: dict[str, Value] | None = None, **others: dict[str, Value]) -> Book:
    sheets = []
    for name, content in {"Sheet1": cells, **others}.items():
        patterns = Patterns({})
        made = {}
        for text, value in content.items():
            address = read_address(text)
            assert address is not None
            formula: Formula | None = None
            if isinstance(value, str) and value.startswith("="):
                formula, value = patterns.formula(value[1:], address), (stored or {}).get(text)
            made[address] = Cell(address, value, formula, value)
        sheets.append(Sheet(name, made))
    return Book(Path("book.xlsx"), "xlsx", tuple(sheets))


def _values(book: Book, sheet: int = 0) -> dict[str, Value]:
    return {str(address): cell.value for address, cell in book.sheets[sheet].cells.items()}


def test_formulas_are_computed_in_the_order_in_which_they_need_one_another() -> None:
    book = recalculated(
        _book({"A1": "=B1+C1", "B1": "=C1*2", "C1": "=Other!A1", "D1": "=SUM(A1:C1)"}, Other={"A1": 3.0})
    )
    assert _values(book) == {"A1": 9.0, "B1": 6.0, "C1": 3.0, "D1": 18.0}
    assert book.notes == ("Sheet1: 4 formulas had no stored value and got one by computing.",)


def test_what_is_stored_is_kept_beside_what_is_computed_and_differences_are_noted() -> None:
    stored: dict[str, Value] = {"B1": 1.0 + 1e-12, "B2": 2.0 + 1e-7, "B3": "x", "B4": 1e-20, "B5": True, "B6": 1.0}
    cells: dict[str, Value] = {
        "B1": "=1*1",
        "B2": "=1+1",
        "B3": '="x"',
        "B4": "=0.1+0.2-0.3",
        "B5": "=1=1",
        "B6": "=1=1",
    }
    book = recalculated(_book(cells, stored))
    assert book.notes == (
        "Sheet1: 2 stored values are not what the formula gives, first B2: stored 2.0000001, computed 2. "
        "The computed one is used.",
    )
    assert book.sheets[0].cells[Address(2, 2)].stored == 2.0000001
    assert recalculated(book) == book


def test_an_unknown_function_leaves_what_is_stored_and_what_uses_it_goes_on_from_there() -> None:
    book = recalculated(_book({"A1": "=XLOOKUP(1,B:B,C:C)", "A2": "=A1+1", "A3": "=RAND()"}, {"A1": 5.0, "A2": 6.0}))
    assert _values(book) == {"A1": 5.0, "A2": 6.0, "A3": ErrorValue("#NAME?")}
    assert book.notes == (
        "Sheet1: 1 formula was not computed; the stored value is used. First A1, which calls the function XLOOKUP, "
        "which is not known here.",
        "Sheet1: 1 formula was not computed; the stored value is used. First A3, which calls the function RAND, which "
        "is not known here.",
    )


@pytest.mark.parametrize(
    ("formula", "reason"),
    [
        ("=rate*2", "uses the name rate, which stands for no cells that could be found"),
        ("=EXP(1,2)", "calls EXP with 2 arguments"),
        ("=IF(1)", "calls IF with 1 arguments"),
        ("=IFS(1,2,3)", "calls IFS with 3 arguments"),
        ("=ROW(1)", "calls ROW with something other than cells"),
        ("=1+", "could not be read (A formula cannot be read: it ends too early)"),
    ],
)
def test_why_a_formula_was_not_computed(formula: str, reason: str) -> None:
    book = recalculated(_book({"A1": formula}, {"A1": 5.0}))
    assert _values(book) == {"A1": 5.0}
    assert book.notes == (f"Sheet1: 1 formula was not computed; the stored value is used. First A1, which {reason}.",)


def test_circles_are_named_and_have_no_value() -> None:
    cells: dict[str, Value] = {
        "A1": "=B1",
        "B1": "=C1+1",
        "C1": "=A1",
        "D1": "=A1+1",
        "E1": "=E1",
        "F1": "=SUM(F1:F3)",
        "G1": "=1",
        "H1": "=IFERROR(A1,4)",
    }
    book = recalculated(_book(cells, dict.fromkeys(cells, 0.0)))
    assert _values(book) == {
        **dict.fromkeys(["A1", "B1", "C1", "D1", "E1", "F1"], CIRCULAR),
        "G1": 1.0,
        "H1": 4.0,
    }
    ending = "; these cells have no value, nor has what uses them."
    assert set(book.notes[:3]) == {
        f"Sheet1: a formula needs its own result (A1 → B1 → C1 → A1){ending}",
        f"Sheet1: a formula needs its own result (E1 → E1){ending}",
        f"Sheet1: a formula needs its own result (F1 → F1){ending}",
    }


def test_a_circle_over_sheets_and_a_long_one() -> None:
    book = recalculated(_book({"A1": "=Other!A1"}, Other={"A1": "=Sheet1!A1"}))
    ending = "; these cells have no value, nor has what uses them."
    assert book.notes == (f"a formula needs its own result (Sheet1!A1 → Other!A1 → Sheet1!A1){ending}",)
    long: dict[str, Value] = {f"A{row}": f"=A{row % 300 + 1}" for row in range(1, 301)}
    assert recalculated(_book(long)).notes == (
        f"Sheet1: a formula needs its own result (A1 → A2 → A3 → A4 → A5 → A6 → … → A1){ending}",
    )


def test_a_text_that_doubles_in_every_row_ends() -> None:
    cells: dict[str, Value] = {"A1": "x" * 1000} | {f"A{row}": f"=A{row - 1}&A{row - 1}" for row in range(2, 60)}
    values = _values(recalculated(_book(cells)))
    assert values["A6"] == "x" * 32_000
    assert values["A7"] == values["A59"] == ErrorValue("#VALUE!")


def test_there_are_never_thousands_of_notes() -> None:
    cells: dict[str, Value] = {f"A{row}": f"=A{row}" for row in range(1, 21)}
    cells |= {f"B{row}": f"=UNKNOWN{row}(1)" for row in range(1, 21)}
    notes = recalculated(_book(cells)).notes
    assert len(notes) == 12
    assert notes[5] == "15 more circles of formulas that need their own results were found."
    assert notes[11] == "Sheet1: formulas were not computed for 15 other reasons."


def test_a_long_column_of_formulas_does_not_go_deep() -> None:
    cells: dict[str, Value] = {"A1": 1.0} | {f"A{row}": f"=A{row - 1}+1" for row in range(2, 3001)}
    assert _values(recalculated(_book(cells)))["A3000"] == 3000.0


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("=1/0", ErrorValue("#DIV/0!")),
        ("=0^0", ErrorValue("#NUM!")),
        ("=0^-1", ErrorValue("#DIV/0!")),
        ("=(-8)^(1/3)", ErrorValue("#NUM!")),
        ("=EXP(710)", ErrorValue("#NUM!")),
        ("=1E308*10", ErrorValue("#NUM!")),
        ("=LN(0)", ErrorValue("#NUM!")),
        ("=SQRT(-1)", ErrorValue("#NUM!")),
        ('="a"+1', ErrorValue("#VALUE!")),
        ("=Nowhere!A1", ErrorValue("#REF!")),
        ("=SUM(Nowhere!A1:A2)", ErrorValue("#REF!")),
        ("=#REF!+1", ErrorValue("#REF!")),
        ("=SUM(B1,1/0)", ErrorValue("#DIV/0!")),
        ("=IF(1/0,1,2)", ErrorValue("#DIV/0!")),
        ("=1<TRUE", True),
        ("=1+TRUE", 2.0),
        ('="0,5"*2', 1.0),
        ("=B1+B2", 2.5),  # a text that reads as a number counts in arithmetic
        ("=SUM(B1:B3)", 2.0),  # but not in sums over cells, nor do truth values
        ("=MAX(B3)", 0.0),
        ("=B4", 0.0),
        ('=B4&""', ""),
        ("=B1:B9*2", 4.0),  # the cell in the formula's own row
        ("=2*B5:D5", ErrorValue("#VALUE!")),
        ("=0.1+0.2=0.3", True),
        ("=0.1+0.2-0.3", 0.1 + 0.2 - 0.3),
        ("=SINGLE(B1:B9)", 2.0),
        ("=ARRAYFORMULA(SUM((B1:B1+{1,2})^2))", 25.0),
        ("=IFS(FALSE,1,TRUE,2)", 2.0),
        ("=IFS(FALSE,1)", ErrorValue("#N/A")),
        ("=IFNA(NA(),3)", 3.0),
        ("=IFNA(1/0,3)", ErrorValue("#DIV/0!")),
        ("=MATCH(2.5,{1,2,3})", 2.0),
        ('=CONCATENATE(1,"a",TRUE)', "1aTRUE"),
        ('=0.1+0.2&""', "0.3"),
        ("=XOR(TRUE,TRUE,TRUE)", True),
        ('=VALUE("1.5")', 1.5),
        ("=ISERR(NA())", False),
        ("=ISLOGICAL(TRUE)", True),
        ("=MMULT({1,2},{1,2})", ErrorValue("#VALUE!")),
    ],
)
def test_values_as_excel_gives_them(formula: str, value: Value) -> None:
    book = _book({"B1": 2.0, "B3": True, "A1": formula})
    cells = {**book.sheets[0].cells, Address(2, 2): Cell(Address(2, 2), 0.5, None, "0,5")}
    computed = recalculated(Book(book.path, "xlsx", (Sheet("Sheet1", cells),))).sheets[0].cells[Address(1, 1)].value
    assert computed == value
    assert type(computed) is type(value)
