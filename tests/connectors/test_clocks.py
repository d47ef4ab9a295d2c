"""A venue's clock against ours: measured by the clock, kept, and an alarm from the bound on."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.conf import settings
from django.core.cache import cache
from django.utils import timezone
from prometheus_client import generate_latest

from apps.audit.models import Alarm
from apps.common.errors import AikaError
from apps.connectors.services import clocks
from apps.connectors.services.clocks import surely_off_s
from apps.connectors.types import ServerTime
from apps.dashboard.metrics import registry
from apps.trades.tasks import refresh_market_facts
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db


def alarm() -> Alarm | None:
    return Alarm.objects.filter(code="VENUE_CLOCK_OFF", cleared_at=None).first()


@pytest.mark.parametrize(("skew_s", "said"), [(30, "ahead of ours"), (-30, "behind ours")])
def test_a_clock_that_is_off_is_an_alarm_until_it_is_right_again(paper: PaperDesk, skew_s: int, said: str) -> None:
    refresh_market_facts()
    assert alarm() is None
    paper.simulator.skew_clock(skew_s)
    refresh_market_facts()
    found = alarm()
    assert found is not None and said in found.message
    assert found.subject == f"connection:{paper.connection.pk}"
    ahead = clocks.ahead_s(paper.connection)
    assert ahead is not None and abs(ahead - skew_s) < 15
    paper.simulator.skew_clock(0)
    refresh_market_facts()
    assert alarm() is None


@pytest.mark.parametrize(
    ("ahead", "round_trip", "off"),
    [("2", "0", "2"), ("-2", "0", "2"), ("2.5", "1", "2"), ("3", "6.5", "0"), ("0", "0.2", "0")],
)
def test_half_the_way_there_and_back_does_not_count(ahead: str, round_trip: str, off: str) -> None:
    told = ServerTime(at=datetime(2026, 1, 1, tzinfo=UTC), ahead_s=Decimal(ahead), round_trip_s=Decimal(round_trip))
    assert surely_off_s(told) == Decimal(off)


def test_the_bound_counts_as_off_and_less_does_not(paper: PaperDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    def tells(ahead: Decimal) -> None:
        told = ServerTime(at=timezone.now(), ahead_s=ahead, round_trip_s=Decimal(0))
        connector = clocks.connect(paper.connection)
        monkeypatch.setattr(connector, "server_time", lambda: told)
        clocks.measure(paper.connection, now=timezone.now())

    bound = Decimal(settings.ALARM_VENUE_CLOCK_OFF_S)
    tells(bound - Decimal("0.001"))
    assert alarm() is None
    tells(bound)
    assert alarm() is not None


def test_a_venue_that_does_not_answer_changes_nothing_and_keeps_no_other_fact_back(paper: PaperDesk) -> None:
    cache.clear()
    paper.simulator.add_fault("time", "garbage", count=9)
    with pytest.raises(AikaError):
        clocks.measure(paper.connection, now=timezone.now())
    assert refresh_market_facts() == 1
    assert clocks.ahead_s(paper.connection) is None and alarm() is None


def test_a_monitoring_system_is_told_what_was_measured_and_nothing_where_nothing_was(paper: PaperDesk) -> None:
    cache.clear()
    name = f'aika_venue_clock_ahead_milliseconds{{connection="{paper.connection.slug}"}}'
    assert name not in generate_latest(registry(timezone.now())).decode()
    paper.simulator.skew_clock(60)
    refresh_market_facts()
    line = next(row for row in generate_latest(registry(timezone.now())).decode().splitlines() if name in row)
    assert 45_000 < int(line.rpartition(" ")[2].partition(".")[0]) < 75_000
