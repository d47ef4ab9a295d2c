"""Sessions are kept under the hash of their cookie. Those that were kept under the cookie itself end."""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def end_old_sessions(apps: Any, schema_editor: Any) -> None:
    apps.get_model("sessions", "Session").objects.all().delete()


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_api_key_rotation'),
        ("sessions", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name='BrowserSession',
            fields=[
                ('key_hash', models.CharField(editable=False, max_length=64, primary_key=True, serialize=False)),
                ('data', models.TextField(help_text='What Django keeps in a session, signed.')),
                ('address', models.CharField(blank=True, max_length=45)),
                ('device', models.CharField(blank=True, help_text='What the browser calls itself.', max_length=200)),
                ('created_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField(help_text='When its person last did something; written at most once a minute.')),
                ('expires_at', models.DateTimeField(db_index=True)),
                ('person', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='browser_sessions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-last_seen_at'],
                'default_permissions': (),
            },
        ),
        migrations.RunPython(end_old_sessions, migrations.RunPython.noop),
    ]
