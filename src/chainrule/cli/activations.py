"""`chainrule activations`: the catalogue."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from chainrule.activations import catalogue_rows, describe
from chainrule.cli.exit_codes import DONE
from chainrule.cli.json_output import print_json
from chainrule.cli.usage import unknown_option
from chainrule.errors import ChainruleError, OutputError
from chainrule.files import write_atomically
from chainrule.render.charts import picture_png, picture_svg
from chainrule.render.picture_files import pictures_in
from chainrule.render.terminal import print_document
from chainrule.reports.activations import activation_document, catalogue_document
from chainrule.task_files import parse_value

_PREFIX = "argument."


def show_activations(
    name: str | None, plot: Path | None, is_json: bool, changes: Mapping[str, str], of_comparing: Sequence[str] = ()
) -> int:
    """Print the catalogue, or one activation with the arguments that were given for it.

    Args:
        name: the activation; the catalogue when None.
        plot: where its plot is written.
        is_json: print it as JSON.
        changes: its arguments.
        of_comparing: options that were given and mean something with --compare only.

    Raises:
        ChainruleError: they do not go together, or there is no such activation.
    """
    if of_comparing:
        raise ChainruleError(
            what="These options belong to a comparison.",
            found=", ".join(f"--{option}" for option in of_comparing),
            next_step="chainrule activations --compare TASK compares activations on a task.",
        )
    console = Console(highlight=False)
    arguments = _arguments(changes)
    if name is None:
        if plot is not None or arguments:
            raise ChainruleError(what="A plot and arguments belong to one activation.", expected="its NAME first")
        if is_json:
            print_json({"activations": catalogue_rows()})
        else:
            print_document(catalogue_document(), console)
        return DONE
    document = activation_document(name, **arguments)
    if plot is not None:
        _write_plot(plot, next(iter(pictures_in(document.blocks))))
    if is_json:
        print_json(describe(name, **arguments).to_dict())
        return DONE
    print_document(document, console)
    if plot is not None:
        console.print(Text(f"Plot: {plot}"), soft_wrap=True)
    return DONE


def _arguments(changes: Mapping[str, str]) -> dict[str, float | str]:
    arguments: dict[str, float | str] = {}
    for key, text in changes.items():
        if not key.startswith(_PREFIX):
            raise unknown_option(f"--{key}", (f"--{_PREFIX}{key.rpartition('.')[2]}",), "activations")
        value = parse_value(text)
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ChainruleError(
                what="An argument of an activation is a number or a word.", where=f"--{key}", found=text
            )
        arguments[key.removeprefix(_PREFIX)] = float(value) if isinstance(value, int) else value
    return arguments


def _write_plot(path: Path, picture: object) -> None:
    writers = {".svg": lambda: picture_svg(picture).encode(), ".png": lambda: picture_png(picture)}  # type: ignore[arg-type]
    if path.suffix not in writers:
        raise OutputError(
            what="A plot is written as SVG or PNG.", found=path.name, expected="a name that ends with .svg or .png"
        )
    write_atomically(path, writers[path.suffix]())
