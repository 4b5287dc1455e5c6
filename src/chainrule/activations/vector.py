"""The activations of torch.nn whose outputs each depend on several inputs, in index notation.

Each output of Softmax, as a function of its own input, is a shifted sigmoid: with c = log Σⱼ e^x[j] over the other
inputs, y[i] = e^x[i]/(e^x[i] + e^c) = σ(x[i] − c). Range, monotony and vanishing of the derivative are read from it.
"""

from sympy import IndexedBase, KroneckerDelta, Sum, Symbol, exp, log

from chainrule.activations.rule import VectorRule, X
from chainrule.formulas import Sigmoid

i, j, k, n = (Symbol(letter, integer=True) for letter in "ijkn")
inputs, outputs = IndexedBase("x"), IndexedBase("y")
values, gates = IndexedBase("a"), IndexedBase("b")

_OTHERS_FIXED = "y[i] as x[i] moves and the other inputs stay, where log Σ e^x[j] over those others is 0"
_FLIPPED_FIXED = "y[i] as x[i] moves and the other inputs stay, where log Σ e^(−x[j]) over those others is 0"
_SUM_TO_ONE = "The outputs along the dimension are positive and sum to 1; the gain depends on how many there are."

_SOFTMAX = exp(inputs[i]) / Sum(exp(inputs[k]), (k, 1, n))
_SOFTMAX_JACOBIAN = outputs[i] * (KroneckerDelta(i, j) - outputs[j])

VECTOR: tuple[VectorRule, ...] = (
    VectorRule(
        "GLU",
        values[i] * Sigmoid(gates[i]),
        (
            ("∂y[i]/∂a[j]", KroneckerDelta(i, j) * Sigmoid(gates[i])),
            ("∂y[i]/∂b[j]", KroneckerDelta(i, j) * values[i] * Sigmoid(gates[i]) * (1 - Sigmoid(gates[i]))),
        ),
        slice=X,
        slice_meaning="y[i] as a[i] moves with the gate open, σ(b[i]) = 1; any other gate scales the line",
        gate=Sigmoid(X),
        notes=("a is the first half of the inputs along the dimension and b the second; half as many come out.",),
    ),
    VectorRule(
        "Softmax",
        _SOFTMAX,
        (("∂y[i]/∂x[j]", _SOFTMAX_JACOBIAN),),
        slice=Sigmoid(X),
        slice_meaning=_OTHERS_FIXED,
        notes=(_SUM_TO_ONE,),
    ),
    VectorRule(
        "Softmax2d",
        _SOFTMAX,
        (("∂y[i]/∂x[j]", _SOFTMAX_JACOBIAN),),
        slice=Sigmoid(X),
        slice_meaning=_OTHERS_FIXED,
        notes=("i and j run over the channels of an image, at each place by itself.", _SUM_TO_ONE),
    ),
    VectorRule(
        "Softmin",
        exp(-inputs[i]) / Sum(exp(-inputs[k]), (k, 1, n)),
        (("∂y[i]/∂x[j]", outputs[i] * (outputs[j] - KroneckerDelta(i, j))),),
        slice=Sigmoid(-X),
        slice_meaning=_FLIPPED_FIXED,
        notes=(_SUM_TO_ONE,),
    ),
    VectorRule(
        "LogSoftmax",
        inputs[i] - log(Sum(exp(inputs[k]), (k, 1, n))),
        (("∂y[i]/∂x[j]", KroneckerDelta(i, j) - exp(outputs[j])),),
        slice=log(Sigmoid(X)),
        slice_meaning=_OTHERS_FIXED,
        notes=("The exponentials of the outputs sum to 1; the gain depends on how many there are.",),
    ),
)
