"""Reads of connections and of what was last learned over them."""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.accounts.selectors import desks_read_by
from apps.accounts.types import Principal
from apps.common.statements import Question, Select, instance
from apps.connectors.models import BalanceRecord, Connection, ConnectionGrant, Instrument
from apps.connectors.types import Balance, InstrumentSpec

if TYPE_CHECKING:
    from apps.accounts.models import User

CASH_KEPT_S: Final = 60
_cash: dict[UUID, tuple[frozenset[str], float]] = {}

_SPEC: Final = tuple(field.name for field in fields(InstrumentSpec))
_INSTRUMENT: Final[Select[InstrumentSpec]] = Select(
    lambda connection, code: Instrument.objects.filter(connection=connection, code=code).values_list(*_SPEC),
    InstrumentSpec,
    connection=UUID,
    code=str,
)
_INSTRUMENT_AT: Final[Select[InstrumentSpec]] = Select(
    lambda slug, code: Instrument.objects.filter(connection__slug=slug, code=code).values_list(*_SPEC),
    InstrumentSpec,
    slug=str,
    code=str,
)
_BALANCES: Final[Select[Balance]] = Select(
    lambda connection: BalanceRecord.objects.filter(connection=connection).values_list("currency", "available", "held"),
    lambda currency, available, held: Balance(currency=currency, available=available, held=held),
    connection=UUID,
)


def connections_for(principal: Principal) -> QuerySet[Connection]:
    """The connections of the desks this person sits at; for a key, only those of them that it is granted."""
    found = Connection.objects.filter(desk__members=principal.user_id)
    if principal.api_key_id is not None:
        found = found.filter(grants__api_key=principal.api_key_id)
    return found.select_related("desk")


def connections_for_each(principals: Collection[Principal]) -> dict[Principal, list[Connection]]:
    """`connections_for` of many at once: three queries."""
    people, keys = {one.user_id for one in principals}, {one.api_key_id for one in principals if one.api_key_id}
    seated = Connection.objects.filter(desk__members__in=people).order_by()
    seats = set(seated.values_list("desk__members", "pk"))
    grants = ConnectionGrant.objects.filter(api_key__in=keys).order_by()
    granted = set(grants.values_list("api_key", "connection")) if keys else set()
    rows = Connection.objects.in_bulk({pk for _person, pk in seats})
    return {
        one: [
            row
            for pk, row in rows.items()
            if (one.user_id, pk) in seats and (one.api_key_id is None or (one.api_key_id, pk) in granted)
        ]
        for one in principals
    }


_OF_KEY: Final[Select[Connection]] = Select(
    lambda user, key, slug: (
        connections_for(Principal(user_id=user, api_key_id=key, name="")).filter(slug=slug, is_active=True).order_by()
    ),
    instance(Connection, beside="desk"),
    user=UUID,
    key=UUID,
    slug=str,
)
_OF_PERSON: Final[Select[Connection]] = Select(
    lambda user, slug: (
        connections_for(Principal(user_id=user, api_key_id=None, name="")).filter(slug=slug, is_active=True).order_by()
    ),
    instance(Connection, beside="desk"),
    user=UUID,
    slug=str,
)


def connection_question(principal: Principal, slug: str) -> Question[Connection]:
    """The active connection of that name, with its desk, if this caller may propose on it; else no row."""
    if principal.api_key_id is None:
        return _OF_PERSON(user=principal.user_id, slug=slug)
    return _OF_KEY(user=principal.user_id, key=principal.api_key_id, slug=slug)


def instrument_at(slug: str, code: str) -> Question[InstrumentSpec]:
    """The instrument on the connection of that name, as last read; no row where the venue never listed it.

    Only for callers of `connection_question`: it does not ask who asks.
    """
    return _INSTRUMENT_AT(slug=slug, code=code)


def may_propose_on(principal: Principal, connection_id: UUID) -> bool:
    """True if the connection is active and this caller may propose on it."""
    return connections_for(principal).filter(pk=connection_id, is_active=True).exists()


def connection_by_slug(slug: str) -> Connection | None:
    return Connection.objects.select_related("desk").filter(slug=slug).first()


def page_connections_of(viewer: "User") -> tuple[UUID, ...]:
    """The ids of the connections of the desks at which this person may read, found once for the person a page is made
    for: shown, never decided by.

    Ids and no subquery: the database knows how many rows of a ledger point to a connection, not to those of a person,
    and so from which end to read it.
    """
    if viewer.seen_connections is None:
        found = Connection.objects.filter(desk__in=desks_read_by(viewer.pk))
        viewer.seen_connections = tuple(found.order_by().values_list("pk", flat=True))
    return viewer.seen_connections


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


def tradable_codes(connection_ids: Iterable[UUID]) -> frozenset[str]:
    """What can be traded on at least one of these connections, as last read."""
    rows = Instrument.objects.filter(connection__in=list(connection_ids), tradable=True).order_by()
    return frozenset(rows.values_list("code", flat=True))


def balances_question(connection_id: UUID) -> Question[Balance]:
    """Every balance, as of `Connection.balances_as_of`."""
    return _BALANCES(connection=connection_id)


def balances_of(connection: Connection) -> Mapping[str, Balance]:
    """By currency, as of `connection.balances_as_of`."""
    return {row.currency: row for row in balances_question(connection.pk).answer}


def locked_connection(connection_id: UUID) -> Connection:
    """The connection, held until the transaction ends: what is judged on it is judged one after the other."""
    return Connection.objects.select_for_update(no_key=True, of=("self",)).select_related("desk").get(pk=connection_id)


def instrument_of(connection_id: UUID, code: str) -> Instrument | None:
    """The instrument as last read; None where the venue never listed it."""
    return Instrument.objects.filter(connection=connection_id, code=code).first()


def instrument_question(connection_id: UUID, code: str) -> Question[InstrumentSpec]:
    """The instrument as last read; no row where the venue never listed it."""
    return _INSTRUMENT(connection=connection_id, code=code)


def held_currencies(connection_id: UUID) -> set[str]:
    """Currencies of which the venue held anything when the balances were last read."""
    rows = BalanceRecord.objects.filter(connection=connection_id)
    return {row.currency for row in rows if row.available or row.held}


def cash_currencies(connection_id: UUID) -> frozenset[str]:
    """Currencies that instruments are priced in here: money, and no position. As of at most a minute ago."""
    known, until = _cash.get(connection_id, (frozenset(), 0.0))
    if not known or time.monotonic() >= until:
        codes = Instrument.objects.filter(connection=connection_id).values_list("quote_currency", flat=True)
        known = frozenset(codes.order_by().distinct())
        _cash[connection_id] = known, time.monotonic() + CASH_KEPT_S
    return known


def same_account(connection: Connection) -> list[UUID]:
    """The connections that use the same key at the same address, this one among them: they share their balances."""
    rows = Connection.objects.filter(api_base=connection.api_base, key_name=connection.key_name)
    return list(rows.values_list("pk", flat=True))


def connection_listing(desk_id: UUID, instrument: str) -> Connection | None:
    """A connection of the desk that lists this instrument, the oldest of them."""
    listing = Instrument.objects.filter(code=instrument).values("connection")
    return Connection.objects.filter(desk=desk_id, pk__in=listing).order_by("created_at", "pk").first()


def market_of(connection: Connection) -> str:
    """Where this connection's prices come from, such as `coinbase|https://api.coinbase.com`: connections of the same
    venue and address share it."""
    address = urlsplit(connection.api_base)
    return f"{connection.venue}|{address.scheme}://{address.netloc}".lower()
