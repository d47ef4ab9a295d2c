"""A position knows when it was opened, and so does what closing it brought: until now that said when it was sold.

Rows from before are told from their fills, walked as the bookkeeping walks them.
"""

from collections import defaultdict
from decimal import Decimal
from typing import Any

from django.db import migrations, models

from apps.common.guards import InstallGuards, no_delete


def tell_from_fills(apps: Any, schema_editor: Any) -> None:
    Fill, Outcome, Position = (apps.get_model("trades", name) for name in ("Fill", "Outcome", "Position"))
    for position in Position.objects.all():
        trades: dict[str, list[Any]] = defaultdict(list)
        rows = Fill.objects.filter(connection_id=position.connection_id, instrument=position.instrument)
        for row in rows.order_by("occurred_at", "venue_fill_id"):
            trades[row.trade_id or row.venue_fill_id].append(row)
        held, opened, closed = Decimal(0), None, {}
        for trade in sorted(trades.values(), key=lambda rows: rows[0].occurred_at):
            quantity, first = sum((row.quantity for row in trade), Decimal(0)), trade[0]
            if quantity <= 0:
                continue
            if first.side == "BUY":
                opened = opened if held else first.occurred_at
                held += quantity
                continue
            closed[first.order_id] = closed.get(first.order_id) or opened
            held = max(held - quantity, Decimal(0))
            opened = opened if held else None
        Position.objects.filter(pk=position.pk).update(opened_at=opened)
        outcomes = Outcome.objects.filter(connection_id=position.connection_id, instrument=position.instrument)
        for outcome in outcomes:
            Outcome.objects.filter(pk=outcome.pk).update(opened_at=closed.get(outcome.order_id))


def tell_the_sale(apps: Any, schema_editor: Any) -> None:
    Outcome = apps.get_model("trades", "Outcome")
    Outcome.objects.filter(opened_at=None).update(opened_at=models.F("closed_at"))


class Migration(migrations.Migration):
    dependencies = [
        ("trades", "0005_marks"),
    ]

    operations = [
        InstallGuards("trades_position", guards=[no_delete()]),
        InstallGuards("trades_outcome", guards=[no_delete()]),
        migrations.AddField("position", "opened_at", models.DateTimeField(null=True)),
        migrations.AlterField("outcome", "opened_at", models.DateTimeField(null=True)),
        migrations.RunPython(tell_from_fills, tell_the_sale),
        InstallGuards("trades_position", guards=[no_delete()]),
        InstallGuards("trades_outcome", guards=[no_delete()]),
    ]
