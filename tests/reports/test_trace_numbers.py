import math

import pytest
import torch

from chainrule.reports.trace_numbers import (
    FEW,
    SMALL,
    count,
    norm_of,
    number_text,
    shape_text,
    share_text,
    written_out,
)
from chainrule.trace import Missing, Number, Statistics
from chainrule.trace.reduction import statistics_of

from .trace_cases import trace_of

TEXTS: list[tuple[Number | None, str]] = [
    (torch.tensor(0.123456789), "0.123457"),
    (torch.tensor([[0.15, 0.2], [0.25, 0.3]], dtype=torch.float64), "[[0.15, 0.2], [0.25, 0.3]]"),
    (torch.tensor([1.0, math.nan, -math.inf]), "[1, nan, -inf]"),
    (torch.tensor([3, 0]), "[3, 0]"),
    (torch.tensor([True, False]), "[True, False]"),
    (torch.tensor([1 + 2j]), "[1+2j]"),
    (torch.tensor([[0.0, 2.0]]).to_sparse(), "[[0, 2]]"),
    (torch.empty(0, 3), "[]"),
    (torch.tensor([1.0], requires_grad=True), "[1]"),
    (torch.arange(5.0), "mean 2 ± 1.414, from 0 to 4, 20 % zero"),
    (torch.full((1000,), math.nan), "1,000 elements, none of them finite"),
    (torch.tensor([math.inf, 0.0, 1.0, 2.0, 3.0]), "mean 1.5 ± 1.118, from 0 to 3, 20 % zero, 1 not finite"),
    (Statistics(0, math.nan, math.nan, math.nan, math.nan, 0.0), "no elements"),
    (Statistics(10, 0.5, 0.1, 0.0, 1.0, 0.0, 0.25), "mean 0.5 ± 0.1, from 0 to 1, 25 % saturated"),
    (Statistics(1, 1.25, 0.0, 1.25, 1.25, 1.25), "1.25"),
    (torch.arange(6).reshape(2, 3).float().expand(2, 3).repeat(1, 2), "mean 2.5 ± 1.708, from 0 to 5, 16.7 % zero"),
    (torch.arange(10), "10 whole numbers, from 0 to 9"),
    (Missing("it was freed"), "missing because it was freed"),
    (None, "none"),
]


@pytest.mark.parametrize(("number", "text"), TEXTS, ids=[text for _, text in TEXTS])
def test_numbers_read_like_this(number: Number | None, text: str) -> None:
    assert number_text(number, FEW) == text


def test_a_gradient_has_its_norm_in_front() -> None:
    number = torch.tensor([3.0, 4.0, 0.0, 0.0, 0.0])
    assert number_text(number, FEW, with_norm=True) == "norm 5, mean 1.4 ± 1.744, from 0 to 4, 60 % zero"
    assert number_text(number, 5, with_norm=True) == "[3, 4, 0, 0, 0]"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.5, "50 %"), (1e-9, "below 0.1 %"), (1 - 1e-9, "over 99.9 %"), (0.0123, "1.23 %")],
)
def test_shares_never_claim_nothing_or_everything(share: float, text: str) -> None:
    assert share_text(share) == text


def test_norms_are_those_of_the_tensor_and_say_when_there_is_ruin() -> None:
    generator = torch.Generator().manual_seed(5)
    number = torch.randn(7, 11, generator=generator)
    assert norm_of(number) == pytest.approx(float(number.norm()), rel=1e-4)
    assert norm_of(statistics_of(number)) == norm_of(number)
    assert norm_of(torch.tensor([1.0, math.nan])) == math.inf
    assert (norm_of(None), norm_of(Missing("x"))) == (None, None)


def test_shapes_and_counts() -> None:
    assert (shape_text((2, 3)), shape_text(())) == ("[2, 3]", "")
    assert (count((2, 3, 4)), count(()), count((0, 5))) == (24, 1, 0)


def test_a_step_of_small_tensors_is_written_out_whole() -> None:
    assert written_out(trace_of("two-two-two")) == SMALL
    assert written_out(trace_of("residual")) == FEW


def test_larger_tensors_have_a_line_for_each_row() -> None:
    assert number_text(torch.arange(6.0).reshape(2, 3), 64) == "[[0, 1, 2],\n [3, 4, 5]]"
    assert number_text(torch.arange(4.0).reshape(2, 2), 64) == "[[0, 1], [2, 3]]"
    assert number_text(torch.arange(6).reshape(3, 1, 2), 64) == "[[[0, 1]],\n [[2, 3]],\n [[4, 5]]]"
    assert number_text(torch.empty(2, 0), 64) == "[[], []]"


def test_whole_numbers_have_no_mean_even_as_statistics() -> None:
    assert number_text(Statistics(64, 4.4, 2.6, 0.0, 9.0, 1.0), FEW, dtype="int64") == "64 whole numbers, from 0 to 9"
