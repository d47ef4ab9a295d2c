"""What a proposer asked lately, and what came of it, is counted off an index: a busy month reads no row for it."""

from django.conf import settings
from django.db import migrations, models

from apps.common.indexes import AddIndexBeside


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('accounts', '0006_browser_session'),
        ('connectors', '0005_authorisations'),
        ('policies', '0005_similar_losses'),
        ('trades', '0018_order_fees'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexBeside(
            model_name='proposal',
            index=models.Index(fields=['proposer', '-created_at', 'api_key', 'state'], name='proposal_proposer_record'),
        ),
        migrations.RemoveIndex(
            model_name='proposal',
            name='proposal_proposer_recent',
        ),
    ]
