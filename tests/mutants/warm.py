"""Run before anything is forked, each where a test needs it: what it makes is there in every process that follows."""

from django.db import connection

from tests.venues.simulator_process import SimulatorProcess


def test_the_database_is_made(db: None) -> None:
    assert "django_migrations" in connection.introspection.table_names()


def test_a_venue_is_there(simulator_process: SimulatorProcess) -> None:
    assert simulator_process.url
