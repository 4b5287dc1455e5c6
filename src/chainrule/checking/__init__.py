"""Is this hand-made workbook, or file of formulas, right? What is wrong, where, and the likely slip."""

from chainrule.checking.files import check_file
from chainrule.checking.results import Checked, ColumnCheck, Effect, SheetCheck, Verdict

__all__ = ["Checked", "ColumnCheck", "Effect", "SheetCheck", "Verdict", "check_file"]
