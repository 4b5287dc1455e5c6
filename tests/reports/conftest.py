"""Runs that the reports are tried on, each trained once."""

from collections.abc import Callable
from functools import cache

import pytest

from chainrule.documents import Block, Cell, Document, Fold, Heading, Table
from chainrule.reports.run_report import run_document
from chainrule.tasks import load_task
from chainrule.training import Run, train

TWO_HIDDEN = {
    "name": "two-hidden",
    "data": {"inputs": [[0.1, -0.2], [0.4, 0.3], [-0.5, 0.2]], "targets": [[0.3], [0.7], [0.1]]},
    "model": {"layers": [3, 2, 1], "activation": ["Tanh", "Sigmoid"]},
    "loss": {"name": "HalfSumOfSquares"},
    "optimizer": {"name": "SGD", "lr": 0.1},
    "stop": {"epochs": 6},
    "run": {"precision": "float64"},
}

PENALISED = {
    "name": "penalised",
    "data": {"source": "iris", "test": 0.2, "validation": 0.2, "batch_size": 16},
    "model": {"layers": [8, 8, 3], "activation": ["ReLU", "Tanh"]},
    "loss": {"name": "CrossEntropyLoss"},
    "optimizer": {"name": "Adam", "lr": 0.01},
    "stop": {"epochs": 6},
    "penalty": [
        {"kind": "L2", "strength": 0.01, "modules": "type:ReLU"},
        {"kind": "L1", "strength": 0.001, "modules": "hidden2_activation"},
    ],
}

TASKS = {"two-hidden": TWO_HIDDEN, "penalised": PENALISED}


@cache
def trained(name: str) -> Run:
    """Return the run of a built-in task, or of one of those above."""
    return train(load_task(TASKS.get(name, name)))


def blocks_in(blocks: tuple[Block, ...]) -> list[Block]:
    """Return blocks, with those inside folds in their place."""
    found: list[Block] = []
    for block in blocks:
        found += blocks_in(block.blocks) if isinstance(block, Fold) else [block]
    return found


def tables_under(document: Document, heading: str) -> list[Table]:
    """Return the tables between a heading and the next."""
    found: list[Table] = []
    is_under = False
    for block in blocks_in(document.blocks):
        if isinstance(block, Heading):
            is_under = block.text == heading
        elif is_under and isinstance(block, Table):
            found.append(block)
    return found


@pytest.fixture
def run_of() -> Callable[[str], Run]:
    return trained


@pytest.fixture
def report_of() -> Callable[[str], Document]:
    return cache(lambda name: run_document(trained(name)))


@pytest.fixture
def numbers_under() -> Callable[[Document, str], dict[str, tuple[Cell, ...]]]:
    """Return the rows of all tables under a heading by the name in their first column; texts are left out."""

    def read(document: Document, heading: str) -> dict[str, tuple[Cell, ...]]:
        rows = [row for table in tables_under(document, heading) for row in table.rows]
        return {str(row[0]): tuple(cell for cell in row[1:] if not isinstance(cell, str)) for row in rows}

    return read
