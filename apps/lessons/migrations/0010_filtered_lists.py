"""A filter of a long list is read off an index, the newest first."""

from django.conf import settings
from django.db import migrations, models

from apps.common.indexes import AddIndexBeside


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('accounts', '0007_api_key_refused'),
        ('lessons', '0009_what_is_due'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexBeside(
            model_name='case',
            index=models.Index(fields=['result', 'closed_at'], name='case_result_recent'),
        ),
        AddIndexBeside(
            model_name='case',
            index=models.Index(fields=['verdict', 'closed_at'], name='case_verdict_recent'),
        ),
        AddIndexBeside(
            model_name='case',
            index=models.Index(fields=['counts', 'closed_at'], name='case_counts_recent'),
        ),
        AddIndexBeside(
            model_name='case',
            index=models.Index(fields=['source', 'closed_at'], name='case_source_recent'),
        ),
        AddIndexBeside(
            model_name='casetag',
            index=models.Index(fields=['tag', 'case'], name='case_tag_tag'),
        ),
        AddIndexBeside(
            model_name='indexentry',
            index=models.Index(fields=['state', 'queued_at'], name='index_entry_state_recent'),
        ),
        AddIndexBeside(
            model_name='indexentry',
            index=models.Index(fields=['kind', 'queued_at'], name='index_entry_kind_recent'),
        ),
        AddIndexBeside(
            model_name='lesson',
            index=models.Index(fields=['rests_since'], name='lesson_rests'),
        ),
        AddIndexBeside(
            model_name='recall',
            index=models.Index(fields=['purpose', 'asked_at'], name='recall_purpose_recent'),
        ),
        AddIndexBeside(
            model_name='recall',
            index=models.Index(fields=['withheld', 'asked_at'], name='recall_withheld_recent'),
        ),
        AddIndexBeside(
            model_name='recall',
            index=models.Index(fields=['degraded', 'asked_at'], name='recall_degraded_recent'),
        ),
    ]
