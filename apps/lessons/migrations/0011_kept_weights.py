"""The mistakes a case's texts speak of are kept beside its vectors. Both columns are empty until a worker fills them."""

from django.db import migrations, models

from apps.common.indexes import AddIndexBeside


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('lessons', '0010_filtered_lists'),
    ]

    operations = [
        migrations.AddField(
            model_name='indexspace',
            name='weighed_by',
            field=models.CharField(blank=True, default='', help_text='SHA-256 of how the mistakes of its texts were found.', max_length=64),
        ),
        migrations.AddField(
            model_name='indexentry',
            name='weights',
            field=models.BinaryField(null=True),
        ),
        AddIndexBeside(
            model_name='indexentry',
            index=models.Index(condition=models.Q(('weights', None)), fields=['space', 'kind', 'state', 'id'], name='index_entry_unweighed'),
        ),
    ]
