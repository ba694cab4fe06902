from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('connections', '0005_health'),
    ]

    operations = [
        migrations.AddField(
            model_name='grant',
            name='account',
            field=models.CharField(default='', max_length=200),
        ),
        migrations.AddField(
            model_name='grant',
            name='is_candidate',
            field=models.BooleanField(default=False),
        ),
    ]
