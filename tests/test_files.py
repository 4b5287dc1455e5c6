import errno
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.errors import OutputError
from chainrule.files import replacing, write_atomically, writing

FAILING = ["fsync", "replace", "fdopen", "chmod"]


def fail(monkeypatch: pytest.MonkeyPatch, function: str, number: int = errno.ENOSPC) -> None:
    def raising(*_arguments: object, **_keywords: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, function, raising)


@settings(max_examples=30)
@given(contents=st.lists(st.binary(max_size=2000), min_size=1, max_size=4))
def test_the_file_holds_what_was_written_last_and_nothing_else_is_there(tmp_path_factory, contents):
    path = tmp_path_factory.mktemp("files") / "new" / "folder" / "data.bin"
    for data in contents:
        write_atomically(path, data)
        assert path.read_bytes() == data
        assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("function", FAILING)
@pytest.mark.parametrize("old", [None, b"what was there before"])
def test_a_failure_in_the_middle_leaves_what_was_there(monkeypatch, tmp_path, function, old):
    path = tmp_path / "data.bin"
    if old is not None:
        path.write_bytes(old)
    with monkeypatch.context() as patched:
        fail(patched, function)
        with pytest.raises(OutputError):
            write_atomically(path, b"new" * 1000)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([] if old is None else [old])


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError])
def test_an_interruption_leaves_what_was_there_and_goes_on_as_it_is(monkeypatch, tmp_path, interruption):
    path = tmp_path / "data.bin"
    path.write_bytes(b"old")

    def raising(_handle: int) -> None:
        raise interruption

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", raising)
        with pytest.raises(interruption):
            write_atomically(path, b"new")
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]


def test_whole_text_of_a_full_disk(monkeypatch, tmp_path):
    fail(monkeypatch, "fsync")
    with pytest.raises(OutputError) as caught:
        write_atomically(tmp_path / "metrics.parquet", b"new")
    assert (
        str(caught.value).replace(str(tmp_path), "FOLDER")
        == f"""\
Cannot write metrics.parquet.
  where: FOLDER
  found: {os.strerror(errno.ENOSPC)}
Free some space, or choose a folder on another disk."""
    )
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("inside", ["data.bin", "deeper/data.bin"])
def test_a_folder_that_is_a_file(tmp_path, inside):
    (tmp_path / "file").write_bytes(b"kept")
    path = tmp_path / "file" / inside
    with pytest.raises(OutputError) as caught:
        write_atomically(path, b"new")
    text = str(caught.value).replace(str(tmp_path), "FOLDER").splitlines()
    assert text[:2] == ["Cannot write data.bin.", f"  where: {str(path.parent).replace(str(tmp_path), 'FOLDER')}"]
    assert text[2] in {f"  found: {os.strerror(number)}" for number in (errno.ENOTDIR, errno.EEXIST)}
    assert text[3:] in (
        ["A part of this path is a file, not a folder: choose another folder."],
        ["A file stands where a folder is wanted: choose another folder."],
    )
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_a_path_that_is_a_folder_is_refused_and_left_alone(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError):
        write_atomically(tmp_path / "folder", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["folder"]


def test_a_name_as_long_as_file_systems_take(tmp_path):
    path = tmp_path / ("n" * 255)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_others_may_read_what_the_user_lets_them(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "data.bin", b"new")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "data.bin").stat().st_mode) == 0o666 & ~mask


def test_writing_names_the_file_and_lets_other_errors_through():
    with pytest.raises(OutputError, match=r"Cannot write a\.txt"), writing(Path("folder/a.txt")):
        raise OSError("no number")
    with pytest.raises(ValueError, match="not ours"), writing(Path("folder/a.txt")):
        raise ValueError("not ours")


@pytest.mark.parametrize("old", [None, b"what was there before"])
def test_an_error_while_a_file_is_being_written_leaves_what_was_there(tmp_path, old):
    path = tmp_path / "data.bin"
    if old is not None:
        path.write_bytes(old)

    def write_half():
        with replacing(path) as file:
            file.write(b"half")
            raise ValueError("not an error of files")

    with pytest.raises(ValueError, match="not an error of files"):
        write_half()
    assert (path.read_bytes() if path.exists() else None) == old
    assert list(tmp_path.iterdir()) == ([] if old is None else [path])
    with replacing(path) as file:
        file.write(b"new, ")
        file.write(b"in pieces")
    assert path.read_bytes() == b"new, in pieces"
