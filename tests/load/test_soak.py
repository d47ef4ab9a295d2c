"""A short soak with a fault, in real processes, and the same judged with a second order planted at the venue.

A minute and a half of processor time: `SOAK=yes .venv/bin/python -m pytest -m slow tests/load` runs it; CI runs its
judge (test_judge.py) and the same installation under other tests (tests/scenarios/test_server_profile.py).
"""

import os
from dataclasses import replace

import pytest

from tests.load import judge, report, soak
from tests.load.__main__ import options_of, plan_of
from tests.load.faults import FAULTS
from tests.load.seen import Plan

FAULT = "Redis flushed"
# How long something took is a figure, and not for a test on whatever machine this is.
TIMES = "recovery"


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("SOAK") != "yes", reason="SOAK=yes runs it: CI has no room for it")
def test_a_short_soak_keeps_every_promise_and_a_double_order_would_be_found() -> None:
    plan = Plan(minutes=0.1, agents=3, sockets=12, every_s=1.0, sample_s=0.5, faults=(FAULT,))
    seen = soak.run(plan, lambda _words: None)

    assert [item for item in judge.verdict(seen) if item.kind != TIMES] == []
    assert seen.diary.approved and seen.ledger.at_venue and seen.took_s
    assert max(sample.sockets_open for sample in seen.samples) == plan.sockets
    assert {process.part for process in seen.samples[-1].processes} >= {"web", "web/1", "worker", "feed", "alarms"}
    assert all(proof == 0 for proof in seen.ledger.proofs.values()) and len(seen.ledger.proofs) == 3

    seen.ledger = replace(seen.ledger, at_venue=[*seen.ledger.at_venue, seen.ledger.at_venue[0]])
    found = judge.verdict(seen)
    assert "double" in {item.kind for item in found}
    page = report.section(seen, found)
    assert page.startswith("## Under load, with faults")
    assert f"| {FAULT} |" in page and "**double**" in page
    assert report.as_json(seen, found)["approvals"] == len(seen.diary.approved)


def test_every_fault_has_a_name_of_its_own_that_can_be_asked_for() -> None:
    assert plan_of(options_of(["--faults"])).faults == tuple(FAULTS)
    assert plan_of(options_of(["--faults", "--only", FAULT])).faults == (FAULT,)
    assert plan_of(options_of([])).faults == ()
