"""The dashboard asks what changed in a firm since yesterday, however long its log is."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sync", "0003_changes_kept")]

    operations = [
        migrations.AddIndex(
            model_name="change",
            index=models.Index(fields=["organisation_id", "at"], name="changes_of_organisation"),
        ),
    ]
