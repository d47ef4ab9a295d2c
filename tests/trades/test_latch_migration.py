"""Loss latches of the old shape are latches of the new one: the oldest of each connection that nobody has reset."""

from datetime import UTC, date, datetime, timedelta

import pytest

from apps.accounts.models import Desk
from apps.policies.models import Latch
from tests.factories.migrating import migrating
from tests.policies.rows import a_connection

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def test_what_was_tripped_stays_tripped(desk: Desk, now: datetime) -> None:
    tripped, quiet = a_connection(desk, now), a_connection(desk, now, slug="quiet")
    first = datetime(2026, 3, 1, 9, tzinfo=UTC)
    with migrating() as migrate:
        old = migrate("trades", "0004_cancel").get_model("trades", "LossLatch")
        for days, reset_at in ((0, None), (1, None)):
            at = first + timedelta(days=days)
            old.objects.create(connection_id=tripped.pk, date=at.date(), tripped_at=at, reset_at=reset_at)
        old.objects.create(connection_id=quiet.pk, date=first.date(), tripped_at=first, reset_at=first)
        migrate("trades", "0005_marks")
        latch = Latch.objects.get()
    assert (latch.kind, latch.connection_id, latch.tripped_at) == ("DAILY_LOSS", tripped.pk, first)
    assert (latch.reset_at, latch.evidence) == (None, {"date": str(date(2026, 3, 1))})
