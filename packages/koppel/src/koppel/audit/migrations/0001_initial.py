import django.db.models.functions.datetime
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import tenant_table


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('kit', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('actor_kind', models.CharField(choices=[('person', 'Person'), ('token', 'API token'), ('job', 'Job'), ('operator', 'Operator')], max_length=10)),
                ('actor_id', models.BigIntegerField(null=True)),
                ('actor_name', models.TextField(default='')),
                ('ip_address', models.TextField(default='')),
                ('interface', models.CharField(choices=[('web', 'Web'), ('api', 'API'), ('cli', 'Command line'), ('job', 'Job')], default='job', max_length=10)),
                ('action', models.CharField(max_length=80)),
                ('subject_kind', models.CharField(default='', max_length=40)),
                ('subject_id', models.BigIntegerField(null=True)),
                ('subject_name', models.TextField(default='')),
                ('details', models.JSONField(default=dict)),
            ],
            options={
                'db_table': 'audit_entry',
                'indexes': [models.Index(fields=['organisation_id', '-at'], name='audit_by_time'), models.Index(fields=['organisation_id', 'subject_kind', 'subject_id', '-at'], name='audit_by_subject'), models.Index(fields=['organisation_id', 'actor_id', '-at'], name='audit_by_person')],
            },
        ),
        tenant_table("audit_entry"),
    ]
