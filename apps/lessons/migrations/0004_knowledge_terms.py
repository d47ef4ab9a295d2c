

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_browser_session'),
        ('lessons', '0003_case_counted'),
    ]

    operations = [
        migrations.CreateModel(
            name='KnowledgeTerm',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('term', models.CharField(max_length=40)),
                ('count', models.PositiveIntegerField()),
                ('length', models.PositiveIntegerField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.RemoveConstraint(
            model_name='knowledgedocument',
            name='knowledge_document_once',
        ),
        migrations.AddField(
            model_name='knowledgechunk',
            name='words',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='knowledgedocument',
            name='stamp',
            field=models.CharField(blank=True, help_text='Of the file it was read from: size, inode, times.', max_length=80),
        ),
        migrations.AddField(
            model_name='knowledgesource',
            name='refused',
            field=models.JSONField(default=dict, editable=False, help_text='Id -> stamp, code and reason of what is refused.'),
        ),
        migrations.AddIndex(
            model_name='knowledgechunk',
            index=models.Index(condition=models.Q(('current', True)), fields=['desk'], name='knowledge_chunk_current'),
        ),
        migrations.AddConstraint(
            model_name='knowledgedocument',
            constraint=models.UniqueConstraint(fields=('desk', 'external_id'), name='knowledge_document_once'),
        ),
        migrations.AddConstraint(
            model_name='knowledgedocument',
            constraint=models.UniqueConstraint(condition=models.Q(('desk__isnull', True)), fields=('external_id',), name='knowledge_document_once_of_all'),
        ),
        migrations.AddField(
            model_name='knowledgeterm',
            name='chunk',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='terms', to='lessons.knowledgechunk'),
        ),
        migrations.AddField(
            model_name='knowledgeterm',
            name='desk',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.desk'),
        ),
        migrations.AddIndex(
            model_name='knowledgeterm',
            index=models.Index(fields=['term', 'desk'], name='knowledge_term_desk'),
        ),
    ]
