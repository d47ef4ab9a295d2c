"""What lists are called in English. No column changes."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('lessons', '0011_kept_weights'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='indexentry',
            options={'default_permissions': ('view',), 'ordering': ['-queued_at'], 'verbose_name_plural': 'index entries'},
        ),
        migrations.AlterModelOptions(
            name='recallfeedback',
            options={'default_permissions': (), 'verbose_name_plural': 'recall feedback'},
        ),
    ]
