"""Headers and labels as learners write them."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.formulas import Sigmoid
from chainrule.notation import NotationError, read_name
from chainrule.programs import Layer, ascii_name, latex_name, layered_program
from chainrule.programs.program import symbol_of

CERTAIN = {  # several spellings of one quantity, with | between them
    "i1": "i1|I1|i_1|i_{1}|i₁|x1|X1|x₁|in1|in 1|input 1|Input1|input_1|Input i1|Eingabe 1|entrée 1|entrada 1|ｉ１|і1",
    "t1": "t1|T1|t_1|t₁|t_{1}|target1|Target 1|target_o1|y_true1|desired output 1|Ziel 1|Soll 1|cible 1|target t1",
    "w1": "w1|W1|w_1|w₁|w_{1}|weight 1|Weight_1|Weight w1|weight (w1)|W1 (initial)|initial w1|Gewicht 1|poids 1|ԝ1",
    "b1": "b1|B1|b_1|b_{1}|bias 1|bias1|Bias b1|biais 1|b1 (bias)",
    "h1": "h1|H1|h_1|h_{1}|h₁|net_h1|neth1|net h1|net_{h1}|net_{h_1}|in_h1|sum_h1|Σh1|z_h1|h1_in"
    "|h1 (net)|net hidden 1|net input of h1|weighted sum h1|NET_H1|h1 net",
    "a_h1": "a_h1|ah1|ah_1|A_H1|a_{h1}|a_{h_1}|aₕ₁|out_h1|outh1|Out H1|σ(h1)|σ( h1 )|sigmoid(h1)"
    r"|Sigmoid(net_h1)|sig(h1)|\sigma(h_1)|\sigma\left(h_{1}\right)|act_h1|h1_out|h1 out|out(h1)"
    "|f(h1)|tanh(h1)|ReLU(h1)|activation h1|σh1|hidden 1 out|output hidden 1|h1.out|a_h₁",
    "o1": r"o1|O1|o_1|o_{1}|net_o1|neto1|net o1|in_o1|z_o1|\text{net}_{o1}|net output 1|sum_o1",
    "a_o1": "a_o1|ao1|out_o1|outo1|σ(o1)|sigmoid(o1)|a_{o1}|a_O1|act_o1|out o1|o1_out",
    "p1": "p1|p_1|softmax(o1)|prob1|probability 1",
    "E1": "E1|e1|E_1|E₁|E_{1}|E_o1|E_{o1}|Error 1|error_o1|loss1|loss 1|err1|Fehler 1|erreur 1|E(o1)|L1|Е1|Error E1",
    "E_total": r"E_total|E_tot|Etotal|E_Total|E_t|Et|E_T|E|E_{total}|E_{\mathrm{total}}|total error"
    "|Total Error|Error|error|loss|Loss|cost|L|J|MSE|mean squared error|Loss (MSE)|Error (E)"
    "|Gesamtfehler|erreur totale|error total|coût|ΣE|J(w)|Total loss|sum of errors|E tot.|Verlust"
    "|perte|Kosten|E_gesamt",
    "∂E/∂w1": "∂E/∂w1|dE/dw1|δE_t/δw1|∂E_total/∂w1|dE_total/dw1|∂E_t/∂w1|∂E/∂W1|∂ E / ∂ w1|∂E⁄∂w₁|E∂w1"
    "|∂E∂w1|dE_dw1|dEdw1|grad w1|grad_w1|Gradient w1|gradient of w1|∇w1|∇_{w1} E|nabla w1"
    r"|w1 gradient|w1_grad|w1.grad|∂L/∂w1|dLoss/dW1|\frac{\partial E}{\partial w_1}"
    r"|$\frac{\partial E_{total}}{\partial w_{1}}$|\frac{dE}{dw_1}|𝜕E/𝜕𝑤1|dE wrt w1|ΔE/Δw1"
    "|∂E/∂w1 =|d(E_total)/d(w1)|derivative of E with respect to w1|partial E / partial w1"
    "|δE_total/δw1|d_E_d_w1|E_dw1",
    "∂E1/∂w5": "∂E1/∂w5|dE1/dw5|dE1_dw5|δE_1/δw_5|∂E_o1/∂w5",
    "∂E/∂a_o1": "∂E/∂a_o1|∂E/∂out_o1|dE/dout_o1|dE_dout_o1|∂E_total/∂out_{o1}",
    "∂E1/∂a_h1": "∂E1/∂a_h1|∂E1/∂out_h1|dE_o1/dout_h1",
    "∂a_o1/∂o1": "∂a_o1/∂o1|∂out_o1/∂net_o1|dout_o1/dnet_o1|da_o1_do1|∂σ(o1)/∂o1",
    "∂o1/∂w5": "∂o1/∂w5|∂net_o1/∂w5|do1/dw5|δo1/δW5",
    "∂E/∂o1": r"δ_o1|δo1|delta_o1|d_o1|delta o1|\delta_{o1}|∂E/∂net_o1|delta output 1|o1 delta|dE/do1",
    "∂E/∂h1": "δ_h1|delta_h1|∂E/∂h1|∂E_total/∂net_h1|delta hidden 1",
    "w1⁺": "w1⁺|w1'|w1′|w1+|w1 +|w_1^+|w_{1}^{+}|w1_new|w1 new|new w1|New W1|w1 (new)|updated w1"
    "|w1 updated|w1(t+1)|w_1^{new}|w_1^{(t+1)}|neues w1|nouveau w1|new weight 1|Updated Weight w1"
    "|w1_next|w_{1}'",
    "η": r"η|η =|η:|eta|ETA|\eta|$\eta$|lr|LR|L.R|L.R.|learning rate|Learning Rate|Learning-Rate"
    "|learning_rate|LearningRate|Learning rate (η)|lr (alpha)|Lernrate|Lernrate η"
    "|taux d'apprentissage|Taux d’apprentissage|tasa de aprendizaje|step size|Schrittweite"
    "|скорость обучения|学习率|learning rate:|𝜂",
    "h1_1": "h1_1|h_1_1|h_{1,1}|h1,1|h[1][1]|net_h1_1",
    "a_h2_1": "a_h2_1|a_{h2,1}|out_h2_1|σ(h2_1)|a_{h_{2,1}}",
    "h1⁽²⁾": "h1⁽²⁾|h1_s2|h1 sample 2",
    "m_w1": "m_w1|m_{w1}|m w1",
    "mhat_w1": r"mhat_w1|m̂_w1|\hat{m}_{w1}|\hat{m}_{w_1}",
    "β2": r"β2|β₂|beta2|beta_2|\beta_2|\beta_{2}",
    "ε": r"ε|ϵ|eps|epsilon|\epsilon|\varepsilon",
    "μ": "μ|µ|mu|momentum|Momentum",
}
SPELLINGS = [(quantity, text) for quantity, texts in CERTAIN.items() for text in texts.split("|")]


@pytest.mark.parametrize(("quantity", "text"), SPELLINGS)
def test_spellings_that_mean_one_quantity(quantity: str, text: str) -> None:
    name = read_name(text)
    assert name is not None
    assert (name.quantity, name.readings, name.is_certain, name.text) == (quantity, (quantity,), True, text)


AMBIGUOUS = {
    "y1": ("t1", "a_o1"),
    "ŷ1": ("a_o1", "o1", "p1"),
    "y_hat1": ("a_o1", "o1", "p1"),
    r"\hat{y}_1": ("a_o1", "o1", "p1"),
    "prediction 1": ("a_o1", "o1", "p1"),
    "Output 1": ("a_o1", "o1", "p1"),
    "a1": ("a_h1", "a_o1"),
    "z1": ("h1", "o1"),
    "hidden 1": ("h1", "a_h1"),
    "h11": ("h11", "h1_1"),
    "h_1^{(2)}": ("h1⁽²⁾", "h2_1"),
    "x1_2": ("i1⁽²⁾", "i2⁽¹⁾"),
    "δ1": ("∂E/∂o1", "∂E/∂h1"),
    "error h1": ("∂E/∂h1", "∂E/∂a_h1"),
    "Δw1": ("Δw1", "∂E/∂w1"),
    "delta w1": ("Δw1", "∂E/∂w1"),
    "dw1": ("∂E/∂w1", "Δw1"),
    "E_w1": ("∂E/∂w1",),
    "w1*": ("w1", "w1⁺"),
    "w12": ("w12",),
    "w_{12}": ("w12",),
    "w1_2": ("w1_2",),
    "w[1][2]": ("w1_2",),
    "w(1,2)": ("w1_2",),
    "w_i1_h1": ("w_i1_h1",),
    "b_h1": ("b_h1",),
    "∂E/∂w11": ("∂E/∂w11",),
    "α": ("η", "α"),
    "rate": ("η",),
    "learing rate": ("η",),
    "t": ("t", "t1"),
    "x": ("i1",),
    "e": ("E_total",),
    "w0": ("w0",),
    "a_01": ("a_o1",),  # a zero for the letter
    "out_02": ("a_o2",),
    "E1/∂w5": ("∂E1/∂w5",),  # a ∂ was forgotten
}


@pytest.mark.parametrize(("text", "readings"), AMBIGUOUS.items())
def test_what_can_be_read_otherwise_says_so(text: str, readings: tuple[str, ...]) -> None:
    name = read_name(text)
    assert name is not None
    assert (name.quantity, name.readings, name.is_certain) == (readings[0], readings, False)


NONE = (
    "|   |Date|Notes|Sheet1|Sigmoid|hello world|Total|Sum|2021-01-05|Weights|Inputs|Outputs|Outputs layer 1"
    "|Weights layer 2"
    "|Error weights|w1 w2|w1 - w4|1|0.5|Layer 1|E1 E2|no bias|Input Layer|The network|a to b|loss curve|Error vs epoch"
    "|BackProp|adadasdasd|the|who|To understand backpropagation and chain rule|i1, i2 = inputs|= ?|make green|E1E2E3"
)


@pytest.mark.parametrize("text", NONE.split("|"))
def test_what_names_nothing(text: str) -> None:
    assert read_name(text) is None


@pytest.mark.parametrize(
    "text", ["epoch", "Iteration", "Iteration #", "step", "#", "No.", "Nr.", "Schritt", "itération"]
)
def test_columns_that_count(text: str) -> None:
    name = read_name(text)
    assert name is not None
    assert (name.quantity, name.kind, name.readings) == (None, "step", ())


VALUES = {
    "η = 0.5": ("η", 0.5),
    "η=0.1": ("η", 0.1),
    "LR: 0.5": ("η", 0.5),
    "lr 0.5": ("η", 0.5),
    "LR0.2": ("η", 0.2),
    "Taux d'apprentissage : 0,8": ("η", 0.8),
    "Learning Rate η = 1e-3": ("η", 0.001),
    "i1 = 0.05": ("i1", 0.05),
    "w1 = -.15": ("w1", -0.15),
}


@pytest.mark.parametrize(("text", "said"), VALUES.items())
def test_a_name_with_its_number(text: str, said: tuple[str, float]) -> None:
    name = read_name(text)
    assert name is not None
    assert (name.quantity, name.value, name.formula) == (*said, None)


i1, i2, w1, w2, h1, t1, a_o1, a_h1 = map(symbol_of, ("i1", "i2", "w1", "w2", "h1", "t1", "a_o1", "a_h1"))
FORMULAS = {
    "h1 = w1*i1 + w2*i2": ("h1", w1 * i1 + w2 * i2),
    "net_h1=W1*X1+W2*X2": ("h1", w1 * i1 + w2 * i2),
    "out_h1 = σ(h1)": ("a_h1", Sigmoid(h1)),
    "E1 = ½ * ( t1 - a_o1)²": ("E1", (t1 - a_o1) ** 2 / 2),
    "∂E/∂w5 = (out_o1 - t1)*(out_o1(1-out_o1))*(out_h1)": ("∂E/∂w5", (a_o1 - t1) * a_o1 * (1 - a_o1) * a_h1),
    "∂E1/∂a_o1 =  ∂(½ * (t1 - a_o1)²)/∂a_o1 = (a_01 - t1)": ("∂E1/∂a_o1", a_o1 - t1),
    r"$\frac{\partial E}{\partial w_5} = (a_{o1} - t_1) a_{h1}$": ("∂E/∂w5", (a_o1 - t1) * a_h1),
    "new w1 = w1 - lr*grad w1": ("w1⁺", w1 - symbol_of("η") * symbol_of("∂E/∂w1")),
}


@pytest.mark.parametrize(("text", "said"), FORMULAS.items())
def test_a_header_with_its_formula(text: str, said: tuple[str, object]) -> None:
    name = read_name(text)
    assert name is not None
    assert (name.quantity, name.formula, name.problem) == (*said, None)
    assert name.equation is not None
    assert (name.equation.left, name.equation.text, name.equation.sides[-1]) == (said[0], text, said[1])


def test_a_formula_without_a_name() -> None:
    name = read_name("(a_o1-t1)*a_h1")
    assert name is not None
    assert (name.quantity, name.kind, name.formula) == (None, "formula", (a_o1 - t1) * a_h1)


def test_a_formula_that_cannot_be_read_does_not_hide_the_name() -> None:
    name = read_name("E1= 0.5(t1-a_01))²")
    assert name is not None
    assert (name.quantity, name.formula) == ("E1", None)
    assert isinstance(name.problem, NotationError)
    assert name.problem.what == "')' cannot stand here."


def test_what_a_name_belongs_to() -> None:
    gradient, updated, matrix, ends = map(read_name, ("∂E1/∂w5", "w5'", "w_{12}^{(1)}", "w_i1_h2"))
    assert (gradient.above.quantity, gradient.of.quantity, updated.of.quantity) == ("E1", "w5", "w5")
    assert (matrix.indices, matrix.layer, ends.ends) == ((1, 2), 1, ("i1", "h2"))


def test_every_name_of_a_program_is_read_in_text_in_latex_and_in_plain_letters() -> None:
    settings_of_adam = {"η": 0.1, "β1": 0.9, "β2": 0.99, "ε": 1e-8, "λ": 0.1}
    programs = (
        layered_program(2, [Layer(2, bias="shared"), Layer(2, bias="separate")], samples=2),
        layered_program(1, [Layer(2, "relu"), Layer(1)], optimizer="Adam", settings=settings_of_adam),
        layered_program(
            1, [Layer(1, "tanh"), Layer(2), Layer(2, "softmax")], "cross-entropy", settings={"η": 0.1, "μ": 0.9}
        ),
    )
    for name in dict.fromkeys(itertools.chain.from_iterable(program.quantities for program in programs)):
        for written in (name, latex_name(name), f"${latex_name(name)}$", ascii_name(name)):
            read = read_name(written)
            assert read is not None, written
            assert read.quantity == name, written


def test_a_long_text_is_no_name() -> None:
    assert read_name("w1 " * 2000) is None


@settings(max_examples=60, deadline=2000)
@given(st.text(max_size=60) | st.text(alphabet="∂Ewhoatdδ_^{}()[]\\=/'⁺⁽²⁾ 0123.+-*ησΣ", max_size=40))
def test_any_text_is_a_name_or_none(text: str) -> None:
    name = read_name(text)
    assert name is None or name.text == text
    if name is not None and name.is_certain and name.quantity:
        assert name.readings == (name.quantity,)
