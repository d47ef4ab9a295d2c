"""A filter of a long list is read off an index, the newest first."""

from django.conf import settings
from django.db import migrations, models

from apps.common.indexes import AddIndexBeside


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('accounts', '0007_api_key_refused'),
        ('connectors', '0005_authorisations'),
        ('policies', '0006_filtered_lists'),
        ('trades', '0014_long_lists'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexBeside(
            model_name='fill',
            index=models.Index(fields=['side', 'occurred_at'], name='fill_side_recent'),
        ),
        AddIndexBeside(
            model_name='fill',
            index=models.Index(fields=['trade_type', 'occurred_at'], name='fill_type_recent'),
        ),
        AddIndexBeside(
            model_name='order',
            index=models.Index(fields=['side', 'created_at'], name='order_side_recent'),
        ),
        AddIndexBeside(
            model_name='proposal',
            index=models.Index(fields=['side', 'created_at'], name='proposal_side_recent'),
        ),
    ]
