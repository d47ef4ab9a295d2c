"""A long list is read, searched and filtered off an index: the newest first, ids and the beginnings of texts."""

from django.db import migrations, models

from apps.common.indexes import AddIndexBeside


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('audit', '0004_notice_says'),
    ]

    operations = [
        AddIndexBeside(
            model_name='event',
            index=models.Index(fields=['actor_kind', 'id'], name='audit_event_actor_kind'),
        ),
    ]
