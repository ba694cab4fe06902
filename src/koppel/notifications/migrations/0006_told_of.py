from django.db import migrations, models

_SO_FAR = """
SELECT set_config('koppel.organisation', '0', true);
UPDATE notifications_happening SET told_of = (
  SELECT coalesce(jsonb_agg(key::bigint), '[]') FROM jsonb_object_keys(administrations) AS key) WHERE state = 'told';
"""


class Migration(migrations.Migration):
    """Which administrations people were told of, so that those that trouble reaches later are told too."""

    dependencies = [("notifications", "0005_webhooks_of_divisions")]

    operations = [
        migrations.AddField("happening", "told_of", models.JSONField(default=list)),
        migrations.AddField("happening", "tellings", models.IntegerField(default=1)),
        migrations.AddField("notice", "telling", models.IntegerField(default=1)),
        migrations.RemoveConstraint("notice", "told_once"),
        migrations.AddConstraint(
            "notice",
            models.UniqueConstraint(fields=["organisation", "happening", "membership", "telling"], name="told_once"),
        ),
        migrations.RunSQL(_SO_FAR, migrations.RunSQL.noop),
        migrations.AddIndex(
            "happening",
            models.Index(fields=["told_at"], condition=models.Q(state="told"), name="happenings_that_last"),
        ),
    ]
