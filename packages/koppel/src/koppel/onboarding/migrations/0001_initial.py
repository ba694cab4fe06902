import django.db.models.deletion
import uuid
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import tenant_key, tenant_parent, tenant_table


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('connections', '0001_initial'),
        ('organisations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Import',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('count', models.IntegerField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('connection', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='imports', to='connections.connection')),
                ('membership', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'onboarding_import',
            },
        ),
        migrations.CreateModel(
            name='Flow',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('token', models.UUIDField(default=uuid.uuid4)),
                ('connector', models.CharField(default='', max_length=60)),
                ('step', models.CharField(choices=[('system', 'System'), ('sign_in', 'Sign in'), ('choose', 'Administrations'), ('identify', 'Identify'), ('assign', 'Assign')], default='system', max_length=20)),
                ('state', models.CharField(choices=[('open', 'Open'), ('finished', 'Finished'), ('abandoned', 'Discarded')], default='open', max_length=20)),
                ('origin', models.CharField(default='', max_length=60)),
                ('connection_ids', models.JSONField(default=list)),
                ('entered_company_ids', models.JSONField(default=list)),
                ('chosen_company_ids', models.JSONField(default=list)),
                ('offered_company_ids', models.JSONField(default=list)),
                ('displayed_identities', models.JSONField(db_default={}, default=dict)),
                ('typed_identities', models.JSONField(default=dict)),
                ('same_company_answers', models.JSONField(default=dict)),
                ('still_client_answers', models.JSONField(default=dict)),
                ('succession_answers', models.JSONField(default=dict)),
                ('assignments', models.JSONField(default=dict)),
                ('previous_assignments', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField()),
                ('app', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='connections.appregistration')),
                ('connection', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='flows', to='connections.connection')),
                ('membership', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='flows', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
                ('import_record', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='onboarding.import')),
            ],
            options={
                'db_table': 'onboarding_flow',
            },
        ),
        migrations.AddIndex(
            model_name='import',
            index=models.Index(fields=['organisation', '-created_at'], name='imports_by_time'),
        ),
        migrations.AddConstraint(
            model_name='flow',
            constraint=models.UniqueConstraint(fields=('organisation', 'token'), name='flow_token_once'),
        ),
        tenant_table("onboarding_import"),
        tenant_parent("onboarding_import"),
        tenant_table("onboarding_flow"),
        tenant_key("onboarding_import", "connection_id", "connections_connection"),
        tenant_key("onboarding_import", "membership_id", "organisations_membership"),
        tenant_key("onboarding_flow", "membership_id", "organisations_membership"),
        tenant_key("onboarding_flow", "connection_id", "connections_connection"),
        tenant_key("onboarding_flow", "import_record_id", "onboarding_import"),
    ]
