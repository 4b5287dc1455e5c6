"""Formulas as LibreOffice computes them, in one start of it."""

import math
from pathlib import Path

import pytest
import xlsxwriter

from chainrule.spreadsheets import Address, ErrorValue, read_book

from ..render.libreoffice import recalculated

STORED = 12345.0  # what no formula gives
CELLS: dict[str, float | str | bool] = {
    "A1": 0.15,
    "A2": -0.7,
    "A3": 2.5,
    "A4": 1e-3,
    "A5": -3.0,
    "B1": 0.4,
    "B2": 3.0,
    "B3": -1.25,
    "B4": 7.0,
    "B5": 0.99,
    "C1": "text",
    "D3": True,
    "C4": 0.0,
    "C5": "0.5",
}
FORMULAS = [
    # precedence and associativity
    "-2^2",
    "2^3^2",
    "2^-2",
    "-A3^2",
    "(-A3)^2",
    "1-2-3",
    "100/10/2",
    "50%*A1*1",
    "-50%^2",
    "200%*3",
    "2*3%",
    "--A1",
    "+A1",
    "1+2*3^2",
    '2+3&4&"x"',
    "1=1",
    "1<2=TRUE",
    "A1<>B1",
    "1&2=12",
    '"a"="A"',
    '"a"<"b"',
    '9<"1"',
    "1E-3*1.5E2",
    ".5+5.",
    # what cells hold
    "C3+1",
    "D3+1",
    "C3=0",
    'C3=""',
    "A1+0.1",
    "0.1+0.2=0.3",
    "$A$1*B$2",
    "Sheet1!A1*'Other sheet'!A1",
    "'Other sheet'!$B$2",
    "rate*2",
    "SUM(inputs)",
    # functions of one number
    "EXP(A1)",
    "EXP(710)",
    "LN(A1)",
    "LN(A2)",
    "LN(0)",
    "LOG(A1)",
    "LOG(8,2)",
    "LOG(A3,A1)",
    "LOG10(A4)",
    "SQRT(A3)",
    "SQRT(A2)",
    "ABS(A2)",
    "SIGN(A2)",
    "SIGN(C3)",
    "TANH(A1)",
    "SINH(A2)",
    "COSH(A2)",
    "SIN(A1)",
    "COS(A1)",
    "TAN(A1)",
    "ASIN(A1)",
    "ACOS(A1)",
    "ACOS(2)",
    "ATAN(A3)",
    "ATAN2(A1,A3)",
    "ASINH(A3)",
    "ACOSH(A3)",
    "ATANH(A1)",
    "PI()",
    "DEGREES(PI())",
    "RADIANS(180)",
    "INT(A2)",
    "INT(A3)",
    "TRUNC(A2)",
    "TRUNC(B3,1)",
    "ROUND(2.675,2)",
    "ROUND(-2.5,0)",
    "ROUND(1234.5,-2)",
    "ROUND(A1,20)",
    "ROUNDUP(A1,1)",
    "ROUNDUP(-1.21,1)",
    "ROUNDDOWN(-1.29,1)",
    "MOD(-3,2)",
    "MOD(3,-2)",
    "MOD(B4,A3)",
    "MOD(1,0)",
    "QUOTIENT(-7,2)",
    "POWER(A3,2)",
    "POWER(-8,3)",
    "POWER(-8,0.5)",
    "(-8)^0.5",
    "0^2",
    "1/0",
    "A1/C4",
    "GAMMALN(A3)",
    "GAMMALN(-1)",
    "_xlfn.GAMMA(A3)",
    "FACT(5)",
    "ERF(A1)",
    "ERF(A1,A3)",
    "ERFC(A2)",
    "NORMSDIST(A2)",
    "_xlfn.NORM.S.DIST(A1,TRUE)",
    "_xlfn.NORM.S.DIST(A1,FALSE)",
    "N(C1)",
    "N(D3)",
    "N(A1)",
    # over cells
    "SUM(A1:A5)",
    "SUM(A1:C5)",
    "SUM(A1:A5,B1,3)",
    "SUM(A:A)",
    "SUM(1:2)",
    "SUM(C1:C5)",
    "SUM(B3:A1)",
    "SUM(TRUE,2)",
    "SUMSQ(A1:A5)",
    "SUMSQ(3,4)",
    "PRODUCT(A1:A5)",
    "PRODUCT(C3)",
    "AVERAGE(A1:B5)",
    "AVERAGE(C1:C3)",
    "MEDIAN(A1:A5)",
    "MEDIAN(A1:A4)",
    "MAX(A1:B5)",
    "MAX(0,A2)",
    "MAX(C1)",
    "MIN(A1:B5)",
    "MIN(0,A1)",
    "COUNT(A1:C5)",
    "COUNTA(A1:C5)",
    "COUNTBLANK(A1:C5)",
    "VAR(A1:A5)",
    "VARP(A1:A5)",
    "STDEV(A1:A5)",
    "STDEVP(A1:A5)",
    "_xlfn.VAR.S(A1:A5)",
    "_xlfn.STDEV.P(A1:A5)",
    "SUMPRODUCT(A1:A5,B1:B5)",
    "SUMPRODUCT((A1:A5-B1:B5)^2)/2",
    "SUMPRODUCT((A1:A5>0)*B1:B5)",
    "SUMPRODUCT(A1:A3,B1:B2)",
    "SUMPRODUCT(A1:A5,C1:C5)",
    "SUMPRODUCT({1,2,3})",
    "SUMXMY2(A1:A5,B1:B5)",
    "SUMX2MY2(A1:A5,B1:B5)",
    "SUMX2PY2(A1:A5,B1:B5)",
    "SUM({1,2;3,4})",
    "SUM(MMULT({1,2;3,4},{5;6}))",
    "SUMPRODUCT(MMULT(A1:B2,A3:B4))",
    "INDEX(A1:A5,3)",
    "INDEX(A1:B5,2,2)",
    "INDEX(A1:B1,2)",
    "INDEX(A1:B5,6,1)",
    "SUM(INDEX(A1:B5,0,2))",
    "MATCH(B2,B1:B5,0)",
    'MATCH("TEXT",C1:C5,0)',
    "MATCH(9,B1:B5,0)",
    "ROW()",
    "COLUMN()",
    "ROW(B7)",
    "COLUMN(B7)",
    "ROWS(A1:B5)",
    "COLUMNS(A1:B5)",
    # choices and truth
    "IF(A1>0,A1,0)",
    "IF(A2>0,A2,0)",
    "IF(A2>0,A2)",
    "IF(A1>0,,3)",
    "IF(C4,1,2)",
    "IF(D3,1,2)",
    "IF(FALSE,1/0,5)",
    "IF(1/0,1,2)",
    "IF(A1<0,1,IF(A1<1,2,3))",
    "AND(A1>0,A2>0)",
    "OR(A1>0,A2>0)",
    "NOT(A1>0)",
    "AND(D3:D4)",
    "TRUE",
    "TRUE()+1",
    "IFERROR(1/0,7)",
    "IFERROR(A1,7)",
    "IFERROR(LN(-1),A3)",
    "ISERROR(1/0)",
    "ISNUMBER(A1)",
    "ISNUMBER(C1)",
    "ISBLANK(C3)",
    "ISTEXT(C1)",
    "CHOOSE(2,A1,A2,A3)",
    "CHOOSE(4,A1,A2,A3)",
    "NA()",
    "1+NA()",
    "ISNA(NA())",
    # the formulas of the worked example
    "1/(1+EXP(-(A1*B1+A2*B2+0.35)))",
    "MAX(0,A1*B2)",
    "(B5-0.01)*B5*(1-B5)*B1",
    "EXP(A1)/SUMPRODUCT(EXP(A1:A5))",
    "-(A1*LN(B1)+(1-A1)*LN(1-B1))",
    "MAX(A1,0)+LN(1+EXP(-ABS(A1)))",
    "((EXP(A1)-EXP(-A1))/(EXP(A1)+EXP(-A1)))^2",
    "1-TANH(A1)^2",
    "A1-0.5*(A1/(SQRT(A3)+1E-8))",
]
FIRST_ROW = 10


def _written(path: Path) -> None:
    book = xlsxwriter.Workbook(str(path))
    sheet, other = book.add_worksheet("Sheet1"), book.add_worksheet("Other sheet")
    for address, value in CELLS.items():
        if isinstance(value, str):
            sheet.write_string(address, value)
        else:
            sheet.write(address, value)
    other.write("A1", 3.0)
    other.write("B2", -4.5)
    book.define_name("rate", "='Other sheet'!$A$1")
    book.define_name("inputs", "=Sheet1!$A$1:$A$2")
    for number, formula in enumerate(FORMULAS):
        sheet.write_formula(FIRST_ROW - 1 + number, 4, "=" + formula, None, STORED)
    sheet.write_array_formula("G10:G14", "{=A1:A5*B1:B5}", None, STORED)
    sheet.write_array_formula("H10:H10", "{=SUM((A1:A5-B1:B5)^2)}", None, STORED)
    sheet.write_array_formula("I10:J11", "{=MMULT(A1:B2,A4:B5+{1,2;3,4})}", None, STORED)
    sheet.write_array_formula("I13:M13", "{=TRANSPOSE(A1:A5)}", None, STORED)
    sheet.write_array_formula("I15:K15", "{=IF(A1>0,TRANSPOSE(B1:B3),0)}", None, STORED)
    book.close()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float | str]]:
    folder = tmp_path_factory.mktemp("libreoffice")
    path = folder / "functions.xlsx"
    _written(path)
    (folder / "out").mkdir()
    return path, dict(recalculated([path], folder / "out")[0]["Sheet1"])


def test_every_formula_gives_what_libreoffice_gives(results: tuple[Path, dict[str, float | str]]) -> None:
    path, expected = results
    cells = read_book(path).sheets[0].cells
    compared, wrong = 0, []
    for address, cell in cells.items():
        if cell.formula is None:
            continue
        compared += 1
        theirs, ours = expected.get(str(address), ""), cell.value
        if isinstance(ours, bool):
            agrees = theirs == ("TRUE" if ours else "FALSE")
        elif isinstance(ours, float) and isinstance(theirs, float):
            agrees = math.isclose(ours, theirs, rel_tol=1e-13, abs_tol=1e-300)
        else:
            agrees = str(ours) == str(theirs) or (
                isinstance(ours, ErrorValue) and str(theirs).startswith(("#", "Err:"))
            )
        if not agrees:
            wrong.append(f"{address} {cell.formula.text}: {ours!r}, LibreOffice {theirs!r}")
    assert compared == len(FORMULAS) + 5 + 1 + 4 + 5 + 3
    assert "\n".join(wrong) == ""
    assert cells[Address(FIRST_ROW, 5)].stored == STORED
