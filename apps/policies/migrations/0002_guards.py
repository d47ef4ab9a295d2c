"""What the database refuses: rules that left draft do not change, decisions never do. And trading begins ACTIVE."""

from datetime import UTC, datetime

from django.db import migrations

from apps.common.guards import (
    InstallGuards,
    append_only,
    frozen_columns,
    frozen_when,
    no_delete,
    transitions,
)

OUT_OF_DRAFT = (
    "EXISTS (SELECT 1 FROM policies_policyversion v WHERE v.id = {row}.version_id AND v.state <> 'DRAFT')"
)


def begin_active(apps, schema_editor):
    """Without this row everything counts as halted."""
    apps.get_model("policies", "TradingState").objects.using(schema_editor.connection.alias).get_or_create(
        scope="global",
        defaults={
            "state": "ACTIVE",
            "reason": "Trading begins.",
            "changed_by": "migration",
            "changed_at": datetime.now(UTC),
        },
    )


class Migration(migrations.Migration):
    dependencies = [("policies", "0001_initial")]
    operations = [
        migrations.RunPython(begin_active, migrations.RunPython.noop),
        InstallGuards("policies_policyset", guards=[no_delete(), frozen_columns("id", "slug", "desk_id")]),
        InstallGuards(
            "policies_policyversion",
            guards=[
                no_delete(),
                transitions(
                    "state", [("DRAFT", "ACTIVE"), ("DRAFT", "RETIRED"), ("ACTIVE", "RETIRED")], initial=["DRAFT"]
                ),
                frozen_columns("id", "policy_set_id", "number", "author_id", "created_at", name="identity"),
                frozen_columns(
                    "digest", "note", "activated_by_id", "activated_at", when="OLD.\"state\" <> 'DRAFT'", name="frozen"
                ),
            ],
        ),
        InstallGuards("policies_rule", guards=[frozen_when(OUT_OF_DRAFT)]),
        InstallGuards("policies_decision", guards=[append_only()]),
        InstallGuards("policies_tradingstate", guards=[no_delete(), frozen_columns("scope", "connection_id")]),
    ]
