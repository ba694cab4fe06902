"""`audit_forget` acts as the owner: no name in it may mean what its caller made it mean."""

from django.db import migrations

from koppel.kit.tenancy.migration_operations import PINNED

AUDIT_FORGET = f"""
CREATE OR REPLACE FUNCTION public.audit_forget(organisation bigint, administration bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER {PINNED} AS $$"""
BODY = """
DECLARE
  scope_before text := coalesce(current_setting('koppel.organisation', true), '');
  key text := administration::text;
  known text[];
  one text;
  touched bigint;
BEGIN
  PERFORM set_config('koppel.organisation', organisation::text, true);
  SELECT array_remove(array[a.name, a.number, r.name, r.legal_name, r.number, r.vat_number], NULL) INTO known
    FROM public.administrations_administration a LEFT JOIN public.connections_remote_company r
      ON r.organisation_id = a.organisation_id AND r.id = a.remote_company_id
   WHERE a.organisation_id = organisation AND a.id = administration
     AND (a.withdrawn_at IS NOT NULL OR (a.left_on IS NOT NULL AND a.erase_on <= current_date + 1));
  IF known IS NULL THEN
    PERFORM set_config('koppel.organisation', scope_before, true);
    RETURN 0;
  END IF;
  UPDATE public.audit_entry SET subject_name = '', details = '{}'
   WHERE organisation_id = organisation AND subject_kind = 'administration' AND subject_id = administration;
  GET DIAGNOSTICS touched = ROW_COUNT;
  UPDATE public.audit_entry SET details = details #- array['before', key] #- array['after', key]
   WHERE organisation_id = organisation AND (details -> 'before' ? key OR details -> 'after' ? key);
  FOREACH one IN ARRAY known LOOP
    IF length(one) > 3 THEN
      UPDATE public.audit_entry SET details = replace(details::text, to_jsonb(one)::text, '"…"')::jsonb
       WHERE organisation_id = organisation AND strpos(details::text, to_jsonb(one)::text) > 0;
    END IF;
  END LOOP;
  PERFORM set_config('koppel.organisation', scope_before, true);
  RETURN touched;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("administrations", "0003_audit_forget")]

    operations = [migrations.RunSQL(AUDIT_FORGET + BODY, migrations.RunSQL.noop)]
