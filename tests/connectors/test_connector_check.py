"""The questions to a first key: answered, kept, and nothing but read."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, transaction

from apps.connectors.models import ConnectorCheck
from apps.connectors.services import checkup
from tests.factories.connectors import ConnectionFactory, simulator_connection
from tests.venues.simulator_process import SimulatorProcess

pytestmark = pytest.mark.django_db


def test_it_answers_keeps_and_only_reads(simulator: SimulatorProcess) -> None:
    simulator_connection(simulator, slug="first-key")
    out = StringIO()
    call_command("connector_check", connection="first-key", json=True, stdout=out)
    told = json.loads(out.getvalue())["answers"]
    assert told["permissions"] == {"can_view": True, "can_trade": True, "can_transfer": False}
    assert told["clock"]["within_5_s"] is True
    assert told["reads"]["accounts"]["status"] == 200
    assert told["not_found"]["unknown_order"]["status"] == 404
    assert told["not_found"]["order_ids_with_other_filters"]["status"] == 400
    assert told["not_found"]["no_token"]["status"] == 401
    assert told["token"]["not_before_in_s"]["0"]["status"] == 200
    assert told["token"]["not_before_in_s"]["30"]["status"] == 401
    assert told["token"]["expired_since_s"]["30"]["status"] == 401
    assert set(told["token"]["same_token_twice"]) == {"first", "second"}
    assert set(told["fees"]) == {"taker", "maker"}
    assert told["needs_more_than_reading"]
    assert ConnectorCheck.objects.get().answers == told
    assert {item["method"] for item in simulator.requests()} == {"GET"}


def test_words_name_what_differs_from_the_recorded_payloads(simulator: SimulatorProcess) -> None:
    connection = simulator_connection(simulator, slug="first-key")
    out = StringIO()
    call_command("connector_check", connection="first-key", stdout=out)
    assert "paper: no money moves" in out.getvalue()
    check = ConnectorCheck.objects.get(connection=connection)
    check.answers["reads"]["product"] |= {"missing": ["price_increment"], "unexpected": ["tick"]}
    check.answers["permissions"] = {"can_view": True, "can_trade": True, "can_transfer": True}
    warnings = " ".join(checkup.warnings_of(check))
    assert "price_increment" in warnings
    assert "tick" in warnings
    assert "may transfer" in warnings


@pytest.mark.slow
def test_a_venue_that_is_away_is_said_question_by_question() -> None:
    connection = ConnectionFactory(slug="away", api_base="http://localhost:9")
    call_command("connector_check", connection="away", stdout=StringIO())
    check = ConnectorCheck.objects.get(connection=connection)
    assert check.answers["reads"]["time"] == {"error": "ConnectError"}
    assert checkup.warnings_of(check)


def test_an_unknown_connection_or_key_is_said() -> None:
    ConnectionFactory(slug="keyless", key_name="")
    for slug in ("nobody", "keyless"):
        with pytest.raises(CommandError, match=slug):
            call_command("connector_check", connection=slug)


def test_a_kept_check_is_never_changed() -> None:
    check = ConnectorCheck.objects.create(connection=ConnectionFactory(), ran_at="2026-01-01T00:00:00Z", answers={})
    with pytest.raises(DatabaseError), transaction.atomic():
        ConnectorCheck.objects.filter(pk=check.pk).update(answers={"a": 1})
    with pytest.raises(DatabaseError), transaction.atomic():
        check.delete()
