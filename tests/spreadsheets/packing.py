"""Workbooks made part by part, so that tests can also make those that no program would write."""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
LINKS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"

ROOT = (
    f'<Relationships xmlns="{PACKAGE}">'
    f'<Relationship Id="r1" Type="{LINKS}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
)


def sheet_xml(rows: str, around: str = "") -> str:
    """Return a sheet's part: the rows, and what stands after them."""
    return f'<worksheet xmlns="{MAIN}"><sheetData>{rows}</sheetData>{around}</worksheet>'


def cells_xml(cells: Mapping[str, str]) -> str:
    """Return rows of one cell each, without a row around them that says its number."""
    return "".join(
        f"<row>{xml.replace('<c', f'<c r={chr(34)}{address}{chr(34)}', 1)}</row>" for address, xml in cells.items()
    )


def parts(
    sheets: Mapping[str, str],
    *,
    names: str = "",
    strings: str = "",
    styles: str = "",
    states: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the parts of a workbook.

    Args:
        sheets: the sheets' parts by the sheets' names.
        names: the defined names, as XML.
        strings: the shared texts, as XML.
        styles: what stands in the part of styles, as XML.
        states: "hidden" or "veryHidden", by the sheets' names.
    """
    listed, links = "", ""
    made = {"[Content_Types].xml": "<Types/>", "_rels/.rels": ROOT}
    for number, (name, xml) in enumerate(sheets.items(), 1):
        state = f' state="{states[name]}"' if states and name in states else ""
        listed += f'<sheet name="{name}" sheetId="{number}"{state} r:id="r{number}"/>'
        links += f'<Relationship Id="r{number}" Type="{LINKS}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        made[f"xl/worksheets/sheet{number}.xml"] = xml
    if strings:
        made["xl/sharedStrings.xml"] = f'<sst xmlns="{MAIN}">{strings}</sst>'
        links += f'<Relationship Id="s" Type="{LINKS}/sharedStrings" Target="/xl/sharedStrings.xml"/>'
    if styles:
        made["xl/styles.xml"] = f'<styleSheet xmlns="{MAIN}">{styles}</styleSheet>'
        links += f'<Relationship Id="t" Type="{LINKS}/styles" Target="styles.xml"/>'
    defined = f"<definedNames>{names}</definedNames>" if names else ""
    made["xl/workbook.xml"] = (
        f'<workbook xmlns="{MAIN}" xmlns:r="{LINKS}"><sheets>{listed}</sheets>{defined}</workbook>'
    )
    made["xl/_rels/workbook.xml.rels"] = f'<Relationships xmlns="{PACKAGE}">{links}</Relationships>'
    return made


def packed(made: Mapping[str, str | bytes]) -> bytes:
    """Return the zip file of some parts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in made.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def saved(folder: Path, made: Mapping[str, str | bytes], name: str = "book.xlsx") -> Path:
    """Write the zip file of some parts and return its path."""
    path = folder / name
    path.write_bytes(packed(made))
    return path
