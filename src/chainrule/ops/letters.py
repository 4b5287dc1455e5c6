"""The letters of the formulas, the same in every rule.

Plain letters stand for one number; a base with brackets stands for the numbers that one output element takes from a
tensor: x[k] runs over the inputs of one output, and x[i] is the one at the output's own place.
"""

from sympy import IndexedBase, Symbol

# Slots: one number of a tensor.
X = Symbol("x", real=True)
Z = Symbol("z", real=True)
A = Symbol("a", real=True)
B = Symbol("b", real=True)
C = Symbol("c", real=True)
V = Symbol("v", real=True)
W = Symbol("w", real=True)
Y = Symbol("y", real=True)  # the output

# Slots: the numbers that one output takes from a tensor.
XS = IndexedBase("x", real=True)
ZS = IndexedBase("z", real=True)
AS = IndexedBase("a", real=True)
WS = IndexedBase("w", real=True)
YS = IndexedBase("y", real=True)

# Indices. I is the output's own place, M and L are where a derivative is taken, N is how many there are.
I = Symbol("i", integer=True)  # noqa: E741
J = Symbol("j", integer=True)
K = Symbol("k", integer=True)
L = Symbol("l", integer=True)
M = Symbol("m", integer=True)
N = Symbol("n", integer=True, positive=True)

# Settings of a call.
ALPHA = Symbol("alpha", real=True)
BETA = Symbol("beta", real=True)
LOW = Symbol("a", real=True)
HIGH = Symbol("b", real=True)
P = Symbol("p", real=True)
EPSILON = Symbol("epsilon", positive=True)
