"""`chainrule examples`: the built-in tasks."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from chainrule.cli.exit_codes import DONE
from chainrule.cli.json_output import print_json
from chainrule.documents import Column, Document, Prose, Table
from chainrule.errors import OutputError
from chainrule.files import write_atomically
from chainrule.render.terminal import print_document
from chainrule.task_files import example_description, example_names, example_text, is_for_maps


def list_examples(is_json: bool) -> int:
    """Print the built-in tasks with a sentence each."""
    rows = tuple((name, example_description(name)) for name in example_names())
    if is_json:
        print_json({"examples": dict(rows)})
        return DONE
    columns = (Column("name"), Column("what it trains"))
    table = Table(columns, tuple(row for row in rows if not is_for_maps(row[0])))
    hint = Prose("`chainrule train NAME` trains one. `chainrule examples --write NAME FILE` gives its TOML to edit.")
    maps = Table(columns, tuple(row for row in rows if is_for_maps(row[0])))
    of_maps = Prose("These are for `chainrule map NAME`: the six conditions of a published map of learning rates.")
    print_document(Document("Built-in tasks", (table, hint, of_maps, maps)), Console(highlight=False))
    return DONE


def write_example(name: str, path: Path, is_json: bool) -> int:
    """Write the TOML of a built-in task to a new file."""
    text = example_text(name)
    if path.exists():
        raise OutputError(
            what=f"{path} exists already, and is left as it is.",
            where=str(path.resolve().parent),
            next_step="Choose another file name, or delete it first.",
        )
    write_atomically(path, text.encode())
    if is_json:
        print_json({"example": name, "file": str(path)})
        return DONE
    Console(highlight=False).print(Text(f"Wrote {path}. Train it with: chainrule train {path}"), soft_wrap=True)
    return DONE
