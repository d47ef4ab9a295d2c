"""Doors for webhooks. Their calls stay as they were."""

import apps.common.encryption
import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

from apps.common.guards import InstallGuards, append_only, frozen_columns, no_delete


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_api_key_rotation'),
        ('connectors', '0004_robinhood'),
        ('trades', '0010_begin_budgets'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Hook',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.SlugField(help_text='The last part of its address: /hooks/<name>.', unique=True)),
                ('mode', models.CharField(choices=[('signed', 'signed: the sender signs time and body'), ('body_secret', 'secret in the body: weaker, for senders that cannot sign')], default='signed', max_length=12)),
                ('secret', apps.common.encryption.EncryptedTextField(editable=False, help_text='Shown once, when it is made.')),
                ('secret_fingerprint', models.CharField(editable=False, max_length=8)),
                ('secret_path', models.CharField(default='secret', help_text='Where in the body the secret stands.', max_length=80)),
                ('template', models.JSONField(default=dict)),
                ('example', models.TextField(blank=True, max_length=8000)),
                ('enabled', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField()),
                ('changed_at', models.DateTimeField()),
                ('api_key', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.apikey')),
                ('connection', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='connectors.connection')),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['name'],
                'default_permissions': ('view',),
            },
        ),
        migrations.CreateModel(
            name='HookCall',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('called_at', models.DateTimeField()),
                ('address', models.CharField(blank=True, max_length=45)),
                ('body_digest', models.CharField(blank=True, help_text='SHA-256 of the body.', max_length=64)),
                ('body_bytes', models.PositiveIntegerField(default=0)),
                ('outcome', models.CharField(choices=[('PROPOSED', 'Proposed'), ('REPEATED', 'Repeated'), ('REFUSED', 'Refused')], max_length=10)),
                ('status', models.PositiveSmallIntegerField()),
                ('code', models.CharField(max_length=60)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('payload', models.CharField(blank=True, max_length=2000)),
                ('delivery_key', models.CharField(blank=True, max_length=255)),
                ('signature_digest', models.CharField(blank=True, max_length=64)),
                ('hook', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='calls', to='trades.hook')),
                ('proposal', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='hook_calls', to='trades.proposal')),
            ],
            options={
                'verbose_name': 'call of a hook',
                'verbose_name_plural': 'calls of hooks',
                'ordering': ['-called_at'],
                'default_permissions': ('view',),
            },
        ),
        migrations.AddConstraint(
            model_name='hook',
            constraint=models.CheckConstraint(condition=models.Q(('mode__in', ['signed', 'body_secret'])), name='hook_mode_known'),
        ),
        migrations.AddIndex(
            model_name='hookcall',
            index=models.Index(fields=['hook', '-called_at'], name='hook_call_recent'),
        ),
        migrations.AddIndex(
            model_name='hookcall',
            index=models.Index(condition=models.Q(('outcome', 'PROPOSED')), fields=['hook', 'body_digest', '-called_at'], name='hook_call_deliveries'),
        ),
        migrations.AddConstraint(
            model_name='hookcall',
            constraint=models.UniqueConstraint(condition=models.Q(('signature_digest', ''), _negated=True), fields=('hook', 'signature_digest'), name='hook_signature_once'),
        ),
        migrations.AddConstraint(
            model_name='hookcall',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('outcome', 'REFUSED'), ('proposal__isnull', True)), models.Q(models.Q(('outcome', 'REFUSED'), _negated=True), ('proposal__isnull', False)), _connector='OR'), name='hook_call_refused_or_proposed'),
        ),
        InstallGuards("trades_hookcall", guards=[append_only()]),
        InstallGuards(
            "trades_hook", guards=[no_delete(), frozen_columns("id", "name", "owner_id", "created_at", name="identity")]
        ),
    ]
