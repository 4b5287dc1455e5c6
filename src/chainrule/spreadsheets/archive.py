"""The zip file that an .xlsx is: checked before anything in it is unpacked, then read part by part in memory.

Nothing is ever written to disk, nothing outside the file is opened, and only the parts that hold cells are read.
"""

import io
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import NoReturn, final

from chainrule.spreadsheets.book import BookError, Limits

_RATIO_FROM = 1_000_000  # bytes; below, a part may be packed as tightly as it likes
_ENCRYPTED = 0x1
_OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
SAVE_AS_XLSX = (
    "Open it in the program that made it and save it as .xlsx (Excel: File > Save As > Excel Workbook; LibreOffice: "
    "File > Save As > Excel 2007-365; Numbers: File > Export To > Excel)."
)

_OTHER_ARCHIVES = (  # a part that only this kind of file has, and what the kind is called
    ("xl/workbook.bin", "a binary Excel workbook (.xlsb)"),
    ("Index/Document.iwa", "a Numbers document"),
    ("Index.zip", "a Numbers document"),
    ("word/document.xml", "a Word document"),
    ("ppt/presentation.xml", "a PowerPoint presentation"),
)
_OPEN_DOCUMENT = {
    "application/vnd.oasis.opendocument.spreadsheet": "an OpenDocument spreadsheet (.ods)",
    "application/vnd.oasis.opendocument.text": "an OpenDocument text (.odt)",
}


@final
class Archive:
    """The parts of an .xlsx file.

    Args:
        path: the file, for error texts.
        content: all its bytes.
        limits: what is too large.

    Raises:
        BookError: the file is of another kind, damaged, encrypted, holds macros, or is built to harm.
    """

    def __init__(self, path: Path, content: bytes, limits: Limits) -> None:
        self.path = path
        self.elements_left = limits.elements  # how much XML may still be read
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(content))
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError, OSError) as error:
            raise BookError(
                what="The workbook is damaged: its list of parts cannot be read.",
                where=str(path),
                found=str(error),
                next_step="Download or save it again.",
            ) from None
        infos = self._zip.infolist()
        _check_parts(path, infos, limits)
        self._infos = {info.filename.lower(): info for info in infos}  # as Excel finds them: in either case
        self._check_kind()

    @property
    def names(self) -> list[str]:
        """The parts' names."""
        return [info.filename for info in self._infos.values()]

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._infos

    def read(self, name: str) -> bytes:
        """Return a part's bytes.

        Raises:
            BookError: there is no such part, or it is damaged.
        """
        info = self._infos.get(name.lower())
        if info is None:
            self._damaged(name, "the part is missing")
        try:
            # zipfile stops at the size that the list of parts states, which was checked.
            return self._zip.read(info)
        except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError) as error:
            self._damaged(name, str(error))

    def _damaged(self, name: str, found: str) -> NoReturn:
        raise BookError(
            what=f"The workbook is damaged: its part {name} cannot be read.",
            where=str(self.path),
            found=found,
            next_step="Open it in a spreadsheet program and save it again.",
        )

    def _check_kind(self) -> None:
        for part, kind in _OTHER_ARCHIVES:
            if part in self:
                raise other_kind(self.path, kind)
        if "mimetype" in self and self._infos["mimetype"].file_size < 200:
            kind = _OPEN_DOCUMENT.get(self.read("mimetype").decode("latin-1").strip(), "")
            if kind:
                raise other_kind(self.path, kind)
        macros = [name for name in self.names if name.lower().endswith("vbaproject.bin")]
        if macros or self.path.suffix.lower() in (".xlsm", ".xltm", ".xlam"):
            raise BookError(
                what="The workbook may hold macros and is not read.",
                where=str(self.path),
                found=macros[0] if macros else f"a file of the kind {self.path.suffix.lower()}",
                expected="an .xlsx workbook, which has formulas but no macros",
                next_step="Save it as .xlsx (Excel: File > Save As > Excel Workbook); formulas and values stay.",
            )
        if "[Content_Types].xml" not in self or "_rels/.rels" not in self:
            raise BookError(
                what="The file is a zip file, but not a workbook.",
                where=str(self.path),
                found=", ".join(self.names[:5]) or "no parts",
                expected="an .xlsx workbook",
                next_step="If a workbook lies in it, unpack it first.",
            )


def other_kind(path: Path, kind: str, next_step: str = SAVE_AS_XLSX) -> BookError:
    """Return the error for a file of a kind that is not read."""
    return BookError(
        what=f"The file is {kind}, which is not read.",
        where=str(path),
        expected="an .xlsx workbook or a .csv file",
        next_step=next_step,
    )


def check_signature(path: Path, content: bytes) -> None:
    """Refuse what is neither a zip file nor text, by the bytes it begins with.

    Raises:
        BookError: an old Excel file, one with a password, a PDF, a picture, a web page, ...
    """
    if content.startswith(_OLD_OFFICE):
        if "EncryptedPackage".encode("utf-16-le") in content:
            raise other_kind(
                path,
                "protected by a password",
                "Open it, remove the password (Excel: File > Info > Protect Workbook), and save it again.",
            )
        raise other_kind(path, "an old Excel workbook (.xls)")
    for start, kind in _SIGNATURES.items():
        if content.startswith(start):
            raise other_kind(path, kind)
    head = content[:2000].lstrip(b"\xef\xbb\xbf\r\n\t ").lower()
    if head.startswith((b"<!doctype html", b"<html", b"<table", b"<head", b"<meta")):
        raise other_kind(path, "a web page")
    if head.startswith((b"<?xml", b"<office:")):
        raise other_kind(path, "an XML file")
    if head.startswith(b"id;p"):
        raise other_kind(path, "a SYLK file (.slk)")
    if re.match(rb'\{\s*"(url|doc_id)"', head):
        raise other_kind(
            path,
            "a link to a document that lies elsewhere",
            "Open it in Google Sheets and download it: File > Download > Microsoft Excel (.xlsx).",
        )


_SIGNATURES = {
    b"%PDF": "a PDF file",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x1f\x8b": "a packed file (gzip)",
    b"7z\xbc\xaf": "a packed file (7z)",
    b"Rar!": "a packed file (rar)",
    b"SQLite format 3": "a database",
    b"{\\rtf": "an RTF text",
}


def _check_parts(path: Path, infos: list[zipfile.ZipInfo], limits: Limits) -> None:
    def refused(what: str, found: str, expected: str) -> BookError:
        return BookError(
            what=what,
            where=str(path),
            found=found,
            expected=expected,
            cause="No spreadsheet program writes a file like this; it may have been built to harm.",
        )

    if len(infos) > limits.parts:
        raise refused("The workbook has too many parts.", f"{len(infos)} parts", f"at most {limits.parts}")
    unpacked = sum(info.file_size for info in infos)
    seen: set[str] = set()
    for info in infos:
        name = info.filename
        if name.startswith(("/", "\\")) or "\\" in name or ".." in name.split("/") or ":" in name:
            raise refused(
                "A part of the workbook has a name that leads out of the file.", name, "names such as xl/workbook.xml"
            )
        if name.lower() in seen:
            raise refused("Two parts of the workbook have the same name.", name, "each name once")
        seen.add(name.lower())
        if info.flag_bits & _ENCRYPTED:
            raise refused("A part of the workbook is encrypted.", name, "parts that can be read")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise refused("A part of the workbook is packed in a way that .xlsx does not use.", name, "deflate")
        if info.file_size > _RATIO_FROM and info.file_size > limits.ratio * max(info.compress_size, 1):
            raise refused(
                "A part of the workbook is packed suspiciously small.",
                f"{name}: {info.compress_size} bytes that unpack to {info.file_size}",
                f"at most {limits.ratio} times as many",
            )
    if unpacked > limits.unpacked_bytes:
        raise refused(
            "The workbook is too large when it is unpacked.",
            f"{unpacked} bytes",
            f"at most {limits.unpacked_bytes}",
        )
