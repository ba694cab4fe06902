from django.db import migrations, models


class Migration(migrations.Migration):
    """Which name and number of a company a person saw when choosing it: that is what the import confirms."""

    dependencies = [("onboarding", "0004_confirmed")]

    operations = [
        migrations.AddField("flow", "seen", models.JSONField(default=dict, db_default={})),
    ]
