"""The global generators of random numbers: torch's, and those of Python and NumPy, which a module may draw from."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from chainrule.shapes import Tensor

_WORDS = 624  # 32-bit words in the state of a Mersenne Twister
_CPU = torch.device("cpu")


def seed_generators(seed: int, *, cuda: bool = True) -> None:
    """Let all global generators begin at a seed.

    Args:
        seed: of all of them; NumPy takes its lowest 32 bits.
        cuda: those of GPUs too.
    """
    if cuda:
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextmanager
def generators_kept(device: torch.device = _CPU) -> Iterator[None]:
    """Put the global generators of Python, NumPy, torch's CPU and a device back afterwards."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)


def generators_outside_torch() -> dict[str, Tensor]:
    """Return the states of Python's and NumPy's global generators, as float64, which holds 32-bit words exactly.

    Each is 624 words, the position in them, whether a second normal number is in store, and that number.
    """
    _, words, in_store = random.getstate()
    of_python = [*words, in_store is not None, in_store or 0.0]
    found: Any = np.random.get_state(legacy=False)
    twister = found["state"]
    of_numpy = [*twister["key"].tolist(), twister["pos"], found["has_gauss"], found["gauss"]]
    return {
        "python": torch.tensor(of_python, dtype=torch.float64),
        "numpy": torch.tensor(of_numpy, dtype=torch.float64),
    }


def restore_generators_outside_torch(states: dict[str, Tensor]) -> None:
    """Put Python's and NumPy's global generators back to what `generators_outside_torch` returned."""
    *words, has_one, number = states["python"].tolist()
    random.setstate((3, tuple(map(int, words)), number if has_one else None))
    *words, position, has_one, number = states["numpy"].tolist()
    array = np.array(words[:_WORDS], np.uint32)
    np.random.set_state(("MT19937", array, int(position), int(has_one), number))
