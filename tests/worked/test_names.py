"""Names: of the user's columns and classes, of places, of samples; and programs of traces that were saved."""

from pathlib import Path

import pytest
import torch
from torch import nn

from chainrule.programs import ascii_name, program_text
from chainrule.programs.program import symbol_of
from chainrule.recorder import record
from chainrule.tasks import load_task
from chainrule.trace import Trace
from chainrule.training.recorded_step import record_step
from chainrule.training.worked_example import worked_example
from chainrule.worked import Names, program_of
from chainrule.worked.names import symbol_or

from .networks import NETWORKS


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("age", "age"),
        ("petal_length", "petal_length"),
        ("petal length (cm)", "i1"),
        ("x", "i1"),
        ("w1", "i1"),
        ("a_h1", "i1"),
        ("eta", "i1"),
        ("2nd", "i1"),
        ("größe", "i1"),
        ("=SUM(A1)", "i1"),
        ("average_blood_pressure", "i1"),
    ],
)
def test_a_column_is_a_symbol_where_it_can_be_one(name: str, symbol: str) -> None:
    assert symbol_or(name, "i1") == symbol


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "flowers.csv"
    path.write_text("size,width (cm),kind\n1.0,0.5,rose\n2.0,0.25,tulip\n3.0,1.5,rose\n4.0,1.25,tulip\n")
    return path


def test_columns_and_classes_of_a_table(table: Path) -> None:
    task = load_task(
        {
            "name": "flowers",
            "data": {
                "source": str(table),
                "target": "kind",
                "test": 0.0,
                "validation": 0.0,
                "standardise_inputs": False,
                "shuffle": False,
            },
            "model": {"layers": [2, 2], "activation": "Tanh"},
            "optimizer": {"name": "SGD", "lr": 0.1},
            "run": {"precision": "float64"},
        }
    )
    program = worked_example(task)
    assert program.title == "flowers"
    assert program.notes == ("The loss is E = mean over samples of −log softmax(a)_t.",)
    w1, w2, b1, size, i2 = map(symbol_of, ("w1", "w2", "b1", "size⁽¹⁾", "i2⁽¹⁾"))
    assert program.by_name["h1⁽¹⁾"].formula == w1 * size + w2 * i2 + b1
    meanings = {name: quantity.meaning for name, quantity in program.quantities.items()}
    assert meanings["size⁽²⁾"] == "input 1, size"
    assert meanings["i2⁽²⁾"] == "input 2, width (cm)"
    assert meanings["w1"] == "weight from size into h1"
    assert meanings["t1⁽¹⁾"] == "target 1, rose"
    assert meanings["p2⁽¹⁾"] == "probability of class 2, tulip"


def test_arrays_have_no_names() -> None:
    program = worked_example(load_task("two-two-two"), step=3)
    assert [each.meaning for each in program.of_kind("input", "target")] == [
        "input 1",
        "input 2",
        "target 1",
        "target 2",
    ]
    assert program.notes == ("The loss is E = ½ Σ (t − a)², the sum over samples and outputs.",)


def test_penalties_are_added_to_the_loss() -> None:
    penalty = [{"kind": "L2", "strength": 0.1, "modules": "hidden1_activation", "normalisation": "sum"}]
    program = worked_example(load_task("two-two-two", {"penalty": penalty}))
    lines = {line.name: program_text(line.formula) for line in program.assignments}
    assert lines["E_total"] == "E_loss + E_penalty"
    assert lines["E_loss"] == "E1 + E2"
    assert lines["∂E/∂a_h1"] == "a_h1/5 + ∂E/∂o1·w5 + ∂E/∂o2·w7"


def test_places_in_other_modules() -> None:
    network = NETWORKS["convolution and max-pool"]
    torch.manual_seed(0)
    program = program_of(record(network.model().double(), network.loss, network.inputs, network.targets))
    formula = program_text(program.by_name["conv.conv2d[1,0,0]⁽²⁾"].formula)
    assert formula.startswith("conv.bias[1] + conv.weight[1,0,0,0]·i[0,0,0]⁽²⁾ + conv.weight[1,0,0,1]·i[0,0,1]⁽²⁾")
    assert program.quantities["conv.conv2d[1,0,0]⁽²⁾"].origin == "conv.conv2d[1,1,0,0]"
    assert program.quantities["∂E/∂conv.conv2d[1,0,0]⁽²⁾"].sample == 2


def test_paths_that_begin_with_a_number_bear_their_class() -> None:
    model = nn.Sequential(nn.Conv1d(1, 1, 2), nn.Flatten()).double()
    program = program_of(
        record(model, nn.MSELoss(), torch.ones(1, 1, 3, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64))
    )
    assert program.parameters == ("Conv1d0.weight[0,0,0]", "Conv1d0.weight[0,0,1]", "Conv1d0.bias[0]")
    assert program.quantities["Conv1d0.bias[0]"].origin == "0.bias[0]"


def test_a_dropout_has_its_mask_as_constants() -> None:
    network = NETWORKS["dropout"]
    torch.manual_seed(0)
    trace = record(network.model().double(), network.loss, network.inputs, network.targets)
    program = program_of(trace)
    assert program_text(program.by_name["drop_h1⁽²⁾"].formula) == "2·a_h1⁽²⁾·mask_h1⁽²⁾"
    masks = [quantity.value for quantity in program.of_kind("constant")]
    kept = trace.value("2.dropout").data != 0
    assert len(masks) == kept.numel()
    assert all(mask == 1 for mask, is_kept in zip(masks, kept.flatten().tolist(), strict=True) if is_kept)
    assert set(masks) == {0.0, 1.0}


@pytest.mark.parametrize("name", NETWORKS)
def test_no_two_names_are_one(name: str) -> None:
    network = NETWORKS[name]
    torch.manual_seed(0)
    model = network.model().double()
    program = program_of(record(model, network.loss, network.inputs, network.targets, network.optimizer(model)))
    plain = [ascii_name(quantity) for quantity in program.quantities]
    assert len(plain) == len(set(plain))
    assert all(
        quantity.meaning for quantity in program.quantities.values() if quantity.kind not in ("adjoint", "gradient")
    )


@pytest.mark.parametrize("name", ["2-2-2", "3-4-3, Adam later", "dropout", "LayerNorm", "fused attention", "embedding"])
def test_a_trace_that_was_saved_has_the_same_program(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]
    torch.manual_seed(0)
    model = network.model().double()
    trace = record(model, network.loss, network.inputs, network.targets, network.optimizer(model))
    trace.save(tmp_path / "step.trace")
    loaded, wanted = program_of(Trace.load(tmp_path / "step.trace")), program_of(trace)
    assert loaded.assignments == wanted.assignments
    assert loaded.quantities == wanted.quantities


def test_the_title_is_the_tasks_or_the_models() -> None:
    assert program_of(record_step(load_task("two-two-two"))).title == "two-two-two"
    ones = torch.ones(1, 1, dtype=torch.float64)
    trace = record(nn.Linear(1, 1).double(), nn.MSELoss(), ones, 0 * ones)
    assert (program_of(trace).title, program_of(trace, title="mine").title) == ("Linear", "mine")
    named = program_of(trace, names=Names(inputs=["dose"], targets=["effect"]))
    assert [(each.name, each.meaning) for each in named.of_kind("input", "target")] == [
        ("dose", "input 1, dose"),
        ("t1", "target 1, effect"),
    ]
