"""A vote keeps the second factor that was shown for it; the votes there are had none."""

from django.db import migrations, models

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


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0002_desk_of_one"),
    ]

    operations = [
        InstallGuards("approvals_vote", guards=[]),
        migrations.AddField(
            "vote",
            "second_factor",
            models.CharField(
                blank=True,
                default="",
                help_text="Shown for this vote: its kind and a fingerprint. Empty: none was.",
                max_length=40,
            ),
            preserve_default=False,
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
