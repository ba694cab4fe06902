import django.db.models.deletion
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import tenant_table


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('organisations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Issue',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('code', models.CharField(max_length=60)),
                ('subject_kind', models.CharField(max_length=40)),
                ('subject_id', models.BigIntegerField()),
                ('detail_key', models.CharField(default='', max_length=200)),
                ('context', models.JSONField(default=dict)),
                ('raised_at', models.DateTimeField(auto_now_add=True)),
                ('last_seen_at', models.DateTimeField(auto_now=True)),
                ('resolved_at', models.DateTimeField(null=True)),
                ('notified_at', models.DateTimeField(null=True)),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'issues_issue',
                'indexes': [models.Index(condition=models.Q(('notified_at', None), ('resolved_at', None)), fields=['organisation', 'raised_at'], name='issues_to_notify')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('resolved_at', None)), fields=('organisation', 'subject_kind', 'subject_id', 'code', 'detail_key'), name='one_open_issue')],
            },
        ),
        tenant_table("issues_issue"),
    ]
