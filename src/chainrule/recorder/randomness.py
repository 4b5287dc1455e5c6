"""The state of the random number generators, to see which ops draw from them and to draw the same again."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


def random_state(device: torch.device, generator: torch.Generator | None = None) -> Tensor | None:
    """Return the state of the generator that an op on a device draws from; None where there is none to read."""
    if generator is not None:
        return generator.get_state()
    if device.type == "cpu":
        return torch.default_generator.get_state()
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    if device.type == "mps":
        return torch.mps.get_rng_state()
    return None


def random_states(devices: Iterable[torch.device]) -> dict[str, Tensor]:
    """Return the state of every generator that a step on these devices draws from, by device."""
    states = {"cpu": torch.default_generator.get_state()}
    for device in devices:
        state = random_state(device)
        if state is not None:
            states[str(device)] = state
    return states


@contextmanager
def drawn_again(states: Mapping[str, Tensor]) -> Iterator[None]:
    """Put generators into earlier states, and put them back afterwards."""
    before = random_states(torch.device(name) for name in states)
    try:
        _put(states)
        yield
    finally:
        _put(before)


def _put(states: Mapping[str, Tensor]) -> None:
    for name, state in states.items():
        device = torch.device(name)
        if device.type == "cuda":
            torch.cuda.set_rng_state(state, device)
        elif device.type == "mps":
            torch.mps.set_rng_state(state)
        else:
            torch.default_generator.set_state(state)
