"""Which line of the user's code led to an op."""

import linecache
import os
import sys
from types import CodeType, FrameType

import jaxtyping
import torch

from chainrule.trace import Source

_TORCH = os.path.dirname(torch.__file__) + os.sep
_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep

# Between a line of PyTorch that says something (nn/modules/linear.py) and the recorder lie some that say nothing.
_PASSED_OVER = (
    os.path.join(_TORCH, "overrides.py"),
    os.path.join(_TORCH, "nn", "functional.py"),
    os.path.join(_TORCH, "_tensor.py"),
    os.path.join(_TORCH, "utils", "_contextlib.py"),
    os.path.join(_TORCH, "optim", ""),
)

# What decorators put around any function, the recorder's own too: what beartype and others make at run time, and
# jaxtyping, which checks shapes while tests run. They do not tell whether the recorder or the user's code called.
_WRAPPERS = ("<@", os.path.join(os.path.dirname(jaxtyping.__file__), ""))

_USER, _LIBRARY, _RECORDER, _SILENT, _WRAPPER = range(5)


class SourceFinder:
    """Finds the innermost line outside of PyTorch and the recorder; equal places share one `Source`."""

    def __init__(self) -> None:
        self._kinds: dict[CodeType, int] = {}
        self._sources: dict[tuple[CodeType, int], Source] = {}

    def here(self) -> Source | None:
        """Return the line that is running, seen from the code that the recorder was called by.

        When PyTorch's own code stands directly under `record` (a model that is an nn.Sequential), the innermost line
        of PyTorch is returned: there is no line of the user's.
        """
        frame: FrameType | None = sys._getframe(1)
        library: FrameType | None = None
        outside = False
        while frame is not None:
            kind = self._kind(frame.f_code)
            if kind == _USER:
                return self._source(frame)
            if kind in (_LIBRARY, _SILENT):
                outside = True
                library = library or (frame if kind == _LIBRARY else None)
            elif outside and kind == _RECORDER:
                break
            frame = frame.f_back
        return None if library is None else self._source(library)

    def _kind(self, code: CodeType) -> int:
        kind = self._kinds.get(code)
        if kind is None:
            name = code.co_filename
            kind = self._kinds[code] = _kind_of(name)
        return kind

    def _source(self, frame: FrameType) -> Source:
        key = (frame.f_code, frame.f_lineno)
        source = self._sources.get(key)
        if source is None:
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            source = Source(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name, text)
            self._sources[key] = source
        return source


def _kind_of(file: str) -> int:
    if file.startswith(_WRAPPERS):
        return _WRAPPER
    if file.startswith((*_PASSED_OVER, "<frozen")) or os.path.basename(file) == "contextlib.py":
        return _SILENT
    if file.startswith(_OWN):
        return _RECORDER
    return _LIBRARY if file.startswith(_TORCH) else _USER
