"""`audit_expire` acts as the owner: no name in it may mean what its caller made it mean."""

from django.db import migrations

from koppel.kit.tenancy.migration_operations import PINNED

EXPIRE_AUDIT = f"""
CREATE OR REPLACE FUNCTION public.audit_expire(organisation bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER {PINNED} AS $$"""
BODY = """
DECLARE
  scope_before text := coalesce(current_setting('koppel.organisation', true), '');
  keep_years integer;
  gone bigint;
BEGIN
  PERFORM set_config('koppel.organisation', organisation::text, true);
  SELECT greatest(audit_years, 1) INTO STRICT keep_years FROM public.organisations_organisation WHERE id = organisation;
  DELETE FROM public.audit_entry WHERE organisation_id = organisation AND at < now() - make_interval(years => keep_years);
  GET DIAGNOSTICS gone = ROW_COUNT;
  IF gone > 0 THEN
    INSERT INTO public.audit_entry
      (organisation_id, actor_kind, actor_name, from_address, door, act, subject_kind, subject_name, details)
    VALUES (organisation, 'job', 'Koppel', '', 'job', 'audit.expired', '', '',
            jsonb_build_object('count', gone, 'years', keep_years));
  END IF;
  PERFORM set_config('koppel.organisation', scope_before, true);
  RETURN gone;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("organisations", "0006_invited_from_the_shell")]

    operations = [migrations.RunSQL(EXPIRE_AUDIT + BODY, migrations.RunSQL.noop)]
