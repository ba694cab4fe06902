from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('administrations', '0004_pin_audit_forget'),
    ]

    operations = [
        migrations.AddField(
            model_name='administration',
            name='confirmed_identity',
            field=models.JSONField(default=dict),
        ),
    ]
