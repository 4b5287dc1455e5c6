"""The judge judged: right workbooks in varied layouts, and the same with one slip each (benchmarks/mutants.py)."""

from pathlib import Path

import pytest
from mutants import Score, judge_mutants, judge_right


@pytest.mark.parametrize("seed", [11])
def test_no_right_workbook_is_accused(tmp_path: Path, seed: int) -> None:
    score = Score()
    judge_right(10, seed, tmp_path, score)
    assert score.right == 10
    assert score.accused == []


@pytest.mark.parametrize("seed", [11])
def test_slips_are_found_and_named_as_they_were_made(tmp_path: Path, seed: int) -> None:
    score = Score()
    judge_mutants(15, seed, tmp_path, score)
    assert score.mutants == 15
    assert score.missed == []
    assert score.also_accused == []
    assert len(score.unnamed) == 0, score.unnamed


@pytest.mark.long
def test_a_hundred_right_workbooks_and_three_hundred_slips(tmp_path: Path) -> None:
    score = Score()
    judge_right(120, 1, tmp_path, score)
    judge_mutants(300, 1, tmp_path, score)
    assert score.accused == []
    assert score.missed == []
    assert score.also_accused == []
    assert len(score.unnamed) <= 0.05 * score.mutants, score.unnamed
