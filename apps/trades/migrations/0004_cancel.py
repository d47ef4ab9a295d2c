"""Who asked for an order to be canceled, and when the venue is asked (again). The wish, once written, stays."""

from django.db import migrations, models

from apps.common.guards import InstallGuards, frozen_columns, no_delete, transitions

# As they stood before this migration, and after it; types.py has today's.
MOVES_BEFORE = (
    ("INITIALIZED", "SUBMITTED"),
    ("INITIALIZED", "CANCELED"),
    ("SUBMITTED", "INITIALIZED"),
    ("SUBMITTED", "ACCEPTED"),
    ("SUBMITTED", "REJECTED"),
    ("SUBMITTED", "UNKNOWN"),
    ("UNKNOWN", "ACCEPTED"),
    ("UNKNOWN", "REJECTED"),
    ("UNKNOWN", "ABANDONED"),
    ("ACCEPTED", "PARTIALLY_FILLED"),
    ("ACCEPTED", "CANCEL_REQUESTED"),
    ("ACCEPTED", "REJECTED"),
    ("PARTIALLY_FILLED", "CANCEL_REQUESTED"),
    *(
        (working, ended)
        for working in ("ACCEPTED", "PARTIALLY_FILLED", "CANCEL_REQUESTED")
        for ended in ("FILLED", "CANCELED", "EXPIRED")
    ),
)
MOVES = (*MOVES_BEFORE, ("CANCEL_REQUESTED", "REJECTED"))
FROZEN = (
    "id", "proposal_id", "authority_id", "attempt", "connection_id", "instrument", "side", "client_order_id",
    "request_body", "request_digest", "quantity", "worst_price", "reserved_currency", "reserved_amount",
    "notional_minor", "created_at",
)  # fmt: skip
GUARDS_BEFORE = [
    no_delete(),
    transitions("state", MOVES_BEFORE, initial=["INITIALIZED"]),
    frozen_columns(*FROZEN),
    frozen_columns("venue_order_id", when="OLD.venue_order_id <> ''", name="venue_order"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("trades", "0003_reconciliation"),
    ]

    operations = [
        InstallGuards("trades_order", guards=GUARDS_BEFORE),
        migrations.AddField(
            model_name="order",
            name="cancel_attempts",
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="order",
            name="cancel_next_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="order",
            name="cancel_reason",
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name="order",
            name="cancel_requested_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="order",
            name="cancel_requested_by",
            field=models.CharField(blank=True, max_length=200),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                condition=models.Q(("cancel_requested_at__isnull", False)),
                fields=["cancel_next_at"],
                name="order_to_cancel",
            ),
        ),
        InstallGuards(
            "trades_order",
            guards=[
                no_delete(),
                transitions("state", MOVES, initial=["INITIALIZED"]),
                frozen_columns(*FROZEN),
                frozen_columns("venue_order_id", when="OLD.venue_order_id <> ''", name="venue_order"),
                frozen_columns(
                    "cancel_requested_at",
                    "cancel_requested_by",
                    "cancel_reason",
                    when="OLD.cancel_requested_at IS NOT NULL",
                    name="cancel_wish",
                ),
            ],
        ),
    ]
