from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("lessons", "0001_initial"),
    ]

    operations = [
        migrations.RenameField(model_name="indexentry", old_name="created_at", new_name="queued_at"),
        migrations.AlterField(
            model_name="indexentry",
            name="queued_at",
            field=models.DateTimeField(help_text="When its text was last handed over."),
        ),
        migrations.AddField(
            model_name="indexentry",
            name="claimed_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterModelOptions(
            name="indexentry",
            options={"default_permissions": ("view",), "ordering": ["-queued_at"]},
        ),
    ]
