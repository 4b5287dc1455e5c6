import io
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import openpyxl
import pytest
from rich.console import Console

from chainrule.cli.usage import UsageError
from chainrule.cli.workbook import Stages, read_rates
from chainrule.reports.workbook import RATES

from .conftest import Command

FIRST, LAST = 0.24251985734837728, 0.029166680


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine these small workbooks may take long enough for a line about it.
    monkeypatch.setattr("chainrule.cli.workbook.PLAIN_SECONDS", 600.0)


def test_a_workbook_is_written_and_named(command: Command, tmp_path: Path) -> None:
    shown = command("workbook", "two-two-two", "-o", "made/worked.xlsx")
    assert (shown.code, shown.err) == (0, "")
    assert shown.out.splitlines() == [
        "workbook: made/worked.xlsx",
        "E_total 0.24252 → 0.0291667 in 100 updates; compared at learning rates 0.1, 0.2, 0.5, 0.8, 1, 2",
        "Open it in LibreOffice or Excel and change a yellow cell: everything is computed again.",
    ]
    book = openpyxl.load_workbook(tmp_path / "made/worked.xlsx", data_only=True)
    assert book["Run"]["X6"].value == FIRST
    assert book["Run"]["X106"].value == pytest.approx(LAST, abs=5e-10)
    assert book["Setup"]["A1"].value == "two-two-two"


def test_json_is_one_object(command: Command) -> None:
    shown = command("workbook", "-o", "w.xlsx", "--updates", "2", "--rates", "0.5", "--optimizer.lr", "1", "--json")
    assert (shown.code, shown.err) == (0, "")
    (line,) = shown.out.splitlines()
    data = json.loads(line)
    cells = data.pop("cells")
    assert (cells["eta"], cells["rate_1"]) == ("Setup!$C$11", "'Learning rates'!$B$3")
    assert data == {
        "file": "w.xlsx",
        "title": "two-two-two",
        "updates": 2,
        "rates": [0.5],
        "sheets": ["Setup", "Run", "Learning rates", "Formulas", "Rate 1"],
        "parameters": 8,
        "samples": 1,
        "loss": {"name": "E_total", "first": FIRST, "last": data["loss"]["last"]},
        "notes": [],
    }
    assert data["loss"]["last"] < FIRST


def test_the_same_task_gives_the_same_bytes(command: Command, tmp_path: Path) -> None:
    for name in ("a.xlsx", "b.xlsx"):
        command("workbook", "-o", name, "--updates", "2", "--rates", "none")
    assert (tmp_path / "a.xlsx").read_bytes() == (tmp_path / "b.xlsx").read_bytes()


def test_without_a_name_nothing_is_overwritten(command: Command, tmp_path: Path) -> None:
    assert command("workbook", "--updates", "1", "--rates", "none").out.startswith("workbook: two-two-two.xlsx\n")
    before = (tmp_path / "two-two-two.xlsx").read_bytes()
    again = command("workbook", "--updates", "2")
    assert (again.code, again.out) == (2, "")
    assert again.err == (
        "error: There is a file two-two-two.xlsx here already, and you may have worked in it.\n"
        "  found: two-two-two.xlsx\n"
        "Name the file that shall be written: -o FILE.xlsx.\n"
    )
    assert (tmp_path / "two-two-two.xlsx").read_bytes() == before


def test_another_suffix_is_refused(command: Command) -> None:
    shown = command("workbook", "-o", "w.xls")
    assert shown.code == 2
    assert shown.err == (
        "error: A workbook is written to a file that ends with .xlsx.\n"
        "  where:    --output\n  found:    w.xls\n  expected: a name such as w.xlsx\n"
    )


@pytest.mark.parametrize(
    ("text", "rates"),
    [(None, RATES), ("none", ()), ("0.1,.5", (0.1, 0.5)), ("1e-3; 2", (0.001, 2.0)), (" 1 2 ", (1.0, 2.0))],
)
def test_rates_as_they_are_typed(text: str | None, rates: tuple[float, ...]) -> None:
    assert read_rates(text) == rates


@pytest.mark.parametrize("text", ["fast", "0.1,x", "", "0.1 x"])
def test_rates_that_are_no_numbers(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_rates(text)
    assert str(caught.value) == (
        "Learning rates are numbers with commas between them.\n"
        f"  where:    --rates\n  found:    {text}\n"
        "  expected: such as 0.1,0.5,1, or none for no comparison"
    ).replace("  found:    \n", "")


@pytest.mark.parametrize("text", [",", "0.1,,0.2", "0.1, ;0.2", "0.1,", ",0.1"])
def test_holes_between_rates_are_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_rates(text)
    assert str(caught.value) == (
        "Learning rates are numbers with commas between them.\n"
        f"  where:    --rates\n  found:    {text}\n"
        "  expected: such as 0.1,0.5,1, or none for no comparison\n"
        "Nothing stands before or after one of the commas."
    )


@pytest.mark.parametrize(("typed", "found"), [("-1,nan,inf", "-1"), ("nan", "nan"), ("0.1,inf", "inf")])
def test_rates_that_cannot_train_are_refused(command: Command, typed: str, found: str) -> None:
    shown = command("workbook", "-o", "w.xlsx", "--rates", typed)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err == (
        "error: A learning rate is a finite number above 0.\n"
        f"  where:    --rates\n  found:    {found}\n  expected: numbers such as 0.1,0.5,1\n"
    )


def test_a_rate_twice_is_refused_before_anything_is_computed(command: Command) -> None:
    shown = command("workbook", "no-such-task", "--rates", "0.1,0.10")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err == (
        "error: The same learning rate stands there twice, and would give the same curve twice.\n"
        "  where:    --rates\n  found:    0.1\n  expected: each rate once\n"
    )


def test_what_takes_long_is_said_on_standard_error(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chainrule.cli.workbook.PLAIN_SECONDS", 0.0)
    shown = command("workbook", "-o", "w.xlsx", "--updates", "2", "--rates", "none", "--json")
    assert json.loads(shown.out)["file"] == "w.xlsx"
    lines = shown.err.splitlines()
    assert lines[:3] == [
        "Deriving the formulas of two-two-two ...",
        "Computing the numbers of all updates ...",
        "Writing 141 formulas ...",
    ]
    parts = [int(line.removeprefix("Writing 141 formulas: ").removesuffix("%")) for line in lines[3:]]
    assert parts == sorted(parts)
    assert (parts[0], parts[-1]) == (1, 100)


def test_a_terminal_has_a_live_line_that_goes_away() -> None:
    drawn = io.StringIO()
    stages = Stages(Console(file=drawn, force_terminal=True, width=80))
    stages.begin("Writing 9 formulas")
    stages.tell(0.5)
    stages.close()
    assert "Writing 9 formulas" in drawn.getvalue()
    assert drawn.getvalue().endswith("\x1b[1A\x1b[2K")


HOSTILE = '=cmd|" /C calc"!A0'


def test_names_of_columns_and_classes_are_text(command: Command, tmp_path: Path) -> None:
    rows = [f'"{HOSTILE.replace(chr(34), chr(34) * 2)}","@SUM(1+1)",kind']
    rows += [f"{n / 10},{n % 3},{('+x', '-2')[n % 2]}" for n in range(8)]
    (tmp_path / "table.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "task.toml").write_text(
        """
name = "=1+1"
[data]
source = "table.csv"
target = "kind"
test = 0
validation = 0
batch_size = 2
[model]
layers = [2]
[loss]
name = "CrossEntropyLoss"
[optimizer]
name = "SGD"
lr = 0.1
[stop]
epochs = 1
""",
        encoding="utf-8",
    )
    shown = command("workbook", "task.toml", "-o", "w.xlsx", "--updates", "2", "--rates", "0.1")
    assert (shown.code, shown.err) == (0, "")
    book = openpyxl.load_workbook(io.BytesIO((tmp_path / "w.xlsx").read_bytes()))
    cells = [cell for sheet in book.worksheets for row in sheet.iter_rows() for cell in row if cell.value is not None]
    typed = {cell.value for cell in cells if cell.data_type == "s"}
    assert "=1+1" in typed
    assert any("@SUM(1+1)" in text for text in typed)
    computed = [cell.value for cell in cells if cell.data_type == "f"]
    assert computed
    assert not [formula for formula in computed if "cmd" in formula or "SUM" in formula]


def test_the_worked_example_needs_no_torch(process: Callable[..., CompletedProcess[bytes]]) -> None:
    program = (
        "import sys\nfrom chainrule.cli.app import launch\n"
        "launch(['workbook', 'two-two-two', '-o', 'w.xlsx'])\n"
        "sys.exit(any(name == 'torch' for name in sys.modules))"
    )
    done = process("-c", program)
    assert done.returncode == 0, done.stderr.decode()
