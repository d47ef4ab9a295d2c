"""A report may tell what was known when its trade was decided."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('trades', '0012_outcomes_remembered'),
    ]

    operations = [
        migrations.AddField(
            model_name='reportedoutcome',
            name='facts',
            field=models.JSONField(help_text='What is told of the moment it was decided, decimals as text.', null=True),
        ),
    ]
