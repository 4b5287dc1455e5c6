"""The XML of a workbook's parts, read as a stream by defusedxml: no entities, no document types, nothing fetched."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol, runtime_checkable
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # has no types
from defusedxml.ElementTree import DefusedXMLParser  # type: ignore[import-untyped]  # as above

from chainrule.spreadsheets.archive import Archive
from chainrule.spreadsheets.book import BookError


@runtime_checkable
class Listener(Protocol):
    """What is told the elements of a part, one after another; names come without their namespace."""

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""

    def end(self, tag: str) -> None:
        """An element ends."""

    def data(self, text: str) -> None:
        """Text, perhaps in several pieces."""


class _Target:
    def __init__(self, archive: Archive, listener: Listener) -> None:
        self._archive = archive
        self._start = listener.start
        self._end = listener.end
        self.data = listener.data

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._archive.elements_left -= 1
        if self._archive.elements_left < 0:
            raise BookError(
                what="The workbook is too large.",
                where=str(self._archive.path),
                found="more elements in its XML than are read",
                next_step="Delete rows and columns that only have a format, or copy the table into a new workbook.",
            )
        self._start(_local(tag), attributes)

    def end(self, tag: str) -> None:
        self._end(_local(tag))

    def close(self) -> None:
        pass


def read_markup(archive: Archive, name: str, listener: Listener) -> None:
    """Tell a listener what stands in a part.

    Args:
        archive: the workbook.
        name: the part's name.
        listener: what is told.

    Raises:
        BookError: the part is missing or no XML, declares a document type or entities, or is too large.
    """
    parser = DefusedXMLParser(target=_Target(archive, listener), forbid_dtd=True)
    try:
        parser.feed(archive.read(name))
        parser.close()
    except DefusedXmlException as error:
        raise BookError(
            what=f"The workbook's part {name} declares a document type or entities and is not read.",
            where=str(archive.path),
            found=type(error).__name__,
            cause="No spreadsheet program writes a file like this; it may have been built to harm.",
        ) from None
    except (ParseError, LookupError, ValueError) as error:
        raise BookError(
            what=f"The workbook is damaged: its part {name} cannot be read.",
            where=str(archive.path),
            found=str(error),
            next_step="Open it in a spreadsheet program and save it again.",
        ) from None


@lru_cache(maxsize=1024)
def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def local_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes with names without their namespace."""
    return {_local(name): value for name, value in attributes.items()}
