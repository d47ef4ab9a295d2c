"""A desk of one may approve what its own key asked for, on paper; nobody else's votes change."""

from typing import Any

from django.db import migrations, models
from django.db.models import F, Q

from apps.common.guard_triggers import Refusal
from apps.common.guards import Guard, InstallGuards, append_only, true_copies

OF_PROPOSAL = (
    "SELECT {column} FROM trades_proposal p JOIN connectors_connection c ON c.id = p.connection_id "
    "WHERE p.id = NEW.proposal_id"
)
# A person who asked by hand is refused: only their key is another than they.
BY_OWN_KEY = Guard(
    "own_key",
    (Refusal("own_key", "INSERT", f"NEW.desk_of_one AND ({OF_PROPOSAL.format(column='p.api_key_id')}) IS NULL"),),
)


def copy_from_connections(apps: Any, schema_editor: Any) -> None:
    votes = apps.get_model("approvals", "Vote").objects
    for environment in ("paper", "live"):
        of_it = votes.filter(proposal__connection__environment=environment).values_list("pk", flat=True)
        votes.filter(pk__in=list(of_it)).update(environment=environment)


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0001_initial"),
        ("trades", "0008_waived"),
    ]

    operations = [
        InstallGuards("approvals_vote", guards=[]),
        migrations.AddField(
            "vote",
            "environment",
            models.CharField(max_length=10, default="live", help_text="Paper or live, as the connection is."),
            preserve_default=False,
        ),
        migrations.AddField(
            "vote",
            "desk_of_one",
            models.BooleanField(default=False, help_text="On what an own key asked for: nobody else looked at it."),
        ),
        migrations.RunPython(copy_from_connections, migrations.RunPython.noop),
        migrations.RemoveConstraint("vote", "vote_approver_is_not_proposer"),
        migrations.AddConstraint(
            "vote",
            models.CheckConstraint(
                condition=Q(verb="DECLINE") | ~Q(approver=F("proposer")) | Q(desk_of_one=True, environment="paper"),
                name="vote_approver_is_not_proposer",
            ),
        ),
        InstallGuards(
            "approvals_vote",
            guards=[
                append_only(),
                true_copies(
                    proposer_id=OF_PROPOSAL.format(column="p.proposer_id"),
                    environment=OF_PROPOSAL.format(column="c.environment"),
                ),
                BY_OWN_KEY,
            ],
        ),
    ]
