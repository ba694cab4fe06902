from django.db import migrations, models


class Migration(migrations.Migration):
    """Who signed in for a grant to take its connection over: with how many accounts does not matter then."""

    dependencies = [("connections", "0006_candidate")]

    operations = [migrations.AddField("grant", "taken_over_by", models.BigIntegerField(null=True))]
