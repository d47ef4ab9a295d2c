"""The feed process: one round asks for what somebody depends on, and says whose venue is silent."""

from io import StringIO

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command

from apps.connectors.models import Connection
from apps.quotes.services import quotes
from tests.factories.desk import BTC, PaperDesk

pytestmark = pytest.mark.django_db


def once() -> str:
    """What one round says."""
    said = StringIO()
    call_command("poll_quotes", "--once", stdout=said)
    return said.getvalue()


def test_a_round_brings_the_price_of_what_waits(paper: PaperDesk) -> None:
    paper.propose()
    cache.clear()
    assert quotes.latest(paper.connection.pk, BTC) is None

    assert once() == "One round done.\n"

    assert quotes.latest(paper.connection.pk, BTC) is not None


def test_a_connection_that_was_switched_off_is_not_asked(paper: PaperDesk) -> None:
    Connection.objects.filter(pk=paper.connection.pk).update(is_active=False)
    before = len(paper.simulator.requests())

    once()

    assert len(paper.simulator.requests()) == before


@pytest.mark.slow
def test_a_silent_venue_is_named_until_it_answers_again(paper: PaperDesk, caplog: pytest.LogCaptureFixture) -> None:
    paper.propose()
    cache.clear()
    paper.simulator.add_fault("best_bid_ask", "5xx-after", count=20)

    with pytest.raises(CommandError, match=f"Not refreshed: {paper.connection.slug}"):
        once()
    assert quotes.latest(paper.connection.pk, BTC) is None
    assert f"{paper.connection.slug}: prices are not refreshed" in caplog.text

    paper.simulator.clear_faults()
    assert once() == "One round done.\n"
