"""A long list is read, searched and filtered off an index: the newest first, ids and the beginnings of texts."""

from django.conf import settings
from django.db import migrations, models

from apps.common.indexes import AddIndexBeside


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('accounts', '0006_browser_session'),
        ('lessons', '0007_two_take_out'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexBeside(
            model_name='case',
            index=models.Index(fields=['closed_at', 'id'], name='case_recent'),
        ),
        AddIndexBeside(
            model_name='case',
            index=models.Index(fields=['product'], name='case_product', opclasses=['varchar_pattern_ops']),
        ),
        AddIndexBeside(
            model_name='case',
            index=models.Index(fields=['source_id'], name='case_source_id'),
        ),
        AddIndexBeside(
            model_name='indexentry',
            index=models.Index(fields=['queued_at', 'id'], name='index_entry_recent'),
        ),
        AddIndexBeside(
            model_name='indexentry',
            index=models.Index(fields=['subject'], name='index_entry_subject'),
        ),
        AddIndexBeside(
            model_name='recall',
            index=models.Index(fields=['asked_at', 'id'], name='recall_recent'),
        ),
    ]
