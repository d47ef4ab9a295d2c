"""Budgets begin with what is there: orders that are alive, or traded today, without a reservation, and all positions.

An installation that traded before there were budgets would else start with empty ones: limits would have room that is
taken, and the watch would halt what it finds without a reservation.
"""

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal

from django.db import migrations

from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.money import ceil_to, from_minor, minor_up, product, total

ALIVE = ("INITIALIZED", "SUBMITTED", "UNKNOWN", "ACCEPTED", "PARTIALLY_FILLED", "CANCEL_REQUESTED")
DAY, GROSS, POSITION, UNITS = "DAILY_NOTIONAL", "GROSS_EXPOSURE", "POSITION", "POSITION_QUANTITY"
ZERO, ONE, RATE_STEP = Decimal(0), Decimal(1), Decimal("1e-18")


class _Beginning:
    """One run: the rows of budgets it needs, each found or made once, and what it adds to them."""

    def __init__(self, apps, alias, now):
        self.models = {
            name: apps.get_model(*name.split(".")).objects.using(alias)
            for name in (
                "policies.Budget", "policies.Reservation", "policies.ReservedAmount", "trades.Order", "trades.Fill",
                "trades.Position",
            )
        }  # fmt: skip
        self.now = now
        self.budgets = {}

    def budget(self, connection, dimension, instrument="", window="", unit=""):
        """The row, without a limit where it is new: the watch writes the limits of the active policy within a minute."""
        key = {
            "connection_id": connection.pk, "dimension": dimension, "instrument": instrument, "window": window,
            "unit": unit,
        }  # fmt: skip
        known = tuple(key.values())
        if known not in self.budgets:
            made = {"created_at": self.now, "updated_at": self.now}
            self.budgets[known], _ = self.models["policies.Budget"].get_or_create(**key, defaults=made)
        return self.budgets[known]

    def write(self, budget):
        """A limit below what is in use stays, and the effective one is what is in use."""
        in_use = budget.reserved_minor + budget.used_minor
        limit = budget.limit_minor
        budget.effective_limit_minor = None if limit is None else max(limit, in_use)
        budget.updated_at = self.now
        budget.save()

    def orders(self):
        """Those that are to have a reservation and have none."""
        reserved = set(self.models["policies.Reservation"].values_list("source", flat=True))
        today = datetime.combine(self.now.date(), datetime.min.time(), tzinfo=UTC)
        rows = self.models["trades.Order"].select_related("proposal", "authority", "connection__desk").order_by("created_at", "pk")
        alive = rows.filter(state__in=ALIVE)
        traded = rows.exclude(state__in=ALIVE).filter(created_at__gte=today, fills__isnull=False).distinct()
        return [order for found in (alive, traded) for order in found if str(order.pk) not in reserved]

    def begin(self, order):
        """The reservation that the order's approval would have made, brought to where the order stands."""
        fills = list(self.models["trades.Fill"].filter(order_id=order.pk))
        traded = max(total(product(fill.quantity, fill.price) for fill in fills), ZERO)
        whole, done = order.quantity, total(fill.quantity for fill in fills)
        if order.proposal.quote_quantity is not None:
            whole, done = order.proposal.quote_quantity, traded
        alive, rate = order.state in ALIVE, rate_of(order)
        reservation = self.models["policies.Reservation"].create(
            source=str(order.pk), connection_id=order.connection_id, rate=rate, state="HELD", held_at=order.created_at
        )
        for budget, amount in self.amounts(order):
            held = still_held(amount, max(whole - done, ZERO), whole) if alive else 0
            used = minor_up(product(traded, rate)) if budget.dimension == DAY else 0
            self.models["policies.ReservedAmount"].create(
                reservation=reservation, budget=budget, amount_minor=amount, held_minor=held, used_minor=used
            )
            budget.reserved_minor += held
            budget.used_minor += used
            self.write(budget)
        if not alive:
            reservation.state = "CONSUMED" if traded else "RELEASED"
            reservation.ended_at, reservation.reason = order.closed_at or self.now, order.state
            reservation.save()

    def amounts(self, order):
        """(budget, amount) of each sum the order shares in, as its approval would have taken them."""
        connection, proposal = order.connection, order.proposal
        reporting, day = connection.desk.reporting_currency, order.created_at.astimezone(UTC).date().isoformat()
        bought = order.side == "BUY"
        yield self.budget(connection, DAY, window=day, unit=reporting), order.notional_minor
        yield self.budget(connection, GROSS, unit=reporting), order.notional_minor if bought else 0
        at_cost = self.budget(connection, POSITION, instrument=order.instrument, unit=reporting)
        yield at_cost, order.notional_minor if bought else 0
        units = self.budget(connection, UNITS, instrument=order.instrument, unit=proposal.base_currency)
        yield units, minor_up(most_units(order)) if bought else 0

    def hold(self):
        """What the books hold is what the budgets of holdings are used by, at cost."""
        sums = defaultdict(int)
        for position in self.models["trades.Position"].select_related("connection__desk"):
            connection, cost = position.connection, ZERO
            reporting = connection.desk.reporting_currency
            if position.average_entry_price is not None:
                cost = product(position.quantity, position.average_entry_price)
            rate = self.last_rate(position, reporting)
            at_cost = self.budget(connection, POSITION, instrument=position.instrument, unit=reporting)
            at_cost.used_minor, at_cost.rate = minor_up(product(cost, rate)), rate
            self.write(at_cost)
            units = self.budget(connection, UNITS, instrument=position.instrument, unit=position.base_currency)
            units.used_minor = minor_up(position.quantity) if cost else 0
            self.write(units)
            sums[connection] += at_cost.used_minor
        for connection, used in sums.items():
            gross = self.budget(connection, GROSS, unit=connection.desk.reporting_currency)
            gross.used_minor = used
            self.write(gross)
        return len(sums)

    def last_rate(self, position, reporting):
        """What was counted last where a budget knows it; else the rate of the newest order of the instrument."""
        if position.quote_currency == reporting:
            return ONE
        known = self.budget(position.connection, POSITION, instrument=position.instrument, unit=reporting)
        if known.rate is not None:
            return known.rate
        orders = self.models["trades.Order"].select_related("proposal", "connection__desk")
        newest = orders.filter(connection_id=position.connection_id, instrument=position.instrument)
        order = newest.order_by("-created_at").first()
        return ONE if order is None else rate_of(order)


def rate_of(order):
    """Reporting currency per quote currency at the approval: what it was worth in the one and in the other."""
    if order.proposal.quote_currency == order.connection.desk.reporting_currency:
        return ONE
    worth = order.proposal.quote_quantity
    if worth is None:
        worth = product(order.quantity, order.worst_price)
    return ceil_to(from_minor(order.notional_minor) / worth, RATE_STEP) if worth else ONE


def most_units(order):
    """Base units an order can buy. One by worth buys more of what is cheaper: at least at a price as far below the
    middle of the approval as the worst one is above it, which is below what the approval went by."""
    worth, middle = order.proposal.quote_quantity, order.authority.reference_mid
    lowest = 2 * middle - order.worst_price
    return order.quantity if worth is None or lowest <= 0 else max(ceil_to(worth / lowest, RATE_STEP), order.quantity)


def still_held(amount, remaining, whole):
    """The part of an amount that belongs to what may still execute, rounded up."""
    if remaining >= whole or not whole:
        return amount
    (part, of_part), (all_, of_all) = remaining.as_integer_ratio(), whole.as_integer_ratio()
    return -(-amount * part * of_all // (of_part * all_))


def begin_budgets(apps, schema_editor):
    now = datetime.now(UTC)
    beginning = _Beginning(apps, schema_editor.connection.alias, now)
    orders = beginning.orders()
    if not orders and not beginning.models["trades.Position"].exists():
        return
    for order in orders:
        beginning.begin(order)
    connections = beginning.hold()
    events.record(
        stream="database:budgets",
        kind="budgets.begun",
        actor=Actor.system("migration"),
        subject="database:budgets",
        payload={"orders": [str(order.pk) for order in orders], "connections_with_positions": connections},
        now=now,
    )


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0002_checkpoints'),
        ('policies', '0004_latches'),
        ('trades', '0009_run_lease'),
    ]

    # Back: the rows stay. They are what the code before this migration would have made, and counts them alike.
    operations = [migrations.RunPython(begin_budgets, migrations.RunPython.noop)]
