import inspect

import pytest
import torch
from torch import nn
from torch.nn import init
from torch.nn.modules import activation as torch_activations
from torch.nn.modules import loss as torch_losses
from torch.optim import lr_scheduler

from chainrule.errors import UnknownNameError
from chainrule.registry import ACTIVATIONS, INITIALISERS, LOSSES, OPTIMIZERS, SCHEDULERS, HalfSumOfSquares

CATALOGUES = [ACTIVATIONS, LOSSES, OPTIMIZERS, SCHEDULERS, INITIALISERS]
each_catalogue = pytest.mark.parametrize("catalogue", CATALOGUES, ids=lambda catalogue: catalogue.kind)


def listed_by_torch() -> dict[str, set[str]]:
    """Return what torch itself lists, read another way than the registry reads it."""
    optimizers = {
        name
        for name in dir(torch.optim)
        if inspect.isclass(kind := getattr(torch.optim, name)) and torch.optim.Optimizer in kind.__mro__[1:]
    }
    # The functions without the underscore at the end are torch's deprecated spellings.
    initialisers = {name for name in dir(init) if name.endswith("_") and name[0] != "_" and callable(vars(init)[name])}
    return {
        "activation": {*torch_activations.__all__, "Identity"},
        "loss": {*torch_losses.__all__, "HalfSumOfSquares"},
        "optimizer": optimizers,
        "scheduler": set(lr_scheduler.__all__),
        "initialiser": initialisers,
    }


@each_catalogue
def test_lists_what_torch_lists_and_leaves_out_only_with_a_reason(catalogue):
    assert set(catalogue.members) | set(catalogue.left_out) == listed_by_torch()[catalogue.kind]
    assert not set(catalogue.members) & set(catalogue.left_out)
    assert all(reason.endswith(".") for reason in catalogue.left_out.values())


def test_every_member_is_torchs_own_object():
    for catalogue, home in ((ACTIVATIONS, nn), (LOSSES, nn), (OPTIMIZERS, torch.optim), (SCHEDULERS, lr_scheduler)):
        for name, member in catalogue.members.items():
            assert member is (HalfSumOfSquares if name == "HalfSumOfSquares" else getattr(home, name))
    assert all(member is getattr(init, name) for name, member in INITIALISERS.members.items())


@each_catalogue
def test_case_and_underscores_and_hyphens_do_not_count(catalogue):
    for name in catalogue.members:
        for written in (name, name.lower(), name.upper(), name.replace("_", "-"), name.rstrip("_"), f"-{name}"):
            assert catalogue.canonical(written) == name
            assert catalogue.spelling(written) == name
            assert catalogue[written] is catalogue.members[name]


@each_catalogue
def test_an_unknown_name_has_no_spelling(catalogue):
    assert catalogue.spelling("Nonesuch") is None
    with pytest.raises(UnknownNameError) as caught:
        _ = catalogue["Nonesuch"]
    assert caught.value.expected == "one of " + ", ".join(sorted(catalogue.members, key=str.lower))


def test_an_unknown_name_with_a_near_one():
    with pytest.raises(UnknownNameError) as caught:
        SCHEDULERS.canonical("CosineAnealing", where="schedule.name")
    assert (
        str(caught.value)
        == """\
There is no scheduler 'CosineAnealing'.
  where:    schedule.name
  found:    CosineAnealing
  expected: one of ChainedScheduler, ConstantLR, CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, \
ExponentialLR, LambdaLR, LinearLR, MultiplicativeLR, MultiStepLR, OneCycleLR, PolynomialLR, ReduceLROnPlateau, \
SequentialLR, StepLR
Did you mean 'CosineAnnealingLR'?"""
    )


@pytest.mark.parametrize(
    ("catalogue", "name"),
    [(catalogue, name) for catalogue in CATALOGUES for name in catalogue.left_out],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_a_name_that_is_left_out_says_why(catalogue, name):
    with pytest.raises(UnknownNameError) as caught:
        catalogue.canonical(name.lower(), where="here")
    names = ", ".join(sorted(catalogue.members, key=str.lower))
    assert (
        str(caught.value)
        == f"""\
The {catalogue.kind} '{name.lower()}' cannot be used in a task.
  where:    here
  found:    {name.lower()}
  expected: one of {names}
{catalogue.left_out[name]}"""
    )
