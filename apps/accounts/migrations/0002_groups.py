"""The five groups. What each may do is set by `manage.py sync_roles`, once every app has its permissions."""

from django.db import migrations

NAMES = ("trader", "approver", "risk", "operator", "auditor")


def add_groups(apps, schema_editor):
    Group = apps.get_model("auth", "Group")
    for name in NAMES:
        Group.objects.using(schema_editor.connection.alias).get_or_create(name=name)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunPython(add_groups, migrations.RunPython.noop, elidable=False)]
