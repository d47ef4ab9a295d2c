"""/healthz and /readyz: what they say when all is well, and when a part is not."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from celery import current_app
from django.db import connection
from django.test import Client

from apps.dashboard.views import health


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
    assert answer.json()["parts"] == {"database": "ok", "migrations": "ok", "broker": "ok"}
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
    assert answer.json()["parts"]["migrations"].startswith("1 not applied")


@pytest.mark.django_db
def test_not_ready_while_the_broker_is_away(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    away = current_app.connection_for_write

    def nobody_there() -> object:
        soon = {"max_retries": 1, "interval_start": 0}
        return away("redis://127.0.0.1:1/0", transport="redis", transport_options=soon)

    monkeypatch.setattr(current_app, "connection_for_write", nobody_there)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["parts"]["broker"].startswith("does not answer (")
    assert answer.json()["parts"]["database"] == "ok"


@pytest.mark.django_db
def test_a_flood_of_questions_is_one_look(client: Client, django_assert_num_queries: object) -> None:
    client.get("/readyz")

    with django_assert_num_queries(0):  # type: ignore[operator]
        client.get("/readyz")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_only_reading_is_answered(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405
