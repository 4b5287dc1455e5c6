"""What was understood of a file, in the words of its verdict."""

from collections.abc import Sequence
from typing import Any

from chainrule.checking.evidence import Source
from chainrule.checking.network import TOTAL, Network


def described(network: Network) -> dict[str, Any]:
    """Return a network as JSON-able data: its sizes, activations, and what every unit adds up."""
    return {
        "inputs": len(network.inputs),
        "layers": [
            {"units": len(layer.units), "activation": layer.activation}
            | ({"slope": layer.slope} if layer.activation == "leaky_relu" else {})
            for layer in network.layers
        ],
        "units": {
            unit.net: " + ".join(
                [f"{weight}·{x}" for weight, x in zip(unit.weights, unit.inputs, strict=True)]
                + ([unit.bias] if unit.bias else [])
            )
            for layer in network.layers
            for unit in layer.units
        },
    }


def conventions_of(network: Network, source: Source, orders: Sequence[str], biases: Sequence[str]) -> dict[str, Any]:
    """Return the conventions of a file as JSON-able data.

    Args:
        network: the network.
        source: what it was read from.
        orders: for each layer, how its weights are counted.
        biases: for each layer, how its units share biases.
    """
    conventions: dict[str, Any] = {"loss": network.loss_words}
    if not any(source.has(name) for name in (*network.losses, TOTAL)):
        conventions["loss"] += " (it is not written down; it is what fits the gradients)"
    conventions["weights are counted"] = ", ".join(dict.fromkeys(orders))
    if network.biases:
        used = [bias for bias in biases if bias != "none"]
        kept = "trained" if any(name in network.trained for name in network.biases) else "fixed"
        conventions["biases"] = f"{', '.join(dict.fromkeys(used))}, {kept}"
    else:
        conventions["biases"] = "none"
    return conventions
