"""State dictionaries of torch as JSON and named tensors, and back, so that nothing needs to be unpickled.

JSON holds the structure; a tensor stands there as {"$tensor": name}, and what JSON has no form for (tuples, counters,
keys that are no text, NaN and infinities) stands there under a name that starts with "$".
"""

import math
from collections import Counter
from typing import Any

from chainrule.errors import CheckpointError
from chainrule.shapes import Tensor


def encode(value: Any, tensors: dict[str, Tensor], path: str) -> Any:
    """Return the JSON-able form of a value; its tensors go to `tensors`, named after where they stand.

    Raises:
        CheckpointError: something is neither data nor a tensor.
    """
    if isinstance(value, Tensor):
        name = path
        while name in tensors:  # "a.b" may be a key, and a key inside a key
            name += "#"
        tensors[name] = value.detach()
        return {"$tensor": name}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, Counter):
        return {"$counter": [[encode(key, tensors, path), count] for key, count in value.items()]}
    if isinstance(value, dict):
        return _encode_dict(value, tensors, path)
    if isinstance(value, list | tuple):
        items = [encode(item, tensors, f"{path}.{index}") for index, item in enumerate(value)]
        return {"$tuple": items} if isinstance(value, tuple) else items
    raise CheckpointError(
        what="A checkpoint cannot hold this state.",
        where=path,
        found=f"an object of type {type(value).__name__}",
        expected="numbers, text, lists, dictionaries and tensors",
    )


def _encode_dict(value: dict[Any, Any], tensors: dict[str, Tensor], path: str) -> Any:
    if all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: encode(item, tensors, f"{path}.{key}") for key, item in value.items()}
    items = value.items()
    return {"$items": [[encode(key, tensors, path), encode(item, tensors, f"{path}.{key}")] for key, item in items]}


def decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return the value that `encode` was given."""
    if isinstance(value, list):
        return [decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((kind, inner),) = value.items()
        if kind == "$tensor":
            return tensors[inner]
        if kind == "$float":
            return float(inner)
        if kind == "$counter":
            return Counter({decode(key, tensors): count for key, count in inner})
        if kind == "$tuple":
            return tuple(decode(item, tensors) for item in inner)
        if kind == "$items":
            return {decode(key, tensors): decode(item, tensors) for key, item in inner}
    return {key: decode(item, tensors) for key, item in value.items()}
