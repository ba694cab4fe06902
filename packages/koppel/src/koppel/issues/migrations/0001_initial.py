import django.db.models.deletion
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import tenant_key, tenant_parent, tenant_table


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
                ('snoozed_until', models.DateField(null=True)),
                ('dismissed_at', models.DateTimeField(null=True)),
                ('assignee', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'issues_issue',
                'indexes': [models.Index(condition=models.Q(('notified_at', None), ('resolved_at', None)), fields=['organisation', 'raised_at'], name='issues_to_notify')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('resolved_at', None)), fields=('organisation', 'subject_kind', 'subject_id', 'code', 'detail_key'), name='one_open_issue')],
            },
        ),
        migrations.CreateModel(
            name='IssueComment',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('author_name', models.TextField()),
                ('text', models.TextField()),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('issue', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='comments', to='issues.issue')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'issues_comment',
                'indexes': [models.Index(fields=['organisation', 'issue'], name='comments_of_issue')],
            },
        ),
        migrations.CreateModel(
            name='IssueOperation',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('action', models.CharField(max_length=20)),
                ('before', models.JSONField(default=dict)),
                ('after', models.JSONField(default=dict)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('undone_at', models.DateTimeField(null=True)),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'issues_operation',
                'indexes': [models.Index(fields=['organisation', 'created_at'], name='issue_operations_by_time')],
            },
        ),
        tenant_table("issues_issue"),
        tenant_parent("issues_issue"),
        tenant_table("issues_comment"),
        tenant_table("issues_operation"),
        tenant_key("issues_issue", "assignee_id", "organisations_membership"),
        tenant_key("issues_comment", "issue_id", "issues_issue", on_delete="CASCADE"),
    ]
