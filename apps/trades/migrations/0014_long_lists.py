"""A long list is read, searched and filtered off an index: the newest first, ids and the beginnings of texts."""

from django.conf import settings
from django.db import migrations, models

from apps.common.indexes import AddIndexBeside


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('accounts', '0006_browser_session'),
        ('connectors', '0005_authorisations'),
        ('policies', '0005_similar_losses'),
        ('trades', '0013_told_facts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexBeside(
            model_name='authority',
            index=models.Index(fields=['created_at', 'id'], name='authority_recent'),
        ),
        AddIndexBeside(
            model_name='authority',
            index=models.Index(fields=['digest'], name='authority_digest'),
        ),
        AddIndexBeside(
            model_name='fill',
            index=models.Index(fields=['occurred_at', 'id'], name='fill_recent'),
        ),
        AddIndexBeside(
            model_name='fill',
            index=models.Index(fields=['instrument'], name='fill_instrument', opclasses=['varchar_pattern_ops']),
        ),
        AddIndexBeside(
            model_name='fill',
            index=models.Index(fields=['venue_fill_id'], name='fill_venue_id'),
        ),
        AddIndexBeside(
            model_name='order',
            index=models.Index(fields=['created_at', 'id'], name='order_recent'),
        ),
        AddIndexBeside(
            model_name='order',
            index=models.Index(fields=['instrument'], name='order_instrument', opclasses=['varchar_pattern_ops']),
        ),
        AddIndexBeside(
            model_name='order',
            index=models.Index(fields=['venue_order_id'], name='order_venue_id'),
        ),
        AddIndexBeside(
            model_name='outcome',
            index=models.Index(fields=['closed_at', 'id'], name='outcome_recent'),
        ),
        AddIndexBeside(
            model_name='outcome',
            index=models.Index(fields=['instrument'], name='outcome_instrument', opclasses=['varchar_pattern_ops']),
        ),
        AddIndexBeside(
            model_name='proposal',
            index=models.Index(fields=['created_at', 'id'], name='proposal_recent'),
        ),
        AddIndexBeside(
            model_name='proposal',
            index=models.Index(fields=['ended_at'], name='proposal_ended'),
        ),
        AddIndexBeside(
            model_name='proposal',
            index=models.Index(fields=['order_type', 'created_at'], name='proposal_type_recent'),
        ),
        AddIndexBeside(
            model_name='proposal',
            index=models.Index(fields=['instrument'], name='proposal_instrument', opclasses=['varchar_pattern_ops']),
        ),
        AddIndexBeside(
            model_name='proposalfacts',
            index=models.Index(fields=['recorded_at', 'proposal'], name='proposal_facts_recent'),
        ),
    ]
