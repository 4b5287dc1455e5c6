"""Workbooks recalculated by LibreOffice, without a window.

LibreOffice trusts the values that are cached in an .xlsx unless its profile says otherwise, and would then hand back
what we wrote. So the profile here makes it calculate always, and `falsified` puts wrong numbers in the places of the
cached ones, so that a test fails where nothing was calculated. The results are read from flat OpenDocument files.
LibreOffice writes 15 significant digits into them, as into .xlsx files: what is read is within a relative 5e-15 of what
was computed.
"""

import io
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from chainrule.documents.sheets import column_letters

Cells = Mapping[str, float | str]  # by address: {"B7": 0.5}

FALSE_NUMBER = 12345.0
_PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load">
<prop oor:name="OOXMLRecalcMode" oor:op="fuse"><value>0</value></prop>
</item>
</oor:items>
"""
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_FORMULA = re.compile(r"(<c [^>]*?)( t=\"e\")?(><f>[^<]*</f><v>)[^<]*(</v>)")


def recalculated(workbooks: Sequence[Path], folder: Path) -> list[dict[str, Cells]]:
    """Return what LibreOffice computes of .xlsx files: by sheet and address, numbers and texts.

    It is started once for all of them. An error in a cell comes back as the text that LibreOffice shows.

    Args:
        workbooks: files with different names.
        folder: an empty folder for what is written on the way.
    """
    converted = convert(workbooks, "fods", folder)
    return [_read(path) for path in converted]


def convert(files: Sequence[Path], kind: str, folder: Path) -> list[Path]:
    """Return the files that LibreOffice makes of others, such as fods, csv or pdf, after calculating everything."""
    program = shutil.which("soffice") or shutil.which("libreoffice")
    if program is None:
        pytest.fail("These tests need LibreOffice Calc: apt-get install libreoffice-calc-nogui")
    profile = folder / "profile" / "user"
    profile.mkdir(parents=True)
    (profile / "registrymodifications.xcu").write_text(_PROFILE, encoding="utf-8")
    command = [program, f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless", "--convert-to", kind]
    done = subprocess.run(
        [*command, "--outdir", str(folder), *map(str, files)], capture_output=True, text=True, timeout=300, check=False
    )
    made = [folder / file.with_suffix(f".{kind}").name for file in files]
    missing = [path.name for path in made if not path.is_file()]
    assert not missing, f"LibreOffice made no {missing}: {done.stdout} {done.stderr}"
    return made


def falsified(data: bytes) -> bytes:
    """Return an .xlsx file with a wrong number in the place of every cached one."""

    def wrong(xml: str) -> str:
        changed, count = _FORMULA.subn(rf"\g<1>\g<3>{FALSE_NUMBER:g}\g<4>", xml)
        assert count == xml.count("<f>")
        return changed

    return _edited(data, dict.fromkeys(_sheet_parts(data).values(), wrong))


def with_number(data: bytes, sheet: str, address: str, value: float) -> bytes:
    """Return an .xlsx file with another number in a cell that holds one, as if a reader had typed it."""

    def typed(xml: str) -> str:
        changed, count = re.subn(rf'(<c r="{address}"[^>]*><v>)[^<]*(</v>)', rf"\g<1>{value!r}\g<2>", xml)
        assert count == 1, f"{sheet}!{address} holds no number"
        return changed

    return _edited(data, {_sheet_parts(data)[sheet]: typed})


def _sheet_parts(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = re.findall(r'<sheet name="([^"]*)"', archive.read("xl/workbook.xml").decode())
    return {name: f"xl/worksheets/sheet{number}.xml" for number, name in enumerate(names, 1)}


def _edited(data: bytes, edits: Mapping[str, Callable[[str], str]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for part in source.infolist():
            content = source.read(part)
            if part.filename in edits:
                content = edits[part.filename](content.decode()).encode()
            target.writestr(part.filename, content)
    return buffer.getvalue()


def _read(path: Path) -> dict[str, Cells]:
    sheets: dict[str, Cells] = {}
    root = ElementTree.parse(path).getroot()  # noqa: S314  # LibreOffice wrote it
    for table in root.iterfind(f"{_OFFICE}body/{_OFFICE}spreadsheet/{_TABLE}table"):
        cells: dict[str, float | str] = {}
        number = 0
        for row in _rows(table):
            _read_row(row, number, cells)
            number += int(row.get(f"{_TABLE}number-rows-repeated", "1"))
        sheets[table.get(f"{_TABLE}name", "")] = cells
    return sheets


def _rows(parent: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Yield the rows of a table; not those of the tables that belong to its charts."""
    for child in parent:
        if child.tag == f"{_TABLE}table-row":
            yield child
        elif child.tag in (f"{_TABLE}table-header-rows", f"{_TABLE}table-row-group", f"{_TABLE}table-rows"):
            yield from _rows(child)


def _read_row(row: ElementTree.Element, number: int, cells: dict[str, float | str]) -> None:
    column = 0
    for cell in row:
        if cell.tag not in (f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
            continue
        if cell.get(f"{_OFFICE}value-type"):
            value = cell.get(f"{_OFFICE}value")
            texts = ["".join(paragraph.itertext()) for paragraph in cell.iter(f"{_TEXT}p")]
            is_error = bool(texts) and texts[0].startswith(("#", "Err:"))
            shown = "\n".join(texts)
            cells[f"{column_letters(column)}{number + 1}"] = shown if value is None or is_error else float(value)
        column += int(cell.get(f"{_TABLE}number-columns-repeated", "1"))
