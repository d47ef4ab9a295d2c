"""A filter of a long list is read off an index, the newest first."""

from django.db import migrations, models

from apps.common.indexes import AddIndexBeside


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('connectors', '0005_authorisations'),
        ('policies', '0005_similar_losses'),
    ]

    operations = [
        AddIndexBeside(
            model_name='decision',
            index=models.Index(fields=['outcome', 'decided_at'], name='decision_outcome_recent'),
        ),
        AddIndexBeside(
            model_name='decision',
            index=models.Index(fields=['gate', 'decided_at'], name='decision_gate_recent'),
        ),
        AddIndexBeside(
            model_name='reservation',
            index=models.Index(fields=['state', 'held_at'], name='reservation_state_recent'),
        ),
    ]
