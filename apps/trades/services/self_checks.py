"""What Aika asks itself every few seconds, and what it trips without asking anybody."""

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.cache import cache

from apps.audit.selectors import last_verification
from apps.audit.services import alarms, probing
from apps.audit.types import Actor, Result
from apps.common.words import span
from apps.connectors.selectors import active_connections
from apps.policies import rules as policy
from apps.policies.selectors import active_version, is_tripped, last_reset, open_latches
from apps.policies.services import latches as policy_latches
from apps.policies.services import trading_state
from apps.policies.types import Ask, LatchKind, State
from apps.quotes.services import quotes
from apps.trades.models import Order
from apps.trades.services import facts, latches, marks
from apps.trades.services.gathering import Gathering

if TYPE_CHECKING:
    from apps.connectors.models import Connection

CHECK: Final = Actor.system("self-check")
# How much longer than the bound it is remembered since when there is no price: the checks come every few seconds.
_SEEN_BEYOND_S: Final = 600

logger = logging.getLogger(__name__)


def run(*, now: datetime) -> int:
    """Every check once. One that breaks down raises an alarm and keeps no other from running. Returns how many latches
    are tripped afterwards."""
    if not _check_record(now):
        return 1  # nothing else could be put on record either, and everything is halted
    for connection in active_connections():
        _guarded(connection, now)
    tripped = list(open_latches())
    for latch in tripped:
        # What tripped is never milder in force than it imposes, whatever put the state there.
        tighten = trading_state.halt if LatchKind(latch.kind).imposes is State.HALTED else trading_state.reduce
        tighten(connection_id=latch.connection_id, actor=CHECK, reason=latch.message, now=now)
    return len(tripped)


def check(connection: "Connection", *, now: datetime) -> None:
    """What may trip on one connection: losses, the fall from the highest worth, rejects, prices that do not come."""
    marks.measure(connection, now=now)
    _check_losses(connection, now)
    latches.trip_on_rejects(connection.pk, now)
    _check_quotes(connection, now)


def _guarded(connection: "Connection", now: datetime) -> None:
    subject = f"connection:{connection.pk}"
    try:
        check(connection, now=now)
    except Exception as error:
        # Whatever breaks on one connection is an alarm; the others are still checked.
        logger.exception("SELF_CHECK_BROKE: the checks of %s did not end.", connection.slug)
        message = f"The self-checks of {connection.name} broke down ({type(error).__name__}): nothing trips by itself."
        alarms.raise_alarm(code="SELF_CHECK_BROKE", subject=subject, message=message, now=now)
    else:
        alarms.clear_alarm(code="SELF_CHECK_BROKE", subject=subject, now=now)


def _check_losses(connection: "Connection", now: datetime) -> None:
    version = active_version(connection.pk)
    if version is None:
        return
    scope = str(connection.pk)
    specs = policy.loss_facts_needed(version, scope)
    if specs:
        gathering = Gathering(connection=connection, ask=_nothing(connection), now=now, asked_at=now)
        known = facts.gather(specs, gathering)
        reached = policy.losses_reached(version, scope, known, now)
        latches.trip_reached(connection.pk, reached, currency=connection.desk.reporting_currency, now=now)


def _nothing(connection: "Connection") -> Ask:
    """An ask for nothing: what is gathered is about the connection as a whole."""
    return Ask(
        connection=str(connection.pk),
        environment=str(connection.environment),
        instrument="",
        base_currency="",
        quote_currency="",
        reporting_currency=connection.desk.reporting_currency,
        side="",
        order_type="",
        time_in_force="",
        proposer="",
    )


def _check_quotes(connection: "Connection", now: datetime) -> None:
    """Whether the price of something that rests at the venue has not come for too long, as seen by these checks: right
    after a start there is none yet, and that is no outage."""
    rows = Order.objects.working().filter(connection=connection).order_by()
    resting = sorted(set(rows.values_list("instrument", flat=True)))
    known = quotes.latest_of(connection.pk, resting) if resting else {}
    # A price this old is no news; after so long without any, while an order rests, somebody must look.
    old, dead = (timedelta(seconds=s) for s in (settings.TRIP_QUOTE_OLD_S, settings.TRIP_QUOTES_DEAD_S))
    seen_s = settings.TRIP_QUOTES_DEAD_S + _SEEN_BEYOND_S
    for code in resting:
        quote, key = known.get(code), f"quotes-dead:{connection.pk}:{code}"
        if quote is not None and now - quote.received_at <= old:
            cache.delete(key)
            continue
        since = cache.get_or_set(key, now, timeout=seen_s)
        if since is not None and now - since >= dead:
            cache.set(key, since, timeout=seen_s)
            last = f"{quote.received_at:%H:%M:%S} UTC" if quote is not None else "never"
            policy_latches.trip(
                kind=LatchKind.QUOTES_DEAD,
                connection_id=connection.pk,
                message=f"{code}: no new price for {span(int((now - since).total_seconds()))}, the last one: {last}.",
                evidence={"instrument": code, "silent_since": since.isoformat(), "last_price": last},
                actor=CHECK,
                now=now,
            )


def _check_record(now: datetime) -> bool:
    """Whether the log takes entries; and what its last verification said."""
    if obstacle := probing.why_not_recording(now=now):
        trading_state.halt_off_the_record(reason=f"The audit log takes no entry ({obstacle}).", now=now)
        return False
    # What was halted while nothing could be recorded is put on record as soon as that works again.
    reset_at = last_reset(None, LatchKind.AUDIT_FAILURE)
    found = trading_state.reason_off_the_record(since=reset_at) or _tampered(reset_at)
    if found and not is_tripped(None, LatchKind.AUDIT_FAILURE):
        policy_latches.trip(
            kind=LatchKind.AUDIT_FAILURE,
            connection_id=None,
            message=found,
            evidence={"found": found},
            actor=CHECK,
            now=now,
        )
    return True


def _tampered(reset_at: datetime | None) -> str:
    """What the last verification found; nothing where two people have reset the latch since: they know of it."""
    try:
        last = last_verification()
    except (ValueError, KeyError):
        return "The record of the last verification is itself not what was written."
    if last is None or last.result is not Result.TAMPERED or (reset_at is not None and reset_at >= last.verified_at):
        return ""
    return f"The verification of {last.verified_at:%Y-%m-%d %H:%M:%S} UTC found {last.findings} signs of tampering."
