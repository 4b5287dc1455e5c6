"""States that no run comes back from: once all their elements are NaN, they stay NaN and so does every loss."""

import math

import torch
from torch import fx

from chainrule.lanes.graph import Graph, Node
from chainrule.lanes.tracing import StepInputs

_DRAWS = 2


def absorbing_states(traced: fx.GraphModule, graph: Graph, inputs: StepInputs) -> frozenset[Node]:
    """Return the states that make the loss NaN and themselves NaN again, whatever the other states are.

    This is tried, by running the traced step with one state full of NaN and the others as they are, drawn at random,
    and full of NaN too. A state qualifies when it passes every time. Bias and weights of a last layer do; the weights
    before a ReLU do not, because they get no gradient from a unit that is off.
    """
    return frozenset(node for number, node in enumerate(graph.states) if _absorbs(traced, inputs, number))


def _absorbs(traced: fx.GraphModule, inputs: StepInputs, number: int) -> bool:
    names = list(inputs.states)
    if inputs.states[names[number]].numel() == 0:
        return False
    generator = torch.Generator().manual_seed(0)
    for draw in range(_DRAWS + 2):
        values = inputs.flat
        for place, name in enumerate(names):
            if place == number or draw == _DRAWS + 1:
                values[place].fill_(math.nan)
            elif draw:
                values[place].copy_(torch.randn(values[place].shape, generator=generator, dtype=values[place].dtype))
                if name not in inputs.parameters:
                    values[place].abs_()
        with torch.no_grad():
            *new, loss = traced(*values)
        if not (torch.isnan(loss).all() and torch.isnan(new[number]).all()):
            return False
    return True
