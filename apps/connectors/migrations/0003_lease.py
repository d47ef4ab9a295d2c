from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('connectors', '0002_guards'),
    ]

    operations = [
        migrations.CreateModel(
            name='Lease',
            fields=[
                ('name', models.CharField(max_length=120, primary_key=True, serialize=False)),
                ('holder', models.CharField(blank=True, max_length=120)),
                ('until', models.DateTimeField()),
                ('fence', models.BigIntegerField(default=0)),
            ],
            options={
                'ordering': ['name'],
                'default_permissions': ('view',),
            },
        ),
    ]
