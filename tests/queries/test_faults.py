"""Faults with a known answer: `why` names code, op and module of each, and is silent on its healthy twin."""

import re
from functools import cache

import pytest

from chainrule.findings import Finding
from chainrule.queries import why

from .faults import FAULTS, Fault

pytestmark = [
    pytest.mark.filterwarnings("ignore:std... degrees of freedom"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated"),  # torch.func.jvp, when first used
]


@cache
def found(fault: Fault) -> tuple[Finding, ...]:
    return why(fault.faulty()).findings


def is_named(finding: Finding, fault: Fault) -> bool:
    evidence = finding.evidence
    is_there = not fault.module or str(evidence.get("module")).partition(".")[0] == fault.module
    return finding.code == fault.code and (not fault.op or evidence.get("op") == fault.op) and is_there


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_names_the_fault(fault: Fault) -> None:
    findings = found(fault)
    assert [finding.code for finding in findings if is_named(finding, fault)] == [fault.code], findings


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_is_silent_on_the_healthy_twin(fault: Fault) -> None:
    findings = why(fault.healthy()).findings
    assert [str(finding) for finding in findings if finding.severity != "note"] == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_accuses_nothing_else(fault: Fault) -> None:
    """Ops that only pass a fault on are not accused: what is grave has one cause."""
    findings = found(fault)
    grave = [finding for finding in findings if finding.severity != "note" and not is_named(finding, fault)]
    assert [finding.claim for finding in grave] == []


def test_every_claim_is_one_sentence_that_names_a_line_where_there_is_one() -> None:
    for fault in FAULTS:
        for finding in found(fault):
            assert finding.claim.endswith(".")
            assert "  " not in finding.claim
            if fault.op and is_named(finding, fault):
                assert re.search(r"\w+\.py:\d+", finding.claim + finding.where), finding


def test_there_are_at_least_thirty() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 30
