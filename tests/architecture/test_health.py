"""/healthz and /readyz: what they say when all is well, and when a part is not."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from celery import current_app
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.utils import timezone

from apps.audit.services import pulses
from apps.connectors.selectors import market_of
from apps.dashboard.views import health
from apps.lessons import index
from apps.lessons.services import spaces
from apps.quotes.rules.feed import FeedSigns
from apps.quotes.selectors.feed import signs_key
from tests.factories.desk import PaperDesk
from tests.factories.lessons import closed_trade, remembered


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No finding of an earlier test."""
    monkeypatch.setattr(health, "readiometer", health.Readiometer())
    yield


def test_alive_asks_nothing_of_the_database(client: Client) -> None:
    # Without the django_db mark any query fails the test.
    answer = client.get("/healthz")

    assert answer.status_code == 200
    assert answer.json() == {"alive": True}


@pytest.mark.django_db
def test_ready_names_each_part_and_its_age(client: Client) -> None:
    answer = client.get("/readyz")

    assert answer.status_code == 200
    needed = {name: part for name, part in answer.json()["parts"].items() if part["needed"]}
    assert {name: (part["state"], part["trouble"]) for name, part in needed.items()} == {
        "database": ("ok", ""),
        "migrations": ("ok", ""),
        "broker": ("ok", ""),
        "layer": ("ok", ""),
    }
    assert all(Decimal(part["age_s"]) >= 0 for part in needed.values())
    assert set(answer.json()["parts"]) - set(needed) == {"beat", "feed", "vectors"}
    assert answer.json()["feeds"] == {}
    assert Decimal(answer.json()["age_s"]) >= 0
    assert "no-store" in answer.headers["Cache-Control"]


@pytest.mark.django_db
def test_not_ready_while_a_migration_is_missing(client: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert answer.json()["state"] == answer.json()["parts"]["migrations"]["state"] == "failed"
    assert answer.json()["parts"]["migrations"]["trouble"].startswith("1 not applied")


@pytest.mark.django_db
def test_not_ready_while_the_broker_is_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    away = current_app.connection_for_write

    def nobody_there() -> object:
        soon = {"max_retries": 1, "interval_start": 0}
        return away("redis://127.0.0.1:1/0", transport="redis", transport_options=soon)

    monkeypatch.setattr(current_app, "connection_for_write", nobody_there)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"]["broker"]["trouble"].startswith("does not answer (")
    assert answer.json()["parts"]["database"]["state"] == "ok"
    assert b"127.0.0.1" not in answer.content
    assert {part["state"] for part in answer.json()["parts"].values() if not part["needed"]} == {"not read"}


@pytest.mark.django_db
def test_not_ready_while_the_layer_of_the_sockets_is_away(client: Client, settings: Any) -> None:
    away = "redis://:a-long-password@127.0.0.1:1/0"
    settings.CHANNEL_LAYERS = {"default": {"CONFIG": {"hosts": [{"address": away}]}}}

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"]["layer"]["trouble"] == "does not answer (ConnectionError)"
    assert b"127.0.0.1" not in answer.content and b"a-long-password" not in answer.content


@pytest.mark.django_db
class TestDegraded:
    """What traffic does not need: it is said, and the answer stays 200."""

    def part(self, client: Client, name: str) -> dict[str, Any]:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (200, True)
        assert (answer.json()["state"] == "degraded") == any(
            part["state"] != "ok" for part in answer.json()["parts"].values()
        )
        return dict(answer.json()["parts"][name])

    def test_beat(self, client: Client, settings: Any) -> None:
        never = {"state": "degraded", "needed": False, "age_s": None, "trouble": "has not been heard of"}
        assert self.part(client, "beat") == never
        now = timezone.now()
        for late, state, trouble in ((5, "ok", ""), (settings.ALARM_BEAT_SILENT_S + 1, "degraded", "silent")):
            health.readiometer = health.Readiometer()
            pulses.beat(pulses.BEAT, now=now - timedelta(seconds=late))
            found = self.part(client, "beat")
            assert (found["state"], found["trouble"]) == (state, trouble)
            assert late <= Decimal(found["age_s"]) < late + 60

    def test_feed(self, client: Client, paper: PaperDesk) -> None:
        found = self.part(client, "feed")
        assert (found["state"], found["age_s"], found["trouble"]) == ("degraded", None, "1 of 1 not live")
        assert client.get("/readyz").json()["feeds"] == {"DOWN": 1}

        health.readiometer, now = health.Readiometer(), timezone.now()
        live = FeedSigns(
            holder="me", said_at=now, since=now, whole_at=now, heard_at=now, priced_at=now, sockets=1, live=1
        )
        cache.set(signs_key(market_of(paper.connection)), live)
        found = self.part(client, "feed")
        assert (found["state"], found["trouble"]) == ("ok", "")
        assert Decimal(found["age_s"]) < 60

    def test_vectors(self, client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.part(client, "vectors") == {"state": "ok", "needed": False, "age_s": "0.000", "trouble": ""}
        settings.QDRANT_URL = "http://127.0.0.1:1"
        monkeypatch.setattr(index, "_store", None)
        health.readiometer = health.Readiometer()
        found = self.part(client, "vectors")
        assert (found["state"], found["trouble"]) == ("degraded", "INDEX_DOWN")
        index.close()

    def test_texts_that_wait_too_long(self, client: Client, paper: PaperDesk, settings: Any) -> None:
        then = timezone.now() - timedelta(seconds=settings.ALARM_INDEX_BEHIND_S + 5)
        spaces.ensure(now=then)
        remembered(closed_trade(desk=paper.desk), now=then)
        found = self.part(client, "vectors")
        assert (found["state"], found["trouble"]) == ("degraded", "behind")
        assert Decimal(found["age_s"]) >= settings.ALARM_INDEX_BEHIND_S + 4


QUERIES_MAX = 6


@pytest.mark.django_db
def test_a_look_asks_little(client: Client, paper: PaperDesk, django_assert_max_num_queries: Any) -> None:
    client.get("/readyz")  # migrations are looked up once in a process's life
    health.readiometer._last = None

    with django_assert_max_num_queries(QUERIES_MAX):
        assert client.get("/readyz").json()["ready"]


@pytest.mark.django_db
def test_a_flood_of_questions_is_one_look(client: Client, django_assert_num_queries: object) -> None:
    looked = client.get("/readyz").json()

    with django_assert_num_queries(0):  # type: ignore[operator]
        assert client.get("/readyz").json()["ready"] is looked["ready"] is True


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_only_reading_is_answered(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
