"""What an installation's signs mean: pure, so that every verdict can be tried. `services.doctor` reads the signs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from apps.common.words import span

SEAL_LATE_S: Final = 60  # the sealer runs every ten seconds
SEAL_DEAD_S: Final = 600
VERIFIED_LATE_S: Final = 2 * 86_400  # it runs once a day
SKEW_S_WARN: Final = Decimal(1)  # rules refuse a price from two seconds ahead of our clock
DISK_FREE_WARN, DISK_FREE_FAIL = Decimal("0.15"), Decimal("0.05")
NAMED_MAX: Final = 3


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Process(StrEnum):
    """Where the doctor was called: it decides who may know the sealing key. ANY says nothing."""

    ANY = "any"
    WEB = "web"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Line:
    """One check: what was found, and what to do where it is not well."""

    check: str
    verdict: Verdict
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueSigns:
    """What is known of one connection. `trouble` is why its venue did not answer, `ahead_s` how far its clock is ahead
    of ours; both are empty where it was not asked."""

    name: str
    state: str
    compared_at: datetime | None
    compared_whole: bool
    trouble: str = ""
    ahead_s: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSign:
    """When the live feed of a market was last whole and told prices; None: never, as far as is known."""

    market: str
    live_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeSign:
    """When a part showed that it lives; None: never, as far as is known. `start` says how it is started."""

    part: str
    at: datetime | None
    silent_s: int
    start: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSigns:
    """Whether Redis writes to disk what it is told, and may drop it to make room; `trouble` where it does not say."""

    writes: bool = True
    evicts: bool = False
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """Everything that was read. A text of trouble is empty where there is none; `readable` is False where the database
    does not answer or lacks migrations, and nothing was read from it then."""

    now: datetime
    production: bool
    environment: str
    process: Process
    vendor: str
    database_trouble: str = ""
    unapplied: tuple[str, ...] = ()
    role: str = ""
    too_mighty: tuple[str, ...] = ()
    guards: tuple[str, ...] = ()
    broker_trouble: str = ""
    broker_embedded: bool = False
    redis: RedisSigns | None = None
    database_ahead_s: Decimal | None = None
    life: tuple[LifeSign, ...] = ()
    encryption_trouble: str = ""
    closed_factors: tuple[str, ...] = ()
    seal_key_told: bool = False
    seal_key_trouble: str = ""
    oldest_unsealed_at: datetime | None = None
    verified_at: datetime | None = None
    verified_intact: bool = False
    lapsed_claims: int = 0
    unknown_orders: int = 0
    state: str = "ACTIVE"
    venues: tuple[VenueSigns, ...] = ()
    feeds: tuple[FeedSign, ...] = ()
    feed_down_s: int = 60
    reconcile_late_s: int = 600
    clock_skew_s_max: int = 30
    disk_free: Decimal = Decimal(1)
    disk_path: str = ""
    alarms: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def readable(self) -> bool:
        return not self.database_trouble and not self.unapplied


def exit_code(lines: Iterable[Line]) -> int:
    """0 all is well, 1 something should be looked at, 2 something is broken."""
    found = {line.verdict for line in lines}
    return 2 if Verdict.FAIL in found else 1 if Verdict.WARN in found else 0


def examine(signs: Signs) -> tuple[Line, ...]:
    """Every check, in the order in which one would look."""
    lines = [_settings(signs), _database(signs), _migrations(signs)]
    if signs.readable:
        lines += [_database_clock(signs), _role(signs), _guards(signs)]
    lines += [_broker(signs), *_redis(signs), _encryption(signs), _seal_key(signs)]
    if signs.readable:
        lines.append(_second_factors(signs))
        lines += [_alive(signs, sign) for sign in signs.life]
        lines += [_checkpoints(signs), _verification(signs), _stop(signs), _state(signs), _alarms(signs)]
        for venue in signs.venues:
            lines += [_compared(signs, venue), *_clock(signs, venue)]
        lines += [_feed(signs, feed) for feed in signs.feeds]
    return (*lines, _disk(signs))


def _settings(signs: Signs) -> Line:
    fix = "manage.py check --deploy --database default says each with its remedy."
    if signs.errors:
        return Line("settings", Verdict.FAIL, _some(signs.errors), fix)
    if signs.warnings:
        return Line("settings", Verdict.WARN, _some(signs.warnings), fix)
    if not signs.production:
        return Line("settings", Verdict.OK, f"environment {signs.environment}; what only production needs is not asked")
    return Line("settings", Verdict.OK, "production, and every check of a deployment passes")


def _database(signs: Signs) -> Line:
    if signs.database_trouble:
        fix = "Look whether the server runs and DATABASE_URL is right."
        return Line("database", Verdict.FAIL, f"{signs.vendor} {signs.database_trouble}", fix)
    if signs.production and signs.vendor != "postgresql":
        return Line("database", Verdict.FAIL, f"{signs.vendor} in production", "Set DATABASE_URL to PostgreSQL.")
    return Line("database", Verdict.OK, f"{signs.vendor} answers")


def _migrations(signs: Signs) -> Line:
    if signs.database_trouble:
        return Line("migrations", Verdict.FAIL, "not read", "Bring the database back first.")
    if signs.unapplied:
        fix = "Run manage.py migrate as the owner (the release service), then grant_roles."
        return Line("migrations", Verdict.FAIL, f"not applied: {_some(signs.unapplied)}", fix)
    return Line("migrations", Verdict.OK, "all applied")


def _role(signs: Signs) -> Line:
    if signs.vendor != "postgresql":
        return Line("role", Verdict.OK, "SQLite has no roles: whoever may write the file may change everything")
    if not signs.too_mighty:
        return Line("role", Verdict.OK, f"{signs.role} owns no guarded table and may do nothing that a guard refuses")
    verdict = Verdict.FAIL if signs.production else Verdict.WARN
    found = (
        f"{signs.role}, the application's own role, is the owner of {len(signs.too_mighty)} guarded tables, or may do "
        f"what their guards refuse ({_some(signs.too_mighty)}): it could take the guards off"
    )
    fix = "Put the owner into MIGRATION_DATABASE_URL and another role into DATABASE_URL, then run grant_roles."
    return Line("role", verdict, found, fix)


def _guards(signs: Signs) -> Line:
    if signs.guards:
        fix = "Find out who changed them; a migration that repeats InstallGuards puts them back."
        return Line("guards", Verdict.FAIL, _some(signs.guards), fix)
    return Line("guards", Verdict.OK, "every trigger stands as the migrations left it")


def _broker(signs: Signs) -> Line:
    if signs.broker_trouble:
        fix = "Look whether Redis runs and REDIS_URL is right: no order leaves without it."
        return Line("broker", Verdict.FAIL, signs.broker_trouble, fix)
    if signs.broker_embedded:
        verdict = Verdict.FAIL if signs.production else Verdict.OK
        return Line("broker", verdict, "an embedded one", "Set REDIS_URL." if signs.production else "")
    return Line("broker", Verdict.OK, "Redis answers")


def _redis(signs: Signs) -> Iterator[Line]:
    """A message that is lost is found by a sweep, later; a price, a lock or a count that is dropped is gone."""
    found = signs.redis
    if found is None or signs.broker_trouble:
        return
    name = "redis"
    if found.trouble:
        yield Line(name, Verdict.WARN, found.trouble, "Look by hand: appendonly yes, maxmemory-policy noeviction.")
    elif found.evicts:
        verdict = Verdict.FAIL if signs.production else Verdict.WARN
        fix = "Set maxmemory-policy noeviction, or a Redis of its own for Aika."
        yield Line(name, verdict, "may drop tasks, prices and counts to make room", fix)
    elif not found.writes:
        fix = "Set appendonly yes: until then a restart loses waiting tasks, and sweeps find them late."
        yield Line(name, Verdict.WARN, "keeps what it is told in memory only", fix)
    else:
        yield Line(name, Verdict.OK, "writes to disk and drops nothing")


def _database_clock(signs: Signs) -> Line:
    return _off("clock database", "the database's clock", signs.database_ahead_s or Decimal(0), signs)


def _alive(signs: Signs, sign: LifeSign) -> Line:
    if sign.at is None:
        return Line(
            sign.part, Verdict.FAIL if signs.production else Verdict.WARN, "has never been heard of", sign.start
        )
    found = f"was heard of {_ago(signs, sign.at)} ago"
    if (signs.now - sign.at).total_seconds() > sign.silent_s:
        return Line(sign.part, Verdict.FAIL, found, sign.start)
    return Line(sign.part, Verdict.OK, found)


def _encryption(signs: Signs) -> Line:
    if signs.encryption_trouble:
        fix = "Set TOKEN_ENCRYPTION_KEY to the keys the secrets were written with, newest first."
        return Line("encryption key", Verdict.FAIL, signs.encryption_trouble, fix)
    return Line("encryption key", Verdict.OK, "usable, and every venue key opens with it")


def _second_factors(signs: Signs) -> Line:
    if signs.closed_factors:
        many = len(signs.closed_factors) > 1
        found = f"{_count(len(signs.closed_factors), 'row')} that {'do' if many else 'does'} not open: "
        found += _some(signs.closed_factors)
        fix = "What to do is said by the alarm SECOND_FACTOR_UNREADABLE: docs/alarms.md."
        return Line("second factors", Verdict.FAIL, found, fix)
    return Line("second factors", Verdict.OK, "what is kept of each opens in its own row")


def _seal_key(signs: Signs) -> Line:
    name = "sealing key"
    if signs.process is Process.WEB:
        if not signs.seal_key_told:
            return Line(name, Verdict.OK, "not known to the web process, as it should be")
        found = "AUDIT_SEAL_KEY_FILE is set for a web process: whoever takes it over could sign a log of their own"
        return Line(name, Verdict.FAIL, found, "Unset it here; only the worker of the queue default is told.")
    if signs.seal_key_told and signs.seal_key_trouble:
        return Line(name, Verdict.FAIL, signs.seal_key_trouble, "Nothing is sealed until it can be read here.")
    if signs.seal_key_told:
        return Line(name, Verdict.OK, "readable, and its public half is believed")
    if signs.process is Process.WORKER:
        fix = "Make one with audit_keygen and set AUDIT_SEAL_KEY_FILE for this worker."
        return Line(name, Verdict.FAIL, "not told to the worker of the queue default", fix)
    return Line(name, Verdict.OK, "not told here; call with --process worker where the queue default is worked on")


def _checkpoints(signs: Signs) -> Line:
    waits = signs.oldest_unsealed_at
    if waits is None:
        return Line("checkpoints", Verdict.OK, "every event is sealed")
    age = int((signs.now - waits).total_seconds())
    found = f"the oldest event without a checkpoint is {span(age)} old"
    if age < SEAL_LATE_S:
        return Line("checkpoints", Verdict.OK, found)
    fix = "Look at the worker of the queue default and at the alarm AUDIT_NOT_SEALED."
    return Line("checkpoints", Verdict.FAIL if age >= SEAL_DEAD_S else Verdict.WARN, found, fix)


def _verification(signs: Signs) -> Line:
    if signs.verified_at is None:
        return Line("audit log", Verdict.WARN, "never verified", "Run manage.py audit_verify; beat does once a day.")
    found = f"verified {_ago(signs, signs.verified_at)} ago"
    if not signs.verified_intact:
        return Line("audit log", Verdict.FAIL, f"{found}, and not intact", "Run manage.py audit_verify: it says where.")
    late = (signs.now - signs.verified_at).total_seconds() > VERIFIED_LATE_S
    return Line(
        "audit log", Verdict.WARN if late else Verdict.OK, f"{found}, intact", "Look whether beat runs." if late else ""
    )


def _stop(signs: Signs) -> Line:
    """A clean stop leaves no claim behind. Nothing else tells the two apart (decision 0006)."""
    if signs.lapsed_claims:
        found = f"a process stopped with {_count(signs.lapsed_claims, 'order')} on the way, and nobody has looked since"
        return Line("stop", Verdict.FAIL, found, "Start the worker of the queue execution: the sweep looks at once.")
    if signs.unknown_orders:
        fix = "They are looked for by themselves; past the horizon two people conclude, in the admin under Orders."
        return Line("stop", Verdict.WARN, f"{_count(signs.unknown_orders, 'order')} of unknown fate", fix)
    return Line("stop", Verdict.OK, "no order was left on the way")


def _state(signs: Signs) -> Line:
    stopped = [venue.name for venue in signs.venues if venue.state != "ACTIVE"]
    fix = "manage.py trading_state says why, and the way back."
    if signs.state != "ACTIVE":
        return Line("trading state", Verdict.WARN, f"everything is {signs.state}", fix)
    if stopped:
        return Line("trading state", Verdict.WARN, f"not ACTIVE: {_some(stopped)}", fix)
    return Line("trading state", Verdict.OK, "ACTIVE")


def _alarms(signs: Signs) -> Line:
    if signs.alarms:
        return Line("alarms", Verdict.WARN, f"open: {_some(signs.alarms)}", "Read them in the admin under Alarms.")
    return Line("alarms", Verdict.OK, "none is open")


def _compared(signs: Signs, venue: VenueSigns) -> Line:
    name = f"comparison {venue.name}"
    fix = f"Run manage.py reconcile --connection {venue.name}, and look whether beat runs."
    if venue.compared_at is None:
        return Line(name, Verdict.WARN, "never compared with its venue", fix)
    found = f"compared with its venue {_ago(signs, venue.compared_at)} ago"
    if (signs.now - venue.compared_at).total_seconds() > signs.reconcile_late_s:
        return Line(name, Verdict.FAIL, found, fix)
    if not venue.compared_whole:
        return Line(name, Verdict.WARN, f"{found}, and not clean", "Read the differences in the admin.")
    return Line(name, Verdict.OK, f"{found}, clean")


def _clock(signs: Signs, venue: VenueSigns) -> Iterator[Line]:
    name = f"clock {venue.name}"
    if venue.trouble:
        yield Line(name, Verdict.FAIL, venue.trouble, "manage.py connector_check asks the venue more.")
    elif venue.ahead_s is not None:
        yield _off(name, "the venue's clock", venue.ahead_s, signs)


def _off(name: str, whose: str, ahead_s: Decimal, signs: Signs) -> Line:
    off, which = abs(ahead_s), "ahead of" if ahead_s >= 0 else "behind"
    found = f"{whose} is {off:.1f} s {which} ours"
    if off < SKEW_S_WARN:
        return Line(name, Verdict.OK, found)
    fix = "Let a time service (chrony, systemd-timesyncd) set this machine's clock."
    return Line(name, Verdict.FAIL if off >= signs.clock_skew_s_max else Verdict.WARN, found, fix)


def _feed(signs: Signs, feed: FeedSign) -> Line:
    """A warning only: prices are asked for where something waits for them."""
    name, fix = f"feed {feed.market}", "Start stream_quotes, and read its log for why it is not live."
    if feed.live_at is None:
        return Line(name, Verdict.WARN, "prices have never come over its socket", fix)
    found = f"prices came over its socket {_ago(signs, feed.live_at)} ago"
    if (signs.now - feed.live_at).total_seconds() > signs.feed_down_s:
        return Line(name, Verdict.WARN, found, fix)
    return Line(name, Verdict.OK, found)


def _disk(signs: Signs) -> Line:
    found = f"{signs.disk_free * 100:.0f} % free at {signs.disk_path}"
    if signs.disk_free >= DISK_FREE_WARN:
        return Line("disk", Verdict.OK, found)
    verdict = Verdict.FAIL if signs.disk_free < DISK_FREE_FAIL else Verdict.WARN
    return Line("disk", verdict, found, "Make room: a database that cannot write halts everything.")


def _some(names: Iterable[str]) -> str:
    """The first few, and how many more."""
    known = list(names)
    more = len(known) - NAMED_MAX
    return "; ".join(known[:NAMED_MAX]) + (f"; and {more} more" if more > 0 else "")


def _ago(signs: Signs, instant: datetime) -> str:
    return span(int((signs.now - instant).total_seconds()))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
