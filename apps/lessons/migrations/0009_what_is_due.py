"""What is due in a space is read off an index on both databases: SQLite takes no partial one for a bound value."""

from django.db import migrations, models

from apps.common.indexes import AddIndexBeside


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('lessons', '0008_long_lists'),
    ]

    operations = [
        AddIndexBeside(
            model_name='indexentry',
            index=models.Index(fields=['space', 'state', 'next_try_at'], name='index_entry_due'),
        ),
        migrations.RemoveIndex(
            model_name='indexentry',
            name='index_entry_pending',
        ),
    ]
