from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sync", "0004_changes_of_organisation")]

    operations = [
        migrations.AddIndex(
            model_name="run",
            index=models.Index(
                fields=["organisation", "-finished_at"], condition=models.Q(state="succeeded"), name="recent_runs"
            ),
        ),
    ]
