import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import PINNED, tenant_key, tenant_parent, tenant_table

EXPIRE_AUDIT = f"""
CREATE FUNCTION public.audit_expire(organisation bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER {PINNED} AS $$
DECLARE
  scope_before text := coalesce(current_setting('koppel.organisation', true), '');
  keep_years integer;
  chain public.audit_chain;
  through bigint;
  gone bigint;
BEGIN
  PERFORM set_config('koppel.organisation', organisation::text, true);
  SELECT greatest(audit_years, 1) INTO keep_years FROM public.organisations_organisation WHERE id = organisation;
  keep_years := coalesce(keep_years, 7);
  SELECT * INTO chain FROM public.audit_chain WHERE organisation_id = organisation FOR UPDATE;
  SELECT l.position - 1 INTO through FROM public.audit_link l
   WHERE l.organisation_id = organisation AND l.position > chain.expired_through
     AND l.at >= now() - make_interval(years => keep_years)
   ORDER BY l.position LIMIT 1;
  through := coalesce(through, chain.length);
  DELETE FROM public.audit_entry e USING public.audit_link l
   WHERE e.organisation_id = organisation AND l.organisation_id = organisation AND l.entry_id = e.id
     AND l.position > chain.expired_through AND l.position <= through;
  GET DIAGNOSTICS gone = ROW_COUNT;
  IF gone > 0 THEN
    UPDATE public.audit_chain SET expired_through = through WHERE organisation_id = organisation;
    PERFORM public.audit_append(
      organisation, '{{"kind": "job"}}', 'audit.expired', '', NULL, '',
      jsonb_build_object('count', gone, 'years', keep_years, 'through', through));
  END IF;
  PERFORM set_config('koppel.organisation', scope_before, true);
  RETURN gone;
END $$;
REVOKE ALL ON FUNCTION public.audit_expire(bigint) FROM PUBLIC;
"""
"""The application may not delete from the log. This function of the owner does, as long ago as the organisation's own
setting says and never within a year, from the beginning of the chain on, and leaves word of it. The links stay."""
SIGN_IN_CACHE = """
CREATE TABLE django_cache (
  cache_key varchar(255) PRIMARY KEY, value text NOT NULL, expires timestamptz NOT NULL);
CREATE INDEX django_cache_expires ON django_cache (expires);
"""
"""The table of Django's database cache: throttling at sign-in counts in it. `createcachetable` makes the same one."""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('audit', '0001_initial'),
        ('auth', '0012_alter_user_first_name_max_length'),
        ('kit', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Division',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=120)),
                ('archived_at', models.DateTimeField(null=True)),
            ],
            options={
                'db_table': 'organisations_division',
            },
        ),
        migrations.CreateModel(
            name='Organisation',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=200)),
                ('settings', models.JSONField(default=dict)),
                ('requires_mfa', models.BooleanField(default=False)),
                ('requires_sso', models.BooleanField(default=False)),
                ('email_domains', models.JSONField(default=list)),
                ('networks', models.JSONField(default=list)),
                ('audit_years', models.PositiveSmallIntegerField(default=7)),
                ('operator_access_until', models.DateTimeField(null=True)),
                ('brand_colour', models.CharField(blank=True, default='', max_length=7)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'db_table': 'organisations_organisation',
            },
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('email', models.EmailField(max_length=254, unique=True, verbose_name='e-mail address')),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('language', models.CharField(blank=True, default='', max_length=5)),
                ('is_operator', models.BooleanField(default=False)),
                ('last_organisation', models.BigIntegerField(null=True)),
                ('known_browsers_version', models.PositiveIntegerField(default=0)),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'db_table': 'organisations_user',
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('role', models.CharField(choices=[('administrator', 'Administrator'), ('team_leader', 'Team leader'), ('user_plus', 'User+'), ('user', 'User'), ('reader', 'Reader')], max_length=20)),
                ('is_active', models.BooleanField(default=True)),
                ('expires_at', models.DateTimeField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('joined_at', models.DateTimeField(default=django.utils.timezone.now, null=True)),
                ('access_restored_at', models.DateTimeField(null=True)),
                ('preferences', models.JSONField(default=dict)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='memberships', to=settings.AUTH_USER_MODEL)),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'organisations_membership',
            },
        ),
        migrations.CreateModel(
            name='Invitation',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('email', models.EmailField(max_length=254)),
                ('name', models.CharField(blank=True, default='', max_length=200)),
                ('role', models.CharField(choices=[('administrator', 'Administrator'), ('team_leader', 'Team leader'), ('user_plus', 'User+'), ('user', 'User'), ('reader', 'Reader')], max_length=20)),
                ('divisions', models.JSONField(default=list)),
                ('member_until', models.DateTimeField(null=True)),
                ('language', models.CharField(max_length=5)),
                ('sends', models.IntegerField(default=1)),
                ('valid_until', models.DateTimeField()),
                ('mail_failed', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('accepted_at', models.DateTimeField(null=True)),
                ('revoked_at', models.DateTimeField(null=True)),
                ('invited_by', models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'organisations_invitation',
            },
        ),
        migrations.CreateModel(
            name='IdentityProvider',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('issuer', models.URLField(max_length=300)),
                ('client_id', models.CharField(max_length=300)),
                ('client_secret', models.BinaryField(default=b'')),
                ('is_active', models.BooleanField(default=False)),
                ('revision', models.PositiveIntegerField(default=0)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'organisations_identity_provider',
            },
        ),
        migrations.CreateModel(
            name='FederatedIdentity',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('issuer', models.CharField(default='', max_length=300)),
                ('subject', models.CharField(max_length=255)),
                ('email', models.EmailField(default='', max_length=254)),
                ('is_approved', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('provider', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='subjects', to='organisations.identityprovider')),
                ('membership', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='subjects', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'organisations_federated_identity',
            },
        ),
        migrations.CreateModel(
            name='DivisionMember',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('division', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='members', to='organisations.division')),
                ('membership', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='divisions', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'organisations_division_member',
            },
        ),
        migrations.AddField(
            model_name='division',
            name='organisation',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation'),
        ),
        migrations.CreateModel(
            name='EmailDomain',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('domain', models.CharField(max_length=253)),
                ('record_token', models.CharField(max_length=64)),
                ('method', models.CharField(blank=True, choices=[('dns', 'Dns'), ('operator', 'Operator')], default='', max_length=10)),
                ('added_at', models.DateTimeField(auto_now_add=True)),
                ('verified_at', models.DateTimeField(null=True)),
                ('lapsed_at', models.DateTimeField(null=True)),
                ('checked_at', models.DateTimeField(null=True)),
                ('check_result', models.CharField(blank=True, choices=[('present', 'Present'), ('missing', 'Missing'), ('unknown', 'Unknown'), ('other_owner', 'Other Owner')], default='', max_length=20)),
                ('missing_checks', models.PositiveIntegerField(default=0)),
                ('missing_since', models.DateTimeField(null=True)),
                ('next_check_at', models.DateTimeField(null=True)),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'organisations_email_domain',
            },
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=100)),
                ('hash', models.BinaryField(max_length=32, unique=True)),
                ('ends_with', models.CharField(max_length=8)),
                ('role', models.CharField(blank=True, choices=[('administrator', 'Administrator'), ('team_leader', 'Team leader'), ('user_plus', 'User+'), ('user', 'User'), ('reader', 'Reader')], default='', max_length=20)),
                ('read_only', models.BooleanField(default=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('expires_at', models.DateTimeField()),
                ('revoked_at', models.DateTimeField(null=True)),
                ('last_used_at', models.DateTimeField(null=True)),
                ('last_used_from', models.TextField(default='')),
                ('minute', models.DateTimeField(null=True)),
                ('used_in_minute', models.IntegerField(default=0)),
                ('membership', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='tokens', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'organisations_api_token',
            },
        ),
        migrations.CreateModel(
            name='Template',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=120)),
                ('settings', models.JSONField(default=dict)),
                ('archived_at', models.DateTimeField(null=True)),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'organisations_template',
            },
        ),
        migrations.CreateModel(
            name='UserSession',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('session_key', models.CharField(max_length=40, unique=True)),
                ('active_organisation_id', models.BigIntegerField(null=True)),
                ('sso_organisation_id', models.BigIntegerField(null=True)),
                ('address', models.TextField(default='')),
                ('browser', models.CharField(default='', max_length=300)),
                ('started_at', models.DateTimeField(auto_now_add=True)),
                ('last_seen_at', models.DateTimeField()),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sessions', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'organisations_user_session',
            },
        ),
        migrations.CreateModel(
            name='Logo',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('media_type', models.CharField(max_length=20)),
                ('content', models.BinaryField()),
                ('digest', models.CharField(max_length=32)),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'organisations_logo',
            },
        ),
        migrations.AddConstraint(
            model_name='logo',
            constraint=models.UniqueConstraint(fields=('organisation',), name='one_logo_per_organisation'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.UniqueConstraint(fields=('organisation', 'user'), name='one_membership_per_organisation'),
        ),
        migrations.AddConstraint(
            model_name='invitation',
            constraint=models.UniqueConstraint(models.F('organisation'), django.db.models.functions.text.Lower('email'), condition=models.Q(('accepted_at', None), ('revoked_at', None)), name='one_open_invitation'),
        ),
        migrations.AddConstraint(
            model_name='emaildomain',
            constraint=models.UniqueConstraint(fields=('organisation', 'domain'), name='email_domain_once'),
        ),
        migrations.AddConstraint(
            model_name='emaildomain',
            constraint=models.UniqueConstraint(condition=models.Q(('lapsed_at', None), ('verified_at__isnull', False)), fields=('domain',), name='one_owner_per_domain'),
        ),
        migrations.AddConstraint(
            model_name='identityprovider',
            constraint=models.UniqueConstraint(fields=('organisation',), name='one_provider_per_organisation'),
        ),
        migrations.AddConstraint(
            model_name='federatedidentity',
            constraint=models.UniqueConstraint(fields=('organisation', 'issuer', 'subject'), name='subject_once'),
        ),
        migrations.AddConstraint(
            model_name='federatedidentity',
            constraint=models.UniqueConstraint(fields=('organisation', 'membership', 'issuer'), name='one_subject_per_member'),
        ),
        migrations.AddConstraint(
            model_name='divisionmember',
            constraint=models.UniqueConstraint(fields=('organisation', 'division', 'membership'), name='division_member_once'),
        ),
        migrations.AddConstraint(
            model_name='division',
            constraint=models.UniqueConstraint(fields=('organisation', 'name'), name='division_name_once'),
        ),
        migrations.AddIndex(
            model_name='apitoken',
            index=models.Index(fields=['organisation', 'membership'], name='tokens_of_member'),
        ),
        migrations.AddConstraint(
            model_name='template',
            constraint=models.UniqueConstraint(fields=('organisation', 'name'), name='template_name_once'),
        ),
        tenant_table("organisations_organisation", column="id"),
        tenant_table("organisations_logo"),
        tenant_table("organisations_membership"),
        tenant_parent("organisations_membership"),
        tenant_table("organisations_division"),
        tenant_parent("organisations_division"),
        tenant_table("organisations_division_member"),
        tenant_table("organisations_template"),
        tenant_parent("organisations_template"),
        tenant_table("organisations_api_token"),
        tenant_table("organisations_invitation"),
        tenant_table("organisations_identity_provider"),
        tenant_parent("organisations_identity_provider"),
        tenant_table("organisations_federated_identity"),
        tenant_table("organisations_email_domain"),
        tenant_key("organisations_division_member", "division_id", "organisations_division"),
        tenant_key("organisations_division_member", "membership_id", "organisations_membership"),
        tenant_key("organisations_api_token", "membership_id", "organisations_membership", on_delete="CASCADE"),
        tenant_key("organisations_invitation", "invited_by_id", "organisations_membership"),
        tenant_key("organisations_federated_identity", "provider_id", "organisations_identity_provider", on_delete="CASCADE"),
        tenant_key("organisations_federated_identity", "membership_id", "organisations_membership", on_delete="CASCADE"),
        migrations.RunSQL(EXPIRE_AUDIT, "DROP FUNCTION public.audit_expire(bigint)"),
        migrations.RunSQL(SIGN_IN_CACHE, "DROP TABLE django_cache"),
    ]
