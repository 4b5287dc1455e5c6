"""The contenders of JAX, where it is installed, and the published map's own code, where its notebook is at hand.

Beside jit(vmap(scan)) as one would write it stand rewrites: chunks of runs that stay in the cache, weights stored the
other way around so that no product needs a transposed copy, one array for each of the few weights of the 2-2-2 network.
The fastest of them at the sizes given here is what the targets mean by the best rewrite.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax  # a peer, installed only to be measured
import jax.numpy as jnp
import numpy as np
from many_runs_cases import SAMPLES, WIDTH, Case, Contender, Numbers, Train, learning_rate_map

jax.config.update("jax_enable_x64", True)

SCAN, CHUNKED, BEST = "JAX jit(vmap(scan))", "JAX jit(vmap(scan)), chunked", "JAX, best rewrite"
AUTHORS = "the author's code"
Step = Callable[[Any, Any, Any], tuple[Any, Any]]  # (state, rates of a run, data of the step) → (state, loss)


def _trained(step: Step, state: Any, data: Any, steps: int) -> Callable[[Any], Any]:
    """Return rates → last loss of one run, its steps in a scan."""

    def one(rates: Any) -> Any:
        def turn(carry: Any, now: Any) -> tuple[Any, None]:
            return step(carry[0], rates, now), None

        first = (state, jnp.zeros((), rates.dtype))
        (_, loss), _ = jax.lax.scan(turn, first, data, length=steps)
        return loss

    return one


def _in_chunks(make: Callable[[int], Callable[[Any], Any]], chunk: int, dtype: str) -> Train:
    """Return the training of `chunk` runs a call; `make` gives (steps) → (rates of a chunk → last losses)."""
    compiled: dict[int, Callable[[Any], Any]] = {}

    def train(rates: Numbers, steps: int) -> Numbers:
        if steps not in compiled:
            compiled[steps] = jax.jit(make(steps))
        parts = [compiled[steps](jnp.asarray(rates[k : k + chunk], dtype)) for k in range(0, len(rates), chunk)]
        return np.concatenate([np.asarray(part) for part in parts])

    return train


# 2-2-2 ----------------------------------------------------------------------------------------------------------------


def _two_two_two(case: Case, chunk: int) -> Train:
    inputs, targets = jnp.asarray(case.inputs[0].numpy()), jnp.asarray(case.targets[0].numpy())
    weights = tuple(jnp.asarray(value.numpy()) for value in case.weights.values())

    def loss_of(weights: Any) -> Any:
        hidden = jax.nn.sigmoid(weights[0] @ inputs)
        return 0.5 * ((targets - jax.nn.sigmoid(weights[1] @ hidden)) ** 2).sum()

    def step(weights: Any, rates: Any, now: Any) -> tuple[Any, Any]:
        loss, gradients = jax.value_and_grad(loss_of)(weights)
        return tuple(w - rates[0] * g for w, g in zip(weights, gradients, strict=True)), loss

    return _in_chunks(lambda steps: jax.vmap(_trained(step, weights, None, steps)), chunk, case.precision)


def _two_two_two_by_weight(case: Case, chunk: int) -> Train:
    """Return the rewrite with one array of runs for each weight, and the derivatives written by hand."""
    x1, x2 = case.inputs[0].tolist()
    t1, t2 = case.targets[0].tolist()
    numbers = [number for value in case.weights.values() for number in value.flatten().tolist()]

    def sigmoid(value: Any) -> Any:
        return 1 / (1 + jnp.exp(-value))

    def make(steps: int) -> Callable[[Any], Any]:
        def train(rates: Any) -> Any:
            rate = rates[:, 0]

            def turn(carry: Any, now: Any) -> tuple[Any, None]:
                w = carry[0]
                h1, h2 = sigmoid(w[0] * x1 + w[1] * x2), sigmoid(w[2] * x1 + w[3] * x2)
                o1, o2 = sigmoid(w[4] * h1 + w[5] * h2), sigmoid(w[6] * h1 + w[7] * h2)
                e1, e2 = o1 - t1, o2 - t2
                d1, d2 = e1 * o1 * (1 - o1), e2 * o2 * (1 - o2)
                k1 = (d1 * w[4] + d2 * w[6]) * h1 * (1 - h1)
                k2 = (d1 * w[5] + d2 * w[7]) * h2 * (1 - h2)
                slopes = (k1 * x1, k1 * x2, k2 * x1, k2 * x2, d1 * h1, d1 * h2, d2 * h1, d2 * h2)
                moved = tuple(one - rate * slope for one, slope in zip(w, slopes, strict=True))
                return (moved, 0.5 * (e1 * e1 + e2 * e2)), None

            zero = jnp.zeros_like(rate)
            state = (tuple(zero + number for number in numbers), zero)
            (_, loss), _ = jax.lax.scan(turn, state, None, length=steps, unroll=4)
            return loss

        return train

    return _in_chunks(make, chunk, case.precision)


# The map --------------------------------------------------------------------------------------------------------------


def _map(case: Case, chunk: int, *, turned: bool) -> Train:
    """Return the map's training; `turned`: weights and activations stored with the samples last."""
    first, second = (jnp.asarray(value.numpy()) for value in case.weights.values())
    inputs, targets = jnp.asarray(case.inputs.numpy()), jnp.asarray(case.targets.numpy())
    if turned:
        first, second, inputs, targets = first.T, second[:, 0], inputs.T, targets[:, 0]

    def loss_of(weights: Any) -> Any:
        if turned:
            prediction = weights[1] @ jnp.tanh((weights[0] @ inputs) * (2 / WIDTH) ** 0.5) / WIDTH
        else:
            prediction = jnp.tanh(inputs @ weights[0] / WIDTH**0.5 * 2**0.5) @ weights[1] / WIDTH
        return jnp.mean((prediction - targets) ** 2)

    def step(weights: Any, rates: Any, now: Any) -> tuple[Any, Any]:
        loss, gradients = jax.value_and_grad(loss_of)(weights)
        return (weights[0] - rates[0] * gradients[0], weights[1] - rates[1] * gradients[1]), loss

    return _in_chunks(lambda steps: jax.vmap(_trained(step, (first, second), None, steps)), chunk, case.precision)


def authors_training(notebook: Path, case: Case) -> Train:
    """Return the training of the published map's own notebook, unchanged but for size.

    Only the cells that define its settings, its training and its measure are run; they draw nothing. The one name that
    newer versions of JAX have dropped, `jax.tree_map`, is given back.
    """
    cells = [
        "".join(cell["source"]) for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"
    ]
    marks = ("opt_steps = ", "def train_step(", "def convergence_measure(")
    wanted = [next(cell for cell in cells if mark in cell) for mark in marks]
    if not hasattr(jax, "tree_map"):
        jax.tree_map = jax.tree_util.tree_map
    names: dict[str, Any] = {"jax": jax, "jnp": jnp, "np": np}
    for cell in wanted:
        exec(compile(cell, str(notebook), "exec"), names)  # noqa: S102 - the file that the user names
        names["width"] = WIDTH
    weights = [jnp.asarray(value.numpy()) for value in case.weights.values()]
    inputs, targets = jnp.asarray(case.inputs.numpy()), jnp.asarray(case.targets.numpy())
    assert inputs.shape == (SAMPLES, WIDTH)
    return lambda rates, steps: np.asarray(names["train"](weights, jnp.asarray(rates), inputs, targets, steps))


# Digits ---------------------------------------------------------------------------------------------------------------


def _digits(case: Case, chunk: int, *, turned: bool) -> Train:
    """Return the digits' training; `turned`: weights as PyTorch stores them and activations with the samples last."""
    inputs, classes = jnp.asarray(case.inputs.numpy()), jnp.asarray(case.targets.numpy())
    first, bias, second, other = (jnp.asarray(value.numpy()) for value in case.weights.values())
    weights = (first, bias, second, other) if turned else (first.T, bias, second.T, other)

    def loss_of(weights: Any, inputs: Any, classes: Any) -> Any:
        first, bias, second, other = weights
        if turned:
            hidden = jax.nn.relu(first @ inputs.T + bias[:, None])
            scores = second @ hidden + other[:, None]
            chosen = (scores * jax.nn.one_hot(classes, 10, dtype=scores.dtype).T).sum(0)
            return jnp.mean(jax.nn.logsumexp(scores, axis=0) - chosen)
        scores = jax.nn.relu(inputs @ first + bias) @ second + other
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(scores), classes[:, None], 1))

    def step(state: Any, rates: Any, now: Any) -> tuple[Any, Any]:
        weights, means, squares, count = state
        loss, gradients = jax.value_and_grad(loss_of)(weights, *now)
        count = count + 1
        each = jax.tree_util.tree_map
        means = each(lambda m, g: m + (g - m) * jnp.float32(0.1), means, gradients)
        squares = each(lambda v, g: v * jnp.float32(0.999) + g * g * jnp.float32(0.001), squares, gradients)
        size = rates[0] / (1 - jnp.float32(0.9) ** count)
        root = jnp.sqrt(1 - jnp.float32(0.999) ** count)
        weights = each(lambda w, m, v: w - size * m / (jnp.sqrt(v) / root + jnp.float32(1e-8)), weights, means, squares)
        return (weights, means, squares, count), loss

    zeros = tuple(jnp.zeros_like(value) for value in weights)
    state = (weights, zeros, zeros, jnp.float32(0))

    def make(steps: int) -> Callable[[Any], Any]:
        batched: Callable[[Any], Any] = jax.vmap(_trained(step, state, (inputs[:steps], classes[:steps]), steps))
        return batched

    return _in_chunks(make, chunk, case.precision)


def jax_contenders(case: Case, *, size: float, notebook: Path | None, resolutions: tuple[int, ...]) -> list[Contender]:
    """Return the contenders of JAX on a case.

    Args:
        case: the training.
        size: of the work; 1 is the full one.
        notebook: of the published map.
        resolutions: at which its own code is timed.
    """
    rates, name = case.rates, case.name
    everything, steps = partial(_two_two_two, case, len(rates)), max(20, int(100 * size))
    if name == "2-2-2":
        spread = rates[:: max(1, len(rates) // 8192)][:8192]
        of_weights = partial(_two_two_two_by_weight, case, 4096)
        return [
            Contender(SCAN, name, everything, rates, steps, "all runs at once"),
            Contender(CHUNKED, name, partial(_two_two_two, case, 1024), spread, 1000, "chunks of 1,024"),
            Contender(BEST, name, of_weights, spread, 1000, "an array for each weight, gradients by hand"),
        ]
    if name == "digits":
        best = partial(_digits, case, 64, turned=True)
        all_at_once, chunked = (partial(_digits, case, number, turned=False) for number in (len(rates), 32))
        return [
            Contender(SCAN, name, all_at_once, rates, case.steps, "all runs at once"),
            Contender(CHUNKED, name, chunked, rates, case.steps, "chunks of 32"),
            Contender(BEST, name, best, rates, case.steps, "chunks of 64, samples last"),
        ]
    some = rates[:: max(1, len(rates) // 1024)][:1024]
    found = [
        Contender(CHUNKED, name, partial(_map, case, 8, turned=False), some, 40, "chunks of 8"),
        Contender(BEST, name, partial(_map, case, 64, turned=True), some, 40, "chunks of 64, samples last"),
    ]
    if notebook is None:
        return found
    for resolution in resolutions:
        training = partial(authors_training, notebook, case)
        grid, is_large = learning_rate_map(resolution).rates, resolution > 100
        own = f"{AUTHORS}, {resolution}×{resolution}"
        found.append(Contender(own, name, training, grid, 3 if is_large else 10, "JAX", is_long=is_large))
    return found
