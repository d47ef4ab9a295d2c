"""What policy counts is read off indexes alone."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_browser_session'),
        ('lessons', '0005_does_it_help'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='case',
            name='case_counted',
        ),
        migrations.RemoveIndex(
            model_name='casetag',
            name='case_tag_counted',
        ),
        migrations.RemoveIndex(
            model_name='caseviolation',
            name='case_violation_counted',
        ),
        migrations.AddIndex(
            model_name='case',
            index=models.Index(condition=models.Q(('counts', True)), fields=['desk', 'closed_at', 'result', 'source'], name='case_counted'),
        ),
        migrations.AddIndex(
            model_name='case',
            index=models.Index(condition=models.Q(('counts', True)), fields=['id', 'result', 'verdict', 'source', 'proposal_id', 'r_multiple'], name='case_weighed'),
        ),
        migrations.AddIndex(
            model_name='casetag',
            index=models.Index(condition=models.Q(('counts', True)), fields=['desk', 'tag', 'closed_at', 'case'], name='case_tag_counted'),
        ),
        migrations.AddIndex(
            model_name='caseviolation',
            index=models.Index(fields=['desk', 'fact', 'closed_at', 'case'], name='case_violation_counted'),
        ),
    ]
