"""`chainrule explain`: the worked example of a step, and the derivation of one gradient of it."""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Literal

from rich.console import Console

from chainrule.cli.exit_codes import DONE
from chainrule.cli.json_output import json_text, print_json
from chainrule.cli.programs import read_program, written_out
from chainrule.cli.sources import is_trace
from chainrule.cli.usage import UsageError
from chainrule.documents import Document
from chainrule.files import write_atomically
from chainrule.programs import Program
from chainrule.programs.derivation import derive
from chainrule.render.terminal import print_document
from chainrule.reports.derivation import DIGITS, derivation_document
from chainrule.reports.derivation_data import derivation_dict, worked_example_dict
from chainrule.reports.exercise import exercise_dict, exercise_document
from chainrule.reports.worked_example import worked_example_document

Format = Literal["text", "latex", "html", "json"]

# Found by name, so that no command waits for the pictures of a page that it does not make.
_RENDERERS: Final[Mapping[str, tuple[str, str]]] = {
    "latex": ("chainrule.render.latex", "document_latex"),
    "html": ("chainrule.render.page", "page_html"),
}
_SUFFIXES: Final[Mapping[str, Format]] = {
    ".tex": "latex", ".html": "html", ".htm": "html", ".json": "json", ".txt": "text",
}  # fmt: skip
# w5, b1, a_h2_1, ∂E/∂w5, h1(2); E_total, the loss; and, where a module is not of layers alone, fc.weight[0,1].
_SHORT = re.compile(r"(∂E/∂)?((a_)?[a-z][\d_]*|E_total|.+\[[\d, ]*\])(\(\d+\)|⁽.+⁾)?", re.IGNORECASE)
_HINT = "`chainrule explain TASK NAME` shows one of them."
_PLAIN_WIDTH = 100  # characters of a line in a text file


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is made of a program, and where it goes.

    Attributes:
        format: None where the output's suffix decides, or else text.
        output: the file; standard output when None.
        digits: significant digits of the results, None for the usual 6.
        is_exercise: a sheet with blanks, and its key.
    """

    format: Format | None = None
    output: Path | None = None
    digits: int | None = None
    is_exercise: bool = False

    @property
    def chosen_format(self) -> Format:
        """The format that was asked for, or that the output's suffix says."""
        if self.format is not None:
            return self.format
        return _SUFFIXES.get(self.output.suffix.lower(), "text") if self.output is not None else "text"


def program_for(
    source: str, changes: Mapping[str, str], step: int | None, name: str, *, is_json: bool
) -> Program | None:
    """Return the worked example of a source, None if there is none; it need not know the name: `knows` says.

    A step is trained and recorded for it only where the name looks like one of a number: w5, a_h1.
    """
    if not is_trace(source):
        program = written_out(source, changes, step or 0)
        if program is not None:
            return program
    if not _SHORT.fullmatch(name):
        return None
    return read_program(source, changes, step, is_json=is_json)


def show_program(program: Program, name: str | None, sheet: Sheet) -> int:
    """Print or write the derivation of one gradient, or with no name the whole step, or an exercise.

    Raises:
        UnknownNameError: the program has no gradient of this name.
        OutputError: the file cannot be written.
    """
    digits = DIGITS if sheet.digits is None else sheet.digits
    if not 1 <= digits <= 17:
        raise UsageError(what="Numbers are shown with 1 to 17 digits.", where="--digits", found=str(digits))
    if sheet.is_exercise:
        show(sheet, lambda: exercise_document(program, name, digits), lambda: exercise_dict(program, name))
    elif name is None:
        hint = _HINT if sheet.chosen_format == "text" else ""
        show(sheet, lambda: worked_example_document(program, digits, hint), lambda: worked_example_dict(program))
    else:
        derivation = derive(program, name)
        show(
            sheet,
            lambda: derivation_document(program, derivation, digits),
            lambda: derivation_dict(program, derivation),
        )
    return DONE


def show(sheet: Sheet, document: Any, data: Any) -> None:
    """Print a result or write it to a file, in the format that was asked for.

    Args:
        sheet: the format and the file.
        document: returns the document.
        data: returns the result as JSON-able data.

    Raises:
        OutputError: the file cannot be written.
    """
    chosen = sheet.chosen_format
    if chosen == "json" and sheet.output is None:
        print_json(data())
    elif chosen == "text" and sheet.output is None:
        print_document(document(), Console(highlight=False))
    else:
        text = json_text(data()) + "\n" if chosen == "json" else _rendered(document(), chosen)
        if sheet.output is None:
            print(text, end="" if text.endswith("\n") else "\n")  # noqa: T201
        else:
            write_atomically(sheet.output, text.encode())


def _rendered(document: Document, chosen: Format) -> str:
    if chosen == "text":
        text = io.StringIO()
        print_document(document, Console(file=text, width=_PLAIN_WIDTH, highlight=False, color_system=None))
        return text.getvalue()
    module, function = _RENDERERS[chosen]
    return str(getattr(import_module(module), function)(document))
