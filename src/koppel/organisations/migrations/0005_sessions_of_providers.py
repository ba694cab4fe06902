from django.db import migrations, models


class Migration(migrations.Migration):
    """Which organisation's identity provider began a session, so that the sessions end with it."""

    dependencies = [("organisations", "0004_sign_in_cache")]

    operations = [
        migrations.AddField(
            model_name="personsession", name="vouched_by", field=models.BigIntegerField(null=True)
        )
    ]
