"""A key remembers the last address that was refused with its whole secret: the sweep for alarms goes by it."""

from django.db import migrations, models

from apps.common.guards import InstallGuards, frozen_columns, no_delete

HELD = (
    "owner_id",
    "prefix",
    "secret_hash",
    "scopes",
    "expires_at",
    "created_at",
    "networks",
    "requests_per_minute",
    "rotated_from_id",
)
REVOKED = frozen_columns("revoked_at", when='OLD."revoked_at" IS NOT NULL', name="revoked_for_good")
SOONER = frozen_columns(
    "ends_at", when='OLD."ends_at" IS NOT NULL AND (NEW."ends_at" IS NULL OR NEW."ends_at" > OLD."ends_at")', name="sooner"
)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_browser_session'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='refused_address',
            field=models.CharField(blank=True, editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name='apikey',
            name='refused_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        InstallGuards("accounts_apikey", guards=[no_delete(), frozen_columns(*HELD), REVOKED, SOONER]),
    ]
