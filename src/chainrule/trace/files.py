"""Traces as files: one .safetensors file that holds the numbers, and as bytes the JSON that explains them.

A trace file is one file, to be passed on: any reader of .safetensors opens it. Its tensors "0", "1", ... are blocks of
memory (`blocks.py`), and its tensor "trace" is the JSON text (`records.py`): a header of the format may not be longer
than 100 MB, a tensor may. The same trace gives the same bytes, and reading a file executes nothing of it.

Two things are not stored, because a file cannot run code: how to call an op again (`Op.run`), and how to take the step
again (`Trace.recipe`).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from pydantic import ValidationError

from chainrule.errors import TraceFileError
from chainrule.files import replacing
from chainrule.shapes import Tensor
from chainrule.tensor_files import SafetensorError, unpack_tensors, write_tensors
from chainrule.trace.blocks import damaged
from chainrule.trace.record_reader import RecordReader
from chainrule.trace.record_writer import RecordWriter
from chainrule.trace.records import FORMAT, HEAD, TRACE, VERSION, TraceRecord
from chainrule.trace.step_trace import Trace

_JSON = "trace"  # the tensor that holds the JSON; blocks are called "0", "1", ...
_METADATA = {"format": FORMAT}  # for whoever looks at the file with other tools

Anything = TypeVar("Anything")


def write_trace(trace: Trace, path: Path) -> None:
    """Write a trace to a file, whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    with torch.no_grad(), torch._C.DisableTorchFunction():
        record, blocks = RecordWriter(trace).written()
        # Names of files may hold bytes that are no text; the trace is worth more than they are.
        text = json.dumps(TRACE.dump_python(record, exclude_defaults=True), ensure_ascii=False, separators=(",", ":"))
        tensors = {str(number): block for number, block in enumerate(blocks)}
        tensors[_JSON] = torch.frombuffer(bytearray(text.encode("utf-8", "replace")), dtype=torch.uint8)
        with replacing(path) as file:
            write_tensors(file, tensors, _METADATA)


def read_trace(path: Path) -> Trace:
    """Read a trace from a file that `write_trace` made, on any machine; its tensors are on the CPU.

    Raises:
        TraceFileError: the file is not there, is something else, is damaged or is of another version.
    """
    try:
        return RecordReader(*_parsed(path)).trace()
    except TraceFileError as error:
        error.where = str(path)
        raise


def _parsed(path: Path) -> tuple[TraceRecord, list[Tensor]]:
    try:
        tensors = unpack_tensors(path.read_bytes())
    except OSError as error:
        raise TraceFileError("The trace file cannot be read.", found=error.strerror or str(error)) from error
    except (SafetensorError, KeyError, ValueError, RuntimeError, TypeError, OverflowError) as error:
        raise _not_a_trace(f"a file that is not in the .safetensors format, or is cut off ({error})") from error
    text = tensors.pop(_JSON, None)
    if text is None or text.dtype is not torch.uint8 or text.dim() != 1:
        raise _not_a_trace("a .safetensors file of something else")
    data = text.numpy().tobytes()
    head = _validated(HEAD.validate_json, data)
    if head.format != FORMAT:
        raise _not_a_trace(f"a file of the format '{head.format[:40]}'")
    if head.version != VERSION:
        newer = head.version > VERSION
        raise TraceFileError(
            "The trace file is of another version.",
            found=f"version {head.version}",
            expected=f"version {VERSION}",
            next_step="Load it with a newer chainrule." if newer else "Record the step again with this chainrule.",
        )
    blocks = []
    for number in range(len(tensors)):
        block = tensors.get(str(number))
        if block is None:
            raise damaged(f"{len(tensors)} blocks, without block {number}", "blocks numbered from 0")
        blocks.append(block)
    return _validated(TRACE.validate_json, data), blocks


def _validated(read: Callable[[bytes], Anything], data: bytes) -> Anything:
    try:
        return read(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise damaged(f"{place or 'the JSON text'}: {first['msg']}", "the fields of a trace") from error


def _not_a_trace(found: str) -> TraceFileError:
    return TraceFileError(
        "This is not a trace file.",
        found=found,
        expected="a file that Trace.save has written",
        cause="Copies and downloads that were interrupted look like this too.",
    )
