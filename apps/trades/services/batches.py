"""Several proposals in one call: each with its own key and its own verdict, none lost for another's sake.

Those of one connection that follow each other are judged under the connection's lock, one after the other, and stored
in one transaction: what is the same for all is read once, and what an earlier one changes counts against the later
ones. Where the database refuses a row (an equal key that came first), nothing of that transaction is kept, and its
items are proposed one by one, as single requests are.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db import IntegrityError, OperationalError
from django.db.models import Model

from apps.accounts.services import idempotency
from apps.accounts.services.idempotency import Answer, Claim, Replay
from apps.accounts.types import Principal
from apps.common import fault_places as places
from apps.common import faults, tallies
from apps.common.errors import AikaError, Conflict, Unavailable
from apps.common.inserts import store_each
from apps.common.statements import Question, ask
from apps.connectors.selectors import connection_question, instrument_at, locked_connection
from apps.connectors.types import InstrumentSpec
from apps.lessons.recall_types import RecallAnswer
from apps.policies.selectors import active_version
from apps.policies.types import Verdict
from apps.trades.models import Proposal
from apps.trades.rules import terms as rules
from apps.trades.rules.narratives import check_narrative
from apps.trades.services import intake, judging, lesson_facts, market, proposals, recalling
from apps.trades.services.gathering import Moment
from apps.trades.services.judging import Clock, Ground, Judged, Prepared
from apps.trades.services.proposals import Made, Maker
from apps.trades.types import Intent, Narrative

if TYPE_CHECKING:
    from apps.connectors.models import Connection

ITEMS_MAX: Final = 50

Word = Callable[[Proposal], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One item, as a single request would be read. `claim` is that of the single request, so that either may repeat the
    other."""

    intent: Intent
    narrative: Narrative
    supersedes: UUID | None
    claim: Claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What became of one item: the answer a single request would get, and what the memory says beside it."""

    answer: Answer
    lessons: RecallAnswer


@dataclass(slots=True, kw_only=True)
class _Item:
    """An item while it is dealt with: in the end it has an answer, or an error. `proposal` is one made just now."""

    wanted: Wanted
    answer: Answer | None = None
    error: AikaError | None = None
    proposal: Proposal | None = None

    @property
    def is_open(self) -> bool:
        return self.answer is None and self.error is None

    def refuse(self, error: AikaError) -> None:
        """It came to nothing."""
        self.answer, self.proposal, self.error = None, None, error


@dataclass(frozen=True, kw_only=True)
class _Doors:
    """What all items meet first, read at once: their connections and instruments."""

    connections: dict[str, Question["Connection"]]
    instruments: dict[tuple[str, str], Question[InstrumentSpec]]


def propose_each(*, items: Sequence[Wanted], principal: Principal, word: Word, clock: Clock) -> list[Given | AikaError]:
    """Propose them in this order, and say of each what became of it, in the same order.

    An item that cannot be proposed has its error in its place, with what `intake.propose_once` would raise or
    IDEMPOTENCY_KEY_TWICE (Conflict), and keeps no other from being stored. Raises only what is a defect.
    """
    if len(items) > ITEMS_MAX:
        raise ValueError(f"{len(items)} items are more than {ITEMS_MAX}")
    dealt = [_Item(wanted=one) for one in items]
    _settle(dealt)
    faults.point(places.RECEIVED.label)
    doors = _doors_of([item for item in dealt if item.is_open], principal, clock())
    for slug, following in groupby(
        [item for item in dealt if item.is_open], lambda item: item.wanted.intent.connection
    ):
        _propose_run(list(following), doors, slug, principal=principal, word=word, clock=clock)
    faults.point(places.ANSWERING.label)
    return _with_lessons(dealt, principal, clock())


def _settle(items: Sequence[_Item]) -> None:
    """Give those their answer whose key has one, and refuse a key that stands twice."""
    seen: set[str] = set()
    for item, found in zip(items, idempotency.settled_each([one.wanted.claim for one in items]), strict=True):
        key = item.wanted.claim.key
        if key in seen:
            item.error = Conflict(
                "IDEMPOTENCY_KEY_TWICE",
                "An item before it has the same key.",
                fix="Give every item a key of its own.",
                field="idempotency_key",
            )
        elif isinstance(found, Replay):
            item.answer = found
        elif isinstance(found, AikaError):
            item.error = found
        seen.add(key)


def _doors_of(items: Sequence[_Item], principal: Principal, now: datetime) -> _Doors:
    """The doors of all that is well-formed; an item that is not gets its error."""
    for item in items:
        try:
            check_narrative(item.wanted.narrative)
            rules.check_intent(item.wanted.intent, now=now)
        except AikaError as error:
            item.refuse(error)
    intents = [item.wanted.intent for item in items if item.is_open]
    doors = _Doors(
        connections={one.connection: connection_question(principal, one.connection) for one in intents},
        instruments={
            (one.connection, one.instrument): instrument_at(one.connection, one.instrument) for one in intents
        },
    )
    if intents:
        ask(*doors.connections.values(), *doors.instruments.values())
    return doors


def _propose_run(
    items: list[_Item], doors: _Doors, slug: str, *, principal: Principal, word: Word, clock: Clock
) -> None:
    """Judge and store items of one connection that follow each other."""
    began = time.perf_counter()
    try:
        connection = judging.connection_of(doors.connections[slug], slug)
        instruments, listed_at = doors.instruments, connection.instruments_as_of
        codes = [item.wanted.intent.instrument for item in items]
        fresh = market.fresh_market(connection, codes, now=clock())
        if connection.instruments_as_of != listed_at:
            instruments = {(slug, code): instrument_at(slug, code) for code in codes}
        with faults.commit(places.PROPOSE):
            locked = locked_connection(connection.pk)
            run = _Run(
                ground=Ground(connection=locked, version=active_version(locked.pk), quotes=fresh.quotes),
                instruments=instruments,
                principal=principal,
                word=word,
                # Whoever held the lock may have stored what counts against these: they are later than that.
                began=max(fresh.now, clock()),
                clock=clock,
            )
            run.take(items)
    except AikaError as error:
        _refuse(items, error)
    except OperationalError:
        _refuse(items, _away())
    except IntegrityError:
        _one_by_one(items, principal=principal, word=word, clock=clock)
    else:
        _tell(items, began)


def _refuse(items: Sequence[_Item], error: AikaError) -> None:
    for item in items:
        item.refuse(error)


def _away() -> Unavailable:
    return Unavailable(
        "DATABASE_UNAVAILABLE",
        "The database did not answer in time.",
        fix="Send it again with the same key: what was stored is answered again.",
    )


def _tell(items: Sequence[_Item], began: float) -> None:
    """How long each took, which is the same part of the whole for all."""
    made = [item.proposal for item in items if item.proposal is not None]
    if made:
        taken_us = int((time.perf_counter() - began) * 1_000_000 / len(made))
        tallies.took_each(tallies.DECISION, taken_us, [{"state": str(proposal.state)} for proposal in made])


def _one_by_one(items: Sequence[_Item], *, principal: Principal, word: Word, clock: Clock) -> None:
    """As single requests. What the first attempt made of them was rolled back with it."""
    for item in items:
        item.answer, item.proposal, item.error = None, None, None
        try:
            item.answer = intake.propose_once(
                intent=item.wanted.intent,
                narrative=item.wanted.narrative,
                supersedes=item.wanted.supersedes,
                principal=principal,
                claim=item.wanted.claim,
                word=word,
                now=clock(),
                clock=clock,
            )
        except AikaError as error:
            item.refuse(error)
        except OperationalError:
            item.refuse(_away())


@dataclass(kw_only=True)
class _Run:
    """One transaction over a locked connection. `pending` is judged and not stored yet: it is stored together, at the
    end or before something is stored that changes what the next ones are judged by."""

    ground: Ground
    instruments: dict[tuple[str, str], Question[InstrumentSpec]]
    principal: Principal
    word: Word
    began: datetime
    clock: Clock
    pending: list[tuple[Made, tuple[Model, ...]]] = field(default_factory=list)

    def take(self, items: Sequence[_Item]) -> None:
        """Judge them in order and store what comes of it."""
        asked_at, ahead = self.began, self._ahead(items)
        for place, item in enumerate(items):
            # Each a microsecond later: they keep their order, and a rate counts those before.
            now = self.began + timedelta(microseconds=place)
            try:
                found = ahead.get(place) or self._prepared(item, now, asked_at)
                is_as_before = self._propose(item, judging.concluded(found))
            except AikaError as error:
                item.refuse(error)
                continue
            if not is_as_before:
                self._store()
                # What was approved at once was judged by the clock: those after it are later.
                self.began = max(self.began, self.clock())
                self.ground, ahead = self._anew(), {}
                asked_at = self.began + timedelta(microseconds=place + 1)
        self._store()

    def _ahead(self, items: Sequence[_Item]) -> dict[int, Prepared]:
        """All of them as they stand at the beginning, with what policy asks read at once."""
        found: dict[int, Prepared] = {}
        for place, item in enumerate(items):
            try:
                found[place] = self._prepared(item, self.began + timedelta(microseconds=place), self.began)
            except AikaError as error:
                item.refuse(error)
        self.ground.moment.together.ask(*(question for one in found.values() for question in one.questions()))
        return found

    def _prepared(self, item: _Item, now: datetime, asked_at: datetime) -> Prepared:
        intent = item.wanted.intent
        return judging.prepared(
            self.ground,
            intent=intent,
            principal=self.principal,
            instruments=self.instruments[intent.connection, intent.instrument],
            now=now,
            asked_at=asked_at,
            plan=lesson_facts.plan_of(item.wanted.narrative),
        )

    def _propose(self, item: _Item, judged: Judged) -> bool:
        """Make a proposal of it. Whether the next one may be judged by what was read before."""
        maker = self._maker(item)
        if judged.evaluation.outcome is Verdict.ALLOW:
            # Approved at once: what waits to be stored is stored first, and counts.
            self._store()
            item.proposal = proposals.unasked(judged, maker)
            return False
        made = maker.made(judged)
        self.pending.append((made, maker.beside(made.proposal)))
        item.proposal = made.proposal
        self.ground.moment.add(judged.ask, denied=judged.evaluation.outcome is Verdict.DENY)
        return not made.changes_what_is_known

    def _maker(self, item: _Item) -> Maker:
        def keep(proposal: Proposal) -> tuple[Model, ...]:
            item.answer = Answer(status=intake.CREATED, body=self.word(proposal))
            claim = item.wanted.claim
            return (idempotency.kept(claim, status=intake.CREATED, body=item.answer.body, now=proposal.created_at),)

        return Maker(
            narrative=item.wanted.narrative,
            principal=self.principal,
            idempotency_key=item.wanted.claim.key,
            supersedes=proposals.superseded(item.wanted.supersedes, self.principal),
            clock=self.clock,
            also=keep,
        )

    def _store(self) -> None:
        """Store what is pending, in order."""
        waiting, self.pending = self.pending, []
        if waiting:
            store_each([(*made.rows, *beside) for made, beside in waiting])
        for made, _ in waiting:
            made.follow_up()

    def _anew(self) -> Ground:
        """The same ground with nothing read."""
        return Ground(
            connection=self.ground.connection,
            version=self.ground.version,
            quotes=self.ground.quotes,
            moment=Moment(),
        )


def _with_lessons(items: Sequence[_Item], principal: Principal, now: datetime) -> list[Given | AikaError]:
    """After it is stored, and apart from it: the memory never delays or fails a proposal."""
    made = [item.proposal for item in items if item.proposal is not None]
    lessons = dict(zip(made, recalling.beside_each(proposals=made, principal=principal, now=now), strict=True))
    again = [item.wanted.claim.key for item in items if item.answer is not None and item.proposal is None]
    earlier = dict(
        Proposal.objects.filter(principal_key=principal.reference, idempotency_key__in=again).values_list(
            "idempotency_key", "pk"
        )
        if again
        else ()
    )

    def given(item: _Item) -> Given | AikaError:
        if item.answer is None:
            assert item.error is not None  # noqa: S101  it has an answer or an error
            return item.error
        if item.proposal is not None:
            return Given(answer=item.answer, lessons=lessons[item.proposal])
        said = recalling.beside_again(proposal_id=earlier[item.wanted.claim.key], principal=principal, now=now)
        return Given(answer=item.answer, lessons=said)

    return [given(item) for item in items]
