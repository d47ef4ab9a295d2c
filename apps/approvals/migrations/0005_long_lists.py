"""A long list is read, searched and filtered off an index: the newest first, ids and the beginnings of texts."""

from django.conf import settings
from django.db import migrations, models

from apps.common.indexes import AddIndexBeside


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('approvals', '0004_difference'),
        ('policies', '0005_similar_losses'),
        ('trades', '0012_outcomes_remembered'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexBeside(
            model_name='vote',
            index=models.Index(fields=['created_at', 'id'], name='vote_recent'),
        ),
        AddIndexBeside(
            model_name='vote',
            index=models.Index(fields=['verb', 'created_at'], name='vote_verb_recent'),
        ),
    ]
