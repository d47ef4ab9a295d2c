"""A telling says whether its alarm is open, was acknowledged, or is over."""

from django.db import migrations, models

from apps.common.guards import InstallGuards, frozen_columns, no_delete, transitions

MOVES = [("OWED", "DELIVERED"), ("OWED", "SUPERSEDED"), ("OWED", "MOOT")]


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0003_alarm_notices'),
    ]

    operations = [
        migrations.AddField(
            model_name='notice',
            name='says',
            field=models.CharField(choices=[('OPEN', 'open'), ('ACKNOWLEDGED', 'acknowledged'), ('OVER', 'over')], default='OPEN', max_length=12),
        ),
        InstallGuards(
            "audit_notice",
            guards=[
                no_delete(),
                frozen_columns("id", "alarm_id", "number", "says", "channel", "key", "owed_since"),
                transitions("state", MOVES, initial=["OWED"]),
            ],
        ),
    ]
