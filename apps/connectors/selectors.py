"""Reads of connections and of what was last learned over them."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from django.core.cache import cache
from django.db.models import Q, QuerySet

from apps.accounts.types import Principal
from apps.connectors.models import BalanceRecord, Connection, Instrument
from apps.connectors.types import Balance, InstrumentSpec

CASH_KEPT_S: Final = 60


def connections_for(principal: Principal) -> QuerySet[Connection]:
    """The connections of the desks this person sits at; for a key, only those of them that it is granted."""
    found = Connection.objects.filter(desk__members=principal.user_id)
    if principal.api_key_id is not None:
        found = found.filter(grants__api_key=principal.api_key_id)
    return found.select_related("desk")


def may_propose_on(principal: Principal, connection_id: UUID) -> bool:
    """True if the connection is active and this caller may propose on it."""
    return connections_for(principal).filter(pk=connection_id, is_active=True).exists()


def connection_by_slug(slug: str) -> Connection | None:
    return Connection.objects.select_related("desk").filter(slug=slug).first()


def active_connections() -> QuerySet[Connection]:
    return Connection.objects.active().select_related("desk")


def all_connections() -> QuerySet[Connection]:
    """Every connection, also those switched off."""
    return Connection.objects.select_related("desk").order_by("slug")


def instrument_spec(connection_id: UUID, code: str) -> InstrumentSpec | None:
    """The instrument as last read, with `fetched_at`; None where the venue never listed it."""
    row = Instrument.objects.filter(connection=connection_id, code=code).first()
    return row.as_spec() if row else None


def instruments_of(connection_id: UUID, *, codes: tuple[str, ...] = ()) -> QuerySet[Instrument]:
    """What the connection's venue lists; only `codes`, where some are given."""
    return Instrument.objects.filter(Q(code__in=codes) if codes else Q(), connection=connection_id)


def balances_of(connection: Connection) -> Mapping[str, Balance]:
    """By currency, as of `connection.balances_as_of`."""
    return {
        row.currency: Balance(currency=row.currency, available=row.available, held=row.held)
        for row in connection.balances.all()
    }


def locked_connection(connection_id: UUID) -> Connection:
    """The connection, held until the transaction ends: what is judged on it is judged one after the other."""
    return Connection.objects.select_for_update(no_key=True, of=("self",)).select_related("desk").get(pk=connection_id)


def instrument_of(connection_id: UUID, code: str) -> Instrument | None:
    """The instrument as last read; None where the venue never listed it."""
    return Instrument.objects.filter(connection=connection_id, code=code).first()


def held_currencies(connection_id: UUID) -> set[str]:
    """Currencies of which the venue held anything when the balances were last read."""
    rows = BalanceRecord.objects.filter(connection=connection_id)
    return {row.currency for row in rows if row.available or row.held}


def cash_currencies(connection_id: UUID) -> set[str]:
    """Currencies that instruments are priced in here: money, and no position."""
    key = f"cash:{connection_id}"
    known: set[str] | None = cache.get(key)
    if not known:
        codes = Instrument.objects.filter(connection=connection_id).values_list("quote_currency", flat=True)
        known = set(codes.order_by().distinct())
        cache.set(key, known, timeout=CASH_KEPT_S)
    return known


def same_account(connection: Connection) -> list[UUID]:
    """The connections that use the same key at the same address, this one among them: they share their balances."""
    rows = Connection.objects.filter(api_base=connection.api_base, key_name=connection.key_name)
    return list(rows.values_list("pk", flat=True))
