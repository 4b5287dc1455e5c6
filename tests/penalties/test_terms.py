import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from chainrule.errors import ShapeError, TaskError
from chainrule.penalties.terms import activation_term, formula
from chainrule.tasks.penalty_spec import PenaltySpec


def term(kind, output, module=None, strength=1.0, **options):
    spec = PenaltySpec(kind=kind, strength=strength, modules="layer", **options)
    return activation_term(spec, "layer", module if module is not None else nn.Identity(), output)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("shape", [(1, 3), (4, 3), (2, 5, 3), (7,)])
@pytest.mark.parametrize(("kind", "power"), [("L1", 1), ("L2", 2), ("AR", 2)])
def test_the_three_normalisations(kind, power, shape):
    output = random(*shape)
    total = 0.3 * output.abs().pow(power).sum()
    for normalisation, divisor in (("sum", 1), ("mean", output.numel()), ("per-sample", shape[0])):
        torch.testing.assert_close(term(kind, output, strength=0.3, normalisation=normalisation), total / divisor)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("recurrent", [nn.LSTM, nn.GRU, nn.RNN])
def test_ar_and_tar_are_those_of_awd_lstm(recurrent, batch_first):
    # The authors' code, with alpha = 2 and beta = 1; its sequences have the shape (steps, batch, units).
    torch.manual_seed(1)
    module = recurrent(3, 4, batch_first=batch_first).double()
    inputs = random(5, 2, 3)
    rnn_h, _ = module(inputs.transpose(0, 1) if batch_first else inputs)
    time_first = rnn_h.transpose(0, 1) if batch_first else rnn_h
    wanted = 2.0 * time_first.pow(2).mean() + 1.0 * (time_first[1:] - time_first[:-1]).pow(2).mean()
    found = term("AR", (rnn_h, None), module, 2.0) + term("TAR", (rnn_h, None), module, 1.0)
    torch.testing.assert_close(found, wanted, rtol=1e-13, atol=0.0)
    weights = list(module.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(found, weights, retain_graph=True), torch.autograd.grad(wanted, weights), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("time", [0, 1, 2, -1, -2])
@pytest.mark.parametrize("normalisation", ["sum", "mean", "per-sample"])
def test_tar_along_any_dimension(time, normalisation):
    output = random(3, 4, 5)
    squares = output.diff(dim=time).square()
    samples = 4 if time == 0 else 3
    wanted = squares.sum() / {"sum": 1, "mean": squares.numel(), "per-sample": samples}[normalisation]
    found = term("TAR", output, normalisation=normalisation, time_dimension=time)
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("kind", ["L1", "L2", "AR", "TAR"])
def test_gradient_agrees_with_finite_differences(kind):
    assert torch.autograd.gradcheck(lambda output: term(kind, output, strength=0.7, time_dimension=1), random(2, 4, 3))


def test_the_batch_of_a_recurrent_layer_is_not_its_time():
    output = random(5, 2, 3)
    total = output.square().sum()
    torch.testing.assert_close(term("L2", (output,), nn.LSTM(1, 3)), total / 2)
    torch.testing.assert_close(term("L2", (output,), nn.LSTM(1, 3, batch_first=True)), total / 5)
    torch.testing.assert_close(term("L2", (output, None), nn.MultiheadAttention(3, 1)), total / 2)
    torch.testing.assert_close(term("L2", output, nn.Linear(1, 3), time_dimension=0), total / 2)
    torch.testing.assert_close(term("L2", output, nn.Linear(1, 3)), total / 5)


@pytest.mark.parametrize("batch_first", [False, True])
def test_a_sequence_without_a_batch_is_one_sample(batch_first):
    output, module = random(5, 3), nn.GRU(1, 3, batch_first=batch_first)
    torch.testing.assert_close(term("L2", output, module), output.square().sum())
    torch.testing.assert_close(
        term("TAR", output, module, normalisation="per-sample"), output.diff(dim=0).square().sum()
    )


@pytest.mark.parametrize("normalisation", ["sum", "mean", "per-sample"])
def test_an_empty_sum_is_zero(normalisation):
    for shape in ((0, 3), (0, 4, 3), (0,)):
        assert term("L2", random(*shape), normalisation=normalisation).item() == 0.0
    for steps in (0, 1):
        assert term("TAR", random(2, steps, 3), normalisation=normalisation, time_dimension=1).item() == 0.0


def test_a_scalar_output_is_one_sample():
    assert term("L2", torch.tensor(3.0)).item() == 9.0
    assert term("TAR", torch.tensor([1.0, 3.0]), normalisation="per-sample", time_dimension=0).item() == 4.0


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("kind", "value"), [("L1", 256.0), ("L2", 65536.0), ("TAR", 0.0)])
def test_half_precision_does_not_overflow(half, kind, value):
    found = term(kind, torch.full((4, 1000), 256.0, dtype=half), normalisation="mean", time_dimension=1)
    assert found.dtype == torch.float32
    assert found.item() == value


def test_a_copy_is_kept_so_that_overwriting_the_output_changes_nothing():
    for kind in ("L1", "L2", "AR", "TAR"):
        plain = random(2, 4)
        wanted = term(kind, plain * 1.0, time_dimension=1)
        (expected,) = torch.autograd.grad(wanted, plain)
        output = plain * 1.0
        found = term(kind, output, time_dimension=1)
        output.zero_()
        torch.testing.assert_close(found, wanted)
        torch.testing.assert_close(torch.autograd.grad(found, plain)[0], expected)


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("L1", {}, "0.001 · Σ |a| / batch (per sample, as Keras)"),
        ("L2", {}, "0.001 · Σ a² / batch (per sample, as Keras)"),
        ("L2", {"normalisation": "sum"}, "0.001 · Σ a² (sum)"),
        ("L1", {"normalisation": "mean"}, "0.001 · mean |a| (mean)"),
        ("AR", {}, "0.001 · mean a² (mean, as AWD-LSTM)"),
        ("AR", {"normalisation": "per-sample"}, "0.001 · Σ a² / batch (per sample)"),
        ("TAR", {}, "0.001 · mean (a[t+1] − a[t])² (mean, as AWD-LSTM)"),
    ],
)
def test_formula(kind, options, text):
    assert formula(PenaltySpec(kind=kind, strength=1e-3, modules="layer", **options)) == text


PACKED = pack_padded_sequence(torch.zeros(3, 2, 4), torch.tensor([3, 2]))


@pytest.mark.parametrize(
    ("output", "found", "next_step"),
    [
        ({"hidden": 1}, "a dict", "Choose another module, such as one inside it that returns a tensor."),
        ((), "a tuple", "Choose another module, such as one inside it that returns a tensor."),
        (
            (None, torch.zeros(1)),
            "a NoneType as the first element of a tuple",
            "Choose another module, such as one inside it that returns a tensor.",
        ),
        (
            torch.zeros(2, dtype=torch.int64),
            "a tensor of int64, layout strided",
            "Choose another module, such as one inside it that returns a tensor.",
        ),
        (
            torch.eye(2).to_sparse(),
            "a tensor of float32, layout sparse_coo",
            "Choose another module, such as one inside it that returns a tensor.",
        ),
        (PACKED, "a PackedSequence", "Feed padded sequences, or penalise a module behind pad_packed_sequence."),
        (
            (PACKED, None),
            "a PackedSequence as the first element of a tuple",
            "Feed padded sequences, or penalise a module behind pad_packed_sequence.",
        ),
    ],
)
def test_an_output_that_cannot_be_penalised(output, found, next_step):
    with pytest.raises(TaskError) as error:
        term("L2", output)
    assert (
        str(error.value)
        == f"""The output of 'layer' cannot be penalised.
  where:    penalty L2 on layer, module layer (Identity)
  found:    {found}
  expected: a dense floating-point tensor, or a tuple that starts with one
{next_step}"""
    )


def test_a_time_dimension_that_the_output_does_not_have():
    with pytest.raises(ShapeError) as error:
        term("TAR", torch.zeros(2, 3), time_dimension=2)
    assert (
        str(error.value)
        == """The output of 'layer' has no dimension 2.
  where:    penalty TAR on layer, module layer (Identity)
  found:    shape (2, 3)
  expected: more dimensions, or another time_dimension than 2"""
    )
