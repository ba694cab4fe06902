from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("sync", "0005_recent_runs")]

    operations = [
        migrations.AddField(
            model_name="run", name="crashes", field=models.IntegerField(default=0, db_default=0)
        ),
        migrations.AddField(model_name="run", name="outage_since", field=models.DateTimeField(null=True)),
        migrations.AddField(model_name="run", name="outage_at", field=models.DateTimeField(null=True)),
    ]
