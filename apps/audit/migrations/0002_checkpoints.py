from django.db import migrations, models

from apps.common.guards import InstallGuards, append_only


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Seal',
            fields=[
                ('seal_seq', models.BigIntegerField(primary_key=True, serialize=False)),
                ('event_id', models.BigIntegerField(unique=True)),
            ],
        ),
        migrations.CreateModel(
            name='Checkpoint',
            fields=[
                ('number', models.BigIntegerField(primary_key=True, serialize=False)),
                ('first_seq', models.BigIntegerField()),
                ('last_seq', models.BigIntegerField()),
                ('prev_root', models.CharField(max_length=64)),
                ('root', models.CharField(max_length=64)),
                ('sealed_at', models.DateTimeField()),
                ('key_id', models.CharField(max_length=16)),
                ('body', models.BinaryField()),
                ('signature', models.CharField(max_length=128)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('first_seq__gte', 1), ('last_seq__gte', models.F('first_seq')), ('number__gte', 1)), name='audit_checkpoint_counts_up')],
            },
        ),
        InstallGuards("audit_seal", guards=[append_only()]),
        InstallGuards("audit_checkpoint", guards=[append_only()]),
    ]
