"""What a page costs the database: as many queries with ten times the rows, and no more than is written down.

The counts stand in query_counts.json. A page that got cheaper is a reason to write the smaller number down.
"""

import json
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from apps.audit.services import alarms, notices
from apps.audit.types import Channel
from apps.dashboard.services.demo_policy import DEMO_RULES
from apps.policies.types import RuleKind
from apps.quotes.services import quotes
from tests.factories.alarms import Receiver
from tests.factories.desk import PaperDesk, paper_desk
from tests.venues.simulator_process import SimulatorProcess

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

BASELINE = Path(__file__).with_name("query_counts.json")
WITHOUT = {RuleKind.ORDER_RATE, RuleKind.DUPLICATE, RuleKind.DAILY_NOTIONAL}


@pytest.fixture
def busy(db: None, simulator: SimulatorProcess) -> PaperDesk:
    """A desk that may ask as often as it likes."""
    cache.clear()
    return paper_desk(simulator, rules=[rule for rule in DEMO_RULES if rule.kind not in WITHOUT])


def trade(desk: PaperDesk) -> None:
    """One proposal that waits, one that was filled, and an alarm that was told."""
    now = timezone.now()
    alarms.raise_alarm(code="FILLS_DIFFER", subject=f"order:{uuid4()}", message="They differ.", now=now)
    notices.tell_due(channels=[Channel.LOG], now=now)
    notices.send_owed(senders=[Receiver(Channel.LOG)], clock=timezone.now)
    waiting, filled = desk.propose(), desk.propose()
    assert waiting.state == filled.state == "AWAITING_APPROVAL"
    desk.approve(filled)
    desk.execute(filled)
    desk.poll(filled)


def pages(desk: PaperDesk, proposal_id: object) -> dict[str, str]:
    names = ("proposal", "authority", "order", "fill", "position", "outcome")
    found = {name: reverse(f"admin:trades_{name}_changelist") for name in names}
    return found | {
        "vote": reverse("admin:approvals_vote_changelist"),
        "alarm": reverse("admin:audit_alarm_changelist"),
        "delivery": reverse("admin:audit_delivery_changelist"),
        "index": reverse("admin:index"),
        "home": reverse("home"),
        "watch_parts": reverse("watch_parts"),
        "watch": reverse("admin:watch"),
        "search": reverse("admin:search") + "?q=BTC",
        "decision": reverse("decide:page", args=[proposal_id]),
        "live": reverse("decide:live", args=[proposal_id]),
        "story": reverse("decide:story", args=[proposal_id]),
    }


def count(client: Client, urls: dict[str, str], desk: PaperDesk) -> dict[str, int]:
    counts = {}
    for name, url in urls.items():
        client.get(url)  # what a process learns once is not what a page costs
        quotes.refresh(desk.connection, ["BTC-USD"])  # an old price is a shorter page: nobody may vote on it
        cache.delete("desk:status")
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(url).status_code == 200
        counts[name] = len(captured)
    return counts


def test_ten_times_the_rows_cost_the_same(busy: PaperDesk) -> None:
    trade(busy)
    waiting = busy.propose()
    client = Client()
    client.force_login(busy.approver)
    urls = pages(busy, waiting.pk)
    few = count(client, urls, busy)
    for _ in range(9):
        trade(busy)
    many = count(client, urls, busy)
    assert many == few
    written = json.loads(BASELINE.read_text(encoding="utf-8"))
    assert {name: number for name, number in few.items() if number > written[name]} == {}
