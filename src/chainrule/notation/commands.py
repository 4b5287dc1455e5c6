"""LaTeX's commands, as far as formulas of a network use them."""

_SPACES = (
    "left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr quad qquad displaystyle textstyle "
    "scriptstyle limits nolimits nonumber notag allowbreak hfill , ; : ! > ~"
)
SPACES = frozenset(_SPACES.split())  # say nothing
GREEK = {
    "alpha": "α",
    "beta": "β",
    "delta": "δ",
    "Delta": "Δ",
    "epsilon": "ε",
    "varepsilon": "ε",
    "eta": "η",
    "lambda": "λ",
    "mu": "μ",
    "sigma": "σ",
    "varsigma": "σ",
    "tau": "τ",
    "phi": "φ",
    "varphi": "φ",
    "Phi": "Φ",
    "theta": "θ",
}
SIGNS = {
    "cdot": "*",
    "times": "*",
    "ast": "*",
    "star": "*",
    "bullet": "*",
    "div": "/",
    "partial": "∂",
    "nabla": "∇",
    "leq": "≤",
    "le": "≤",
    "leqslant": "≤",
    "geq": "≥",
    "ge": "≥",
    "geqslant": "≥",
    "neq": "≠",
    "ne": "≠",
    "lt": "<",
    "gt": ">",
    "lvert": "|",
    "rvert": "|",
    "vert": "|",
    "mid": "|",
    "{": "(",
    "}": ")",
    "lbrace": "(",
    "rbrace": ")",
    "lbrack": "[",
    "rbrack": "]",
    "lparen": "(",
    "rparen": ")",
    "approx": "≈",
    "leftarrow": "←",
    "gets": "←",
    "coloneqq": "=",
    "equiv": "=",
    "land": "and",
    "wedge": "and",
    "lor": "or",
    "vee": "or",
    "_": "_",
    "%": "%",
    "&": "&",
    "#": "#",
    "$": " ",
    " ": " ",
    "infty": "∞",
}
_FUNCTIONS = "exp ln log tanh sinh cosh sin cos tan max min arctan"
FUNCTIONS = frozenset(_FUNCTIONS.split())
FRACTIONS = frozenset({"frac", "dfrac", "tfrac", "cfrac"})
_FONTS = (
    "text textrm textit textbf textnormal textsf texttt mathrm mathit mathbf mathsf mathtt mathnormal mathcal mbox "
    "operatorname operatorname* boldsymbol bm mathop rm"
)
FONTS = frozenset(_FONTS.split())  # the content counts, not how it is drawn
HATS = frozenset({"hat", "widehat"})
ACCENTS = frozenset({"bar", "overline", "vec", "tilde", "widetilde", "dot", "underline", "boxed", "mathbb"})
DROPPED = frozenset({"label", "tag", "tag*", "ref", "phantom", "hphantom", "hspace", "vspace"})
CASES = frozenset({"cases", "dcases", "array"})
_ENVIRONMENTS = "equation align aligned gather gathered split multline eqnarray math displaymath"
ENVIRONMENTS = frozenset(name + star for name in _ENVIRONMENTS.split() for star in ("", "*"))
