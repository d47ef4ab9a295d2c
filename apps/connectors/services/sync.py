"""What a venue says, into our rows: read outside a transaction, written in a short one."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from apps.common.decimals import parse_decimal
from apps.common.errors import Invalid
from apps.connectors.models import BalanceRecord, Connection, Instrument
from apps.connectors.services.venue import capabilities_of, connect
from apps.connectors.types import Balance, InstrumentSpec

_NUMBERS = (
    "price_increment",
    "quantity_increment",
    "quote_increment",
    "min_quantity",
    "max_quantity",
    "min_notional",
    "max_notional",
)
_COLUMNS = ("base_currency", "quote_currency", *_NUMBERS, "tradable", "cancel_only", "limit_only", "post_only")


def refresh_instruments(connection: Connection, now: datetime) -> int:
    """Read and store what the venue trades; the number of instruments. One it no longer lists becomes untradable.

    Raises what reading from the venue raises; then nothing is changed.
    """
    specs = [spec for spec in connect(connection).instruments() if _fits(spec)]
    rows = [
        Instrument(
            connection=connection, code=spec.code, fetched_at=now, **{name: getattr(spec, name) for name in _COLUMNS}
        )
        for spec in specs
    ]
    with transaction.atomic():
        Instrument.objects.bulk_create(
            rows,
            batch_size=200,
            update_conflicts=True,
            unique_fields=["connection", "code"],
            update_fields=[*_COLUMNS, "fetched_at"],
        )
        gone = Instrument.objects.filter(connection=connection, tradable=True).filter(~Q(fetched_at=now))
        gone.update(tradable=False, fetched_at=now)
        Connection.objects.filter(pk=connection.pk).update(instruments_as_of=now)
    connection.instruments_as_of = now
    return len(rows)


def refresh_balances(connection: Connection, now: datetime) -> tuple[Balance, ...]:
    """Read and store the balances as one snapshot of `now`. A currency the venue no longer lists is zero."""
    balances = connect(connection).balances()
    with transaction.atomic():
        # Locked, so that two snapshots do not mix: the rows of a connection are of one instant.
        Connection.objects.select_for_update().get(pk=connection.pk)
        BalanceRecord.objects.filter(connection=connection).delete()
        BalanceRecord.objects.bulk_create(
            [
                BalanceRecord(
                    connection=connection, currency=item.currency, available=item.available, held=item.held, as_of=now
                )
                for item in balances
            ]
        )
        Connection.objects.filter(pk=connection.pk).update(balances_as_of=now)
    connection.balances_as_of = now
    return balances


def refresh_fees(connection: Connection, now: datetime) -> None:
    """Read and store the fee rates of the connection's tier. A venue that tells none is as asked, and has none."""
    if not capabilities_of(connection.venue).fee_rates:
        Connection.objects.filter(pk=connection.pk).update(fees_as_of=now)
        connection.fees_as_of = now
        return
    rates = connect(connection).fee_rates()
    Connection.objects.filter(pk=connection.pk).update(fee_taker=rates.taker, fee_maker=rates.maker, fees_as_of=now)
    connection.fee_taker, connection.fee_maker, connection.fees_as_of = rates.taker, rates.maker, now


def _fits(spec: InstrumentSpec) -> bool:
    """Whether our columns hold its numbers exactly; one that they cannot hold cannot be traded exactly."""
    try:
        for name in _NUMBERS:
            parse_decimal(format(getattr(spec, name).normalize(), "f"), field=name)
    except Invalid:
        return False
    return True
