"""`chainrule check`: is this hand-made workbook, or file of formulas, right?"""

from pathlib import Path

from rich.console import Console

from chainrule.checking import check_file
from chainrule.cli.exit_codes import DONE, UNUSABLE, WRONG
from chainrule.cli.json_output import print_json
from chainrule.render.terminal import print_document
from chainrule.reports.checked import checked_document

_CODES = {"right": DONE, "wrong": WRONG, "not understood": UNUSABLE}


def run_check(file: Path, sheet: str | None, is_json: bool) -> int:
    """Check a file, and print the verdict.

    Args:
        file: a workbook or a file of formulas.
        sheet: of a workbook, the only sheet to check.
        is_json: whether the result is printed as JSON.

    Returns:
        0 right, 1 wrong, 2 not understood.

    Raises:
        ChainruleError: the file cannot be read.
    """
    checked = check_file(file, sheet)
    if is_json:
        print_json(checked.to_dict())
    else:
        print_document(checked_document(checked), Console(highlight=False))
    return _CODES[checked.verdict]
