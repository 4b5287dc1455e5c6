"""Every number of the first update against PyTorch's autograd, on a network written out here."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from chainrule.documents import Document, Formula, Heading, Prose, Table
from chainrule.reports.first_update import first_update_blocks, repeat_rule
from chainrule.tasks import load_task
from chainrule.training import Run, train

from .conftest import blocks_in

ReportOf = Callable[[str], Document]
Numbers = Callable[[Document, str], dict[str, tuple[Any, ...]]]


def layers_of(run: Run) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return the initial weights and biases, layer by layer; biases of 0 where there are none."""
    assert run.first_update is not None
    before = dict(run.model.named_parameters()) | run.first_update.before
    paths = [path.removesuffix(".weight") for path in before if path.endswith(".weight")]
    result = []
    for path in paths:
        weight = before[f"{path}.weight"].detach().clone()
        bias = before.get(f"{path}.bias")
        result.append((weight, torch.zeros(len(weight)) if bias is None else bias.detach().clone()))
    return result


def replay(run: Run, functions: tuple[Any, ...]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return the values of all units and weights by name, and ∂E/∂ each of them, by autograd."""
    assert run.first_update is not None
    targets = run.first_update.targets
    below = run.first_update.inputs
    layers = layers_of(run)
    values: dict[str, torch.Tensor] = {}
    count = 0
    for number, ((weight, bias), function) in enumerate(zip(layers, functions, strict=True)):
        leaves = [
            [weight[row, column].requires_grad_() for column in range(weight.shape[1])] for row in range(len(weight))
        ]
        names = [f"w{count + 1 + place}" for place in range(weight.numel())]
        count += weight.numel()
        values |= dict(zip(names, [leaf for row in leaves for leaf in row], strict=True))
        is_last = number == len(layers) - 1
        letter = "o" if is_last else "h" if len(layers) == 2 else f"h{number + 1}_"
        sums = below @ torch.stack([torch.stack(row) for row in leaves]).T + bias
        units = [sums[:, unit] for unit in range(sums.shape[1])]
        values |= {f"{letter}{unit + 1}": value for unit, value in enumerate(units)}
        outputs = [function(unit) for unit in units]
        if function is not _same:
            values |= {f"a_{letter}{unit + 1}": value for unit, value in enumerate(outputs)}
        below = torch.stack(outputs, dim=1)
    error = 0.5 * (targets - below).square().sum()
    slopes = torch.autograd.grad(error, list(values.values()))
    return values | {"E_total": error}, dict(zip(values, slopes, strict=True))


def _same(value: torch.Tensor) -> torch.Tensor:
    return value * 1.0


CASES = [
    ("two-two-two", (torch.sigmoid, torch.sigmoid)),
    ("two-two-two-even", (torch.sigmoid, torch.sigmoid)),
    ("two-two-two-biased", (torch.sigmoid, torch.sigmoid)),
    ("two-hidden", (torch.tanh, torch.sigmoid, _same)),
]


@pytest.mark.parametrize(("name", "functions"), CASES, ids=[name for name, _ in CASES])
def test_every_number_is_that_of_autograd(
    run_of: Callable[[str], Run], report_of: ReportOf, numbers_under: Numbers, name: str, functions: tuple[Any, ...]
) -> None:
    run, document = run_of(name), report_of(name)
    values, slopes = replay(run, functions)
    initial = numbers_under(document, "1 Initialise")
    forward = numbers_under(document, "2 Forward")
    loss = numbers_under(document, "3 Loss")
    gradients = numbers_under(document, "4 Gradients")
    for shown in (forward, {name: row for name, row in initial.items() if name.startswith("w")}):
        for unit, row in shown.items():
            assert row == pytest.approx(values[unit].reshape(-1).tolist(), rel=1e-12, abs=1e-15), unit
    weights_and_units = {f"∂E/∂{unit}" for unit in slopes}
    assert {unit for unit in gradients if not unit.startswith("∂E/∂b")} == weights_and_units
    for unit, slope in slopes.items():
        assert gradients[f"∂E/∂{unit}"] == pytest.approx(slope.reshape(-1).tolist(), rel=1e-11, abs=1e-15), unit
    assert loss["E_total"] == pytest.approx([values["E_total"].item()], rel=1e-14)
    terms = [value for unit, row in loss.items() if unit != "E_total" for value in row]
    assert sum(terms) == pytest.approx(values["E_total"].item(), rel=1e-12)


@pytest.mark.parametrize("name", [name for name, _ in CASES])
def test_the_update_is_that_of_gradient_descent(
    run_of: Callable[[str], Run], report_of: ReportOf, numbers_under: Numbers, name: str
) -> None:
    first = run_of(name).first_update
    assert first is not None
    gradients = numbers_under(report_of(name), "4 Gradients")
    rows = numbers_under(report_of(name), "5 Update")
    assert rows
    for unit, (before, gradient, after, change) in rows.items():
        assert (gradient,) == gradients[f"∂E/∂{unit}"]
        assert after == pytest.approx(before - first.learning_rate * gradient, rel=1e-15, abs=1e-16)
        assert change == after - before


def test_the_names_of_the_worked_example_are_those_that_people_use(report_of: ReportOf, numbers_under: Numbers) -> None:
    document = report_of("two-two-two")
    weights = [f"w{number}" for number in range(1, 9)]
    assert list(numbers_under(document, "1 Initialise")) == ["i1", "i2", "t1", "t2", *weights]
    assert list(numbers_under(document, "2 Forward")) == ["h1", "h2", "a_h1", "a_h2", "o1", "o2", "a_o1", "a_o2"]
    assert list(numbers_under(document, "3 Loss")) == ["E1", "E2", "E_total"]
    assert list(numbers_under(document, "4 Gradients"))[-8:] == [f"∂E/∂w{n}" for n in (5, 6, 7, 8, 1, 2, 3, 4)]
    assert list(numbers_under(document, "5 Update")) == weights


def test_biases_that_are_held_fixed_are_shown_once_for_each_layer(report_of: ReportOf, numbers_under: Numbers) -> None:
    document = report_of("two-two-two-biased")
    initial = numbers_under(document, "1 Initialise")
    assert list(initial) == ["i1", "i2", "t1", "t2", "w1", "w2", "w3", "w4", "b1", "w5", "w6", "w7", "w8", "b2"]
    assert (initial["b1"], initial["b2"]) == ((0.35,), (0.6,))
    (table,) = [block for block in blocks_in(document.blocks) if isinstance(block, Table) and block.rows[0][0] == "h1"]
    assert table.rows[0][:2] == ("h1", "w1·i1 + w2·i2 + b1")
    assert "b1" not in numbers_under(document, "5 Update")


def test_several_samples_stand_side_by_side(report_of: ReportOf) -> None:
    tables = [block for block in blocks_in(report_of("two-hidden").blocks) if isinstance(block, Table)]
    forward = next(table for table in tables if table.rows[0][0] == "h1_1")
    assert [column.header for column in forward.columns] == ["name", "is", "sample 1", "sample 2", "sample 3"]
    assert [row[0] for row in forward.rows] == [
        "h1_1", "h1_2", "h1_3", "a_h1_1", "a_h1_2", "a_h1_3", "h2_1", "h2_2", "a_h2_1", "a_h2_2", "o1",
    ]  # fmt: skip
    loss = next(table for table in tables if table.rows[0][0] == "E1")
    assert loss.rows[0][1] == "½ (t1 − o1)²"


def test_terms_of_the_loss_are_not_guessed_for_a_module_of_the_users_own(tmp_path: Any) -> None:
    code = "import torch\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n"
    code += "        super().__init__()\n        self.layer = nn.Linear(2, 2)\n\n"
    code += "    def forward(self, x):\n        return torch.sigmoid(self.layer(x))\n"
    (tmp_path / "net.py").write_text(code, encoding="utf-8")
    run = train(load_task("two-two-two", {"model": {"module": f"{tmp_path}/net.py:Net"}, "stop.epochs": 1}))
    assert run.first_update is not None
    blocks = first_update_blocks(run.state, run.first_update)
    start = blocks.index(Heading("3 Loss", 3))
    table = blocks[start + 2]
    assert isinstance(blocks[start + 1], Formula)
    assert isinstance(table, Table)
    assert table.rows == (("E_total", "the loss", run.history["loss"].values[0]),)


@pytest.mark.parametrize(
    ("stop", "rule"),
    [
        ({"epochs": 3}, "until 3 epochs (24 updates) are done"),
        ({"epochs": 3, "steps": 5}, "until 5 updates are done"),
        ({"epochs": 3, "steps": 1}, "until 1 update is done"),
        (
            {"epochs": 3, "target_loss": 0.5, "tolerance": 0.1, "patience": 1},
            "until 3 epochs (24 updates) are done, the loss is at most 0.5 or the loss moves by less than 0.1 in "
            "1 epoch in a row",
        ),
    ],
)
def test_when_the_steps_end(stop: dict[str, Any], rule: str) -> None:
    run = train(load_task("iris", {"stop": stop, "data.batch_size": 16}))
    assert repeat_rule(run.state) == rule


def test_the_last_step_says_what_is_repeated(report_of: ReportOf) -> None:
    proses = [block.text for block in blocks_in(report_of("two-two-two").blocks) if isinstance(block, Prose)]
    assert "Steps 2 to 5 again, until 100 updates are done." in proses
