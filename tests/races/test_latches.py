"""Many that trip, tighten and loosen at once: one latch, one alarm, and never a state looser than it must be."""

from datetime import datetime

import pytest
from django.db import transaction
from django.utils import timezone

from apps.accounts.services.people import actor_of
from apps.audit.models import Alarm, Event
from apps.common.errors import Denied, NotFound
from apps.policies.models import Latch, TradingState
from apps.policies.selectors import trading_state
from apps.policies.services import trading_state as states
from apps.policies.types import LatchKind, State
from tests.factories.desk import PaperDesk
from tests.factories.latches import trip
from tests.policies.test_halt import evidence
from tests.races.conftest import together

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

RACERS = 8


def asked(desk: PaperDesk, now: datetime) -> None:
    """Reducing, and one person has asked to resume."""
    states.reduce(connection_id=desk.connection.pk, actor=desk.principal.actor(), reason="Odd.", now=now)
    connection_id, person = desk.connection.pk, desk.risk
    states.request_resume(connection_id=connection_id, requester=person, reason="Why.", evidence=evidence(now), now=now)


def test_eight_that_trip_at_once_trip_one_latch(desk: PaperDesk) -> None:
    now = timezone.now()
    found = together([lambda: trip(desk, LatchKind.MISMATCH, now=now)] * RACERS)
    assert {latch.pk for latch in found} == {Latch.objects.get().pk}
    assert Alarm.objects.filter(code="LATCH_MISMATCH").count() == 1
    kinds = list(
        Event.objects.filter(kind__in=("latch.tripped", "trading_state.halted")).values_list("kind", flat=True)
    )
    assert sorted(kinds) == ["latch.tripped", "trading_state.halted"]


@pytest.mark.parametrize("attempt", range(5))
def test_a_resume_that_meets_a_trip_never_leaves_it_active(desk: PaperDesk, attempt: int) -> None:
    now = timezone.now()
    asked(desk, now)
    connection_id = desk.connection.pk
    resumed, _ = together(
        [
            lambda: states.second_resume(
                connection_id=connection_id, seconder=desk.approver, evidence=evidence(now), now=now
            ),
            lambda: trip(desk, LatchKind.DRAWDOWN, now=now),
        ]
    )
    assert trading_state(connection_id) == "REDUCING"
    assert isinstance(resumed, TradingState | Denied | NotFound)


@pytest.mark.parametrize("attempt", range(5))
def test_a_resume_that_meets_a_halt_never_loosens_it(desk: PaperDesk, attempt: int) -> None:
    now = timezone.now()
    asked(desk, now)
    connection_id, actor = desk.connection.pk, actor_of(desk.trader)
    together(
        [
            lambda: states.second_resume(
                connection_id=connection_id, seconder=desk.approver, evidence=evidence(now), now=now
            ),
            lambda: states.halt(connection_id=connection_id, actor=actor, reason="Worse.", now=now),
        ]
    )
    assert trading_state(connection_id) == "HALTED"


def test_without_the_rows_lock_a_resume_undoes_a_halt(desk: PaperDesk) -> None:
    """The mutant reads the state and writes it later, as if nobody else could."""
    now = timezone.now()
    states.reduce(connection_id=desk.connection.pk, actor=desk.principal.actor(), reason="Odd.", now=now)
    connection_id, actor = desk.connection.pk, actor_of(desk.trader)

    def naive_resume() -> None:
        row = TradingState.objects.get(connection=connection_id)
        halted = together([lambda: states.halt(connection_id=connection_id, actor=actor, reason="Worse.", now=now)])
        assert isinstance(halted[0], TradingState)
        with transaction.atomic():
            row.state = State.ACTIVE.value
            row.save(force_update=True)

    naive_resume()
    assert trading_state(connection_id) == "ACTIVE", "the mutant loses the halt"
