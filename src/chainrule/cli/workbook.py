"""`chainrule workbook`: a training of a small network as a workbook with live formulas."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from rich.console import Console
from rich.text import Text

from chainrule.cli.exit_codes import DONE
from chainrule.cli.json_output import print_json
from chainrule.cli.live_line import LiveLine
from chainrule.cli.programs import read_program
from chainrule.cli.usage import UsageError
from chainrule.documents.sheets import Workbook
from chainrule.errors import OutputError
from chainrule.files import write_atomically
from chainrule.render.plain_text import printable
from chainrule.render.xlsx import workbook_bytes
from chainrule.reports.workbook import RATES, RUN, check_rates, training_workbook

SUFFIX: Final = ".xlsx"
DEFAULT_TASK: Final = "two-two-two"
PLAIN_SECONDS: Final = 4.0  # where a live line cannot be drawn: how long nothing is said


@dataclass(frozen=True, slots=True)
class Wanted:
    """What goes into the workbook, as it was typed: the number of updates, and the rates to compare."""

    updates: int
    rates: str | None


def run_workbook(
    source: str | None,
    changes: Mapping[str, str],
    step: int | None,
    wanted: Wanted,
    output: Path | None,
    is_json: bool,
) -> int:
    """Write the workbook of a task's step, or of a trace that was saved.

    Args:
        source: a task or the file of a trace; the worked example when None.
        changes: values of the task's keys, as they were typed.
        step: the step whose samples, weights and optimizer state it begins with.
        wanted: --updates and --rates.
        output: the file; the name of the task in this folder when None.
        is_json: whether standard output is for JSON alone.

    Raises:
        ChainruleError: the task or the file cannot be used, the network is too large, or the file cannot be written.
    """
    rates = read_rates(wanted.rates)
    check_rates(rates)
    if output is not None and output.suffix.lower() != SUFFIX:
        raise OutputError(
            what=f"A workbook is written to a file that ends with {SUFFIX}.",
            where="--output",
            found=output.name,
            expected=f"a name such as {output.stem or 'workbook'}{SUFFIX}",
        )
    shown = Stages(Console(stderr=True, highlight=False))
    try:
        shown.begin(f"Deriving the formulas of {source or DEFAULT_TASK}")
        program = read_program(source or DEFAULT_TASK, changes, step, is_json=is_json)
        path = output or _free_path(program.title)
        shown.begin("Computing the numbers of all updates")
        workbook = training_workbook(program, wanted.updates, rates)
        formulas = sum(len(column.cached) for sheet in workbook.sheets for column in sheet.columns)
        shown.begin(f"Writing {formulas:,} formulas")
        write_atomically(path, workbook_bytes(workbook, shown.tell))
    finally:
        shown.close()
    losses = _losses(workbook)
    if is_json:
        print_json(
            {
                "file": str(path),
                "title": program.title,
                "updates": wanted.updates,
                "rates": list(rates),
                "sheets": [sheet.name for sheet in workbook.sheets],
                "parameters": len(program.parameters),
                "samples": program.samples,
                "loss": {"name": program.loss, "first": losses[0], "last": losses[-1]},
                "cells": {name: str(area) for name, area in workbook.names.items()},
                "notes": list(program.notes),
            }
        )
        return DONE
    lines = [
        f"workbook: {path}",
        f"{program.loss} {losses[0]:.6g} → {losses[-1]:.6g} in {wanted.updates} update{'s' * (wanted.updates != 1)}"
        + (f"; compared at learning rates {', '.join(f'{rate:g}' for rate in rates)}" if rates else ""),
        *program.notes,
        "Open it in LibreOffice or Excel and change a yellow cell: everything is computed again.",
    ]
    Console(highlight=False).print(Text(printable("\n".join(lines))), soft_wrap=True)
    return DONE


@final
class Stages:
    """Shows what is being done: a live line, or a plain one now and then where there is no terminal."""

    def __init__(self, screen: Console) -> None:
        self._live = LiveLine(screen, PLAIN_SECONDS)
        self._text = ""

    def begin(self, text: str) -> None:
        """Say what begins; plainly only if it is a while since the last line."""
        self._text = printable(text)
        self._live.show(f"{self._text} ...")

    def tell(self, part: float) -> None:
        """Say which part is done, from 0 to 1."""
        self._live.show(f"{self._text}: {part:.0%}", part, 1.0)

    def close(self) -> None:
        """Take the live line off the screen."""
        self._live.close()


def _losses(workbook: Workbook) -> tuple[float, ...]:
    run = next(sheet for sheet in workbook.sheets if sheet.name == RUN)
    (losses,) = [column.cached for column in run.columns if column.style.role == "result"]
    return losses


def read_rates(text: str | None) -> tuple[float, ...]:
    """Return the learning rates that were typed: "0.1,0.5", or "none"; the usual six when nothing was.

    Raises:
        UsageError: something is no number, or nothing stands between two commas.
    """
    if text is None:
        return RATES
    if text.strip().lower() == "none":
        return ()
    parts = re.split(r"\s*[,;]\s*|\s+", text.strip())
    try:
        return tuple(float(part) for part in parts)
    except ValueError as error:
        raise UsageError(
            what="Learning rates are numbers with commas between them.",
            where="--rates",
            found=text,
            expected="such as 0.1,0.5,1, or none for no comparison",
            cause="Nothing stands before or after one of the commas." if "" in parts and len(parts) > 1 else "",
        ) from error


def _free_path(title: str) -> Path:
    """Return a path for a workbook that no option names: that of the task, where no file of this name is."""
    name = re.sub(r"[^\w-]+", "-", title.removesuffix(".safetensors"))[:60].strip("-") or "workbook"
    path = Path(f"{name}{SUFFIX}")
    if path.exists():
        raise OutputError(
            what=f"There is a file {path.name} here already, and you may have worked in it.",
            found=str(path),
            next_step="Name the file that shall be written: -o FILE.xlsx.",
        )
    return path
