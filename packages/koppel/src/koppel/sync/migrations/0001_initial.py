import django.db.models.deletion
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import PINNED, tenant_key, tenant_parent, tenant_table

ANNOUNCE = f"""
CREATE FUNCTION public.sync_run_added() RETURNS trigger LANGUAGE plpgsql {PINNED} AS $$
BEGIN
  PERFORM pg_notify('koppel_runs', '');
  RETURN NULL;
END $$;
CREATE TRIGGER announce AFTER INSERT ON sync_run FOR EACH STATEMENT EXECUTE FUNCTION sync_run_added();
"""
"""Notifies waiting workers of new runs."""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('administrations', '0001_initial'),
        ('organisations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='ReadKey',
            fields=[
                ('pk', models.CompositePrimaryKey('administration_id', 'resource', 'read_id', 'external_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('resource', models.CharField(max_length=40)),
                ('read_id', models.BigIntegerField()),
                ('external_id', models.TextField()),
            ],
            options={
                'db_table': 'sync_read_key',
            },
        ),
        migrations.CreateModel(
            name='Change',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('organisation_id', models.BigIntegerField()),
                ('administration_id', models.BigIntegerField()),
                ('run_id', models.BigIntegerField()),
                ('resource', models.CharField(max_length=40)),
                ('external_id', models.TextField()),
                ('kind', models.CharField(choices=[('added', 'Added'), ('changed', 'Changed'), ('deleted', 'Deleted')], max_length=10)),
                ('at', models.DateTimeField()),
                ('before', models.BinaryField(null=True)),
                ('after', models.BinaryField(null=True)),
                ('period', models.CharField(default='', max_length=10)),
                ('in_closed_period', models.BooleanField(default=False)),
                ('left_period', models.CharField(default='', max_length=10)),
                ('normalisation_version', models.IntegerField(default=1)),
            ],
            options={
                'db_table': 'sync_change',
                'indexes': [models.Index(fields=['administration_id', '-at'], name='changes_by_time'), models.Index(fields=['administration_id', 'run_id', 'id'], name='changes_of_run'), models.Index(fields=['organisation_id', 'at'], name='changes_of_organisation')],
            },
        ),
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('trigger', models.CharField(choices=[('import', 'Import'), ('schedule', 'Schedule'), ('manual', 'Manual')], max_length=20)),
                ('full', models.BooleanField(default=False)),
                ('resources', models.JSONField(null=True)),
                ('state', models.CharField(choices=[('queued', 'Queued'), ('running', 'Running'), ('succeeded', 'Succeeded'), ('partial', 'Partly succeeded'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='queued', max_length=20)),
                ('attempt', models.IntegerField(default=0)),
                ('failures', models.IntegerField(default=0)),
                ('crashes', models.IntegerField(db_default=0, default=0)),
                ('worker_losses', models.IntegerField(db_default=0, default=0)),
                ('outage_since', models.DateTimeField(null=True)),
                ('last_outage_at', models.DateTimeField(null=True)),
                ('worker', models.CharField(default='', max_length=120)),
                ('requested_by', models.CharField(default='', max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('not_before', models.DateTimeField(null=True)),
                ('started_at', models.DateTimeField(null=True)),
                ('heartbeat_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('reason_code', models.CharField(default='', max_length=60)),
                ('reason', models.TextField(default='')),
                ('administration', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='runs', to='administrations.administration')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'sync_run',
            },
        ),
        migrations.CreateModel(
            name='RunResource',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('resource', models.CharField(max_length=40)),
                ('position', models.IntegerField()),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('done', 'Done'), ('skipped', 'Not available'), ('failed', 'Failed')], default='waiting', max_length=20)),
                ('mode', models.CharField(default='', max_length=20)),
                ('pages', models.IntegerField(default=0)),
                ('rows', models.IntegerField(default=0)),
                ('lines', models.IntegerField(default=0)),
                ('expected_total', models.IntegerField(null=True)),
                ('added', models.IntegerField(default=0)),
                ('changed', models.IntegerField(default=0)),
                ('deleted', models.IntegerField(default=0)),
                ('rejected', models.IntegerField(default=0)),
                ('renormalised', models.IntegerField(default=0)),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('reason', models.TextField(default='')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
                ('run', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='run_resources', to='sync.run')),
            ],
            options={
                'db_table': 'sync_run_resource',
            },
        ),
        migrations.CreateModel(
            name='Checkpoint',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('resource', models.CharField(max_length=40)),
                ('resume_cursor', models.TextField(default='')),
                ('read_mode', models.CharField(default='', max_length=20)),
                ('read_id', models.BigIntegerField(default=0)),
                ('read_started_at', models.DateTimeField(null=True)),
                ('incremental_cursor', models.TextField(default='')),
                ('complete_as_of', models.DateTimeField(null=True)),
                ('last_full_at', models.DateTimeField(null=True)),
                ('fiscal_years_back', models.IntegerField(default=0)),
                ('is_verifying_deletes', models.BooleanField(default=False)),
                ('is_inconsistent', models.BooleanField(default=False)),
                ('seen_count', models.BigIntegerField(default=0)),
                ('available', models.BooleanField(default=True)),
                ('unavailable_reason', models.TextField(default='')),
                ('administration', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='checkpoints', to='administrations.administration')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'sync_checkpoint',
                'constraints': [models.UniqueConstraint(fields=('administration', 'resource'), name='one_checkpoint')],
            },
        ),
        migrations.CreateModel(
            name='NormalisationState',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('resource', models.CharField(max_length=40)),
                ('version', models.IntegerField()),
                ('is_complete', models.BooleanField(default=False)),
                ('last_key', models.TextField(default='')),
                ('renormalised', models.BigIntegerField(default=0)),
                ('rejected', models.BigIntegerField(default=0)),
                ('administration', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='normalisation_states', to='administrations.administration')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'sync_normalisation_state',
                'constraints': [models.UniqueConstraint(fields=('administration', 'resource'), name='one_normalisation_state')],
            },
        ),
        migrations.CreateModel(
            name='RejectedRecord',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('run_id', models.BigIntegerField()),
                ('resource', models.CharField(max_length=40)),
                ('external_id', models.TextField()),
                ('reason', models.TextField()),
                ('raw', models.BinaryField()),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('administration', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='rejected_records', to='administrations.administration')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'sync_rejected_record',
                'constraints': [models.UniqueConstraint(fields=('administration', 'resource', 'external_id'), name='rejected_once')],
            },
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['administration', '-created_at'], name='runs_of_administration'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['organisation', 'state'], name='runs_by_state'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('state__in', ['queued', 'running'])), fields=['state', 'heartbeat_at'], name='open_runs'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('state', 'queued')), fields=['organisation', 'trigger', 'attempt', 'id'], name='queued_runs'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('attempt__gt', 0), ('state', 'queued'), ('trigger', 'import')), fields=['organisation', 'created_at', 'id'], name='begun_imports'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('not_before__isnull', False), ('state', 'queued')), fields=['not_before'], name='delayed_runs'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('state', 'succeeded')), fields=['organisation', '-finished_at'], name='recent_runs'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.UniqueConstraint(condition=models.Q(('state__in', ['queued', 'running'])), fields=('administration',), name='one_open_run'),
        ),
        migrations.AddConstraint(
            model_name='runresource',
            constraint=models.UniqueConstraint(fields=('run', 'resource'), name='resource_once_per_run'),
        ),
        tenant_table("sync_run"),
        tenant_parent("sync_run"),
        tenant_table("sync_run_resource"),
        tenant_table("sync_checkpoint"),
        tenant_table("sync_normalisation_state"),
        tenant_table("sync_read_key"),
        tenant_table("sync_change"),
        tenant_table("sync_rejected_record"),
        tenant_key("sync_run", "administration_id", "administrations_administration"),
        tenant_key("sync_run_resource", "run_id", "sync_run"),
        tenant_key("sync_checkpoint", "administration_id", "administrations_administration"),
        tenant_key("sync_normalisation_state", "administration_id", "administrations_administration"),
        tenant_key("sync_change", "administration_id", "administrations_administration", on_delete="CASCADE"),
        tenant_key("sync_rejected_record", "administration_id", "administrations_administration"),
        migrations.RunSQL("ALTER TABLE sync_read_key SET UNLOGGED", "ALTER TABLE sync_read_key SET LOGGED"),
        migrations.RunSQL(ANNOUNCE, "DROP TRIGGER announce ON sync_run; DROP FUNCTION public.sync_run_added()"),
    ]
