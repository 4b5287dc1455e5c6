"""`check_file`: is this hand-made workbook, or file of formulas, right?"""

from pathlib import Path

from chainrule.checking.equations import check_formulas
from chainrule.checking.results import Checked
from chainrule.checking.workbooks import check_book
from chainrule.errors import ChainruleError
from chainrule.spreadsheets import read_book

_FORMULAS = (".txt", ".md", ".tex")
_BOOKS = (".xlsx", ".xlsm", ".csv")


def check_file(path: str | Path, sheet: str | None = None) -> Checked:
    """Check a workbook (.xlsx, .csv) or a file of formulas (.txt, .md, .tex) of a small network trained by hand.

    Args:
        path: the file.
        sheet: of a workbook, the only sheet to check; all when None.

    Raises:
        BookError: the workbook cannot be read, or is refused.
        UnknownNameError: there is no such sheet.
        ChainruleError: the file is of another kind, or cannot be read.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in _FORMULAS:
        return check_formulas(path)
    if suffix not in _BOOKS:
        raise ChainruleError(
            what=f"chainrule cannot check a {suffix or 'file without an ending'}.",
            where=str(path),
            expected="a workbook (.xlsx, .csv), or a file of formulas (.txt, .md, .tex)",
            next_step="Save a spreadsheet of another program as .xlsx.",
        )
    return check_book(read_book(path), sheet)
