from uuid import uuid4

import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import create_scope_function


def store_installation_number(apps, schema_editor):
    """Store the number in the database: a restored copy keeps it."""
    objects = apps.get_model("kit", "Installation").objects.using(schema_editor.connection.alias)
    objects.create(number=settings.INSTALLATION_NUMBER or 0)


def store_identity(apps, schema_editor):
    """Give the installation its id, by which it is told from its copies."""
    objects = apps.get_model("kit", "InstallationIdentity").objects.using(schema_editor.connection.alias)
    objects.create(uid=settings.INSTALLATION_ID or uuid4())


class Migration(migrations.Migration):
    """The function that every policy asks; the number of the installation; and the quarantine, without a policy: every process asks, before it knows whose
    organisation it acts in."""

    initial = True

    dependencies = []

    operations = [
        create_scope_function(),
        migrations.CreateModel(
            name='Installation',
            fields=[
                ('id', models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('number', models.PositiveSmallIntegerField()),
            ],
            options={
                'db_table': 'kit_installation',
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='one_installation'), models.CheckConstraint(condition=models.Q(('number__lte', 4095)), name='installation_number')],
            },
        ),
        migrations.RunPython(store_installation_number, migrations.RunPython.noop),
        migrations.CreateModel(
            name='InstallationIdentity',
            fields=[
                ('id', models.SmallIntegerField(default=1, primary_key=True, serialize=False)),
                ('uid', models.UUIDField()),
                ('system_identifier', models.TextField(db_default='', default='')),
                ('seen_at', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'kit_installation_identity',
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='one_identity')],
            },
        ),
        migrations.RunPython(store_identity, migrations.RunPython.noop),
        migrations.CreateModel(
            name='ReplacementRequest',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('token_digest', models.CharField(max_length=64, unique=True)),
                ('code_digest', models.CharField(max_length=64)),
                ('sender', models.TextField()),
                ('address', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('attempts', models.IntegerField(default=0)),
                ('confirmed_at', models.DateTimeField(null=True)),
                ('confirmed_by', models.TextField(default='')),
            ],
            options={
                'db_table': 'kit_replacement_request',
            },
        ),
        migrations.CreateModel(
            name='Quarantine',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('began_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('began_by', models.TextField(default='')),
                ('ended_at', models.DateTimeField(null=True)),
                ('ended_by', models.TextField(default='')),
                ('sends_pending', models.BooleanField(default=False)),
                ('reason', models.TextField(db_default='', default='')),
            ],
            options={
                'db_table': 'kit_quarantine',
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('ended_at',), name='one_open_quarantine', nulls_distinct=False)],
            },
        ),
    ]
