"""When an administration is erased, the trail keeps what was done to it and forgets whose it was."""

from django.db import migrations

AUDIT_FORGET = """
CREATE FUNCTION audit_forget(organisation bigint, administration bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  scope_before text := coalesce(current_setting('koppel.organisation', true), '');
  key text := administration::text;
  known text[];
  one text;
  touched bigint;
BEGIN
  PERFORM set_config('koppel.organisation', organisation::text, true);
  SELECT array_remove(array[a.name, a.number, r.name, r.legal_name, r.number, r.vat_number], NULL) INTO known
    FROM administrations_administration a LEFT JOIN connections_remote_company r
      ON r.organisation_id = a.organisation_id AND r.id = a.remote_company_id
   WHERE a.organisation_id = organisation AND a.id = administration
     AND (a.withdrawn_at IS NOT NULL OR (a.left_on IS NOT NULL AND a.erase_on <= current_date + 1));
  IF known IS NULL THEN
    PERFORM set_config('koppel.organisation', scope_before, true);
    RETURN 0;
  END IF;
  UPDATE audit_entry SET subject_name = '', details = '{}'
   WHERE organisation_id = organisation AND subject_kind = 'administration' AND subject_id = administration;
  GET DIAGNOSTICS touched = ROW_COUNT;
  UPDATE audit_entry SET details = details #- array['before', key] #- array['after', key]
   WHERE organisation_id = organisation AND (details -> 'before' ? key OR details -> 'after' ? key);
  FOREACH one IN ARRAY known LOOP
    IF length(one) > 3 THEN
      UPDATE audit_entry SET details = replace(details::text, to_jsonb(one)::text, '"…"')::jsonb
       WHERE organisation_id = organisation AND strpos(details::text, to_jsonb(one)::text) > 0;
    END IF;
  END LOOP;
  PERFORM set_config('koppel.organisation', scope_before, true);
  RETURN touched;
END $$;
REVOKE ALL ON FUNCTION audit_forget(bigint, bigint) FROM PUBLIC;
"""
"""The application may not change the trail. This function of the owner blanks name and values in the entries of one
administration, and its name, number and code wherever else they stand, and only of one that was withdrawn or whose day of erasing
has come: who did what, when and from where stays."""


class Migration(migrations.Migration):

    dependencies = [
        ('administrations', '0002_lists_and_bulk'),
        ('audit', '0002_door'),
    ]

    operations = [
        migrations.RunSQL(AUDIT_FORGET, "DROP FUNCTION audit_forget(bigint, bigint)"),
    ]
