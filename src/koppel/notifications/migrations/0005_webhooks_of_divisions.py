from django.db import migrations, models


class Migration(migrations.Migration):
    """A webhook may be told of the administrations of some divisions only."""

    dependencies = [("notifications", "0004_because_of_settings")]

    operations = [migrations.AddField("webhook", "divisions", models.JSONField(default=list))]
