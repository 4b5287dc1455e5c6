import json
from pathlib import Path

import pytest

from chainrule.task_files import example_description, example_names, example_text

from .conftest import Command


def test_every_example_is_listed_with_its_sentence(command: Command) -> None:
    listed = command("examples")
    assert listed.code == 0
    text = " ".join(listed.out.split())
    for name in example_names():
        assert name in text
        assert " ".join(example_description(name).split()[:3]) in text


def test_the_list_as_json(command: Command) -> None:
    listed = command("examples", "--json")
    assert (listed.code, listed.err) == (0, "")
    assert json.loads(listed.out) == {"examples": {name: example_description(name) for name in example_names()}}


@pytest.mark.parametrize("name", example_names())
def test_a_written_example_is_the_built_in_one_and_trains(command: Command, name: str, tmp_path: Path) -> None:
    written = command("examples", "--write", name, "my-task.toml")
    assert (written.code, written.out) == (0, "Wrote my-task.toml. Train it with: chainrule train my-task.toml\n")
    assert (tmp_path / "my-task.toml").read_text(encoding="utf-8") == example_text(name)
    assert command("train", "my-task.toml", "--stop.steps", "3", "-o", "run").code == 0
    assert (tmp_path / "run" / "report.html").is_file()


def test_writing_as_json(command: Command) -> None:
    written = command("examples", "--write", "xor", "x.toml", "--json")
    assert json.loads(written.out) == {"example": "xor", "file": "x.toml"}


def test_an_existing_file_is_left_as_it_is(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("precious", encoding="utf-8")
    failed = command("examples", "--write", "iris", "mine.toml")
    assert failed.code == 2
    assert (
        failed.err
        == f"""\
error: mine.toml exists already, and is left as it is.
  where: {tmp_path}
Choose another file name, or delete it first.
"""
    )
    assert (tmp_path / "mine.toml").read_text(encoding="utf-8") == "precious"


def test_an_unknown_example_is_named_with_the_nearest(command: Command, tmp_path: Path) -> None:
    failed = command("examples", "--write", "irsi", "mine.toml")
    assert failed.code == 2
    assert failed.err.startswith("error: There is no")
    assert failed.err.splitlines()[-1] == "Did you mean 'iris'?"
    assert not (tmp_path / "mine.toml").exists()
