"""A comparison is held by a lease that it renews."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('trades', '0008_waived'),
    ]

    operations = [
        migrations.AddField(
            model_name='reconciliationrun',
            name='lease_until',
            field=models.DateTimeField(null=True),
        ),
    ]
