"""/metrics: for whom it is, that Prometheus can read it, and what it says."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from apps.audit.services import alarms, pulses
from apps.audit.types import Actor, ActorKind
from apps.dashboard.metrics import registry
from apps.policies.services import trading_state
from apps.trades.services import orders
from tests.factories.desk import PaperDesk

pytestmark = pytest.mark.django_db

TOKEN = "m" * 40
BASELINE = Path(__file__).with_name("query_counts.json")
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def scraper(settings: Any) -> Client:
    settings.METRICS_TOKEN = TOKEN
    return Client(headers={"Authorization": f"Bearer {TOKEN}"})


def scraped(client: Client) -> Samples:
    """Every sample, as Prometheus's own parser reads it: (name, labels) -> value."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return read(answer.content.decode())


def read(text: str) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, tuple(sorted(labels.items()))))


class TestWho:
    @pytest.mark.parametrize("header", ["", f"Bearer {TOKEN}x", "Bearer ", f"Basic {TOKEN}", TOKEN, "Bearer é"])
    def test_without_the_token_it_is_refused(self, settings: Any, header: str) -> None:
        settings.METRICS_TOKEN = TOKEN
        answer = Client().get("/metrics", headers={"Authorization": header})
        assert answer.status_code == 403
        assert b"aika_" not in answer.content

    def test_with_the_token_it_is_read_and_kept_by_nobody(self, scraper: Client) -> None:
        assert "no-store" in scraper.get("/metrics").headers["Cache-Control"]
        assert scraper.post("/metrics").status_code == 405

    def test_without_a_token_set_there_is_no_such_page(self, settings: Any) -> None:
        settings.METRICS_TOKEN = ""
        assert Client().get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404

    @pytest.mark.parametrize(
        ("environment", "address", "more", "status"),
        [
            ("local", "127.0.0.1", {}, 200),
            ("local", "::1", {}, 200),
            ("local", "10.0.0.9", {}, 404),
            ("local", "127.0.0.1", {"X-Forwarded-For": "10.0.0.9"}, 404),
            ("production", "127.0.0.1", {}, 404),
        ],
    )
    def test_at_home_the_machine_itself_may_look(
        self, settings: Any, environment: str, address: str, more: dict[str, str], status: int
    ) -> None:
        settings.METRICS_TOKEN, settings.ENVIRONMENT = "", environment
        assert Client(REMOTE_ADDR=address, headers=more).get("/metrics").status_code == status

    def test_a_person_who_is_signed_in_needs_the_token_too(self, settings: Any, admin_user: Any) -> None:
        settings.METRICS_TOKEN = TOKEN
        client = Client()
        client.force_login(admin_user)
        assert client.get("/metrics").status_code == 403

    def test_a_token_that_could_be_guessed_is_found_by_the_check(self, settings: Any) -> None:
        settings.METRICS_TOKEN = "short"
        assert "config.E011" in {found.id for found in run_checks(tags=["security"])}
        settings.METRICS_TOKEN = TOKEN
        assert "config.E011" not in {found.id for found in run_checks(tags=["security"])}


class TestWhat:
    def test_alarms_by_code(self, scraper: Client) -> None:
        now = timezone.now()
        for number in range(3):
            made = alarms.raise_alarm(code="ORDER_UNKNOWN", subject=f"order:{number}", message="?", now=now)
        alarms.acknowledge(alarm_id=made.pk, actor=Actor(ActorKind.USER, "u", "Mara Lind"), now=now)
        samples = scraped(scraper)
        assert of(samples, "aika_alarms_open", code="ORDER_UNKNOWN", acknowledged="false") == 2
        assert of(samples, "aika_alarms_open", code="ORDER_UNKNOWN", acknowledged="true") == 1
        assert of(samples, "aika_alarms_open", code="BEAT_SILENT", acknowledged="false") == 0

    def test_a_desk_at_work(self, scraper: Client, paper: PaperDesk) -> None:
        slug = paper.connection.slug
        calm = scraped(scraper)
        assert of(calm, "aika_orders", state="UNKNOWN") == of(calm, "aika_proposals_waiting") == 0
        assert of(calm, "aika_orders_unknown_oldest_age_seconds") is None, "a time that is not known is not zero"
        assert of(calm, "aika_reconciliation_age_seconds", connection=slug) is None
        paper.propose()
        approved = paper.propose(instrument="ETH-USD")
        paper.approve(approved)
        order, sent_at = paper.order_of(approved), timezone.now()
        assert of(scraped(scraper), "aika_outbox", owed="execute") == 1
        claim = orders._claim(order.pk, sent_at, lambda: sent_at)
        assert claim is not None
        orders._record(claim, orders.OrderState.UNKNOWN, sent_at, code="NO_ANSWER")
        pulses.beat(pulses.prices(paper.connection.pk), now=timezone.now() - timedelta(seconds=42))
        busy = scraped(scraper)
        assert of(busy, "aika_orders", state="UNKNOWN") == 1
        later = read(generate_latest(registry(sent_at + timedelta(seconds=90))).decode())
        assert of(later, "aika_orders_unknown_oldest_age_seconds") == 90
        assert of(busy, "aika_proposals_waiting") == 1
        assert of(busy, "aika_outbox", owed="resolve") == 1
        assert 42 <= (of(busy, "aika_prices_channel_age_seconds", connection=slug) or 0) < 100
        assert of(busy, "aika_quotes_missing", connection=slug) == 0
        assert of(busy, "aika_quote_age_seconds", connection=slug) is not None
        assert (of(busy, "aika_audit_head") or 0) > (of(calm, "aika_audit_head") or 0) > 0

    def test_the_trading_state_of_a_connection_is_the_worst_in_force(self, scraper: Client, paper: PaperDesk) -> None:
        labels = {"connection": paper.connection.slug, "environment": "paper"}
        assert of(scraped(scraper), "aika_trading_state", state="ACTIVE", **labels) == 1
        test = Actor.system("test")
        trading_state.halt(connection_id=None, actor=test, reason="Stop.", now=timezone.now())
        samples = scraped(scraper)
        assert of(samples, "aika_trading_state", state="HALTED", **labels) == 1
        assert of(samples, "aika_trading_state", state="ACTIVE", **labels) == 0

    def test_nobody_is_named(self, scraper: Client, paper: PaperDesk) -> None:
        paper.propose()
        text = scraper.get("/metrics").content.decode()
        for name in (paper.trader, paper.approver):
            assert name.username not in text and name.shown_name not in text
        assert paper.key.prefix not in text and paper.connection.key_name not in text


def counted(client: Client) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get("/metrics").status_code == 200
    return len(captured)


@pytest.fixture
def few(scraper: Client, paper: PaperDesk) -> Iterator[int]:
    paper.propose()
    yield counted(scraper)


def test_ten_times_the_rows_cost_the_same(scraper: Client, paper: PaperDesk, few: int) -> None:
    now = timezone.now()
    for number in range(30):
        alarms.raise_alarm(code="ORDER_UNKNOWN", subject=f"order:{number}", message="?", now=now)
        pulses.beat(f"prices:{number}", now=now)
    approved = paper.propose(instrument="ETH-USD", quantity=Decimal("0.1"))
    paper.approve(approved)
    paper.propose(instrument="ETH-USD", quantity=Decimal("0.2"))
    assert counted(scraper) == few
    assert few <= json.loads(BASELINE.read_text(encoding="utf-8"))["metrics"]
