"""A measurement says of what, when and by which rules it was made; a lesson that never helps rests.

Nothing has written a measurement before this, so that no row gets the defaults here.
"""

from datetime import UTC, datetime

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_browser_session'),
        ('lessons', '0004_knowledge_terms'),
    ]

    operations = [
        migrations.AddField(
            model_name='evaluation',
            name='answered',
            field=models.PositiveIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='evaluation',
            name='as_of',
            field=models.DateTimeField(default=datetime(2026, 1, 1, tzinfo=UTC)),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='evaluation',
            name='cases',
            field=models.PositiveIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='evaluation',
            name='code',
            field=models.CharField(default='', max_length=12),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='evaluation',
            name='held_out',
            field=models.PositiveIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='evaluation',
            name='judged',
            field=models.PositiveIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='evaluation',
            name='repeats',
            field=models.PositiveIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='evaluation',
            name='space',
            field=models.CharField(blank=True, max_length=80),
        ),
        migrations.AddField(
            model_name='lesson',
            name='rests_since',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='lesson',
            name='woken_at',
            field=models.DateTimeField(help_text='Shown again by a person: what was said before is forgotten.', null=True),
        ),
        migrations.AlterField(
            model_name='evaluation',
            name='desk',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.desk'),
        ),
        migrations.AddIndex(
            model_name='evaluation',
            index=models.Index(fields=['desk', 'made_at'], name='evaluation_desk_made'),
        ),
    ]
