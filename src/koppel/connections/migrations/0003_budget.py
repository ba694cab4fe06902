from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import installation_table


class Migration(migrations.Migration):

    dependencies = [
        ('connections', '0002_vault'),
    ]

    operations = [
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('pk', models.CompositePrimaryKey('app_id', 'company', blank=True, editable=False, primary_key=True, serialize=False)),
                ('app_id', models.BigIntegerField()),
                ('company', models.TextField()),
                ('state', models.JSONField(default=dict)),
                ('at', models.DateTimeField()),
            ],
            options={
                'db_table': 'connections_budget',
            },
        ),
        installation_table("connections_budget"),
    ]
