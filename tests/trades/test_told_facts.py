"""A report may tell what was known when its trade was decided: by a closed list, and never against what is measured."""

from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.audit.models import Event
from apps.audit.selectors import facts_of
from apps.common.errors import Denied, Invalid
from apps.connectors.types import Side
from apps.lessons.models import Case
from apps.lessons.rules import detectors
from apps.lessons.rules.detectors import TOLD
from apps.lessons.rules.scene import Scene
from apps.lessons.types import Plan
from apps.trades.api.bodies import OutcomeBody, report_of
from apps.trades.models import ReportedOutcome
from apps.trades.rules.past_trades import FACT_COLUMNS
from apps.trades.services import outcomes
from apps.trades.types import Report
from tests.factories.accounts import DeskFactory
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db


def body(**changes: Any) -> dict[str, Any]:
    """A future that was bought and lost 10, by a plan that risked 2 for 10."""
    base = {
        "trade_id": str(uuid4()),
        "instrument": "ES",
        "side": "BUY",
        "quantity": "1",
        "entry_price": "100",
        "exit_price": "90",
        "planned_stop": "98",
        "planned_target": "110",
    }
    return base | changes


def reported(paper: PaperDesk, **changes: Any) -> ReportedOutcome:
    report: Report = report_of(OutcomeBody.read(body(**changes)))
    return outcomes.report_outcome(report=report, principal=paper.principal, now=timezone.now())


def kept(row: ReportedOutcome) -> dict[str, dict[str, Any]]:
    case = Case.objects.get(source_id=str(row.pk))
    return {fact["name"]: fact for fact in case.facts}


def test_what_nobody_can_measure_is_as_it_was_told(paper: PaperDesk) -> None:
    row = reported(paper, facts={"chase": "1.2", "minutes_to_event": "30", "spread": "3"})
    facts, case = kept(row), Case.objects.get(source_id=str(row.pk))
    assert (facts["chase"]["value"], facts["chase"]["limit"], facts["chase"]["violated"]) == ("1.2", "0.5", True)
    assert (facts["spread"]["violated"], facts["tick_age"]["value"]) == (False, None)
    counted = set(case.tags.filter(counts=True).values_list("tag", flat=True))
    assert {"chased_breakout", "held_event"} <= counted
    assert set(case.violations.values_list("fact", flat=True)) >= {"chase", "minutes_to_event"}
    assert ReportedOutcome.objects.get(pk=row.pk).facts == {"chase": "1.2", "minutes_to_event": "30", "spread": "3"}
    said: Any = facts_of(Event.objects.get(kind="outcome.reported"))["payload"]
    assert said["facts"] == {"chase": "1.2", "minutes_to_event": "30", "spread": "3"}
    assert ReportedOutcome.objects.get(pk=reported(paper).pk).facts is None


@pytest.mark.parametrize(
    ("facts", "code", "field"),
    [
        ({"mood": "1"}, "UNKNOWN_FIELD", "facts.mood"),
        ({"hour": "9"}, "UNKNOWN_FIELD", "facts.hour"),
        ({"given_back": "1"}, "UNKNOWN_FIELD", "facts.given_back"),
        ({"chase": "far"}, "DECIMAL_MALFORMED", "facts.chase"),
        ({"bar_closed": "0.5"}, "FACT_OUT_OF_RANGE", "facts.bar_closed"),
        ({"has_planned_stop": "0"}, "FACT_DIFFERS", "facts.has_planned_stop"),
        ({"reward_to_risk": "4"}, "FACT_DIFFERS", "facts.reward_to_risk"),
    ],
)
def test_what_is_of_no_list_or_is_measured_otherwise_is_refused_by_name(
    paper: PaperDesk, facts: dict[str, Any], code: str, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        reported(paper, facts=facts)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert not ReportedOutcome.objects.exists()
    assert not Case.objects.exists()


def test_what_agrees_with_what_is_measured_is_taken_and_the_measure_kept(paper: PaperDesk) -> None:
    row = reported(paper, facts={"reward_to_risk": "5.0", "has_planned_stop": "1"})
    assert kept(row)["reward_to_risk"]["value"] == "5"
    with pytest.raises(Invalid, match="reward_to_risk is 5 x, as it is measured here"):
        reported(paper, facts={"reward_to_risk": "4.9"})


def test_an_order_of_aika_takes_none(paper: PaperDesk) -> None:
    with pytest.raises(Denied, match="FACT_COMPUTED"):
        reported(paper, trade_id="", order_id=str(uuid4()), facts={"chase": "0"})


def test_the_mutant_that_believes_what_it_is_told() -> None:
    """Told first and measured after, a plan without a stop would have one."""
    scene = Scene(
        at=timezone.now(), side=Side.BUY, plan=Plan(target=Decimal(9)), given={"has_planned_stop": Decimal(1)}
    )
    (stop,) = (fact for fact in detectors.detect(scene) if fact.name == "has_planned_stop")
    assert (stop.value, stop.violated) == (0, True)
    naive = scene.given.get("has_planned_stop", stop.value)
    assert naive != stop.value


def test_a_file_of_past_trades_tells_them_too_and_its_columns_are_a_closed_list(tmp_path: Path) -> None:
    DeskFactory(slug="past")
    path = tmp_path / "trades.csv"
    head = "id,instrument,side,quantity,entry_price,exit_price,closed_at,planned_stop,fact.chase,fact.has_planned_stop"
    lines = [
        "t1,ES,BUY,1,100,90,2026-01-02T10:00:00Z,98,1.2,1",
        "t2,ES,BUY,1,100,90,2026-01-02T10:00:00Z,98,,0",
        "t3,ES,BUY,1,100,90,2026-01-02T10:00:00Z,98,x,",
    ]
    path.write_text("\n".join((head, *lines)), encoding="utf-8")
    out = StringIO()
    with pytest.raises(SystemExit):
        call_command("backfill_lessons", csv=path, desk="past", stdout=out, stderr=StringIO())
    assert "line 3: FACT_DIFFERS: has_planned_stop is 1 yes, as it is measured here." in out.getvalue()
    assert "line 4: DECIMAL_MALFORMED" in out.getvalue()
    case = Case.objects.get()
    assert {fact["name"]: fact["value"] for fact in case.facts}["chase"] == "1.2"
    path.write_text("\n".join((f"{head},fact.mood", *lines)), encoding="utf-8")
    with pytest.raises(CommandError, match="fact.mood"):
        call_command("backfill_lessons", csv=path, desk="past", stdout=StringIO(), stderr=StringIO())


def test_the_list_is_what_can_be_known_before_and_follows_from_no_time() -> None:
    names = {one.name for one in TOLD}
    assert {"hour", "to_weekend", "given_back", "minutes_held"} & names == set()
    assert {"chase", "spread", "minutes_to_event", "since_loss", "oos_sharpe"} <= names
    assert tuple(f"fact.{one.name}" for one in TOLD) == FACT_COLUMNS
