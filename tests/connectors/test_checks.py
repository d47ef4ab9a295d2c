"""What system checks say about connections."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection as database
from django.test import override_settings

from apps.common.guards import missing_guards
from apps.connectors import checks
from tests.factories.connectors import LONG_AGO, ConnectionFactory
from tests.factories.migrating import migrating

pytestmark = pytest.mark.django_db

LIVE: dict[str, Any] = {"environment": "live", "api_base": "https://api.coinbase.com", "verified_at": LONG_AGO}


def ids() -> list[str | None]:
    found = []
    for check in (
        checks.no_simulator_in_production,
        checks.live_has_a_key,
        checks.address_fits_environment,
        checks.live_asks_people,
    ):
        found += check(None, databases=["default"])
        assert check(None, databases=None) == []
    return [item.id for item in found]


def test_sound_connections_pass(settings: Any) -> None:
    settings.ENVIRONMENT = "production"
    ConnectionFactory(**LIVE)
    ConnectionFactory(api_base="https://api-sandbox.coinbase.com")
    assert ids() == []


def test_a_simulator_on_this_machine_is_an_error_in_production_only(settings: Any) -> None:
    connection = ConnectionFactory(api_base="http://localhost:8100")
    assert ids() == []
    settings.ENVIRONMENT = "production"
    assert ids() == ["connectors.E001"]
    connection.is_active, connection.deactivated_at = False, LONG_AGO
    connection.save(update_fields=["is_active", "deactivated_at"])
    assert ids() == []


def test_a_live_connection_without_a_key_is_an_error() -> None:
    ConnectionFactory(**LIVE, key_name="")
    assert ids() == ["connectors.E002"]


def test_approvals_are_not_switched_off_beside_a_live_connection(settings: Any) -> None:
    settings.POLICY_REQUIRE_APPROVAL = False
    ConnectionFactory(api_base="https://api-sandbox.coinbase.com")
    assert ids() == []
    live = ConnectionFactory(**LIVE)
    assert ids() == ["connectors.E004"]
    settings.POLICY_REQUIRE_APPROVAL = True
    assert ids() == []
    settings.POLICY_REQUIRE_APPROVAL = False
    live.is_active, live.deactivated_at = False, LONG_AGO
    live.save(update_fields=["is_active", "deactivated_at"])
    assert ids() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"api_base": "http://simulator.example"},
        {"api_base": "https://api.coinbase.com"},
        {**LIVE, "api_base": "https://api-sandbox.coinbase.com"},
    ],
)
def test_an_address_that_does_not_fit_is_an_error(fields: dict[str, Any]) -> None:
    ConnectionFactory(**fields)
    assert ids() == ["connectors.E003"]


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_an_older_database_is_not_asked_for_columns_it_has_not() -> None:
    """`migrate` checks first: a check that breaks on the table as it was would keep it from ever being as it is."""
    ConnectionFactory()
    with migrating() as migrate:
        migrate("connectors", "0004_robinhood")
        call_command("check", databases=["default"], stdout=StringIO())
    assert [str(problem) for problem in missing_guards(database)] == []


def test_an_oauth_application_is_set_up_whole_or_not_at_all() -> None:
    assert checks.oauth_can_be_asked_for(None) == []
    whole = {
        "COINBASE_CLIENT_ID": "id",
        "COINBASE_CLIENT_SECRET": "secret",
        "COINBASE_REDIRECT_URI": "https://aika.example/oauth/coinbase/callback",
        "COINBASE_SCOPES": ("wallet:user:read",),
    }
    with override_settings(**whole):
        assert checks.oauth_can_be_asked_for(None) == []
    for change in (
        {"COINBASE_CLIENT_SECRET": ""},
        {"COINBASE_REDIRECT_URI": "https://aika.example/"},
        {"COINBASE_SCOPES": ("wallet:withdrawals:create",)},
        {"COINBASE_API_BASE": "http://api.coinbase.com"},
    ):
        with override_settings(**{**whole, **change}):
            assert [found.id for found in checks.oauth_can_be_asked_for(None)] == ["connectors.E005"]
