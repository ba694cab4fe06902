import django.db.models.functions.datetime
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import create_scope_function


class Migration(migrations.Migration):
    """The function that every policy asks; and the quarantine, without a policy: every process asks, before it knows whose
    organisation it acts in."""

    initial = True

    dependencies = []

    operations = [
        create_scope_function(),
        migrations.CreateModel(
            name='Quarantine',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('began_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('began_by', models.TextField(default='')),
                ('ended_at', models.DateTimeField(null=True)),
                ('ended_by', models.TextField(default='')),
                ('sends_pending', models.BooleanField(default=False)),
            ],
            options={
                'db_table': 'kit_quarantine',
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('ended_at',), name='one_open_quarantine', nulls_distinct=False)],
            },
        ),
    ]
