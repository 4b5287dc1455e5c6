"""The commands about work by hand: is mine right, and a workbook to compare with."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from chainrule.cli.commands.options import Changes, Flag


def check(file: Path, /, *, sheet: str | None = None, json: Flag = False) -> int:
    """Say whether a workbook or a file of formulas made by hand is right.

    Every table is found by its headers, and every cell of every row is checked
    from that row's own inputs and weights: numbers to their digits, formulas
    exactly, so that a slip which the row's numbers hide is found too. Named are
    the first wrong cell, what stands there, what belongs there, the likely slip,
    and what it does to the loss.

    Examples:
      chainrule check my-workbook.xlsx
      chainrule check my-workbook.xlsx --sheet Sheet2
      chainrule check my-formulas.txt
      chainrule check table.csv --json

    Exit code: 0 right; 1 wrong; 2 not understood, or unusable input.

    Parameters
    ----------
    file
        A workbook (.xlsx, .csv), or a file of formulas such as dE/dw5 = (a_o1 - t1) * a_h1 (.txt, .md, .tex).
    sheet
        Check only this sheet of the workbook.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from chainrule.cli.checking import run_check

    return run_check(file, sheet, json)


def workbook(
    task: str | None = None,
    /,
    *,
    output: Annotated[Path | None, Parameter(alias="-o")] = None,
    updates: int = 100,
    rates: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    step: int | None = None,
    json: Flag = False,
    changes: Changes = None,
) -> int:
    """Write a training of a small network as a workbook (.xlsx) that computes everything itself.

    Sheets: Setup, with inputs, targets, initial weights, learning rate and settings
    in cells to change, and the curve of the loss; Run, one row per update with
    every value, gradient and new weight as a live formula; Learning rates, one
    curve per rate; and Formulas, which explains each column. For LibreOffice and
    Excel 2010 or later.

    Examples:
      chainrule workbook two-two-two -o worked.xlsx
      chainrule workbook xor -o xor.xlsx --updates 500 --rates 0.1,1,10
      chainrule workbook iris -o iris.xlsx --data.batch_size 4 --rates none

    Any key of the task can be changed by its dotted name, as for train.

    Parameters
    ----------
    task
        A TOML file, the name of a built-in example, or a trace that was saved; two-two-two when not given.
    output
        The .xlsx file; the name of the task, in this folder, when not given.
    updates
        How many updates. All of them take the samples of one step.
    rates
        The learning rates to compare, such as 0.1,0.5,1, or none; 0.1,0.2,0.5,0.8,1,2 when not given.
    step
        Which step; step K begins after K updates, with the weights that they left. 0 when not given.
    json
        Print one JSON object, and nothing else, on standard output.
    """
    from chainrule.cli.workbook import Wanted, run_workbook

    return run_workbook(task, changes or {}, step, Wanted(updates, rates), output, json)
