"""Alarms are told again until somebody acknowledges them; what was told, and what came of it, is kept."""

import django.db.models.deletion
from django.db import migrations, models

from apps.common.guards import InstallGuards, append_only, frozen_columns, no_delete, transitions

ALARM = [no_delete(), frozen_columns("id", "code", "subject", "since")]
MOVES = [("OWED", "DELIVERED"), ("OWED", "SUPERSEDED"), ("OWED", "MOOT")]


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0002_checkpoints'),
    ]

    operations = [
        InstallGuards("audit_alarm", guards=ALARM),
        migrations.CreateModel(
            name='Pulse',
            fields=[
                ('name', models.CharField(max_length=80, primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
            ],
            options={
                'default_permissions': ('view',),
            },
        ),
        migrations.AddField(
            model_name='alarm',
            name='extent',
            field=models.PositiveIntegerField(default=1),
        ),
        migrations.AddField(
            model_name='alarm',
            name='tell_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='alarm',
            name='told',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='alarm',
            name='told_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('number', models.PositiveIntegerField()),
                ('channel', models.CharField(choices=[('LOG', 'log'), ('WEBHOOK', 'webhook'), ('EMAIL', 'email')], max_length=10)),
                ('key', models.UUIDField(unique=True)),
                ('state', models.CharField(choices=[('OWED', 'owed'), ('DELIVERED', 'delivered'), ('SUPERSEDED', 'superseded'), ('MOOT', 'moot')], default='OWED', max_length=12)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('next_at', models.DateTimeField()),
                ('owed_since', models.DateTimeField()),
                ('alarm', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='notices', to='audit.alarm')),
            ],
            options={
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('channel', models.CharField(choices=[('LOG', 'log'), ('WEBHOOK', 'webhook'), ('EMAIL', 'email')], max_length=10)),
                ('attempt', models.PositiveIntegerField()),
                ('sent_at', models.DateTimeField()),
                ('answered_at', models.DateTimeField()),
                ('delivered', models.BooleanField()),
                ('answer', models.CharField(max_length=200)),
                ('notice', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='audit.notice')),
            ],
            options={
                'verbose_name_plural': 'deliveries',
                'default_permissions': ('view',),
            },
        ),
        migrations.AddIndex(
            model_name='notice',
            index=models.Index(condition=models.Q(('state', 'OWED')), fields=['channel', 'attempts', 'id'], name='audit_notice_owed'),
        ),
        migrations.AddConstraint(
            model_name='notice',
            constraint=models.UniqueConstraint(fields=('alarm', 'number', 'channel'), name='audit_notice_once_each'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(fields=['channel', 'delivered', 'id'], name='audit_delivery_newest'),
        ),
        InstallGuards(
            "audit_notice",
            guards=[
                no_delete(),
                frozen_columns("id", "alarm_id", "number", "channel", "key", "owed_since"),
                transitions("state", MOVES, initial=["OWED"]),
            ],
        ),
        InstallGuards("audit_delivery", guards=[append_only()]),
        InstallGuards("audit_alarm", guards=ALARM),
    ]
