import json
from pathlib import Path

import pytest

from chainrule.activations import catalogue_rows, describe

from .conftest import Command


def test_the_catalogue_as_json_is_the_catalogue(command: Command) -> None:
    listed = command("activations", "--json")
    assert (listed.code, listed.err) == (0, "")
    read = json.loads(listed.out)["activations"]
    assert [row["name"] for row in read] == [row["name"] for row in catalogue_rows()]


def test_one_activation_with_an_argument(command: Command) -> None:
    shown = command("activations", "leaky_relu", "--argument.negative_slope", "0.2", "--json")
    assert json.loads(shown.out) == json.loads(json.dumps(describe("LeakyReLU", negative_slope=0.2).to_dict()))


@pytest.mark.parametrize("name", ["ReLU", "softmax"])
def test_one_activation_on_the_terminal(command: Command, name: str) -> None:
    shown = command("activations", name)
    assert shown.code == 0
    assert shown.out.startswith(describe(name).title)
    assert max(len(line) for line in shown.out.splitlines()) <= 80


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_the_plot_is_written(command: Command, tmp_path: Path, ending: str) -> None:
    shown = command("activations", "Mish", "--plot", f"mish.{ending}")
    assert shown.out.splitlines()[-1] == f"Plot: mish.{ending}"
    data = (tmp_path / f"mish.{ending}").read_bytes()
    assert data.rstrip().endswith(b"</svg>" if ending == "svg" else b"IEND\xaeB`\x82")


BAD = {
    "Relux": """\
error: There is no activation 'Relux'.
  found:    Relux
  expected: one of CELU, ELU, GELU, GLU, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, LeakyReLU, LogSigmoid, \
LogSoftmax, Mish, PReLU, ReLU, ReLU6, RReLU, SELU, Sigmoid, SiLU, Softmax, Softmax2d, Softmin, Softplus, Softshrink, \
Softsign, Tanh, Tanhshrink, Threshold
Did you mean 'ReLU'?
""",
    "ReLU --argument.bogus 3": """\
error: The formula of ReLU has no argument 'bogus'.
  where:    ReLU
  found:    bogus
  expected: no argument
""",
    "Mish --plot mish.pdf": """\
error: A plot is written as SVG or PNG.
  found:    mish.pdf
  expected: a name that ends with .svg or .png
""",
    "--plot all.svg": """\
error: A plot and arguments belong to one activation.
  expected: its NAME first
""",
}


@pytest.mark.parametrize("line", BAD)
def test_bad_input_is_refused(command: Command, line: str, tmp_path: Path) -> None:
    failed = command("activations", *line.split())
    assert (failed.code, failed.out) == (2, "")
    assert failed.err == BAD[line]
    assert list(tmp_path.iterdir()) == []
