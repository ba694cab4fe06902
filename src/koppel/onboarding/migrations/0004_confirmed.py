from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('onboarding', '0003_offered'),
    ]

    operations = [
        migrations.AddField(
            model_name='flow',
            name='confirmed',
            field=models.JSONField(default=dict),
        ),
    ]
