"""Reading the signs of an installation. Each probe may fail by itself; what it says is judged in rules.doctor."""

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.checks import ERROR, WARNING, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connection

from apps.accounts.services import factor_secrets
from apps.audit.selectors import last_verification, open_alarms, unsealed
from apps.audit.selectors import pulses as pulses_known
from apps.audit.services import database_roles, keys, pulses
from apps.audit.types import Result
from apps.common.encryption import check_keys
from apps.common.errors import AikaError, Misconfigured
from apps.common.guards import missing_guards, unapplied_migrations
from apps.common.words import seconds_between
from apps.connectors.selectors import active_connections, market_of
from apps.connectors.services import venue
from apps.connectors.services.streams import has_market_socket
from apps.dashboard.rules.doctor import FeedSign, LifeSign, Process, Signs, VenueSigns
from apps.dashboard.services import parts
from apps.policies.selectors import trading_state
from apps.trades.selectors.reconciliation import last_run
from apps.trades.selectors.standing import left_on_the_way

if TYPE_CHECKING:
    from apps.connectors.models import Connection


def read(*, process: Process, ask_venues: bool, clock: Callable[[], datetime]) -> Signs:
    """Every sign, of this process and its surroundings. Changes nothing; asks the venues for their time only."""
    now = clock()
    trouble = parts.database_trouble()
    unapplied = () if trouble else tuple(unapplied_migrations(connection))
    readable = not trouble and not unapplied
    broker = str(settings.CELERY_BROKER_URL).partition("://")[0]
    usage = shutil.disk_usage(settings.DATA_DIR if settings.DATA_DIR.is_dir() else "/")
    errors, warnings = _checks(readable)
    return Signs(
        now=now,
        production=settings.ENVIRONMENT == "production",
        environment=settings.ENVIRONMENT,
        process=process,
        vendor=connection.vendor,
        database_trouble=trouble,
        unapplied=unapplied,
        broker_trouble=parts.broker_trouble(),
        broker_embedded=broker not in {"redis", "rediss", "unix"},
        redis=parts.redis_signs(),
        seal_key_told=bool(settings.AUDIT_SEAL_KEY_FILE),
        seal_key_trouble=_seal_key_trouble(),
        encryption_trouble=_encryption_trouble(readable),
        reconcile_late_s=settings.RECONCILE_LATE_S,
        clock_skew_s_max=settings.VENUE_CLOCK_SKEW_S,
        feed_down_s=settings.ALARM_FEED_DOWN_S,
        disk_free=Decimal(usage.free) / usage.total,
        disk_path=str(settings.DATA_DIR),
        errors=errors,
        warnings=warnings,
        **(_in_database(ask_venues, clock) if readable else {}),
    )


def _in_database(ask_venues: bool, clock: Callable[[], datetime]) -> dict[str, Any]:
    now = clock()
    waiting, verified = unsealed(now), _verified()
    lapsed, unknown = left_on_the_way(now)
    return {
        "closed_factors": () if check_keys() else tuple(map(str, factor_secrets.closed())),
        "database_ahead_s": _database_ahead(clock),
        "life": tuple(_life()),
        "role": database_roles.current_role(),
        "too_mighty": tuple(database_roles.too_mighty()),
        "guards": tuple(str(problem) for problem in missing_guards(connection)),
        "oldest_unsealed_at": None if waiting is None else waiting.oldest_at,
        "verified_at": verified[0],
        "verified_intact": verified[1],
        "lapsed_claims": lapsed,
        "unknown_orders": unknown,
        "state": trading_state(None),
        "venues": tuple(_venue(row, ask_venues) for row in active_connections().order_by("slug")),
        "feeds": tuple(_feeds()),
        "alarms": tuple(f"{alarm.code} {alarm.subject}" for alarm in open_alarms()[:50]),
    }


def _database_ahead(clock: Callable[[], datetime]) -> Decimal:
    """By how much the database's clock is ahead of ours, the time of asking halved. SQLite has ours."""
    asked = clock()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()" if connection.vendor == "postgresql" else "SELECT NULL")
        (told,) = cursor.fetchone()
    answered = clock()
    return Decimal(0) if told is None else seconds_between(asked + (answered - asked) / 2, told)


def _life() -> Iterator[LifeSign]:
    known = pulses_known()
    queues = "docker compose up {}, or the same command on this machine; its log says why it stopped."
    named = (
        ("beat", pulses.BEAT, settings.ALARM_BEAT_SILENT_S, "beat"),
        ("worker default", pulses.worker("default"), settings.ALARM_WORKER_SILENT_S, "worker"),
        ("worker execution", pulses.worker("execution"), settings.ALARM_WORKER_SILENT_S, "worker-execution"),
    )
    for part, pulse, silent_s, service in named:
        yield LifeSign(part=part, at=known.get(pulse), silent_s=silent_s, start=queues.format(service))


def _feeds() -> Iterator[FeedSign]:
    """By the signs of life in the database: another process's memory cannot be seen from here."""
    known = pulses_known()
    for market in sorted({market_of(row) for row in active_connections() if has_market_socket(row)}):
        yield FeedSign(market=market, live_at=known.get(pulses.feed(market)))


def _verified() -> tuple[datetime | None, bool]:
    try:
        last = last_verification()
    except (ValueError, KeyError):
        return datetime.fromtimestamp(0, tz=connection.timezone), False  # its own bytes were changed
    return (None, False) if last is None else (last.verified_at, last.result is not Result.TAMPERED)


def _venue(row: "Connection", ask: bool) -> VenueSigns:
    run, trouble, ahead_s = last_run(row.pk), "", None
    if ask:
        try:
            ahead_s = venue.connect(row).server_time().ahead_s
        except AikaError as error:
            trouble = error.message
        except ImproperlyConfigured:
            trouble = "cannot be asked without an encryption key"
    return VenueSigns(
        name=row.slug,
        state=trading_state(row.pk),
        compared_at=None if run is None else run.finished_at,
        compared_whole=run is not None and run.clean,
        trouble=trouble,
        ahead_s=ahead_s,
    )


def _encryption_trouble(readable: bool) -> str:
    if problems := check_keys():
        return str(problems[0].msg)
    closed = []
    for row in active_connections().order_by("slug") if readable else ():
        try:
            _ = row.secret
        except Misconfigured:
            closed.append(row.slug)
    return f"the venue key of {', '.join(closed)} does not open with it" if closed else ""


def _seal_key_trouble() -> str:
    if not settings.AUDIT_SEAL_KEY_FILE:
        return ""
    try:
        keys.signing_key()
    except Misconfigured as error:
        return error.message
    return ""


def _checks(readable: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What Django's and our own checks say; those of a deployment in production alone. Roles and guards have lines of
    their own."""
    production = settings.ENVIRONMENT == "production"
    try:
        found = run_checks(include_deployment_checks=production, databases=["default"] if readable else None)
    except Error as error:
        return (f"the checks broke down ({type(error).__name__})",), ()
    said = [item for item in found if item.id not in {"audit.E001", "audit.E002"} and not item.is_silenced()]
    errors = tuple(f"{item.id} {item.msg}" for item in said if item.level >= ERROR)
    return errors, tuple(f"{item.id} {item.msg}" for item in said if WARNING <= item.level < ERROR)
