"""What `/metrics` says of the work, after the acts that make it; and that the page of documentation names all of it."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from prometheus_client import generate_latest

from apps.common import tallies
from apps.common.errors import AikaError
from apps.common.tasks import publish
from apps.dashboard.metrics import registry
from apps.lessons.services import spaces
from apps.policies.models import Budget
from tests.dashboard.test_metrics import Samples, of, read
from tests.factories.desk import PaperDesk
from tests.factories.lessons import closed_trade, remembered
from tests.factories.unknown import unknown

pytestmark = pytest.mark.django_db

DOCS = Path(__file__).resolve().parents[2] / "docs"
Committing = Callable[..., AbstractContextManager[object]]


def scraped() -> Samples:
    return read(generate_latest(registry(timezone.now())).decode())


@pytest.fixture
def grown() -> Callable[..., float]:
    """By how much a sample grew since the test began: other tests counted too."""
    before = scraped()

    def more(name: str, **labels: str) -> float:
        return (of(scraped(), name, **labels) or 0) - (of(before, name, **labels) or 0)

    return more


def test_a_proposal_is_counted_and_timed_in_the_state_it_was_stored_in(
    paper: PaperDesk, grown: Callable[..., float]
) -> None:
    paper.propose()
    denied = paper.propose(quantity=Decimal("1000"))
    assert denied.state == "DENIED"
    for state in ("AWAITING_APPROVAL", "DENIED"):
        assert grown("aika_proposals", state=state) == 1
        assert grown("aika_proposal_decision_seconds_count", state=state) == 1
        assert grown("aika_proposal_decision_seconds_bucket", state=state, le="+Inf") == 1
        assert 0 < grown("aika_proposal_decision_seconds_sum", state=state) < 60
    assert grown("aika_proposals", state="APPROVED") == 0


def test_what_was_refused_before_it_was_stored_is_no_decision(paper: PaperDesk, grown: Callable[..., float]) -> None:
    with pytest.raises(AikaError):
        paper.propose(connection="nowhere", limit_price=Decimal(1))
    assert grown("aika_proposal_decision_seconds_count", state="DENIED") == 0


def test_the_time_to_approve_is_that_of_the_quorum(
    paper: PaperDesk, grown: Callable[..., float], django_capture_on_commit_callbacks: Committing
) -> None:
    proposal = paper.propose()
    assert grown("aika_proposal_approval_seconds_count") == 0
    with django_capture_on_commit_callbacks(execute=True):
        paper.approve(proposal)
    proposal.refresh_from_db()
    assert proposal.ended_at is not None
    took = (proposal.ended_at - proposal.created_at).total_seconds()
    assert grown("aika_proposal_approval_seconds_count") == 1
    assert grown("aika_proposal_approval_seconds_sum") == pytest.approx(took, abs=0.001)


def test_a_call_at_the_venue_by_what_came_of_it(paper: PaperDesk, grown: Callable[..., float]) -> None:
    host = paper.connection.api_base.rpartition("/")[2]

    def posts(outcome: str) -> float:
        return grown("aika_venue_call_seconds_count", host=host, method="POST", outcome=outcome)

    taken = paper.propose()
    paper.approve(taken)
    paper.execute(taken)
    assert (posts("ok"), posts("no_answer"), posts("failed")) == (1, 0, 0)
    assert grown("aika_venue_call_seconds_count", host=host, method="GET", outcome="ok") > 0
    unknown(paper, "reset-after", instrument="ETH-USD")
    assert (posts("ok"), posts("no_answer")) == (1, 1)
    unknown(paper, "5xx-after", instrument="ETH-USD", quantity=Decimal("0.2"))
    assert (posts("ok"), posts("no_answer"), posts("failed")) == (1, 1, 1)
    assert of(scraped(), "aika_orders", state="UNKNOWN") == 2


def test_the_use_of_a_limit_is_its_share_and_no_amount(paper: PaperDesk) -> None:
    proposal = paper.propose()
    paper.approve(proposal)
    limited = Budget.objects.filter(connection=paper.connection, limit_minor__isnull=False, reserved_minor__gt=0)
    assert limited.exists()
    samples = scraped()
    for dimension in limited.values_list("dimension", flat=True).distinct():
        shares = [
            Decimal(row.reserved_minor + row.used_minor) / row.effective_limit_minor
            for row in limited.filter(dimension=dimension)
        ]
        told = of(samples, "aika_budget_use_ratio", connection=paper.connection.slug, dimension=dimension)
        assert told == pytest.approx(float(max(shares)), abs=0.0001)


def test_messages_that_nobody_took(grown: Callable[..., float], django_capture_on_commit_callbacks: Committing) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        publish("trades.execute_trade", order_id=1)
        publish("trades.poll_order", order_id=1)
        publish("trades.poll_order", order_id=2)
    assert grown("aika_queue_messages", queue="execution") == 1
    assert grown("aika_queue_messages", queue="default") == 2


def test_what_the_vector_index_lacks(paper: PaperDesk) -> None:
    assert (of(scraped(), "aika_index_texts", state="waiting"), of(scraped(), "aika_index_lag_seconds")) == (0, 0)
    then = timezone.now() - timedelta(seconds=70)
    spaces.ensure(now=then)
    remembered(closed_trade(desk=paper.desk), now=then)
    samples = scraped()
    assert (of(samples, "aika_index_texts", state="waiting"), of(samples, "aika_index_texts", state="given_up")) == (
        1,
        0,
    )
    assert 70 <= (of(samples, "aika_index_lag_seconds") or 0) < 170


class TestTallies:
    """Several processes count together."""

    def test_sockets_of_all_processes_that_live(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for process, number, at_s in ((1, 5, 1_000), (2, 7, 1_010), (3, 100, 900), (2, 8, 1_012)):
            monkeypatch.setattr("os.getpid", lambda process=process: process)
            tallies.hold("test_sockets", number, at_s=at_s)
        assert tallies.held("test_sockets", at_s=1_015) == 13, "the third has not been heard of"
        assert tallies.held("test_sockets", at_s=1_021) == 8

    def test_buckets_are_cumulative_and_a_bound_belongs_to_its_bucket(self, grown: Callable[..., float]) -> None:
        for taken_us in (10_000, 10_001, 99_000_000):
            tallies.took(tallies.VENUE, taken_us, host="h", method="GET", outcome="ok")
        labels = {"host": "h", "method": "GET", "outcome": "ok"}
        counts = {
            le: grown("aika_venue_call_seconds_bucket", le=le, **labels) for le in ("0.01", "0.025", "10", "+Inf")
        }
        assert counts == {"0.01": 1, "0.025": 2, "10": 2, "+Inf": 3}
        assert grown("aika_venue_call_seconds_sum", **labels) == pytest.approx(99.020001)

    def test_nothing_fails_where_nothing_can_be_counted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_asked: Any) -> None:
            raise OSError("away")

        for name in ("add_up", "put_in", "numbers"):
            monkeypatch.setattr(type(cache._connections[cache._alias]), name, away)  # type: ignore[attr-defined]
        tallies.took(tallies.APPROVAL, 1)
        tallies.hold("sockets", 1, at_s=1)
        assert (list(tallies.times(tallies.APPROVAL)), tallies.held("sockets", at_s=1)) == ([], 0)


def test_the_page_names_every_metric_and_no_other() -> None:
    told = set(re.findall(r"`(aika_[a-z_]+)`", (DOCS / "metrics.md").read_text(encoding="utf-8")))
    assert told == {family.name for family in registry(timezone.now()).collect()}
