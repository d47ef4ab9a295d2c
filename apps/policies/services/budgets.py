"""Budgets: reserved before an order leaves, used by its fills, given back only by proof.

Three moves, each inside the caller's transaction. `reserve` takes, all or nothing. `settle` says what became of the
order: what may still execute stays reserved, what executed is used, and once the order has ended the rest is given
back. `apply_limits` brings a new policy to the rows. Time gives nothing back, and neither does an answer of the venue
that proves nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import BigIntegerField, Case, F, Q, QuerySet, Value, When
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Greatest

from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.decimals import decimal_text
from apps.common.errors import Conflict, Misconfigured
from apps.common.money import MINOR_MAX, from_minor, minor_up, product
from apps.policies.errors import BudgetExhausted
from apps.policies.models import Budget, Reservation, ReservedAmount
from apps.policies.rules.budgets import (
    BudgetKey,
    Claim,
    Dimension,
    ReservationState,
    claims_of,
    limit_on,
    still_held,
    window_of,
)
from apps.policies.selectors import active_version
from apps.policies.types import Ask, Evaluation, VersionRules

BUDGETS: Final = Actor.system("budgets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What the books say is held of the order's instrument after all its fills: base units, and what they cost in the
    quote currency, fees left out."""

    quantity: Decimal
    cost: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where an order stands. `remaining` of `whole` may still execute, in any one unit; `traded` is what its fills were
    worth in the quote currency, reversals taken off. `reason` ends the reservation; empty while the order is alive.

    `holding` is None where the order has no fills: then nothing it held has changed.
    """

    remaining: Decimal
    whole: Decimal
    traded: Decimal
    holding: Holding | None
    reason: str = ""


def reserve(*, source: str, version: VersionRules, ask: Ask, evaluation: Evaluation, now: datetime) -> Reservation:
    """Take from every budget what an ask can cost, in the order of their ids, or nothing at all.

    `source` is the opaque id of what is reserved for; it can reserve once. Raises BudgetExhausted with the code of the
    rule whose budget has no room, Conflict ALREADY_RESERVED, Invalid AMOUNT_OVERFLOW, and Misconfigured
    RESERVED_WITHOUT_PRICE for an evaluation without a worth.
    """
    if evaluation.quantity is None or evaluation.notional is None or evaluation.rate is None:
        raise Misconfigured("RESERVED_WITHOUT_PRICE", "What has no worst price cannot be reserved.")
    claims = claims_of(version, ask, quantity=evaluation.quantity, notional=evaluation.notional, day=window_of(now))
    with transaction.atomic():
        rows = _rows(UUID(ask.connection), claims, now)
        for budget, claim in rows:
            _take(budget, claim, now)
        try:
            with transaction.atomic():
                made = Reservation.objects.create(
                    source=source,
                    connection_id=ask.connection,
                    rate=evaluation.rate,
                    state=ReservationState.HELD.value,
                    held_at=now,
                )
        except IntegrityError as error:
            raise Conflict("ALREADY_RESERVED", f"{source} has reserved before.") from error
        ReservedAmount.objects.bulk_create(
            ReservedAmount(
                reservation=made, budget=budget, amount_minor=claim.amount_minor, held_minor=claim.amount_minor
            )
            for budget, claim in rows
        )
        _record(made, "reservation.held", now, amounts=_amounts(rows))
    return made


def reservation_stream(source: str) -> str:
    """The audit stream of what was reserved for a source."""
    return f"reservation:{source}"


def settle(*, source: str, progress: Progress, now: datetime) -> bool:
    """Bring a reservation to where its order stands. Calling it again changes nothing; False where there is none.

    With a `holding` the caller holds the connection's lock: the budgets of holdings are set, not moved.
    """
    with transaction.atomic():
        reservation = Reservation.objects.select_for_update(no_key=True).filter(source=source).first()
        if reservation is None:
            return False
        amounts = list(reservation.amounts.order_by("budget_id"))
        ids = [amount.budget_id for amount in amounts]
        budgets = Budget.objects.select_for_update(no_key=True).order_by("pk").in_bulk(ids)
        used = _used_now(budgets.values(), progress, reservation.rate)
        ended = bool(progress.reason) or reservation.state != ReservationState.HELD
        for amount in amounts:
            held = 0 if ended else held_of(amount.amount_minor, progress)
            _move(budgets[amount.budget_id], amount, held, used, progress, reservation.rate, now)
        if ended and reservation.state == ReservationState.HELD:
            _end(reservation, progress, now)
    return True


def apply_limits(*, connection_ids: Iterable[UUID], now: datetime) -> int:
    """Write the limits of the active policy into every budget that still counts. Returns how many changed.

    A limit below what is in use is kept as it is: nothing more is reserved until use has fallen below it.
    """
    changed = 0
    for connection_id in sorted(connection_ids):
        version = active_version(connection_id)
        counting = Q(window="") | Q(window__gte=window_of(now))
        for budget in Budget.objects.filter(counting, connection_id=connection_id).order_by("pk"):
            limit = limit_on(version, str(connection_id), budget.key)
            if limit != budget.limit_minor:
                changed += _rows_of(budget).update(
                    limit_minor=limit,
                    effective_limit_minor=None if limit is None else Greatest(Value(limit), _in_use(0)),
                    updated_at=now,
                )
    return changed


def held_of(amount_minor: int, progress: Progress) -> int:
    """What a reserved amount still holds at this progress."""
    if progress.reason:
        return 0
    return still_held(amount_minor, remaining=progress.remaining, whole=progress.whole)


def traded_of(dimension: Dimension, progress: Progress, rate: Decimal) -> int:
    """What the order itself has used of a budget: budgets of holdings are used by the position instead."""
    return 0 if dimension.is_level else minor_up(product(max(progress.traded, Decimal(0)), rate))


def _rows(connection_id: UUID, claims: Sequence[Claim], now: datetime) -> list[tuple[Budget, Claim]]:
    """The budgets of the claims, made where there are none yet, in the order of their ids."""
    found = _find(connection_id, claims)
    for claim in claims:
        if claim.key not in found:
            found[claim.key] = _make(connection_id, claim, now)
    return sorted(((found[claim.key], claim) for claim in claims), key=lambda pair: pair[0].pk)


def _find(connection_id: UUID, claims: Sequence[Claim]) -> dict[BudgetKey, Budget]:
    keys = {claim.key for claim in claims}
    rows = Budget.objects.filter(
        connection_id=connection_id,
        window__in=sorted({key.window for key in keys}),
        instrument__in=sorted({key.instrument for key in keys}),
    )
    return {row.key: row for row in rows if row.key in keys}


def _make(connection_id: UUID, claim: Claim, now: datetime) -> Budget:
    try:
        with transaction.atomic():
            return Budget.objects.create(
                connection_id=connection_id,
                dimension=claim.key.dimension.value,
                instrument=claim.key.instrument,
                window=claim.key.window,
                unit=claim.key.unit,
                limit_minor=claim.row_limit_minor,
                effective_limit_minor=claim.row_limit_minor,
                created_at=now,
                updated_at=now,
            )
    except IntegrityError:
        found = _find(connection_id, [claim])  # somebody made it in the same moment
        if claim.key not in found:
            raise
        return found[claim.key]


def _take(budget: Budget, claim: Claim, now: datetime) -> None:
    """Reserve, if there is room at the moment of writing. The comparison and the change are one statement."""
    if not claim.amount_minor:
        return
    ceiling = MINOR_MAX if claim.limit_minor is None else claim.limit_minor
    # Written so that no sum can leave the range of a BIGINT.
    room = Q(used_minor__lte=Value(ceiling - claim.amount_minor, output_field=BigIntegerField()) - F("reserved_minor"))
    below = Q(limit_minor__isnull=True) | Q(used_minor__lte=F("limit_minor") - claim.amount_minor - F("reserved_minor"))
    taken = (
        _rows_of(budget)
        .filter(room & below)
        .update(reserved_minor=F("reserved_minor") + claim.amount_minor, updated_at=now)
    )
    if taken != 1:
        raise _exhausted(budget, claim)


def _exhausted(budget: Budget, claim: Claim) -> BudgetExhausted:
    budget.refresh_from_db()
    limits = [limit for limit in (claim.limit_minor, budget.limit_minor) if limit is not None]
    limit, unit = min(limits, default=MINOR_MAX), budget.unit
    asked, in_use = from_minor(claim.amount_minor), from_minor(budget.in_use_minor)
    return BudgetExhausted(
        claim.key.dimension.code,
        f"{budget.get_dimension_display()}: {decimal_text(in_use)} of {decimal_text(from_minor(limit))} {unit} are "
        f"taken, and this needs {decimal_text(asked)}.",
        fix="Ask for less, or wait until something else has ended.",
        in_use=decimal_text(in_use),
        asked=decimal_text(asked),
        limit=decimal_text(from_minor(limit)),
        unit=unit,
    )


def _used_now(budgets: Iterable[Budget], progress: Progress, rate: Decimal) -> dict[int, int]:
    """What the budgets of holdings are used by now, by id. The whole connection moves by what its instrument moves."""
    holding = progress.holding
    if holding is None:
        return {}
    used: dict[int, int] = {}
    gross: Budget | None = None
    moved = 0
    for budget in budgets:
        if budget.dimension == Dimension.POSITION_QUANTITY:
            used[budget.pk] = minor_up(holding.quantity)
        elif budget.dimension == Dimension.POSITION:
            used[budget.pk] = minor_up(product(holding.cost, rate))
            moved = used[budget.pk] - budget.used_minor
        elif budget.dimension == Dimension.GROSS_EXPOSURE:
            gross = budget
    if gross is not None:
        used[gross.pk] = gross.used_minor + moved
    return used


def _move(
    budget: Budget,
    amount: ReservedAmount,
    held: int,
    levels: dict[int, int],
    progress: Progress,
    rate: Decimal,
    now: datetime,
) -> None:
    is_level = Dimension(budget.dimension).is_level
    traded = traded_of(Dimension(budget.dimension), progress, rate)
    more_held = held - amount.held_minor
    more_used = levels.get(budget.pk, budget.used_minor) - budget.used_minor if is_level else traded - amount.used_minor
    if not more_held and not more_used:
        return
    values: dict[str, object] = {"rate": rate} if budget.dimension == Dimension.POSITION and levels else {}
    _rows_of(budget).update(
        reserved_minor=F("reserved_minor") + more_held,
        used_minor=F("used_minor") + more_used,
        effective_limit_minor=_effective(more_held + more_used),
        updated_at=now,
        **values,
    )
    amount.held_minor, amount.used_minor = held, traded
    amount.save(update_fields=["held_minor", "used_minor"])


def _end(reservation: Reservation, progress: Progress, now: datetime) -> None:
    state = ReservationState.CONSUMED if progress.traded > 0 else ReservationState.RELEASED
    reservation.state, reservation.ended_at, reservation.reason = state.value, now, progress.reason
    reservation.save(update_fields=["state", "ended_at", "reason"])
    _record(reservation, f"reservation.{state.value.lower()}", now, reason=progress.reason)


def _effective(more: int) -> Case:
    """The limit, or what will be in use where that is more; null without a limit."""
    return Case(
        When(limit_minor__isnull=False, then=Greatest("limit_minor", _in_use(more))),
        default=Value(None),
        output_field=BigIntegerField(),
    )


def _in_use(more: int) -> CombinedExpression:
    return F("reserved_minor") + F("used_minor") + more


def _rows_of(budget: Budget) -> QuerySet[Budget]:
    return Budget.objects.filter(pk=budget.pk)


def _amounts(rows: Sequence[tuple[Budget, Claim]]) -> list[dict[str, object]]:
    return [
        {
            "dimension": claim.key.dimension.value,
            "instrument": claim.key.instrument,
            "window": claim.key.window,
            "unit": claim.key.unit,
            "amount": from_minor(claim.amount_minor),
        }
        for _, claim in rows
        if claim.amount_minor
    ]


def _record(reservation: Reservation, kind: str, now: datetime, **more: object) -> None:
    events.record(
        stream=reservation_stream(reservation.source),
        kind=kind,
        actor=BUDGETS,
        subject=reservation_stream(reservation.source),
        payload={"state": reservation.state, **more},
        now=now,
    )
