"""Judging an intent: bound to its connection, its facts gathered once, policy asked. Nothing is stored here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings

from apps.accounts.types import Principal
from apps.common.errors import Invalid, NotFound
from apps.common.statements import Question, ask
from apps.connectors.selectors import connection_question, instrument_at
from apps.connectors.types import Environment, InstrumentSpec, Quote
from apps.lessons.types import Plan
from apps.policies import rules as policy
from apps.policies.selectors import active_at, version_of
from apps.policies.types import Ask, Evaluation, Facts, FactSpec, VersionRules
from apps.trades.rules import terms as rules
from apps.trades.services import facts, lesson_facts, market
from apps.trades.services.gathering import Gathering, Moment
from apps.trades.types import Intent, Terms

if TYPE_CHECKING:
    from apps.connectors.models import Connection

Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An intent bound to a connection, its facts gathered once, and what policy says of it at `judged_at`. Nothing is
    stored yet."""

    connection: "Connection"
    terms: Terms
    ask: Ask
    version: VersionRules | None
    facts: Facts
    evaluation: Evaluation
    quote: Quote | None
    known: lesson_facts.Known | None
    judged_at: datetime
    expires_at: datetime


def judge(*, intent: Intent, principal: Principal, clock: Clock) -> Judged:
    """Bind an intent and ask policy, without storing anything.

    Raises Invalid for an intent no venue could take, NotFound for a connection or instrument that is not there for this
    principal, Unavailable where the venue does not answer and what is known is too old.
    """
    return judge_at(door_of(intent, principal), intent=intent, principal=principal, now=clock(), clock=clock)


@dataclass(frozen=True, kw_only=True)
class Door:
    """What a proposal meets first: its connection, the policy in force there, its instrument. Read together, and with
    whatever else a caller must know at that moment (`also`)."""

    connections: Question["Connection"]
    versions: Question[UUID]
    instruments: Question[InstrumentSpec]

    def read(self, *also: Question[Any]) -> None:
        """Put them to the database at once."""
        ask(self.connections, self.versions, self.instruments, *also)


def door_of(intent: Intent, principal: Principal) -> Door:
    """The door of the connection that an intent names."""
    return Door(
        connections=connection_question(principal, intent.connection),
        versions=active_at(intent.connection),
        instruments=instrument_at(intent.connection, intent.instrument),
    )


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What every intent on a connection is judged on at a moment: the rules in force, the last prices, and what is
    asked together with others of that moment."""

    connection: "Connection"
    version: VersionRules | None
    quotes: Mapping[str, Quote]
    moment: Moment = field(default_factory=Moment)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """An intent bound to a connection, with the questions that policy asks about it."""

    intent: Intent
    terms: Terms
    specs: Sequence[FactSpec]
    gathering: Gathering

    def questions(self) -> list[Question[Any]]:
        """What must be read before it can be judged."""
        return self.gathering.questions(self.specs)


def judge_at(
    door: Door, *, intent: Intent, principal: Principal, now: datetime, clock: Clock, plan: Plan | None = None
) -> Judged:
    """`judge` at a door that may be read already. With `plan`, what is known of the proposal is gathered too.

    Judged as of when the door was read, by `clock`, and not before `now`: what was learned while it was waited for is
    not of the future, and a price that was fresh before is old.
    """
    rules.check_intent(intent, now=now)
    if not door.connections.is_answered:
        door.read()
    now = max(now, clock())
    connection = connection_of(door.connections, intent.connection)
    instruments, listed_at = door.instruments, connection.instruments_as_of
    fresh = market.fresh_market(connection, [intent.instrument], now=now)
    if connection.instruments_as_of != listed_at:
        instruments = instrument_at(intent.connection, intent.instrument)
    ground = Ground(connection=connection, version=version_of(door.versions.answer), quotes=fresh.quotes)
    return concluded(
        prepared(ground, intent=intent, principal=principal, instruments=instruments, now=fresh.now, plan=plan)
    )


def connection_of(found: Question["Connection"], slug: str) -> "Connection":
    """The connection that was asked for by this name. Raises NotFound CONNECTION_UNKNOWN."""
    connection = next(iter(found.answer), None)
    if connection is None:
        raise NotFound(
            "CONNECTION_UNKNOWN",
            f"There is no connection {slug!r} that you may propose on.",
            fix="GET /api/v1/connectors lists the connections this key or person may use.",
            field="connection",
        )
    return connection


def prepared(
    ground: Ground,
    *,
    intent: Intent,
    principal: Principal,
    instruments: Question[InstrumentSpec],
    now: datetime,
    plan: Plan | None = None,
    asked_at: datetime | None = None,
) -> Prepared:
    """The intent as policy will be asked about it at `now`. `asked_at` is up to when the rows count, now as a rule; of
    what came after that, `ground.moment` tells. Raises Invalid INSTRUMENT_UNKNOWN."""
    connection, version = ground.connection, ground.version
    terms = _bind(intent, connection, next(iter(instruments.answer), None), now)
    asked = facts.ask_of(terms, proposer_id=principal.user_id, reporting_currency=connection.desk.reporting_currency)
    gathering = Gathering(
        connection=connection,
        ask=asked,
        now=now,
        asked_at=asked_at or now,
        quotes=ground.quotes,
        instrument_rows=instruments,
        for_lessons=plan is not None,
        plan=plan or Plan(),
        version=version,
        moment=ground.moment,
    )
    return Prepared(intent=intent, terms=terms, specs=policy.facts_needed(version, asked), gathering=gathering)


def concluded(found: Prepared) -> Judged:
    """What policy says of it."""
    gathering, terms, intent = found.gathering, found.terms, found.intent
    version, now = gathering.version, gathering.now
    known = facts.gather(found.specs, gathering)
    evaluation = policy.evaluate(
        version,
        gathering.ask,
        known,
        now,
        approval_may_be_waived=not settings.POLICY_REQUIRE_APPROVAL,
        in_words=True,
    )
    return Judged(
        connection=gathering.connection,
        terms=terms,
        ask=gathering.ask,
        version=version,
        facts=known,
        evaluation=evaluation,
        quote=gathering.quote(intent.instrument),
        known=lesson_facts.at_proposal(gathering) if gathering.for_lessons else None,
        judged_at=now,
        expires_at=rules.approval_deadline(intent, not_after=terms.not_after, now=now),
    )


def _bind(intent: Intent, connection: "Connection", instrument: InstrumentSpec | None, now: datetime) -> Terms:
    if instrument is None:
        raise Invalid(
            "INSTRUMENT_UNKNOWN",
            f"{connection.name} does not list the instrument {intent.instrument!r}.",
            fix="GET /api/v1/quotes lists the instruments of a connection.",
            field="instrument",
        )
    return Terms(
        connection_id=connection.pk,
        connection=connection.slug,
        venue=connection.venue,
        environment=Environment(connection.environment),
        instrument=intent.instrument,
        base_currency=instrument.base_currency,
        quote_currency=instrument.quote_currency,
        side=intent.side,
        order_type=intent.order_type,
        time_in_force=intent.time_in_force,
        quantity=intent.quantity,
        quote_quantity=intent.quote_quantity,
        limit_price=intent.limit_price,
        stop_price=intent.stop_price,
        post_only=intent.post_only,
        not_after=rules.last_instant(intent, now=now),
    )
