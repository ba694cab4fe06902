"""What people confirmed so far: what was last described of each imported company, and where a change of it was told and nobody
settled it, what stood there before. The trail forgets these names and numbers with the others."""

from importlib import import_module

from django.db import migrations

_before = import_module("koppel.administrations.migrations.0003_audit_forget")

CONFIRMED_SO_FAR = """
SELECT set_config('koppel.organisation', '0', true);
UPDATE connections_remote_company r
   SET confirmed_name = coalesce(nullif((
         SELECT i.facts ->> 'old' FROM issues_issue i
          WHERE i.organisation_id = a.organisation_id AND i.subject_kind = 'administration' AND i.subject_id = a.id
            AND i.code = 'company_renamed' AND i.resolved_at IS NULL LIMIT 1), ''),
         nullif(r.legal_name, ''), r.name),
       confirmed_number = coalesce(nullif((
         SELECT i.facts ->> 'old' FROM issues_issue i
          WHERE i.organisation_id = a.organisation_id AND i.subject_kind = 'administration' AND i.subject_id = a.id
            AND i.code = 'company_number_changed' AND i.resolved_at IS NULL LIMIT 1), ''),
         nullif(r.number, ''), a.number)
  FROM administrations_administration a
 WHERE a.remote_company_id = r.id AND a.organisation_id = r.organisation_id AND r.confirmed_name = '';
"""
AUDIT_FORGET = """
CREATE OR REPLACE FUNCTION audit_forget(organisation bigint, administration bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  scope_before text := coalesce(current_setting('koppel.organisation', true), '');
  key text := administration::text;
  known text[];
  one text;
  touched bigint;
BEGIN
  PERFORM set_config('koppel.organisation', organisation::text, true);
  SELECT array_remove(array[a.name, a.number, r.name, r.legal_name, r.number, r.vat_number, r.confirmed_name,
                            r.confirmed_number, r.claimed_name, r.claimed_number], NULL) INTO known
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


class Migration(migrations.Migration):
    dependencies = [
        ("administrations", "0003_audit_forget"),
        ("connections", "0008_confirmed_identity"),
        ("issues", "0002_told"),
    ]

    operations = [
        migrations.RunSQL(CONFIRMED_SO_FAR, migrations.RunSQL.noop),
        migrations.RunSQL(AUDIT_FORGET, _before.AUDIT_FORGET.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")),
    ]
