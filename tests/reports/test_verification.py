"""The document of a verification says what the verification says."""

import json
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from chainrule.documents import Callout, Document, Fold, Prose, Table
from chainrule.recorder import record
from chainrule.render.page import fragment_html, page_html
from chainrule.reports.verification import verification_document
from chainrule.shapes import Tensor
from chainrule.verification import Verification, verify


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(context: Any, *upstream: Tensor) -> Tensor:
        return upstream[0]


class Net(nn.Module):
    def __init__(self, is_wrong: bool) -> None:
        super().__init__()
        self.first, self.last, self.is_wrong = nn.Linear(3, 4), nn.Linear(4, 2), is_wrong

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        out: Tensor = self.last(torch.relu(Doubled.apply(h) if self.is_wrong else h))  # type: ignore[no-untyped-call]
        return out


def verified(is_wrong: bool, entries: int = 100) -> Verification:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trace = record(Net(is_wrong), functional.mse_loss, torch.randn(4, 3), torch.randn(4, 2))
    return verify(trace, entries=entries)


def tables(document: Document) -> list[Table]:
    return [block for block in document.blocks if isinstance(block, Table)]


def test_a_right_one_begins_with_its_verdict() -> None:
    verification = verified(False)
    document = verification.to_document()
    assert document == verification_document(verification)
    assert document.title == "Are the gradients right?"
    first = document.blocks[0]
    assert isinstance(first, Callout)
    assert (first.kind, first.text) == ("good", str(verification))
    (table,) = tables(document)
    assert [row[:3] for row in table.rows] == [
        ("first.weight", "right", "all 12"),
        ("first.bias", "right", "all 4"),
        ("last.weight", "right", "all 8"),
        ("last.bias", "right", "all 2"),
    ]
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_a_wrong_one_names_the_function_first() -> None:
    verification = verified(True)
    document = verification.to_document()
    verdict, finding = document.blocks[:2]
    assert isinstance(verdict, Callout)
    assert isinstance(finding, Callout)
    assert (verdict.kind, verdict.text) == ("error", "Gradients are WRONG.")
    assert finding.text == str(verification.findings[0])
    assert finding.text.startswith(
        "The backward of Doubled does not give the derivative of its forward. It is 2 times too small"
    )
    functions, parameters = tables(document)
    (row,) = functions.rows
    assert (row[0], row[2]) == ("Doubled", "WRONG")
    assert row[-1] == pytest.approx(0.5)
    assert [row[1] for row in parameters.rows] == ["WRONG", "WRONG", "right", "right"]


def test_directions_and_what_they_miss_are_stated() -> None:
    document = verified(False, entries=6).to_document()
    (table,) = tables(document)
    assert any("directions" in str(row[2]) for row in table.rows)
    texts = [block.text for block in document.blocks if isinstance(block, Prose)]
    assert any("would be missed with a probability of at most 1 %" in text for text in texts)


def test_it_is_drawn_as_a_page_a_fragment_and_json() -> None:
    verification = verified(True)
    document = verification.to_document()
    assert "Doubled" in page_html(document)
    assert verification._repr_html_() == fragment_html(document)
    read = json.loads(json.dumps(verification.to_dict(), allow_nan=False))
    assert (read["is_right"], read["functions"][0]["function"]) == (False, "Doubled")
    assert [finding["code"] for finding in read["findings"]] == [
        "wrong-custom-backward",
        "wrong-gradient",
        "wrong-gradient",
    ]


def test_kinks_are_folded_away() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net(False)
        nn.init.zeros_(net.first.weight)
        nn.init.zeros_(net.first.bias)
        trace = record(net, functional.mse_loss, torch.randn(4, 3), torch.randn(4, 2))
    (fold,) = [block for block in verify(trace).to_document().blocks if isinstance(block, Fold)]
    assert fold.summary == "16 entries at a kink"
