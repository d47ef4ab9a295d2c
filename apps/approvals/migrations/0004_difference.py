"""A vote keeps what its voter wrote to be different this time; the votes there are were not asked."""

from importlib import import_module

from django.db import migrations, models

from apps.common.guards import InstallGuards, append_only, true_copies

# A module whose name begins with a digit is imported by name.
_BEFORE = import_module("apps.approvals.migrations.0003_second_factor")


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0003_second_factor"),
    ]

    operations = [
        InstallGuards("approvals_vote", guards=[]),
        migrations.AddField(
            "vote",
            "difference",
            models.TextField(
                blank=True, default="", help_text="What is different this time, where similar trades lost."
            ),
            preserve_default=False,
        ),
        InstallGuards(
            "approvals_vote",
            guards=[
                append_only(),
                true_copies(
                    proposer_id=_BEFORE.OF_PROPOSAL.format(column="p.proposer_id"),
                    environment=_BEFORE.OF_PROPOSAL.format(column="c.environment"),
                ),
                _BEFORE.BY_OWN_KEY,
            ],
        ),
    ]
