"""What a lost message, a dead worker or a full broker left behind is found again, and nothing is done twice."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.audit.models import Alarm
from apps.common import tasks
from apps.trades.models import Order, Proposal
from apps.trades.services import orders, sweeps
from apps.trades.types import OrderState
from tests.factories.desk import PaperDesk
from tests.factories.trading import kinds, last_state, sent

pytestmark = pytest.mark.django_db


@pytest.fixture
def approved(paper: PaperDesk) -> Proposal:
    proposal = paper.propose()
    paper.approve(proposal)
    return proposal


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what goes to the broker, instead of going there."""
    names: list[str] = []
    monkeypatch.setattr(tasks, "_send", lambda name, arguments, headers: names.append(name))
    return names


def test_a_lost_message_is_found(
    paper: PaperDesk, published: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    """The approval committed and its message never came."""
    with django_capture_on_commit_callbacks(execute=False):
        proposal = paper.propose()
        paper.approve(proposal)
    created = paper.order_of(proposal).created_at
    with django_capture_on_commit_callbacks(execute=True):
        assert sweeps.publish_pending(now=created + timedelta(seconds=4)) == 0
    assert published == []
    with django_capture_on_commit_callbacks(execute=True):
        assert sweeps.publish_pending(now=created + timedelta(seconds=5)) == 1
    assert published == ["trades.execute_trade"]
    assert paper.execute(proposal) == OrderState.ACCEPTED
    assert sweeps.publish_pending(now=created + timedelta(days=1)) == 0


def test_an_approval_publishes_after_it_commits(
    paper: PaperDesk, published: list[str], django_capture_on_commit_callbacks: Any
) -> None:
    proposal = paper.propose()
    with django_capture_on_commit_callbacks(execute=True):
        paper.approve(proposal)
        assert published == []
    assert published == ["trades.execute_trade"]


def test_a_worker_that_died_on_its_claim(paper: PaperDesk, approved: Proposal) -> None:
    """Nobody can tell whether it sent: unknown, said aloud, and never sent by anybody else."""
    order = paper.order_of(approved)
    claim = orders._claim(order.pk, timezone.now(), timezone.now)
    assert claim is not None
    assert sweeps.resolve_lapsed_claims(now=claim.lease_until) == 0
    assert paper.execute(approved) == OrderState.SUBMITTED
    assert sweeps.resolve_lapsed_claims(now=claim.lease_until + timedelta(microseconds=1)) == 1
    assert sweeps.resolve_lapsed_claims(now=claim.lease_until + timedelta(days=1)) == 0
    order.refresh_from_db()
    assert (order.state, order.fence, order.reason_code) == (OrderState.UNKNOWN, 2, "CLAIM_LAPSED")
    assert kinds(approved)[-2:] == ["order.submitted", "order.unknown"]
    assert last_state(str(order.pk)) == OrderState.UNKNOWN
    assert Alarm.objects.filter(code="ORDER_UNKNOWN", subject=f"order:{order.pk}", cleared_at=None).exists()
    assert paper.execute(approved) == OrderState.UNKNOWN
    assert not sent(paper)
    assert Order.objects.filter(pk=order.pk).live().exists()  # type: ignore[attr-defined]


def test_a_claim_that_was_answered_does_not_lapse(paper: PaperDesk, approved: Proposal) -> None:
    paper.execute(approved)
    assert sweeps.resolve_lapsed_claims(now=timezone.now() + timedelta(days=1)) == 0
