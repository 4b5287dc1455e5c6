"""`chainrule examples`: the built-in tasks."""

import json
from pathlib import Path

from rich.console import Console
from rich.text import Text

from chainrule.documents import Column, Document, Prose, Table
from chainrule.errors import OutputError
from chainrule.files import write_atomically
from chainrule.render.terminal import print_document
from chainrule.tasks.examples import example_description, example_names, example_text

DONE = 0


def list_examples(is_json: bool) -> int:
    """Print the built-in tasks with a sentence each."""
    rows = tuple((name, example_description(name)) for name in example_names())
    console = Console(highlight=False)
    if is_json:
        console.print(json.dumps({"examples": dict(rows)}, ensure_ascii=False), soft_wrap=True, markup=False)
        return DONE
    table = Table((Column("name"), Column("what it trains")), rows)
    hint = Prose("`chainrule train NAME` trains one. `chainrule examples --write NAME FILE` gives its TOML to edit.")
    print_document(Document("Built-in tasks", (table, hint)), console)
    return DONE


def write_example(name: str, path: Path) -> int:
    """Write the TOML of a built-in task to a new file."""
    text = example_text(name)
    if path.exists():
        raise OutputError(
            what=f"{path} exists already, and is left as it is.",
            where=str(path.resolve().parent),
            next_step="Choose another file name, or delete it first.",
        )
    write_atomically(path, text.encode())
    Console(highlight=False).print(Text(f"Wrote {path}. Train it with: chainrule train {path}"), soft_wrap=True)
    return DONE
