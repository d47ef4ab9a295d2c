"""What was approved on a connection lately is read off an index, however much was denied or waits."""

from django.conf import settings
from django.db import migrations, models

from apps.common.indexes import AddIndexBeside


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('accounts', '0006_browser_session'),
        ('connectors', '0005_authorisations'),
        ('policies', '0005_similar_losses'),
        ('trades', '0015_filtered_lists'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexBeside(
            model_name='proposal',
            index=models.Index(fields=['connection', 'state', '-created_at'], name='proposal_state_recent'),
        ),
    ]
