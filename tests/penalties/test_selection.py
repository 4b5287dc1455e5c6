import pytest
import torch
from torch import nn

from chainrule.errors import UnknownNameError
from chainrule.penalties.selection import class_name, select_modules


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU())
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        self.output = nn.Linear(4, 2)
        self.again = self.output

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.output(self.blocks[1](self.blocks[0](self.hidden(inputs))))


def chosen(*patterns: str, model: nn.Module | None = None) -> list[str]:
    return list(select_modules(model or Network(), patterns, where="here"))


@pytest.mark.parametrize(
    ("patterns", "paths"),
    [
        (["hidden.*"], ["hidden.0", "hidden.1", "hidden.2", "hidden.3"]),
        (["hidden.[13]"], ["hidden.1", "hidden.3"]),
        (["type:ReLU"], ["hidden.1", "hidden.3"]),
        (["type:*L*"], ["hidden.0", "hidden.1", "hidden.2", "hidden.3", "blocks.0", "blocks.1", "output"]),
        (["output", "hidden.0"], ["hidden.0", "output"]),
        (["again"], ["again"]),
        (["output", "again"], ["output"]),
        (["blocks*"], ["blocks.0", "blocks.1"]),
        (["hidden"], ["hidden"]),
        (["hidden*"], ["hidden.0", "hidden.1", "hidden.2", "hidden.3"]),
        (["hidden", "hidden.0"], ["hidden", "hidden.0"]),
        (["type:Network"], [""]),
        (["*t"], ["output"]),
    ],
)
def test_choice(patterns, paths):
    assert chosen(*patterns) == paths


def test_a_nested_sequential_is_left_out_for_the_module_it_ends_in():
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Tanh())), nn.Sequential())
    assert chosen("*", model=model) == ["0.0", "0.1.0", "1"]


def test_a_parametrised_module_keeps_the_name_of_its_class():
    layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))
    assert class_name(layer) == "Linear"
    assert chosen("type:Linear", model=nn.Sequential(layer, nn.Tanh())) == ["0"]


def test_no_module_of_that_path():
    with pytest.raises(UnknownNameError) as error:
        chosen("output", "hiden.0")
    assert (
        str(error.value)
        == """No module of the model matches 'hiden.0'.
  where:    here
  found:    hiden.0
  expected: a pattern that matches one of hidden, hidden.0, hidden.1, hidden.2, hidden.3, blocks.0, blocks.1, output, again
Did you mean 'hidden.0'?"""  # noqa: E501
    )


def test_no_module_of_that_type():
    with pytest.raises(UnknownNameError) as error:
        chosen("type:Relu")
    assert (
        str(error.value)
        == """No module of the model matches 'type:Relu'.
  where:    here
  found:    type:Relu
  expected: a pattern that matches one of type:Linear, type:Network, type:ReLU, type:Sequential
Did you mean 'type:ReLU'?"""
    )


def test_a_model_without_modules_inside():
    with pytest.raises(UnknownNameError) as error:
        chosen("*", model=nn.Linear(1, 1))
    assert (
        str(error.value)
        == """No module of the model matches '*'.
  where:    here
  found:    *
  expected: type:Linear; the model has no modules inside, so it is chosen by its type"""
    )
    assert chosen("type:Linear", model=nn.Linear(1, 1)) == [""]


def test_a_long_list_is_cut_and_says_so():
    model = nn.Sequential(*[nn.Identity() for _ in range(33)])
    with pytest.raises(UnknownNameError) as error:
        chosen("x", model=model)
    listed = ", ".join(str(index) for index in range(30))
    assert (
        str(error.value)
        == f"""No module of the model matches 'x'.
  where:    here
  found:    x
  expected: a pattern that matches one of {listed} and 3 more"""
    )


def test_the_models_parameters_are_left_as_they_were():
    model = Network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    chosen("*", model=model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
