"""How far the canceling after a halt has come. Rows stay; an outcome is final."""

import django.db.models.deletion
import uuid
from django.db import migrations, models

from apps.common.guards import InstallGuards, frozen_columns, no_delete, transitions


class Migration(migrations.Migration):

    dependencies = [
        ('connectors', '0003_lease'),
        ('trades', '0006_opened_at'),
    ]

    operations = [
        migrations.CreateModel(
            name='HaltClearing',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('halted_at', models.DateTimeField()),
                ('outcome', models.CharField(choices=[('RUNNING', 'Running'), ('DONE', 'Done'), ('STOPPED', 'Stopped')], max_length=8)),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(null=True)),
                ('next_at', models.DateTimeField()),
                ('passes', models.PositiveIntegerField(default=0)),
                ('listed_at', models.DateTimeField(null=True)),
                ('open_orders', models.PositiveIntegerField(null=True)),
                ('in_flight_orders', models.PositiveIntegerField(default=0)),
                ('foreign_orders', models.PositiveIntegerField(default=0)),
                ('asked_orders', models.PositiveIntegerField(default=0)),
                ('empty_lists', models.PositiveSmallIntegerField(default=0)),
                ('reason_code', models.CharField(blank=True, max_length=80)),
                ('reason', models.TextField(blank=True)),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='connectors.connection')),
            ],
            options={
                'ordering': ('-started_at',),
                'default_permissions': ('view',),
                'constraints': [models.UniqueConstraint(fields=('connection', 'halted_at'), name='clearing_once_per_halt'), models.UniqueConstraint(condition=models.Q(('outcome', 'RUNNING')), fields=('connection',), name='clearing_one_at_a_time'), models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', True), ('outcome', 'RUNNING')), models.Q(models.Q(('outcome', 'RUNNING'), _negated=True), ('finished_at__isnull', False)), _connector='OR'), name='clearing_ends_with_an_outcome')],
            },
        ),
        InstallGuards(
            "trades_haltclearing",
            guards=[
                no_delete(),
                transitions("outcome", (("RUNNING", "DONE"), ("RUNNING", "STOPPED")), initial=["RUNNING"]),
                frozen_columns("id", "connection_id", "halted_at", "started_at"),
            ],
        ),
    ]
