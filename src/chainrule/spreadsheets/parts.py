"""What the parts of an .xlsx say beside its cells: the sheets, the shared texts, which formats are dates, the names."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from chainrule.spreadsheets.archive import Archive, other_kind
from chainrule.spreadsheets.book import BookError
from chainrule.spreadsheets.markup import local_attributes, read_markup

_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
_DATE_FORMATS = frozenset(map(str, [*range(14, 23), *range(27, 37), 45, 46, 47, *range(50, 59)]))
_LONGEST_FORMAT = 300  # characters; Excel allows 255
_NOT_OF_A_DATE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)


@final
@dataclass(frozen=True, slots=True)
class SheetPart:
    """A sheet as the workbook lists it.

    Attributes:
        name: as on its tab.
        part: the part with its cells; nothing for a sheet that is a chart.
        is_hidden: whether its tab is hidden.
    """

    name: str
    part: str | None
    is_hidden: bool


@final
@dataclass(frozen=True, slots=True)
class NamePart:
    """A defined name.

    Attributes:
        name: as written.
        text: what it stands for, as a formula.
        sheet: the number of the only sheet that knows it, from 0; nothing where all do.
    """

    name: str
    text: str
    sheet: int | None


@final
@dataclass(frozen=True, slots=True)
class WorkbookParts:
    """All that is read before the cells.

    Attributes:
        sheets: in the order of their tabs.
        names: the defined names.
        texts: the shared texts, by number.
        date_styles: the numbers of the cell styles that show dates or times.
        notes: what the file holds that is left alone, as sentences.
    """

    sheets: tuple[SheetPart, ...]
    names: tuple[NamePart, ...]
    texts: tuple[str, ...]
    date_styles: frozenset[int]
    notes: tuple[str, ...]


def read_workbook_parts(archive: Archive) -> WorkbookParts:
    """Read everything of a workbook but its cells.

    Raises:
        BookError: a part is missing or damaged, or the workbook holds macros.
    """
    roots = _relationships(archive, "")
    main = next((target for kind, target in roots.values() if kind == "officeDocument"), "")
    if not main or main not in archive:
        raise BookError(
            what="The file has no workbook in it.",
            where=str(archive.path),
            found=", ".join(archive.names[:5]),
            expected="a part such as xl/workbook.xml",
            next_step="Open it in a spreadsheet program and save it again.",
        )
    if not main.lower().endswith(".xml"):
        raise other_kind(archive.path, "a binary Excel workbook (.xlsb)")
    links = _relationships(archive, main)
    listed = _Workbook()
    read_markup(archive, main, listed)
    texts = _Texts()
    styles = _Styles()
    for kind, target in links.values():
        if kind == "sharedStrings" and target in archive:
            read_markup(archive, target, texts)
        elif kind == "styles" and target in archive:
            read_markup(archive, target, styles)
    sheets = []
    for name, link, is_hidden in listed.sheets:
        kind, target = links.get(link, ("", ""))
        sheets.append(SheetPart(name, target if kind == "worksheet" else None, is_hidden))
    return WorkbookParts(
        tuple(sheets), tuple(listed.names), tuple(texts.texts), styles.dates(), tuple(_left_alone(archive))
    )


def plain_text(text: str) -> str:
    """Return a text with the characters that .xlsx writes as _x000D_."""
    return _ESCAPED.sub(_character, text) if "_x" in text else text


def _character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return match[0] if 0xD800 <= code < 0xE000 else chr(code)  # half a character could not be printed


_LEFT_ALONE = (  # how the name of the part begins, what it is in one and in several
    ("xl/externallinks/external", "a link to another file", "links to other files"),
    ("xl/connections.xml", "a connection to a source of data", "connections to sources of data"),
    ("xl/embeddings/", "an embedded object", "embedded objects"),
    ("xl/activex/", "a control", "controls"),
    ("xl/ctrlprops/", "a control", "controls"),
    ("customxml/item", "data of another program", "data of another program"),
)


def _left_alone(archive: Archive) -> list[str]:
    notes = []
    for start, one, several in _LEFT_ALONE:
        count = sum(name.lower().startswith(start) for name in archive.names)
        if count:
            notes.append(f"The file holds {one if count == 1 else several}; nothing of it was opened.")
    return list(dict.fromkeys(notes))


def _relationships(archive: Archive, part: str) -> dict[str, tuple[str, str]]:
    """Return kind and target of each relationship of a part, by its number."""
    folder, name = posixpath.split(part)
    place = posixpath.join(folder, "_rels", f"{name}.rels")
    if place not in archive:
        return {}
    listener = _Relationships(folder)
    read_markup(archive, place, listener)
    return listener.found


class _Quiet:
    """A listener that hears nothing."""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        pass

    def end(self, tag: str) -> None:
        pass

    def data(self, text: str) -> None:
        pass


@final
class _Relationships(_Quiet):
    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.found: dict[str, tuple[str, str]] = {}

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag != "Relationship" or attributes.get("TargetMode") == "External":
            return
        target = attributes.get("Target", "")
        whole = target.lstrip("/") if target.startswith("/") else posixpath.join(self.folder, target)
        kind = attributes.get("Type", "").rpartition("/")[2]
        self.found[attributes.get("Id", "")] = (kind, posixpath.normpath(whole))


@final
class _Workbook(_Quiet):
    def __init__(self) -> None:
        self.sheets: list[tuple[str, str, bool]] = []
        self.names: list[NamePart] = []
        self._name: dict[str, str] | None = None
        self._text: list[str] = []

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        own = local_attributes(attributes)
        if tag == "sheet":
            self.sheets.append((own.get("name", ""), own.get("id", ""), own.get("state", "visible") != "visible"))
        elif tag == "definedName":
            self._name, self._text = own, []

    def data(self, text: str) -> None:
        if self._name is not None:
            self._text.append(text)

    def end(self, tag: str) -> None:
        if tag == "definedName" and self._name is not None:
            name, sheet = self._name.get("name", ""), self._name.get("localSheetId", "")
            if name and not name.lower().startswith("_xlnm."):
                self.names.append(NamePart(name, "".join(self._text), int(sheet) if sheet.isdigit() else None))
            self._name = None


@final
class _Texts(_Quiet):
    def __init__(self) -> None:
        self.texts: list[str] = []
        self._pieces: list[str] = []
        self._is_text = False
        self._phonetic = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "si":
            self._pieces = []
        elif tag == "rPh":
            self._phonetic += 1
        self._is_text = tag == "t" and not self._phonetic

    def data(self, text: str) -> None:
        if self._is_text:
            self._pieces.append(text)

    def end(self, tag: str) -> None:
        self._is_text = False
        if tag == "rPh":
            self._phonetic -= 1
        elif tag == "si":
            self.texts.append(plain_text("".join(self._pieces)))


@final
class _Styles(_Quiet):
    def __init__(self) -> None:
        self._codes: dict[str, str] = {}
        self._formats: list[str] = []
        self._is_in_cell_styles = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if tag == "numFmt":
            self._codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif tag == "cellXfs":
            self._is_in_cell_styles = True
        elif tag == "xf" and self._is_in_cell_styles:
            self._formats.append(attributes.get("numFmtId", "0"))

    def end(self, tag: str) -> None:
        if tag == "cellXfs":
            self._is_in_cell_styles = False

    def dates(self) -> frozenset[int]:
        return frozenset(number for number, format_number in enumerate(self._formats) if self._is_date(format_number))

    def _is_date(self, format_number: str) -> bool:
        if format_number in self._codes:
            if len(self._codes[format_number]) > _LONGEST_FORMAT:
                return False
            code = _NOT_OF_A_DATE.sub("", self._codes[format_number].partition(";")[0]).lower()
            return "general" not in code and re.search(r"[ymdhs]", code) is not None
        return format_number in _DATE_FORMATS
