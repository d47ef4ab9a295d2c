"""Budgets and reservations, and what the database refuses of them: no deletion, no second end, no changed amount."""

import apps.common.fields
import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models

from apps.common.guards import InstallGuards, frozen_columns, no_delete, transitions


class Migration(migrations.Migration):

    dependencies = [
        ('connectors', '0002_guards'),
        ('policies', '0002_guards'),
    ]

    operations = [
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('dimension', models.CharField(choices=[('DAILY_NOTIONAL', 'Traded on the day'), ('GROSS_EXPOSURE', 'All positions, at cost'), ('POSITION', 'Position, at cost'), ('POSITION_QUANTITY', 'Position, in units')], max_length=20)),
                ('instrument', models.CharField(blank=True, help_text='Empty: the whole connection.', max_length=40)),
                ('window', models.CharField(blank=True, help_text='A UTC day such as 2026-03-02; empty: no end.', max_length=10)),
                ('unit', models.CharField(help_text='The currency it is counted in.', max_length=12)),
                ('rate', apps.common.fields.ExactDecimalField(help_text='Reporting currency per quote currency, when it was last counted.', null=True)),
                ('limit_minor', models.BigIntegerField(null=True)),
                ('effective_limit_minor', models.BigIntegerField(null=True)),
                ('reserved_minor', models.BigIntegerField(default=0)),
                ('used_minor', models.BigIntegerField(default=0)),
                ('created_at', models.DateTimeField()),
                ('updated_at', models.DateTimeField()),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='connectors.connection')),
            ],
            options={
                'ordering': ['id'],
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='Reservation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source', models.CharField(max_length=80, unique=True)),
                ('rate', apps.common.fields.ExactDecimalField(help_text='Reporting currency per unit of quote currency when it was held.')),
                ('state', models.CharField(choices=[('HELD', 'Held'), ('CONSUMED', 'Consumed'), ('RELEASED', 'Released')], max_length=8)),
                ('held_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('reason', models.CharField(blank=True, help_text='What ended it.', max_length=80)),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='connectors.connection')),
            ],
            options={
                'ordering': ['-held_at'],
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='ReservedAmount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('amount_minor', models.BigIntegerField()),
                ('held_minor', models.BigIntegerField()),
                ('used_minor', models.BigIntegerField(default=0)),
                ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='amounts', to='policies.budget')),
                ('reservation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='amounts', to='policies.reservation')),
            ],
            options={
                'ordering': ['budget_id'],
                'default_permissions': ('view',),
            },
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.UniqueConstraint(fields=('connection', 'dimension', 'instrument', 'window', 'unit'), name='budget_once'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('reserved_minor__gte', 0)), name='budget_reserved_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('used_minor__gte', 0)), name='budget_used_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('effective_limit_minor__isnull', True), ('limit_minor__isnull', True)), models.Q(('effective_limit_minor__gte', models.F('limit_minor')), ('effective_limit_minor__isnull', False), ('limit_minor__isnull', False), ('effective_limit_minor__gte', django.db.models.expressions.CombinedExpression(models.F('reserved_minor'), '+', models.F('used_minor')))), _connector='OR'), name='budget_within_effective_limit'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('dimension__in', ['DAILY_NOTIONAL', 'GROSS_EXPOSURE', 'POSITION', 'POSITION_QUANTITY'])), name='budget_dimension_known'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(fields=['connection', 'state'], name='reservation_connection_state'),
        ),
        migrations.AddIndex(
            model_name='reservation',
            index=models.Index(fields=['held_at', 'id'], name='reservation_recent'),
        ),
        migrations.AddConstraint(
            model_name='reservation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', True), ('state', 'HELD')), models.Q(('ended_at__isnull', False), ('state__in', ['CONSUMED', 'RELEASED'])), _connector='OR'), name='reservation_ends_once'),
        ),
        migrations.AddConstraint(
            model_name='reservedamount',
            constraint=models.UniqueConstraint(fields=('reservation', 'budget'), name='reserved_once_per_budget'),
        ),
        migrations.AddConstraint(
            model_name='reservedamount',
            constraint=models.CheckConstraint(condition=models.Q(('held_minor__gte', 0), ('held_minor__lte', models.F('amount_minor'))), name='reserved_held_within_amount'),
        ),
        migrations.AddConstraint(
            model_name='reservedamount',
            constraint=models.CheckConstraint(condition=models.Q(('used_minor__gte', 0)), name='reserved_used_not_negative'),
        ),
        InstallGuards(
            "policies_budget",
            guards=[
                no_delete(),
                frozen_columns("id", "connection_id", "dimension", "instrument", "window", "unit", "created_at"),
            ],
        ),
        InstallGuards(
            "policies_reservation",
            guards=[
                no_delete(),
                transitions("state", [("HELD", "CONSUMED"), ("HELD", "RELEASED")], initial=["HELD"]),
                frozen_columns("id", "source", "connection_id", "rate", "held_at", name="identity"),
                frozen_columns("ended_at", "reason", when="OLD.\"state\" <> 'HELD'", name="ended"),
            ],
        ),
        InstallGuards(
            "policies_reservedamount",
            guards=[no_delete(), frozen_columns("id", "reservation_id", "budget_id", "amount_minor")],
        ),
    ]
