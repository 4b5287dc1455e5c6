"""Workbooks recalculated by LibreOffice, without a window.

LibreOffice trusts the values that are cached in an .xlsx unless its profile says otherwise, and would then hand back
what we wrote. So the profile here makes it calculate always, and `falsified` puts wrong numbers in the places of the
cached ones, so that a test fails where nothing was calculated. The results are read from .csv files, one a sheet
(LibreOffice 7.2 or later), which are written three times faster than others. Their numbers have 15 significant
digits: what is read is within a relative 5e-15 of what was computed. (.xlsx files of LibreOffice have no more.)
"""

import csv
import io
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

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
# Comma, quotation marks, UTF-8, from the first line; numbers with all digits and not as they are shown; every sheet.
_CSV = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,false,false,false,false,-1"
_FORMULA = re.compile(r"(<c [^>]*?)( t=\"e\")?(><f>[^<]*</f><v>)[^<]*(</v>)")


def recalculated(workbooks: Sequence[Path], folder: Path) -> list[dict[str, Cells]]:
    """Return what LibreOffice computes of .xlsx files: by sheet and address, numbers and texts.

    It is started once for all of them. An error in a cell comes back as the text that LibreOffice shows.

    Args:
        workbooks: files with different names.
        folder: an empty folder for what is written on the way.
    """
    program = shutil.which("soffice") or shutil.which("libreoffice")
    if program is None:
        pytest.fail("These tests need LibreOffice Calc: apt-get install libreoffice-calc-nogui")
    profile = folder / "profile" / "user"
    profile.mkdir(parents=True)
    (profile / "registrymodifications.xcu").write_text(_PROFILE, encoding="utf-8")
    command = [program, f"-env:UserInstallation={(folder / 'profile').as_uri()}", "--headless", "--convert-to", _CSV]
    done = subprocess.run(
        [*command, "--outdir", str(folder), *map(str, workbooks)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    results = []
    for workbook in workbooks:
        sheets = _sheet_parts(workbook.read_bytes())
        files = {sheet: folder / f"{workbook.stem}-{sheet}.csv" for sheet in sheets}
        missing = [path.name for path in files.values() if not path.is_file()]
        assert not missing, f"LibreOffice made no {missing}: {done.stdout} {done.stderr}"
        results.append({sheet: _read(path) for sheet, path in files.items()})
    return results


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


def _read(path: Path) -> Cells:
    cells: dict[str, float | str] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file), 1):
            for column, text in enumerate(row):
                if text:
                    cells[f"{column_letters(column)}{number}"] = _value(text)
    return cells


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
