import django.db.models.deletion
import django.db.models.functions.text
from django.db import migrations, models

from koppel.kit.tenancy.migration_operations import PINNED, tenant_key, tenant_parent, tenant_table

AUDIT_FORGET = f"""
CREATE FUNCTION public.audit_forget(organisation bigint, administration bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER {PINNED} AS $$
DECLARE
  scope_before text := coalesce(current_setting('koppel.organisation', true), '');
  key text := administration::text;
  company text;
  entry public.audit_entry;
  touched bigint := 0;
BEGIN
  PERFORM set_config('koppel.organisation', organisation::text, true);
  SELECT coalesce(a.remote_company_id::text, '') INTO company FROM public.administrations_administration a
   WHERE a.organisation_id = organisation AND a.id = administration
     AND (a.withdrawn_at IS NOT NULL OR (a.client_left_on IS NOT NULL AND a.erase_on <= current_date + 1));
  IF FOUND THEN
    UPDATE public.administrations_administration a SET is_forgotten = true
     WHERE a.organisation_id = organisation AND a.id = administration;
    FOR entry IN
      SELECT e.* FROM public.audit_entry e WHERE e.organisation_id = organisation AND (
        (e.subject_kind = 'administration' AND e.subject_id = administration)
        OR (starts_with(e.action, 'administrations.')
            AND (e.details -> 'before' ? key OR e.details -> 'after' ? key))
        OR (jsonb_typeof(e.details -> 'companies') = 'object' AND e.details -> 'companies' ? company))
    LOOP
      PERFORM public.audit_erase_values(entry, ARRAY(
        SELECT v.path FROM public.audit_values(entry) v
         WHERE CASE WHEN entry.subject_kind = 'administration' AND entry.subject_id = administration
                    THEN v.path = 'subject_name' OR starts_with(v.path, '[')
                    ELSE v.path IN (jsonb_build_array('details', 'before', key)::text,
                                    jsonb_build_array('details', 'after', key)::text,
                                    jsonb_build_array('details', 'companies', company)::text) END));
      touched := touched + 1;
    END LOOP;
  END IF;
  PERFORM set_config('koppel.organisation', scope_before, true);
  RETURN touched;
END $$;
REVOKE ALL ON FUNCTION public.audit_forget(bigint, bigint) FROM PUBLIC;
"""
"""The application may not change the log. This function of the owner erases name and values from the entries of one
administration, and what stands under its id, or its company's, in entries about several; by id alone, never by text. Only of
one that was withdrawn or whose day of erasing has come: who did what, when and from where stays, and so do all digests."""


REQUIRE_ERASURE = f"""
CREATE FUNCTION public.administrations_require_erasure() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER {PINNED} AS $$
DECLARE
  scope_before text := coalesce(current_setting('koppel.organisation', true), '');
  remains boolean;
BEGIN
  PERFORM set_config('koppel.organisation', NEW.organisation_id::text, true);
  remains := EXISTS (SELECT FROM public.administrations_administration a
                      WHERE a.organisation_id = NEW.organisation_id AND a.id = NEW.id);
  PERFORM set_config('koppel.organisation', scope_before, true);
  IF remains THEN
    RAISE EXCEPTION 'the audit log forgets an administration only with its row'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION public.administrations_require_erasure() FROM PUBLIC;
CREATE CONSTRAINT TRIGGER administrations_require_erasure
  AFTER INSERT OR UPDATE OF is_forgotten ON public.administrations_administration
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.is_forgotten)
  EXECUTE FUNCTION public.administrations_require_erasure();
"""
"""Otherwise whoever runs statements as the application role could withdraw a client, have the log forget it, and take the
withdrawal back: the check runs at the end of the transaction and looks for the row, whatever its columns say by then."""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('audit', '0001_initial'),
        ('connections', '0001_initial'),
        ('organisations', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Administration',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=300)),
                ('country', models.CharField(default='', max_length=2)),
                ('base_currency', models.CharField(default='', max_length=3)),
                ('number', models.CharField(default='', max_length=60)),
                ('number_scheme', models.CharField(default='', max_length=10)),
                ('number_note', models.CharField(choices=[('branch_number', 'branch_number'), ('court_missing', 'court_missing'), ('court_unknown', 'court_unknown'), ('date', 'date'), ('dummy', 'dummy'), ('empty', 'empty'), ('format', 'format'), ('looks_mistyped', 'looks_mistyped'), ('not_checkable', 'not_checkable'), ('not_found', 'not_found'), ('not_in_vies', 'not_in_vies'), ('rsin', 'rsin'), ('vat_number', 'vat_number'), ('zero_added', 'zero_added')], default='', max_length=40)),
                ('no_number_reason', models.CharField(default='', max_length=40)),
                ('sector', models.CharField(default='', max_length=4)),
                ('sector_scheme', models.CharField(default='', max_length=20)),
                ('confirmed_identity', models.JSONField(default=dict)),
                ('client_answer', models.JSONField(default=dict)),
                ('shared_number_answer', models.JSONField(default=dict)),
                ('client_number', models.CharField(default='', max_length=60)),
                ('status', models.CharField(choices=[('queued', 'Queued'), ('configuring', 'Configuring'), ('active', 'Active'), ('failed', 'Failed'), ('blocked', 'Needs attention'), ('deactivated', 'Deactivated')], default='queued', max_length=20)),
                ('status_reason', models.TextField(default='')),
                ('status_code', models.CharField(default='', max_length=60)),
                ('restricted', models.BooleanField(default=False)),
                ('settings', models.JSONField(default=dict)),
                ('import_id', models.BigIntegerField(null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('activated_at', models.DateTimeField(null=True)),
                ('complete_as_of', models.DateTimeField(null=True)),
                ('deactivated_on', models.DateField(null=True)),
                ('scheduled_deactivation_on', models.DateField(null=True)),
                ('deactivation_reason', models.CharField(default='', max_length=300)),
                ('client_left_on', models.DateField(null=True)),
                ('erase_on', models.DateField(null=True)),
                ('withdrawn_at', models.DateTimeField(null=True)),
                ('is_forgotten', models.BooleanField(default=False)),
                ('sort_name', models.GeneratedField(db_persist=True, expression=models.Func(django.db.models.functions.text.Lower('name'), models.Value('àáâãäåæçèéêëìíîïñòóôõöøœùúûüýÿšžÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜÝŸŠŽ'), models.Value('aaaaaaaceeeeiiiinooooooouuuuyyszaaaaaaaceeeeiiiinooooooouuuuyysz'), function='translate'), output_field=models.TextField())),
                ('search_key', models.GeneratedField(db_persist=True, expression=models.Func(django.db.models.functions.text.Lower(django.db.models.functions.text.Concat('name', models.Value(' '), 'number', models.Value(' '), 'client_number')), models.Value('àáâãäåæçèéêëìíîïñòóôõöøœùúûüýÿšžÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜÝŸŠŽ'), models.Value('aaaaaaaceeeeiiiinooooooouuuuyyszaaaaaaaceeeeiiiinooooooouuuuyysz'), function='translate'), output_field=models.TextField())),
                ('connection', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='administrations', to='connections.connection')),
                ('division', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='administrations', to='organisations.division')),
                ('imported_by', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
                ('predecessor', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='successors', to='administrations.administration')),
                ('remote_company', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='administrations', to='connections.remotecompany')),
                ('template', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='administrations', to='organisations.template')),
            ],
            options={
                'db_table': 'administrations_administration',
            },
        ),
        migrations.CreateModel(
            name='Assignment',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('automatic', models.BooleanField(default=False)),
                ('administration', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='assignments', to='administrations.administration')),
                ('membership', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='assignments', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'administrations_assignment',
            },
        ),
        migrations.CreateModel(
            name='BulkOperation',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('actor_name', models.CharField(max_length=200)),
                ('ip_address', models.CharField(default='', max_length=100)),
                ('role', models.CharField(max_length=20)),
                ('interface', models.CharField(max_length=20)),
                ('action', models.CharField(max_length=40)),
                ('params', models.JSONField(default=dict)),
                ('has_item_values', models.BooleanField(default=False)),
                ('csv_problems', models.JSONField(default=list)),
                ('csv_problem_count', models.IntegerField(default=0)),
                ('query', models.TextField(default='')),
                ('state', models.CharField(choices=[('draft', 'Not started'), ('queued', 'Queued'), ('running', 'Running'), ('done', 'Done'), ('undoing', 'Undoing'), ('undone', 'Undone')], default='draft', max_length=20)),
                ('total', models.IntegerField(default=0)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('undone_at', models.DateTimeField(null=True)),
                ('membership', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'administrations_bulk_operation',
            },
        ),
        migrations.CreateModel(
            name='BulkItem',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('administration_id', models.BigIntegerField()),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('changed', 'Changed'), ('skipped', 'Unchanged'), ('undone', 'Undone'), ('kept', 'Not undone')], default='waiting', max_length=20)),
                ('reason_code', models.CharField(default='', max_length=60)),
                ('params', models.JSONField(default=dict)),
                ('before', models.JSONField(default=dict)),
                ('after', models.JSONField(default=dict)),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
                ('operation', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='items', to='administrations.bulkoperation')),
            ],
            options={
                'db_table': 'administrations_bulk_item',
            },
        ),
        migrations.CreateModel(
            name='Favourite',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('administration', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='favourites', to='administrations.administration')),
                ('membership', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'administrations_favourite',
            },
        ),
        migrations.CreateModel(
            name='SavedView',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=120)),
                ('query', models.TextField()),
                ('is_default', models.BooleanField(default=False)),
                ('membership', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='organisations.membership')),
                ('organisation', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='organisations.organisation')),
            ],
            options={
                'db_table': 'administrations_saved_view',
            },
        ),
        migrations.AddIndex(
            model_name='administration',
            index=models.Index(fields=['organisation', 'sort_name', 'id'], name='administrations_by_name'),
        ),
        migrations.AddIndex(
            model_name='administration',
            index=models.Index(fields=['organisation', 'status', 'sort_name'], name='administrations_by_status'),
        ),
        migrations.AddIndex(
            model_name='administration',
            index=models.Index(fields=['organisation', 'import_id'], name='administrations_by_import'),
        ),
        migrations.AddIndex(
            model_name='administration',
            index=models.Index(fields=['organisation', 'number'], name='administrations_by_number'),
        ),
        migrations.AddIndex(
            model_name='administration',
            index=models.Index(fields=['organisation', 'client_number'], name='administrations_by_client'),
        ),
        migrations.AddIndex(
            model_name='administration',
            index=models.Index(fields=['organisation', 'complete_as_of'], name='administrations_by_age'),
        ),
        migrations.AddIndex(
            model_name='administration',
            index=models.Index(fields=['organisation', 'division'], name='administrations_of_division'),
        ),
        migrations.AddIndex(
            model_name='administration',
            index=models.Index(fields=['organisation', 'template'], name='administrations_of_template'),
        ),
        migrations.AddIndex(
            model_name='administration',
            index=models.Index(fields=['organisation', 'connection'], name='administrations_of_connection'),
        ),
        migrations.AddConstraint(
            model_name='administration',
            constraint=models.UniqueConstraint(fields=('organisation', 'remote_company'), name='imported_once'),
        ),
        migrations.AddIndex(
            model_name='assignment',
            index=models.Index(fields=['organisation', 'membership', 'administration'], name='assignments_of_person'),
        ),
        migrations.AddConstraint(
            model_name='assignment',
            constraint=models.UniqueConstraint(fields=('organisation', 'administration', 'membership'), name='assigned_once'),
        ),
        migrations.AddIndex(
            model_name='bulkoperation',
            index=models.Index(fields=['organisation', 'membership', '-created_at'], name='bulk_of_person'),
        ),
        migrations.AddIndex(
            model_name='bulkitem',
            index=models.Index(fields=['organisation', 'operation', 'state', 'id'], name='bulk_items_by_state'),
        ),
        migrations.AddConstraint(
            model_name='bulkitem',
            constraint=models.UniqueConstraint(fields=('organisation', 'operation', 'administration_id'), name='item_once'),
        ),
        migrations.AddConstraint(
            model_name='favourite',
            constraint=models.UniqueConstraint(fields=('organisation', 'membership', 'administration'), name='favourite_once'),
        ),
        migrations.AddConstraint(
            model_name='savedview',
            constraint=models.UniqueConstraint(fields=('organisation', 'membership', 'name'), name='view_name_once'),
        ),
        migrations.AddConstraint(
            model_name='savedview',
            constraint=models.UniqueConstraint(condition=models.Q(('is_default', True)), fields=('organisation', 'membership'), name='one_default_view'),
        ),
        tenant_table("administrations_administration"),
        tenant_parent("administrations_administration"),
        tenant_table("administrations_assignment"),
        tenant_table("administrations_favourite"),
        tenant_table("administrations_saved_view"),
        tenant_table("administrations_bulk_operation"),
        tenant_parent("administrations_bulk_operation"),
        tenant_table("administrations_bulk_item"),
        tenant_key("administrations_administration", "connection_id", "connections_connection"),
        tenant_key("administrations_administration", "remote_company_id", "connections_remote_company"),
        tenant_key("administrations_administration", "division_id", "organisations_division"),
        tenant_key("administrations_administration", "template_id", "organisations_template"),
        tenant_key("administrations_administration", "imported_by_id", "organisations_membership"),
        tenant_key("administrations_assignment", "administration_id", "administrations_administration"),
        tenant_key("administrations_assignment", "membership_id", "organisations_membership"),
        tenant_key("administrations_favourite", "administration_id", "administrations_administration"),
        tenant_key("administrations_favourite", "membership_id", "organisations_membership"),
        tenant_key("administrations_saved_view", "membership_id", "organisations_membership"),
        tenant_key("administrations_bulk_operation", "membership_id", "organisations_membership"),
        tenant_key("administrations_bulk_item", "operation_id", "administrations_bulk_operation"),
        tenant_key("administrations_administration", "predecessor_id", "administrations_administration"),
        migrations.RunSQL(AUDIT_FORGET, "DROP FUNCTION public.audit_forget(bigint, bigint)"),
        migrations.RunSQL(
            REQUIRE_ERASURE,
            "DROP TRIGGER administrations_require_erasure ON public.administrations_administration;"
            " DROP FUNCTION public.administrations_require_erasure()",
        ),
    ]
