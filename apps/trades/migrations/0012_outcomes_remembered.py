"""What was known of a proposal is kept, outcomes are handed to the memory, and those of trades made elsewhere reported.

Outcomes from before are not remembered yet: the sweep hands them over.
"""

import apps.common.fields
import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from apps.common.guards import InstallGuards, append_only, no_delete


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_browser_session'),
        ('connectors', '0005_authorisations'),
        ('trades', '0011_hooks'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        InstallGuards("trades_outcome", guards=[no_delete()]),
        migrations.CreateModel(
            name='ProposalFacts',
            fields=[
                ('proposal', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='known_then', serialize=False, to='trades.proposal')),
                ('setup', models.CharField(blank=True, max_length=80)),
                ('stop', apps.common.fields.ExactDecimalField(null=True)),
                ('target', apps.common.fields.ExactDecimalField(null=True)),
                ('entry', apps.common.fields.ExactDecimalField(help_text='The price it was judged at.', null=True)),
                ('regime', models.CharField(blank=True, max_length=20)),
                ('facts', models.JSONField(default=list)),
                ('version', models.PositiveSmallIntegerField(help_text='Of the detectors.')),
                ('recorded_at', models.DateTimeField()),
            ],
            options={
                'verbose_name_plural': 'proposal facts',
                'ordering': ('-recorded_at',),
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='ReportedOutcome',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('trade_id', models.CharField(blank=True, max_length=80)),
                ('environment', models.CharField(choices=[('paper', 'paper'), ('live', 'live')], max_length=5)),
                ('instrument', models.CharField(max_length=40)),
                ('asset_class', models.CharField(blank=True, max_length=20)),
                ('quote_currency', models.CharField(max_length=12)),
                ('side', models.CharField(choices=[('BUY', 'BUY'), ('SELL', 'SELL')], max_length=4)),
                ('quantity', apps.common.fields.ExactDecimalField()),
                ('entry_price', apps.common.fields.ExactDecimalField()),
                ('exit_price', apps.common.fields.ExactDecimalField()),
                ('fees', apps.common.fields.ExactDecimalField(default=0)),
                ('pnl', apps.common.fields.ExactDecimalField()),
                ('pnl_pct', apps.common.fields.ExactDecimalField(null=True)),
                ('opened_at', models.DateTimeField(null=True)),
                ('closed_at', models.DateTimeField()),
                ('thesis', models.TextField(blank=True)),
                ('setup', models.CharField(blank=True, max_length=80)),
                ('planned_stop', apps.common.fields.ExactDecimalField(null=True)),
                ('planned_target', apps.common.fields.ExactDecimalField(null=True)),
                ('exit_reason', models.CharField(blank=True, max_length=80)),
                ('notes', models.TextField(blank=True)),
                ('tags', models.JSONField(default=list)),
                ('reporter_key', models.CharField(blank=True, max_length=200)),
                ('reported_at', models.DateTimeField()),
            ],
            options={
                'ordering': ('-reported_at',),
                'default_permissions': ('view',),
            },
        ),
        migrations.AddField(
            model_name='outcome',
            name='remembered_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name='outcome',
            index=models.Index(condition=models.Q(('remembered_at', None)), fields=['closed_at'], name='outcome_to_remember'),
        ),
        migrations.AddField(
            model_name='reportedoutcome',
            name='desk',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.desk'),
        ),
        migrations.AddField(
            model_name='reportedoutcome',
            name='order',
            field=models.OneToOneField(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reported_outcome', to='trades.order'),
        ),
        migrations.AddField(
            model_name='reportedoutcome',
            name='reporter',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='reportedoutcome',
            index=models.Index(fields=['desk', 'closed_at'], name='reported_outcome_closed'),
        ),
        migrations.AddConstraint(
            model_name='reportedoutcome',
            constraint=models.UniqueConstraint(condition=models.Q(('trade_id', ''), _negated=True), fields=('desk', 'trade_id'), name='reported_outcome_once_per_trade'),
        ),
        migrations.AddConstraint(
            model_name='reportedoutcome',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('order__isnull', True), models.Q(('trade_id', ''), _negated=True)), models.Q(('order__isnull', False), ('trade_id', '')), _connector='OR'), name='reported_outcome_of_one_trade'),
        ),
        InstallGuards("trades_outcome", guards=[no_delete()]),
        InstallGuards("trades_proposalfacts", guards=[append_only()]),
        InstallGuards("trades_reportedoutcome", guards=[append_only()]),
    ]
