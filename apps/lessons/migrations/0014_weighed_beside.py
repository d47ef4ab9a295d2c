"""What policy weighs of a case stands beside its tags and broken facts, kept by triggers. Rows of before are filled batch
by batch; may be run again where it was stopped."""

from typing import Any

from django.db import migrations, models

import apps.common.fields
from apps.lessons import weighed

BATCH = 5000


def install(apps: Any, schema_editor: Any) -> None:
    weighed.install(schema_editor.connection)


def uninstall(apps: Any, schema_editor: Any) -> None:
    weighed.uninstall(schema_editor.connection)


def fill(apps: Any, schema_editor: Any) -> None:
    """Touch every row: the triggers write what its case says."""
    for name in ('CaseTag', 'CaseViolation'):
        rows = apps.get_model('lessons', name).objects.using(schema_editor.connection.alias).order_by('pk')
        after = 0
        while page := list(rows.filter(pk__gt=after).values_list('pk', flat=True)[:BATCH]):
            rows.filter(pk__gt=after, pk__lte=page[-1]).order_by().update(weighs=False)
            after = page[-1]


def columns(model: str) -> list[migrations.AddField]:
    fields = {
        'weighs': models.BooleanField(db_default=False),
        'lost': models.BooleanField(db_default=False),
        'told': models.BooleanField(db_default=False),
        'verdict': models.CharField(db_default='', max_length=15),
        'proposal_id': models.UUIDField(null=True),
        'r_multiple': apps.common.fields.ExactDecimalField(null=True),
    }
    return [migrations.AddField(model_name=model, name=name, field=field) for name, field in fields.items()]


class Migration(migrations.Migration):

    dependencies = [
        ('lessons', '0013_knowledge_recalls'),
    ]

    operations = [
        *columns('casetag'),
        *columns('caseviolation'),
        migrations.RunPython(install, uninstall),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
