"""Calls at addresses that no hook has are kept too, and each call says how many were counted before it."""

import django.db.models.deletion
from django.db import migrations, models

from apps.common.guards import InstallGuards, append_only


class Migration(migrations.Migration):

    dependencies = [
        ('trades', '0016_usual_size'),
    ]

    operations = [
        InstallGuards("trades_hookcall", guards=[append_only()]),
        migrations.AddField(
            model_name='hookcall',
            name='name',
            field=models.CharField(blank=True, default='', help_text='What was called, where no hook has that name.', max_length=50),
        ),
        migrations.AddField(
            model_name='hookcall',
            name='counted',
            field=models.PositiveIntegerField(default=0, help_text='How many others were refused before it and not kept one by one.'),
        ),
        migrations.AlterField(
            model_name='hookcall',
            name='hook',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='calls', to='trades.hook'),
        ),
        migrations.AddConstraint(
            model_name='hookcall',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('hook__isnull', False), ('name', '')), models.Q(('hook__isnull', True), ('outcome', 'REFUSED'), models.Q(('name', ''), _negated=True)), _connector='OR'), name='hook_call_of_a_hook_or_a_name'),
        ),
        InstallGuards("trades_hookcall", guards=[append_only()]),
    ]
