"""Connections by OAuth: what a person let Aika do, and who is on the way to say so."""

import apps.common.encryption
import django.db.models.deletion
import uuid
from typing import Any
from django.conf import settings
from django.db import migrations, models

from apps.common.guards import InstallGuards, frozen_columns, no_delete, transitions


def _rename_without_looking(on: bool) -> Any:
    """On the way back SQLite rebuilds the table of connections: see 0004_robinhood."""

    def change(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "sqlite":
            schema_editor.execute(f"PRAGMA legacy_alter_table = {'ON' if on else 'OFF'}", None)

    return change


class Migration(migrations.Migration):

    dependencies = [
        ('connectors', '0004_robinhood'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        InstallGuards(
            "connectors_connection",
            guards=[
                no_delete(),
                frozen_columns("slug", "desk_id", "venue", "environment", "api_base", name="identity"),
            ],
        ),
        migrations.RunPython(migrations.RunPython.noop, _rename_without_looking(False)),
        migrations.CreateModel(
            name='Authorisation',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('venue', models.CharField(choices=[('coinbase', 'Coinbase Advanced Trade'), ('robinhood', 'Robinhood Crypto (read only: no trading)')], max_length=20)),
                ('api_base', models.CharField(help_text='The only origin these tokens are sent to.', max_length=200, verbose_name='address')),
                ('account_uid', models.CharField(help_text="The venue's id of the account.", max_length=100)),
                ('account_name', models.CharField(help_text='As the venue says it.', max_length=200)),
                ('asked_scopes', models.JSONField(default=list)),
                ('granted_scopes', models.JSONField(default=list)),
                ('access_token', apps.common.encryption.EncryptedTextField(blank=True, editable=False)),
                ('refresh_token', apps.common.encryption.EncryptedTextField(blank=True, editable=False)),
                ('access_from', models.DateTimeField(help_text='When the access token was asked for.')),
                ('access_until', models.DateTimeField(help_text='When it ends.')),
                ('state', models.CharField(choices=[('ACTIVE', 'Active'), ('RECONNECT_NEEDED', 'Must be connected again'), ('REVOKED', 'Disconnected')], max_length=20)),
                ('state_reason', models.CharField(blank=True, max_length=300)),
                ('state_since', models.DateTimeField()),
                ('generation', models.BigIntegerField(default=1)),
                ('authorised_at', models.DateTimeField(help_text='When the person last consented.')),
                ('refreshed_at', models.DateTimeField(blank=True, null=True)),
                ('refresh_begun_at', models.DateTimeField(blank=True, null=True)),
                ('refresh_failures', models.PositiveSmallIntegerField(default=0)),
                ('refresh_not_before', models.DateTimeField(blank=True, null=True)),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='authorisations', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-authorised_at'],
                'default_permissions': ('view',),
            },
        ),
        migrations.AddField(
            model_name='connection',
            name='authorisation',
            field=models.ForeignKey(blank=True, editable=False, help_text='In place of a key: what a person let Aika do by OAuth.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='connections', to='connectors.authorisation'),
        ),
        migrations.CreateModel(
            name='AuthorisationRequest',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('state_hash', models.CharField(max_length=64, unique=True)),
                ('venue', models.CharField(choices=[('coinbase', 'Coinbase Advanced Trade'), ('robinhood', 'Robinhood Crypto (read only: no trading)')], max_length=20)),
                ('api_base', models.CharField(max_length=200)),
                ('scopes', models.JSONField(default=list)),
                ('verifier', apps.common.encryption.EncryptedTextField(editable=False)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('used_at', models.DateTimeField(blank=True, null=True)),
                ('person', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at'],
                'default_permissions': (),
            },
        ),
        migrations.AddConstraint(
            model_name='authorisation',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['ACTIVE', 'RECONNECT_NEEDED', 'REVOKED'])), name='authorisation_state_known'),
        ),
        migrations.AddConstraint(
            model_name='authorisation',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['ACTIVE', 'RECONNECT_NEEDED'])), fields=('person', 'venue', 'api_base', 'account_uid'), name='authorisation_one_living_per_account'),
        ),
        # Whose account it is and where its tokens go never changes; what was disconnected stays so.
        InstallGuards(
            "connectors_authorisation",
            guards=[
                no_delete(),
                frozen_columns("person_id", "venue", "api_base", "account_uid", name="identity"),
                transitions(
                    "state",
                    [
                        ("ACTIVE", "RECONNECT_NEEDED"),
                        ("RECONNECT_NEEDED", "ACTIVE"),
                        ("ACTIVE", "REVOKED"),
                        ("RECONNECT_NEEDED", "REVOKED"),
                    ],
                    initial=["ACTIVE"],
                ),
            ],
        ),
        # A connection keeps its account: another authorisation is another connection.
        InstallGuards(
            "connectors_connection",
            guards=[
                no_delete(),
                frozen_columns(
                    "slug", "desk_id", "venue", "environment", "api_base", "authorisation_id", name="identity"
                ),
            ],
        ),
        migrations.RunPython(migrations.RunPython.noop, _rename_without_looking(True)),
    ]
