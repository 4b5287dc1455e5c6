"""Results as JSON on standard output: one object, one line, valid for every reader."""

import json
import math
import sys
from typing import Any


def print_json(data: dict[str, Any]) -> None:
    """Print an object as one line of JSON.

    JSON has no NaN and no infinity, so numbers that are not finite are null. Where standard output is not UTF-8, what
    it may lack is escaped.
    """
    is_unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print(json_text(data, is_ascii=not is_unicode))  # noqa: T201


def json_text(data: dict[str, Any], *, is_ascii: bool = False) -> str:
    """Return an object as one line of JSON, with null for numbers that are not finite."""
    return json.dumps(_finite(data), ensure_ascii=is_ascii, allow_nan=False)


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return data
