"""The words of names: what each means, in one code.

A code stands for one idea however it is spelled: "h" for h, hidden, versteckt; "e" for E, error, loss, Fehler. Letters
that may mean several things (x, y, z, a, t, out, in) have codes of their own, and `spelling` says what they mean where.
"""

_SAME = {
    "i": "i",
    "x": "x",
    "in": "in",
    "input": "input inp eingabe eingang entree entrada ingresso вход",
    "t": "t",
    "target": "target targ tgt desired expected true truth label actual ziel zielwert soll sollwert cible attendu "
    "voulu desire objetivo deseado esperado alvo atteso цель",
    "y": "y",
    "w": "w weight wt wgt gewicht poids peso вес",
    "b": "b bias biais sesgo vies смещение",
    "h": "h",
    "hidden": "hidden hid versteckt verdeckt cachee cache oculta oculto nascosto",
    "o": "o",
    "out": "out outp",
    "output": "output ausgabe ausgang sortie salida saida uscita выход",
    "net": "net netto nett pre preact preactivation linear lin logit",
    "z": "z",
    "sum": "sum summe somme suma",
    "a": "a",
    "act": "act activation activated aktivierung activacion ativacao attivazione post postactivation",
    "sig": "σ sigma sig sigm sigmoid sigmoide logistic tanh relu leakyrelu lrelu elu f",
    "p": "p prob probability softmax",
    "hat": "hat pred predicted prediction predict estimate estimated vorhersage prediccion",
    "e": "e err error loss cost fehler verlust kosten erreur perte cout coste costo perdida erro custo errore perdita "
    "ошибка потери",
    "total": "total tot gesamt totale totaler gesamter overall ges всего",
    "errors": "errors losses",
    "mse": "mse sse rmse bce",
    "squared": "squared square squares quadratic mean average half cross entropy train training",
    "grad": "grad gradient gradients gradiente derivative deriv derivee ableitung derivada nabla ∇ градиент",
    "d": "d ∂",
    "delta": "δ",
    "change": "Δ change update upd correction",
    "new": "new neu neue neuer neues neuen next updated nouveau nouvelle nouv nuevo nueva novo nova nuovo nuova plus "
    "after новый",
    "old": "old alt current initial init start prev previous",
    "η": "η eta lr learningrate lernrate schrittweite stepsize",
    "rate": "rate",
    "learning": "learning learn",
    "μ": "μ mu momentum",
    "α": "α alpha",
    "β": "β beta",
    "ε": "ε eps epsilon",
    "λ": "λ lambda",
    "τ": "τ tau dampening",
    "m": "m",
    "v": "v",
    "u": "u velocity",
    "mhat": "mhat",
    "vhat": "vhat",
    "s": "s sample",
    "wrt": "wrt",
    "step": "step epoch epochs iter iters iteration iterations schritt iteracion paso etape epoque epoca iterazione "
    "itération # № эпоха шаг",
    "number": "number no num nr n° index count",
    "layer": "layer schicht couche capa",
    "of": "of the for with respect by value neuron unit node cell von weighted function",
}
CODES: dict[str, str] = {}
for _code, _words in _SAME.items():
    for _word in _words.split():
        CODES.setdefault(_word, _code)
CODES |= {
    "delta": "delta",
    "etot": "e total",
    "etotal": "e total",
    "et": "e total",
    "egesamt": "e total",
    "totalerror": "total e",
    "totalloss": "total e",
    "errortotal": "e total",
    "losstotal": "e total",
    "errtot": "e total",
    "gesamtfehler": "total e",
    "gesamtverlust": "total e",
    "yhat": "y hat",
    "ypred": "y hat",
    "ytrue": "target",
}

# Letters that mean something in one case only.
CAPITALS = {"L": "e", "J": "e", "C": "C"}
_GLUED = (  # what may stand in one run of letters with others: outh, neth, sigh, dEdw, gradw, biash
    "a act b bias d delta e err error eta grad h hat hidden i in input loss m mhat net new o out output p pred pre s "
    "sig sigmoid softmax sum t target tot total u v vhat w x y z σ δ ∂ Δ"
)
GLUED = frozenset(_GLUED.split())
# One rate has many names.
RATES = frozenset(
    {
        "learning rate",
        "learningrate",
        "rate of learning",
        "learn rate",
        "step size",
        "lern rate",
        "lernrate",
        "lerngeschwindigkeit",
        "taux d apprentissage",
        "taux apprentissage",
        "taux de apprentissage",
        "pas d apprentissage",
        "coefficient d apprentissage",
        "tasa de aprendizaje",
        "tasa aprendizaje",
        "factor de aprendizaje",
        "ritmo de aprendizaje",
        "velocidad de aprendizaje",
        "taxa de aprendizagem",
        "taxa de aprendizado",
        "tasso di apprendimento",
        "скорость обучения",
        "学习率",
        "學習率",
        "学習率",
        "l r",
        "lr",
    }
)
# Words that describe a name beside them and say nothing of their own ("weight w1"), with the kinds of names they suit.
_PARAMETERS = frozenset({"parameter", "gradient", "updated", "change"})
DESCRIBING = {
    "w": _PARAMETERS,
    "b": _PARAMETERS,
    "input": frozenset({"input"}),
    "target": frozenset({"target"}),
    "output": frozenset({"forward"}),
    "hidden": frozenset({"forward"}),
    "act": frozenset({"forward"}),
    "e": frozenset({"loss"}),
    "total": frozenset({"loss"}),
}
