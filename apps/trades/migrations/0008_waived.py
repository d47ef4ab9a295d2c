"""An authority says whether it is of paper or of live money, and without a person it is of paper only.

An order that is approved and has not left at this moment is voided by its claim: its seal did not know the column.
"""

from typing import Any

from django.db import migrations, models
from django.db.models import Q

from apps.common.guards import InstallGuards, append_only, true_copies

ENVIRONMENT_OF_CONNECTION = (
    "SELECT c.environment FROM trades_proposal p JOIN connectors_connection c ON c.id = p.connection_id "
    "WHERE p.id = NEW.proposal_id"
)


def copy_from_connections(apps: Any, schema_editor: Any) -> None:
    authorities = apps.get_model("trades", "Authority").objects
    for environment in ("paper", "live"):
        of_it = authorities.filter(proposal__connection__environment=environment).values("pk")
        authorities.filter(pk__in=list(of_it.values_list("pk", flat=True))).update(environment=environment)


class Migration(migrations.Migration):
    dependencies = [
        ("connectors", "0003_lease"),
        ("trades", "0007_halt_clearing"),
    ]

    operations = [
        InstallGuards("trades_authority", guards=[]),
        migrations.AddField("authority", "environment", models.CharField(max_length=10, default="live", help_text="Paper or live, as the connection is."), preserve_default=False),
        migrations.RunPython(copy_from_connections, migrations.RunPython.noop),
        migrations.AddConstraint(
            "authority",
            models.CheckConstraint(
                condition=Q(needed__gte=1) | Q(environment="paper"), name="authority_waived_on_paper_only"
            ),
        ),
        InstallGuards(
            "trades_authority",
            guards=[append_only(), true_copies(environment=ENVIRONMENT_OF_CONNECTION)],
        ),
    ]
