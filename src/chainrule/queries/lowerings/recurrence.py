"""Recurrent layers, step by step, and their cells.

The weights of a layer and direction stand one after the other: input, recurrent, and then, where there are biases, the
two of them; an LSTM that projects its state has one more.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from chainrule.queries.lowerings.lowering import Lowering, Real

State = tuple[Tensor, ...]
Weights = Sequence[Tensor]
Step = Callable[[Tensor, State, Weights, bool], State]


def _recurrent_part(state: Tensor, weights: Weights, has_biases: bool) -> Tensor:
    return nn.functional.linear(state, weights[1], weights[3] if has_biases else None)


def _lstm_step(from_input: Tensor, state: State, weights: Weights, has_biases: bool) -> State:
    """i, f, o = σ(·), g = tanh(·); c' = f·c + i·g; h' = o·tanh c', projected where there is a projection."""
    gates = from_input + _recurrent_part(state[0], weights, has_biases)
    into, forget, new, out = gates.chunk(4, -1)
    cell = torch.sigmoid(forget) * state[1] + torch.sigmoid(into) * torch.tanh(new)
    hidden = torch.sigmoid(out) * torch.tanh(cell)
    if len(weights) in (3, 5):
        hidden = nn.functional.linear(hidden, weights[-1])
    return hidden, cell


def _gru_step(from_input: Tensor, state: State, weights: Weights, has_biases: bool) -> State:
    """r, z = σ(·); n = tanh(Wx + r·(Uh + b)); h' = n + z·(h − n)."""
    reset_input, update_input, new_input = from_input.chunk(3, -1)
    reset_state, update_state, new_state = _recurrent_part(state[0], weights, has_biases).chunk(3, -1)
    reset = torch.sigmoid(reset_input + reset_state)
    update = torch.sigmoid(update_input + update_state)
    new = torch.tanh(new_input + reset * new_state)
    return (new + update * (state[0] - new),)


def _plain_step(activation: Callable[[Tensor], Tensor]) -> Step:
    def step(from_input: Tensor, state: State, weights: Weights, has_biases: bool) -> State:
        """H' = activation(Wx + Uh + b)."""
        return (activation(from_input + _recurrent_part(state[0], weights, has_biases)),)

    return step


def _layers(step: Step, states: int) -> Callable[..., Any]:
    """Return the lowering of a recurrent layer, or of several on top of each other, in one or two directions."""

    def lowered(
        input: Tensor,  # noqa: A002  # torch's name
        hx: Tensor | Sequence[Tensor],
        params: Weights,
        has_biases: bool,
        num_layers: int,
        dropout: Real,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[Tensor, ...]:
        initial: State = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        directions = 2 if bidirectional else 1
        each = len(params) // (num_layers * directions)
        sequence = input.transpose(0, 1) if batch_first else input
        ends: list[State] = []
        for layer in range(num_layers):
            outputs = []
            for direction in range(directions):
                row = layer * directions + direction
                weights = params[row * each : (row + 1) * each]
                from_input = nn.functional.linear(sequence, weights[0], weights[2] if has_biases else None)
                state = tuple(part[row] for part in initial)
                steps = list(from_input.unbind(0))
                hidden = []
                for part in reversed(steps) if direction else steps:
                    state = step(part, state, weights, has_biases)
                    hidden.append(state[0])
                outputs.append(torch.stack(hidden[::-1] if direction else hidden))
                ends.append(state)
            sequence = outputs[0] if directions == 1 else torch.cat(outputs, -1)
            if dropout > 0.0 and train and layer < num_layers - 1:
                sequence = torch.dropout(sequence, dropout, True)
        final = tuple(torch.stack([end[number] for end in ends]) for number in range(states))
        return (sequence.transpose(0, 1) if batch_first else sequence, *final)

    return lowered


def _cell(step: Step, states: int) -> Callable[..., Any]:
    def lowered(
        input: Tensor,  # noqa: A002
        hx: Tensor | Sequence[Tensor],
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Any:
        state: State = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        weights = (w_ih, w_hh) if b_ih is None or b_hh is None else (w_ih, w_hh, b_ih, b_hh)
        result = step(nn.functional.linear(input, w_ih, b_ih), state, weights, b_ih is not None)
        return result if states > 1 else result[0]

    return lowered


def _refuses_packed(*arguments: Any, **_keywords: Any) -> str:
    """Say that a packed sequence cannot be opened: there the weights stand where else `has_biases` does."""
    if len(arguments) > 3 and not isinstance(arguments[3], bool):
        return "Its input is a packed sequence (pack_padded_sequence), whose samples end at different steps."
    return ""


RECURRENCE = (
    Lowering(("torch.lstm",), _layers(_lstm_step, 2), _refuses_packed),
    Lowering(("torch.gru",), _layers(_gru_step, 1), _refuses_packed),
    Lowering(("torch.rnn_tanh",), _layers(_plain_step(torch.tanh), 1), _refuses_packed),
    Lowering(("torch.rnn_relu",), _layers(_plain_step(torch.relu), 1), _refuses_packed),
    Lowering(("torch.lstm_cell",), _cell(_lstm_step, 2)),
    Lowering(("torch.gru_cell",), _cell(_gru_step, 1)),
    Lowering(("torch.rnn_tanh_cell",), _cell(_plain_step(torch.tanh), 1)),
    Lowering(("torch.rnn_relu_cell",), _cell(_plain_step(torch.relu), 1)),
)
