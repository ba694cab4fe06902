from django.db import migrations, models


class Migration(migrations.Migration):
    """What a person last confirmed of a company, apart from what the accounting system says of it, and what it claims since.

    `administrations.0006_confirmed_identity` fills in what was confirmed so far. Defaults in the database: an older Koppel that
    still runs knows nothing of these columns."""

    dependencies = [("connections", "0007_taken_over_by")]

    operations = [
        migrations.AddField(
            "remotecompany", "confirmed_name", models.CharField(max_length=300, default="", db_default="")
        ),
        migrations.AddField(
            "remotecompany", "confirmed_number", models.CharField(max_length=100, default="", db_default="")
        ),
        migrations.AddField(
            "remotecompany", "claimed_name", models.CharField(max_length=300, default="", db_default="")
        ),
        migrations.AddField(
            "remotecompany", "claimed_number", models.CharField(max_length=100, default="", db_default="")
        ),
        migrations.AddField("remotecompany", "claimed_at", models.DateTimeField(null=True)),
        migrations.AddField("remotecompany", "denied_at", models.DateTimeField(null=True)),
    ]
