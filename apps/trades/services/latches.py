"""What trips by what happened to orders. Limits on losses, once reached, stay reached: no better price, no midnight and
no deposit lets trading go on."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.conf import settings

from apps.audit.types import Actor
from apps.common import fault_places as places
from apps.common import faults
from apps.common.decimals import decimal_text
from apps.common.words import span
from apps.policies.rules import Reached
from apps.policies.selectors import is_tripped, last_reset
from apps.policies.services import latches
from apps.policies.types import Evaluation, LatchKind, LineVerdict, ReasonCode, RuleKind, RuleLine
from apps.trades.models import Order
from apps.trades.services import marks
from apps.trades.types import OrderState

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.policies.models import Latch

POLICY: Final = Actor.system("policy")
_TRIPPING: Final = frozenset({ReasonCode.DAILY_LOSS, ReasonCode.DRAWDOWN, ReasonCode.ONLY_SHRINKS})
_LATCHES: Final = {RuleKind.DAILY_LOSS: LatchKind.DAILY_LOSS, RuleKind.DRAWDOWN: LatchKind.DRAWDOWN}


def keep_losses(connection_id: UUID, evaluation: Evaluation, now: datetime) -> None:
    """Trip what this evaluation found reached, on its connection. Inside the caller's transaction."""
    for kind, line in _reached(evaluation):
        _trip(connection_id, kind, line.rule, line.observed, line.limit, line.unit, now)


def reaches(evaluation: Evaluation) -> bool:
    """Whether `keep_losses` has anything to trip."""
    return any(_reached(evaluation))


def _reached(evaluation: Evaluation) -> Iterator[tuple[LatchKind, RuleLine]]:
    for line in evaluation.lines:
        kind = next((latch for rule, latch in _LATCHES.items() if line.kind == rule), None)
        exceeded = line.verdict is LineVerdict.FAIL or line.code == ReasonCode.ONLY_SHRINKS
        if kind is not None and exceeded and line.code in _TRIPPING:
            yield kind, line


def trip_reached(connection_id: UUID, reached: Sequence[Reached], *, currency: str, now: datetime) -> None:
    """Trip what a self-check found reached. `currency` is the reporting currency of losses in money."""
    for found in reached:
        unit = currency if found.kind is LatchKind.DAILY_LOSS else "bps"
        _trip(connection_id, found.kind, found.rule, decimal_text(found.observed), decimal_text(found.limit), unit, now)


def trip_on_rejects(connection_id: UUID, now: datetime) -> None:
    """Halt the connection where the venue has rejected too many orders lately, counted anew after each reset."""
    count, within_s = settings.TRIP_REJECTS, settings.TRIP_REJECTS_WITHIN_S
    since = now - timedelta(seconds=within_s)
    reset_at = last_reset(connection_id, LatchKind.REPEATED_REJECTS)
    rows = Order.objects.filter(
        connection_id=connection_id, state=OrderState.REJECTED, closed_at__gt=max(since, reset_at or since)
    )
    codes = list(rows.order_by("-closed_at").values_list("reason_code", flat=True)[:count])
    if len(codes) < count or is_tripped(connection_id, LatchKind.REPEATED_REJECTS):
        return
    latches.trip(
        kind=LatchKind.REPEATED_REJECTS,
        connection_id=connection_id,
        message=f"{len(codes)} orders within {span(within_s)}, the last for {codes[0] or 'no reason given'}.",
        evidence={"rejects": str(len(codes)), "within_s": str(within_s), "codes": ", ".join(sorted(set(codes)))},
        actor=POLICY,
        now=now,
    )


def second_reset(*, latch_id: UUID, seconder: "User", now: datetime) -> "Latch":
    """Second what somebody else asked for, and reset. Raises as policies' latches.second_reset."""
    with faults.commit(places.RESET):
        return _begin_anew(latches.second_reset(latch_id=latch_id, seconder=seconder, now=now), now)


def reset(*, latch_id: UUID, person: "User", now: datetime) -> "Latch":
    """Reset what was seconded elsewhere. Raises as policies' latches.reset."""
    with faults.commit(places.RESET):
        return _begin_anew(latches.reset(latch_id=latch_id, person=person, now=now), now)


def _begin_anew(latch: "Latch", now: datetime) -> "Latch":
    if latch.kind == LatchKind.DRAWDOWN and latch.connection_id is not None:
        marks.begin_anew(latch.connection_id, now=now)
    return latch


def _trip(connection_id: UUID, kind: LatchKind, rule: str, observed: str, limit: str, unit: str, now: datetime) -> None:
    latches.trip(
        kind=kind,
        connection_id=connection_id,
        message=f"Rule {rule}: {observed} {unit}, and at most {limit} is allowed.",
        evidence={"rule": rule, "observed": observed, "limit": limit, "unit": unit},
        actor=POLICY,
        now=now,
    )
