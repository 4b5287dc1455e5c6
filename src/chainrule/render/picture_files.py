"""The pictures of a document as files: one SVG and one PNG each, named by their keys."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from chainrule.documents import Block, Document, Fold
from chainrule.errors import UnknownNameError
from chainrule.files import write_atomically
from chainrule.render.charts import Picture, picture_png, picture_svg


def pictures_in(blocks: Iterable[Block]) -> Iterator[Picture]:
    """Yield the charts, matrices and networks among blocks, those inside folds too, in reading order."""
    for block in blocks:
        if isinstance(block, Fold):
            yield from pictures_in(block.blocks)
        elif isinstance(block, Picture):
            yield block


def write_pictures(document: Document, folder: Path, formats: Sequence[str] = ("svg", "png")) -> tuple[Path, ...]:
    """Write every picture of a document to `folder` as `<key>.svg` and `<key>.png`.

    A key that is no file name is made one; the second picture of the same key is called `<key>-2`.

    Returns:
        The files, in reading order.

    Raises:
        UnknownNameError: a format that is neither svg nor png.
        OutputError: the folder cannot be written or the disk is full.
    """
    for name in formats:
        if name not in ("svg", "png"):
            raise UnknownNameError.unknown_name("picture format", name, ("svg", "png"))
    paths: list[Path] = []
    taken: set[str] = set()
    for picture in pictures_in(document.blocks):
        stem = _free_name(picture.key, taken)
        for name in formats:
            data = picture_svg(picture).encode() if name == "svg" else picture_png(picture)
            paths.append(folder / f"{stem}.{name}")
            write_atomically(paths[-1], data)
    return tuple(paths)


def _free_name(key: str, taken: set[str]) -> str:
    stem = re.sub(r"[^\w.+-]+", "-", key).strip(".-")[:100] or "picture"
    name, count = stem, 1
    while name.lower() in taken:  # Some file systems do not tell upper from lower case.
        count += 1
        name = f"{stem}-{count}"
    taken.add(name.lower())
    return name
