from django.db import migrations

from apps.common.guards import InstallGuards, append_only, frozen_columns, no_delete


class Migration(migrations.Migration):
    dependencies = [("connectors", "0001_initial")]

    operations = [
        # Paper must not become live by an UPDATE, nor a key's address be bent to another host.
        InstallGuards(
            "connectors_connection",
            guards=[
                no_delete(),
                frozen_columns("slug", "desk_id", "venue", "environment", "api_base", name="identity"),
            ],
        ),
        InstallGuards("connectors_connectorcheck", guards=[append_only()]),
    ]
