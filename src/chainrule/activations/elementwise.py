"""The activations of torch.nn that map each number by itself, one record each.

torch.nn.MultiheadAttention stands in the same file of PyTorch, but is a layer: it has weights of its own, three
inputs, and its non-linearity is the Softmax that the catalogue lists.

Sources of the formulas: the documentation of each class in torch.nn. The two constants of SELU are the solution of
the fixed-point equations of Klambauer et al., Self-Normalizing Neural Networks (2017), equation (14): mean 0 and
variance 1 of a standard normal input are kept.
"""

import sympy
from sympy import Abs, Basic, Expr, Float, Max, Min, Or, Piecewise, Rational, Symbol, erfc, exp, log, pi, sqrt, tanh

from chainrule.activations.rule import ActivationRule, Parameter, X
from chainrule.formulas import NormalDistribution, Sigmoid, Softplus

ALPHA = Symbol("alpha", real=True)
BETA = Symbol("beta", real=True)
LAMBDA = Symbol("lambda", real=True)
LOW = Symbol("a", real=True)
HIGH = Symbol("b", real=True)
LIMIT = Symbol("t", real=True)
FILL = Symbol("v", real=True)


def _cases(*cases: tuple[Expr, Basic | bool]) -> Expr:
    # Unevaluated, because SymPy would turn x > λ round.
    return Piecewise(*cases, evaluate=False)


def _self_normalising_constants() -> tuple[Expr, Expr]:
    one, two = erfc(1 / sqrt(2)), erfc(sqrt(2))
    alpha = -sqrt(2 / pi) / (one * exp(Rational(1, 2)) - 1)
    norm = 2 * two * exp(2) + pi * one**2 * exp(1) - 2 * (2 + pi) * one * exp(Rational(1, 2)) + pi + 2
    scale = (1 - one * exp(Rational(1, 2))) * sqrt(2 * pi) / sqrt(norm)
    return alpha.evalf(40), scale.evalf(40)


_SELU_ALPHA, _SELU_SCALE = _self_normalising_constants()

ELEMENTWISE: tuple[ActivationRule, ...] = (
    ActivationRule("ReLU", Max(0, X), initialiser="relu"),
    ActivationRule(
        "LeakyReLU",
        Max(0, X) + ALPHA * Min(0, X),
        (Parameter("negative_slope", ALPHA),),
        initialiser="leaky_relu",
        initialiser_argument="negative_slope",
    ),
    ActivationRule(
        "PReLU",
        Max(0, X) + ALPHA * Min(0, X),
        (Parameter("init", ALPHA),),
        notes=("α is a weight that training changes; the numbers here are for its initial value.",),
    ),
    ActivationRule(
        "RReLU",
        Max(0, X) + (LOW + HIGH) * Min(0, X) / 2,
        (Parameter("lower", LOW), Parameter("upper", HIGH)),
        requires=LOW <= HIGH,
        notes=(
            "While training, the slope for x < 0 is drawn at random between a and b for every number anew; "
            "the formula and the numbers here are those of evaluation, where it is (a + b)/2.",
        ),
    ),
    ActivationRule("ReLU6", Max(0, Min(6, X))),
    ActivationRule(
        "Threshold",
        _cases((X, X > LIMIT), (FILL, True)),
        (Parameter("threshold", LIMIT, example=1.0), Parameter("value", FILL, example=0.0)),
        notes=("PyTorch gives t and v no defaults; the catalogue shows t = 1 and v = 0.",),
    ),
    ActivationRule(
        "ELU",
        _cases((X, X > 0), (ALPHA * (exp(X) - 1), True)),
        (Parameter("alpha", ALPHA),),
        notes=("It falls towards −α, and so does not keep an output positive; Softplus does.",),
    ),
    ActivationRule(
        "CELU",
        _cases((X, X > 0), (ALPHA * (exp(X / ALPHA) - 1), True)),
        (Parameter("alpha", ALPHA),),
        requires=ALPHA > 0,
    ),
    ActivationRule(
        "SELU",
        _cases((LAMBDA * X, X > 0), (LAMBDA * ALPHA * (exp(X) - 1), True)),
        constants=((ALPHA, _SELU_ALPHA), (LAMBDA, _SELU_SCALE)),
        notes=("α and λ are chosen so that a standard normal input keeps mean 0 and variance 1.",),
        initialiser="selu",
    ),
    ActivationRule("GELU", X * NormalDistribution(X), option=("approximate", "none")),
    ActivationRule(
        "GELU",
        X / 2 * (1 + tanh(sqrt(2 / pi) * (X + Float("0.044715") * X**3))),
        option=("approximate", "tanh"),
        notes=("An approximation of x·Φ(x) that needs no erf.",),
    ),
    ActivationRule("SiLU", X * Sigmoid(X), notes=("Also called Swish.",)),
    ActivationRule("Mish", X * tanh(Softplus(X))),
    ActivationRule("Hardswish", X * Max(0, Min(6, X + 3)) / 6),
    ActivationRule("Sigmoid", 1 / (1 + exp(-X)), initialiser="sigmoid"),
    ActivationRule(
        "Hardsigmoid",
        Max(0, Min(6, X + 3)) / 6,
        notes=("On a CPU, PyTorch's autograd rounds the slope 1/6 to float32, for float64 too.",),
    ),
    ActivationRule("LogSigmoid", log(Sigmoid(X))),
    ActivationRule("Tanh", tanh(X), initialiser="tanh"),
    ActivationRule(
        "Hardtanh",
        Max(LOW, Min(HIGH, X)),
        (Parameter("min_val", LOW), Parameter("max_val", HIGH)),
        requires=LOW < HIGH,
    ),
    ActivationRule("Tanhshrink", X - tanh(X)),
    ActivationRule("Softsign", X / (1 + Abs(X))),
    ActivationRule(
        "Softplus",
        _cases((X, BETA * X > LIMIT), (log(1 + exp(BETA * X)) / BETA, True)),
        (Parameter("beta", BETA), Parameter("threshold", LIMIT)),
        requires=BETA > 0,
        notes=("Above βx = t PyTorch returns x itself, to avoid overflow; that leaves a small step there.",),
    ),
    ActivationRule(
        "Softshrink",
        _cases((X - LAMBDA, X > LAMBDA), (X + LAMBDA, X < -LAMBDA), (sympy.S.Zero, True)),
        (Parameter("lambd", LAMBDA),),
        requires=LAMBDA >= 0,
    ),
    ActivationRule(
        "Hardshrink",
        _cases((X, Or(X > LAMBDA, X < -LAMBDA, evaluate=False)), (sympy.S.Zero, True)),
        (Parameter("lambd", LAMBDA),),
        requires=LAMBDA >= 0,
    ),
)
