"""What every page's bar says, and what the index counts. One cached read serves all pages of two seconds."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.core.cache import cache
from django.urls import reverse
from redis.exceptions import RedisError

from apps.accounts.selectors import page_roles_of
from apps.approvals.selectors.waiting import connection_ids_of, waiting_count
from apps.audit.selectors import alarm_summary
from apps.audit.types import AlarmSummary
from apps.common import words
from apps.connectors.selectors import active_connections
from apps.connectors.types import Environment, Quote
from apps.dashboard.types import AlarmLine, FeedLine, Status
from apps.policies.selectors import trading_state
from apps.quotes.services import quotes
from apps.trades.selectors import desk_of_one
from apps.trades.selectors.watch import watched_codes

if TYPE_CHECKING:
    from apps.accounts.models import User

KEEP_S: Final = 2
# Pages grey a price some time before it is stale and decides nothing any more.
LATE_S: Final = 5
logger = logging.getLogger(__name__)
_SEVERITY: Final = {"ACTIVE": 0, "REDUCING": 1, "HALTED": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What the bar is made of, before ages are computed: kept for two seconds."""

    environments: tuple[str, ...]
    everything: str
    states: tuple[tuple[str, str], ...]
    wanted: int
    oldest: Quote | None
    silent: tuple[str, ...]
    alarms: AlarmSummary
    waiting: int


def status(*, user: Any, now: datetime) -> Status:
    """The bar for this person; for somebody who is no staff, environment, time, and the button if it is theirs."""
    if user is None or not user.is_authenticated or not user.is_staff:
        may_halt = user is not None and user.has_perm("accounts.halt_trading")
        return Status(
            now=now,
            environment=_environment(_environments(active_connections())),
            desk_of_one=desk_of_one.is_on(),
            may_halt=may_halt,
            all_halted=may_halt and trading_state(None) == "HALTED",
        )
    try:
        material = _material(user, now)
    except RedisError:
        return _without_cache(user, now)
    state, aside, note = _state(material)
    environment = _environment(material.environments)
    return Status(
        now=now,
        environment=environment,
        paper_too=environment == Environment.LIVE and Environment.PAPER.value in material.environments,
        is_known=True,
        state=state,
        state_aside=aside,
        state_note=note,
        all_halted=material.everything == "HALTED",
        desk_of_one=desk_of_one.is_on(),
        feed=_feed(material, now),
        alarms=alarm_line(material.alarms, now),
        alarms_url=_alarms_url(),
        waiting=material.waiting,
        may_halt=user.has_perm("accounts.halt_trading"),
    )


def _without_cache(user: "User", now: datetime) -> Status:
    """What can be said while the cache is down: no price is known, and halting works all the same."""
    everything = trading_state(None)
    return Status(
        now=now,
        environment=_environment(_environments(active_connections())),
        is_known=True,
        state=everything,
        all_halted=everything == "HALTED",
        desk_of_one=desk_of_one.is_on(),
        feed=FeedLine(words="The cache does not answer, so no price is known", is_late=True),
        alarms=alarm_line(alarm_summary(), now),
        alarms_url=_alarms_url(),
        may_halt=user.has_perm("accounts.halt_trading"),
    )


def alarm_line(summary: AlarmSummary, now: datetime) -> AlarmLine:
    """`Two alarms not acknowledged`, `oldest 12 min 3 s`; or that all are acknowledged, or that there is none."""
    if not summary.open:
        return AlarmLine(words="No alarm")
    if summary.oldest_unseen_at is None:
        all_of = "One alarm, acknowledged" if summary.open == 1 else f"{_alarms(summary.open)}, all acknowledged"
        return AlarmLine(words=all_of)
    age = max(words.seconds_between(summary.oldest_unseen_at, now), Decimal(0))
    oldest = "oldest " if summary.unseen > 1 else "for "
    return AlarmLine(
        words=f"{_alarms(summary.unseen)} not acknowledged", age=f"{oldest}{words.span(int(age))}", is_unseen=True
    )


def _alarms(count: int) -> str:
    return f"{words.count(count).capitalize()} alarm{'' if count == 1 else 's'}"


def _alarms_url() -> str:
    return reverse("admin:audit_alarm_changelist") + "?cleared_at__isempty=1"


def status_of_page(known: Status, *, environment: str | None) -> Status:
    """The bar of a page about one thing says that thing's environment."""
    return known if environment is None else replace(known, environment=environment, paper_too=False)


def forget_status() -> None:
    """Trading was halted: nobody may see the old state for another two seconds."""
    try:
        cache.delete_many([_EPOCH_KEY])
    except RedisError as error:
        # A cache that is down must not make a halt look failed.
        logger.warning("STATUS_NOT_FORGOTTEN: pages may show the old state for %s s (%s).", KEEP_S, error)


def role_words(user: Any) -> str:
    """`approver and risk`; nothing for somebody who is not signed in."""
    return words.listed(sorted(page_roles_of(user))) if user.is_authenticated else ""


_EPOCH_KEY: Final = "desk:status"


def _material(user: "User", now: datetime) -> Material:
    kept: dict[UUID, Material] = cache.get(_EPOCH_KEY) or {}
    found = kept.get(user.pk)
    if found is None:
        found = _read(user, now)
        cache.set(_EPOCH_KEY, {**kept, user.pk: found}, timeout=KEEP_S)
    return found


def _read(user: "User", now: datetime) -> Material:
    seen = connection_ids_of(user)
    rows = [row for row in active_connections() if seen is None or row.pk in seen]
    wanted = {(row.pk, code) for row in rows for code in watched_codes(row)}
    heard = {
        (row.pk, code): quote
        for row in rows
        for code, quote in quotes.latest_of(row.pk, sorted(code for pk, code in wanted if pk == row.pk)).items()
    }
    return Material(
        environments=_environments(rows),
        everything=trading_state(None),
        states=tuple((row.name, str(trading_state(row.pk))) for row in rows),
        wanted=len(wanted),
        oldest=min(heard.values(), key=lambda quote: quote.received_at, default=None),
        silent=tuple(sorted({code for pk, code in wanted if (pk, code) not in heard})),
        alarms=alarm_summary(),
        waiting=waiting_count(viewer=user, now=now),
    )


def _environments(rows: Iterable[Any]) -> tuple[str, ...]:
    return tuple(sorted({str(row.environment) for row in rows}))


def _environment(environments: tuple[str, ...]) -> str:
    """Anything but paper alone counts as live."""
    return Environment.PAPER.value if set(environments) <= {Environment.PAPER.value} else Environment.LIVE.value


def _state(material: Material) -> tuple[str, str, str]:
    """The state that holds everywhere, how many connections are in a worse one, and which."""
    if not material.states:
        return material.everything, "", "no connection is set up"
    worse = [(name, state) for name, state in material.states if state != "ACTIVE"]
    if not worse:
        return "ACTIVE", "", ""
    mildest = min((state for _, state in material.states), key=_severity)
    worse = [(name, state) for name, state in worse if _severity(state) > _severity(mildest)]
    counts = [(state, sum(found == state for _, found in worse)) for state in ("HALTED", "REDUCING")]
    aside = ", ".join(f"{count} {state}" for state, count in counts if count)
    return mildest, aside, words.listed([f"{name} {state}" for name, state in worse]) if worse else ""


def _severity(state: str) -> int:
    return _SEVERITY.get(state, 2)


def _feed(material: Material, now: datetime) -> FeedLine:
    if not material.wanted:
        return FeedLine(words="No price is needed now")
    if material.silent:
        return FeedLine(words=f"No price of {material.silent[0]}", is_late=True)
    if material.oldest is None:
        return FeedLine(words="No price", is_late=True)
    age = max(words.seconds_between(material.oldest.received_at, now), Decimal(0))
    if age > LATE_S:
        return FeedLine(words=f"{material.oldest.instrument} SILENT for", age=words.span(int(age)), is_late=True)
    return FeedLine(words="Prices live,", age=f"{words.span(age)} old")
