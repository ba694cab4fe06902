import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import tenant_table


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('organisations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='RegisterRateLimit',
            fields=[
                ('source', models.CharField(max_length=20, primary_key=True, serialize=False)),
                ('window_started_at', models.DateTimeField()),
                ('call_count', models.IntegerField()),
                ('backoff_until', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'company_registers_rate_limit',
            },
        ),
        migrations.CreateModel(
            name='Lookup',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('country', models.CharField(max_length=2)),
                ('kind', models.CharField(choices=[('number', 'number'), ('rsin', 'rsin'), ('name', 'name')], max_length=10)),
                ('value', models.CharField(max_length=300)),
                ('outcome', models.CharField(choices=[('found', 'found'), ('closed', 'closed'), ('not_found', 'not_found'), ('ambiguous', 'ambiguous'), ('unavailable', 'unavailable')], default='', max_length=20)),
                ('source', models.CharField(default='', max_length=20)),
                ('number', models.CharField(default='', max_length=60)),
                ('legal_name', models.CharField(default='', max_length=400)),
                ('closed_on', models.DateField(null=True)),
                ('activity_code', models.CharField(default='', max_length=20)),
                ('activity_scheme', models.CharField(default='', max_length=20)),
                ('activity_label', models.CharField(default='', max_length=400)),
                ('candidates', models.JSONField(default=list)),
                ('requested_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('answered_at', models.DateTimeField(null=True)),
                ('due_at', models.DateTimeField(null=True)),
                ('leased_until', models.DateTimeField(null=True)),
                ('attempts', models.IntegerField(default=0)),
                ('reason', models.CharField(default='', max_length=60)),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'company_registers_lookup',
                'indexes': [models.Index(condition=models.Q(('due_at__isnull', False)), fields=['organisation', 'due_at'], name='lookups_due')],
                'constraints': [models.UniqueConstraint(fields=('organisation', 'country', 'kind', 'value'), name='lookup_unique_query')],
            },
        ),
        tenant_table("company_registers_lookup"),
    ]
