"""What takes a lesson out of the evidence is proposed first, and confirmed by somebody else."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('lessons', '0006_counted_by_index'),
    ]

    operations = [
        migrations.AddField(
            model_name='lesson',
            name='taking_out',
            field=models.JSONField(help_text='What one reviewer would take out of the evidence, until another one confirms it.', null=True),
        ),
    ]
