"""A second venue, which is only read."""

from typing import Any

from django.db import migrations, models
from django.db.models import Q

from apps.common.guards import InstallGuards, frozen_columns, no_delete

CONNECTION = [
    no_delete(),
    frozen_columns("slug", "desk_id", "venue", "environment", "api_base", name="identity"),
]


def _rename_without_looking(on: bool) -> Any:
    """SQLite rebuilds the table under another name, and would refuse to give it its own back: guards of votes and of
    authorities ask about it. They name it as it is named again a moment later."""

    def change(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "sqlite":
            schema_editor.execute(f"PRAGMA legacy_alter_table = {'ON' if on else 'OFF'}", None)

    return change


class Migration(migrations.Migration):
    dependencies = [("connectors", "0003_lease")]

    operations = [
        InstallGuards("connectors_connection", guards=CONNECTION),
        migrations.RunPython(_rename_without_looking(True), _rename_without_looking(False)),
        migrations.RemoveConstraint("connection", "connection_venue_known"),
        migrations.AlterField(
            "connection",
            "venue",
            models.CharField(
                choices=[
                    ("coinbase", "Coinbase Advanced Trade"),
                    ("robinhood", "Robinhood Crypto (read only: no trading)"),
                ],
                default="coinbase",
                max_length=20,
            ),
        ),
        migrations.AddConstraint(
            "connection",
            models.CheckConstraint(
                condition=Q(venue__in=["coinbase", "robinhood"]), name="connection_venue_known"
            ),
        ),
        migrations.RunPython(_rename_without_looking(False), _rename_without_looking(True)),
        InstallGuards("connectors_connection", guards=CONNECTION),
    ]
