"""Facts of a trade that is over: what was known when it was entered, and what its course adds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from apps.common.money import product
from apps.connectors.selectors import connection_listing, market_of
from apps.connectors.types import Candle, OrderType, Side
from apps.lessons.rules import detectors, kept_facts, mistakes, regimes
from apps.lessons.rules.detecting import course as course_rules
from apps.lessons.rules.detecting.market import LOSS_WINDOW
from apps.lessons.rules.scene import Course, Scene
from apps.lessons.selectors.recent import last_loss_question
from apps.lessons.types import Fact, Plan, TagFound
from apps.quotes.selectors import candles as kept
from apps.quotes.types import Length
from apps.trades.models import Order, Outcome, Proposal, ProposalFacts, ReportedOutcome
from apps.trades.selectors.entries import entries_into, known_then
from apps.trades.services.gathering import CANDLES_BACK
from apps.trades.services.lesson_facts import asset_class_of

ENTRIES_MAX: Final = 20
# The finest candles of which a thousand span the time it was held.
_LENGTHS: Final = (Length.M1, Length.H1, Length.D1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What is known of a trade that is over; excursions in multiples of the planned risk, None without a plan."""

    plan: Plan
    regime: str
    facts: tuple[Fact, ...]
    tags: tuple[TagFound, ...]
    mfe_r: Decimal | None
    mae_r: Decimal | None


def entries_of(outcome: Outcome) -> list[Proposal]:
    """The proposals whose orders bought what it closed, first fill first; empty where none is known."""
    if outcome.opened_at is None:
        return []
    return entries_into(
        connection_id=outcome.connection_id,
        instrument=outcome.instrument,
        since=outcome.opened_at,
        until=outcome.closed_at,
        limit=ENTRIES_MAX,
    )


def of_outcome(outcome: Outcome, entries: Sequence[Proposal], told: ReportedOutcome | None) -> Ended:
    """What an outcome shows. `entries` are `entries_of`; `told` is what was reported where its cost is not known."""
    frozen = known_then(entries)
    lead = frozen.get(entries[0].pk) if entries else None
    market = market_of(outcome.connection)
    scene = Scene(
        at=entries[0].created_at if entries else outcome.opened_at or outcome.closed_at,
        side=Side.BUY,
        asset_class=asset_class_of(outcome.connection.venue),
        price=lead.entry if lead else (_judged_at(entries[0]) if entries else None),
        plan=_plan(entries, lead, told),
        candles=_hours(market, outcome.instrument, entries[0].created_at) if entries else (),
    )
    course = Course(
        entry_price=told.entry_price if told else outcome.entry_price,
        exit_price=outcome.exit_price,
        opened_at=outcome.opened_at,
        closed_at=outcome.closed_at,
        stops=_stops(outcome),
    )
    known = detectors.joined([_facts_at(one, frozen.get(one.pk), outcome, scene) for one in entries])
    regime = lead.regime if lead else regimes.regime_of(scene.candles)
    scene = replace(scene, course=_with_candles(course, market, outcome.instrument))
    return _ended(scene, known=known, regime=regime, quantity=outcome.quantity)


def of_report(row: ReportedOutcome) -> Ended:
    """What a reported trade shows, by candles of its instrument where a connection of the desk has them, and of what
    these do not show as it was told. Raises as `detectors.check_told`."""
    began = row.opened_at or row.closed_at
    connection = connection_listing(row.desk_id, row.instrument)
    market = market_of(connection) if connection else ""
    losses = last_loss_question(row.desk_id, since=began - LOSS_WINDOW, until=began).answer if row.opened_at else []
    scene = Scene(
        at=began,
        side=Side(row.side),
        asset_class=row.asset_class,
        quantity=row.quantity,
        price=row.entry_price,
        plan=_plan_told(row),
        candles=_hours(market, row.instrument, began) if row.opened_at else (),
        losses_known=row.opened_at is not None,
        last_loss_at=losses[0] if losses else None,
        given=_given(row),
    )
    detectors.check_told(scene)
    course = Course(
        entry_price=row.entry_price, exit_price=row.exit_price, opened_at=row.opened_at, closed_at=row.closed_at
    )
    known = [fact for fact in detectors.detect(scene) if row.opened_at is not None or fact.name not in _BY_THE_CLOCK]
    regime = regimes.regime_of(scene.candles)
    scene = replace(scene, course=_with_candles(course, market, row.instrument))
    return _ended(scene, known=known, regime=regime, quantity=row.quantity)


def _given(row: ReportedOutcome) -> dict[str, Decimal]:
    return {name: Decimal(text) for name, text in (row.facts or {}).items()}


def _ended(scene: Scene, *, known: Sequence[Fact], regime: str, quantity: Decimal) -> Ended:
    facts = (*known, *detectors.detect_course(scene))
    risk = scene.risk_per_unit
    return Ended(
        plan=replace(scene.plan, risk=product(risk, quantity) if risk is not None and quantity > 0 else None),
        regime=regime,
        facts=facts,
        tags=mistakes.tags_of(facts),
        mfe_r=course_rules.in_risk(scene, course_rules.best(scene)),
        mae_r=course_rules.in_risk(scene, course_rules.worst(scene)),
    )


# Without a time of entry these would speak of the exit.
_BY_THE_CLOCK: Final = frozenset({"hour", "to_weekend"})


def _facts_at(entry: Proposal, frozen: ProposalFacts | None, outcome: Outcome, lead: Scene) -> tuple[Fact, ...]:
    """What was known of an entry: as it was frozen, or, of one from before that was done, by what is still known."""
    if frozen is not None:
        return kept_facts.facts_of(frozen.facts)
    desk = outcome.connection.desk_id
    losses = last_loss_question(desk, since=entry.created_at - LOSS_WINDOW, until=entry.created_at).answer
    again = replace(
        lead,
        at=entry.created_at,
        price=_judged_at(entry),
        limit_price=entry.limit_price,
        quantity=entry.quantity,
        candles=_hours(market_of(outcome.connection), entry.instrument, entry.created_at),
        losses_known=True,
        last_loss_at=losses[0] if losses else None,
    )
    return detectors.detect(again)


def _judged_at(entry: Proposal) -> Decimal | None:
    met, own = entry.reference_ask, entry.limit_price
    return min(own, met) if own is not None and met is not None else met if own is None else own


def _plan(entries: Sequence[Proposal], lead: ProposalFacts | None, told: ReportedOutcome | None) -> Plan:
    if not entries:
        return _plan_told(told) if told else Plan()
    return Plan(
        thesis=entries[0].rationale,
        setup=lead.setup if lead else "",
        entry=(lead.entry if lead else None) or _judged_at(entries[0]),
        stop=lead.stop if lead else None,
        target=lead.target if lead else None,
    )


def _plan_told(told: ReportedOutcome) -> Plan:
    return Plan(
        thesis=told.thesis,
        setup=told.setup,
        entry=told.entry_price,
        stop=told.planned_stop,
        target=told.planned_target,
    )


def _stops(outcome: Outcome) -> list[Decimal] | None:
    """Prices of the stop orders that a venue took while it was held, oldest first."""
    if outcome.opened_at is None:
        return None
    rows = Order.objects.filter(
        connection_id=outcome.connection_id,
        instrument=outcome.instrument,
        side=Side.SELL,
        proposal__order_type=OrderType.STOP_LIMIT,
        accepted_at__gte=outcome.opened_at,
        accepted_at__lte=outcome.closed_at,
    ).order_by("accepted_at")
    return [price for price in rows.values_list("proposal__stop_price", flat=True) if price is not None]


def _hours(market: str, instrument: str, until: datetime) -> list[Candle]:
    return kept.closed_hours_question(market, instrument, span=CANDLES_BACK, until=until).answer if market else []


def _with_candles(course: Course, market: str, instrument: str) -> Course:
    """With the finest candles that are kept of the time it was held, each wholly within it."""
    if course.opened_at is None or not market:
        return course
    for length in _LENGTHS:
        step = timedelta(seconds=length.seconds)
        if (course.closed_at - course.opened_at) // step > kept.LIMIT_MAX:
            continue
        page = kept.candles(
            market=market,
            instrument=instrument,
            granularity=length,
            since=course.opened_at,
            until=course.closed_at,
        )
        whole = [one.candle for one in page.items if one.candle.start + step <= course.closed_at]
        if whole:
            return replace(course, candles=whole, candle_s=length.seconds)
    return course
