from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("onboarding", "0002_collected")]

    operations = [
        migrations.AddField(model_name="flow", name="offered", field=models.JSONField(default=list)),
    ]
