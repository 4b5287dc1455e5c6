"""Documents in LaTeX: what pdflatex makes of them, and that no text of a user's becomes a command."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from chainrule.documents import (
    Callout,
    Chart,
    Column,
    Document,
    Edge,
    Entries,
    Entry,
    Equalities,
    Equality,
    Fold,
    Formula,
    Heading,
    NetworkDrawing,
    Node,
    Prose,
    Series,
    Table,
)
from chainrule.render.latex import document_latex
from chainrule.render.latex_picture import network_picture
from chainrule.render.latex_text import aligned, display, latex_text

HOSTILE = (
    '\\input{/etc/passwd} $x_1^2$ 100% {a} #1 & ~ ^ | < > " \\write18{ls} 中文 h1⁽²⁾ w₁ éïçåßøñÐ ° '
    "∂E/∂w5 ½·σ(−x) ≤ ∞ \u202e"
)
NETWORK = NetworkDrawing(
    "net",
    "A network",
    ((Node("i1", ("0.05",)), Node("i2", ("0.1",))), (Node("o1", (HOSTILE,)),)),
    ("inputs", "outputs"),
    (Edge((0, 0), (1, 0), 0.15, "w1 0.15"), Edge((0, 1), (1, 0), -0.2, "w2 −0.2")),
    caption=HOSTILE,
)
LONG = " + ".join(rf"w_{{{number}}} a_{{h{number}}}" for number in range(1, 40))
EVERYTHING = Document(
    HOSTILE,
    (
        Heading(HOSTILE),
        Heading("Smaller", 3),
        Prose(HOSTILE),
        Formula("∂E/∂w5", r"\frac{\partial E}{\partial w_{5}} = (a_{o1} - t_{1}) a_{h1}"),
        Formula(HOSTILE),
        Formula("long", f"o_1 = {LONG} = 3"),
        Heading("On a new page", starts_page=True),
        Equality(
            Formula("y", "y_1"), (Formula("", LONG), Formula("", r" \cdot ".join(["x_1"] * 60)), Formula("3", "3"))
        ),
        Equality(Formula("", ""), (Formula("a", r"\frac{1}{2}"), Formula("b", "b"))),
        Equalities(
            (Equality(Formula("y", "y"), (Formula("1", "1"),)), Equality(Formula("z", "z"), (Formula("", LONG),)))
        ),
        Table((Column("name"), Column("blank")), ((Formula("w5", "w_5"), Formula("_")),), is_roomy=True),
        Table((Column(HOSTILE), Column("a_h1")), ((HOSTILE, 1.5), ("_", None)), HOSTILE),
        Table(tuple(Column(f"c{n}") for n in range(30)), tuple(tuple(range(k, k + 30)) for k in range(50))),
        Table((Column("empty"),), ()),
        NETWORK,
        Callout("warning", HOSTILE),
        Fold(HOSTILE, (Prose("inner"), Entries((Entry("#1", HOSTILE, HOSTILE, ((HOSTILE, HOSTILE),), HOSTILE),)))),
        Chart("loss", HOSTILE, "x", "y", (Series("a", (1.0, 2.0), (1.0, 2.0)),)),
    ),
)


def test_text_is_never_a_command() -> None:
    assert latex_text(r"\input{x} $a_1^2$ 5% #&~") == (
        r"\textbackslash{}input\{x\} \$a\_1\textasciicircum{}2\$ 5\% \#\&\textasciitilde{}"
    )
    assert latex_text("é ï ç Ð ß") == r"\'{e} \"{\i} \c {c} [U+00D0] \ss{}"
    assert latex_text("∂E/∂w5 = ½·σ(h1⁽²⁾) 中") == (
        r"$\partial$E/$\partial$w5 = $\tfrac12$$\cdot$$\sigma$(h1$^{(2)}$) [U+4E2D]"
    )


def test_a_long_formula_is_broken_at_its_equals_signs_and_then_at_its_sums() -> None:
    assert display("a = b + c") == "\\[\na = b + c\n\\]"
    broken = display(f"o_1 = {LONG} = 3").splitlines()
    assert broken[0] == r"\begin{align*}"
    assert broken[1].startswith("o_1 &= w_{1} a_{h1} + w_{2} a_{h2}")
    assert broken[2].startswith(r"&\quad + w_{")
    assert broken[-2] == "&= 3"


def test_equal_forms_are_aligned_and_long_ones_broken() -> None:
    assert aligned([("y", ["1 + 1", "2"])]) == "\\begin{align*}\ny &= 1 + 1 \\\\\n&= 2\n\\end{align*}"
    assert aligned([("", ["a", "b"])]) == "\\begin{align*}\n& a \\\\\n&= b\n\\end{align*}"
    inline = aligned([("y", ["1 + 1", "2"]), ("z", ["3"])], are_short_inline=True)
    assert inline == "\\begin{align*}\ny &= 1 + 1 = 2 \\\\\nz &= 3\n\\end{align*}"
    lines = aligned([("y", [r" \cdot ".join(["x_1"] * 60), "3"])]).splitlines()
    assert lines[1].startswith(r"y &= x_1 \cdot x_1")
    assert lines[2].startswith(r"&\quad \cdot x_1")
    assert lines[-2] == "&= 3"


def test_a_sum_inside_of_brackets_is_not_broken() -> None:
    inner = r"\left(" + LONG + r"\right)"
    assert display(f"a = {inner} b").splitlines()[1] == f"a &= {inner} b"


def test_pdflatex_compiles_every_kind_of_block(tmp_path: Path) -> None:
    assert shutil.which("pdflatex"), "pdflatex is missing: on Debian and Ubuntu, apt-get install texlive-latex-base"
    (tmp_path / "sheet.tex").write_text(document_latex(EVERYTHING), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "sheet.tex"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60).stdout.decode(errors="replace")
    assert (tmp_path / "sheet.pdf").is_file(), said[-2000:]
    assert "Missing character" not in said


def test_only_base_latex_and_amsmath() -> None:
    packages = [line for line in document_latex(EVERYTHING).splitlines() if line.startswith(r"\usepackage")]
    assert packages == [r"\usepackage[utf8]{inputenc}", r"\usepackage{amsmath}"]


def test_an_edge_is_interrupted_where_a_label_stands() -> None:
    bare = replace(NETWORK, edges=tuple(replace(edge, label="") for edge in NETWORK.edges))
    assert network_picture(NETWORK).count("qbezier") == network_picture(bare).count("qbezier") + len(NETWORK.edges)


@pytest.mark.parametrize("shown", ["i1", "w1 0.15", "inputs"])
def test_a_network_is_drawn(shown: str) -> None:
    assert shown in document_latex(EVERYTHING)
