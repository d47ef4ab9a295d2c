"""What policy counts is a range of an index, without a look at the case. The indexes of before go: what the old version
counts with the new ones is right, and takes longer."""

from django.db import migrations, models

from apps.common.indexes import AddIndexBeside

WEIGHED = ['closed_at', 'weighs', 'lost', 'told', 'verdict', 'proposal_id', 'r_multiple', 'case']


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('lessons', '0014_weighed_beside'),
    ]

    operations = [
        AddIndexBeside(
            model_name='case',
            index=models.Index(condition=models.Q(('counts', True)), fields=['desk', 'result', 'source', 'closed_at'], name='case_ended'),
        ),
        AddIndexBeside(
            model_name='casetag',
            index=models.Index(condition=models.Q(('counts', True)), fields=['desk', 'tag', *WEIGHED], name='case_tag_weighed'),
        ),
        AddIndexBeside(
            model_name='caseviolation',
            index=models.Index(fields=['desk', 'fact', *WEIGHED], name='case_violation_weighed'),
        ),
        migrations.RemoveIndex(model_name='case', name='case_counted'),
        migrations.RemoveIndex(model_name='case', name='case_weighed'),
        migrations.RemoveIndex(model_name='casetag', name='case_tag_counted'),
        migrations.RemoveIndex(model_name='caseviolation', name='case_violation_counted'),
    ]
