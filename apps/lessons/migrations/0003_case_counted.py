"""Counting the closed trades of a desk reads one index."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_browser_session'),
        ('lessons', '0002_index_claims'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='case',
            index=models.Index(condition=models.Q(('counts', True)), fields=['desk', 'closed_at', 'result'], name='case_counted'),
        ),
    ]
