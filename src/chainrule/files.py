"""Files that are either whole or not there: everything chainrule writes is written under another name and renamed."""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from chainrule.errors import OutputError


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path`, so that `path` holds either what it held before or all of `data`.

    Raises:
        OutputError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    with replacing(path) as file:
        file.write(data)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write to that takes the place of `path` when the block ends, unless it ends with an error.

    The bytes go to a new file in the same folder, are flushed to the disk and renamed. Missing folders are made.

    Raises:
        OutputError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _give_usual_permissions(name)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


_ADVICE = {
    errno.ENOSPC: "Free some space, or choose a folder on another disk.",
    errno.EDQUOT: "Free some space, or choose a folder outside of this quota.",
    errno.EACCES: "Choose a folder that you may write to.",
    errno.EPERM: "Choose a folder that you may write to.",
    errno.EROFS: "Choose a folder that is not read-only.",
    errno.ENOTDIR: "A part of this path is a file, not a folder: choose another folder.",
    errno.EEXIST: "A file stands where a folder is wanted: choose another folder.",
    errno.ENAMETOOLONG: "Choose a shorter name.",
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says while `path` is written into an error that names the file and the next step."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            what=f"Cannot write {path.name}.",
            where=str(path.parent),
            found=error.strerror or str(error),
            next_step=_ADVICE.get(error.errno or 0, "Choose another folder."),
        ) from error


def _give_usual_permissions(name: str) -> None:
    # mkstemp makes files that only their owner can read; others of a course or a cluster read run folders too.
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(name, 0o666 & ~mask)
