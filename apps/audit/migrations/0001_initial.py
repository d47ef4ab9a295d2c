from django.db import migrations, models

from apps.common.guards import InstallGuards, append_only, frozen_columns, no_delete


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='StreamHead',
            fields=[
                ('stream', models.CharField(max_length=120, primary_key=True, serialize=False)),
                ('seq', models.PositiveBigIntegerField()),
                ('hash', models.CharField(max_length=64)),
                ('last_id', models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='Alarm',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('code', models.CharField(max_length=80)),
                ('subject', models.CharField(max_length=120)),
                ('message', models.CharField(max_length=500)),
                ('since', models.DateTimeField()),
                ('acknowledged_by', models.CharField(blank=True, max_length=200)),
                ('acknowledged_at', models.DateTimeField(blank=True, null=True)),
                ('cleared_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'permissions': [('acknowledge_alarm', 'Can acknowledge an alarm')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('cleared_at', None)), fields=('code', 'subject'), name='audit_alarm_one_open')],
            },
        ),
        migrations.CreateModel(
            name='Event',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('stream', models.CharField(max_length=120)),
                ('seq', models.PositiveBigIntegerField()),
                ('kind', models.CharField(max_length=80)),
                ('actor_kind', models.CharField(choices=[('user', 'user'), ('api_key', 'api_key'), ('system', 'system')], max_length=16)),
                ('actor_id', models.CharField(max_length=64)),
                ('subject', models.CharField(max_length=120)),
                ('body', models.BinaryField()),
                ('prev_hash', models.CharField(max_length=64)),
                ('hash', models.CharField(max_length=64)),
                ('recorded_at', models.DateTimeField()),
            ],
            options={
                'indexes': [models.Index(fields=['subject', 'id'], name='audit_event_subject_id')],
                'constraints': [models.UniqueConstraint(fields=('stream', 'seq'), name='audit_event_stream_seq')],
            },
        ),
        InstallGuards("audit_event", guards=[append_only()]),
        InstallGuards("audit_streamhead", guards=[no_delete(), frozen_columns("stream")]),
        InstallGuards("audit_alarm", guards=[no_delete(), frozen_columns("id", "code", "subject", "since")]),
    ]
