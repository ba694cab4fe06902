"""The scope is closed by default: only a role that may read the tables themselves chooses it by a setting, and no name in the
functions behind the policies means what their caller made it mean."""

from django.db import migrations

from koppel.kit.tenancy.migration_operations import PINNED, replace_parent_functions

LARGE = ("books_entry_line", "books_entry", "books_balance")
SCOPE = f"""
CREATE OR REPLACE FUNCTION public.koppel_reader_organisation(asking name) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER {PINNED} AS $$
DECLARE organisation bigint;
BEGIN
  SELECT reader.organisation_id INTO organisation FROM koppel_readers.reader WHERE reader.role = asking;
  IF organisation IS NULL THEN
    RAISE EXCEPTION '% may read no organisation', asking USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN organisation;
END $$;
CREATE OR REPLACE FUNCTION public.koppel_scope() RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE {PINNED} AS $$
DECLARE value text;
BEGIN
  -- Who reads by SQL can SET what they like; neither their name nor their rights can they choose. A reader that was renamed,
  -- or a role that somebody let into the views by hand, has no right on the tables: it reads what the list of readers says.
  IF starts_with(current_user::pg_catalog.text, 'koppel_reader_')
     OR NOT has_table_privilege(current_user, 'public.organisations_organisation', 'SELECT') THEN
    RETURN public.koppel_reader_organisation(current_user);
  END IF;
  value := current_setting('koppel.organisation', true);
  IF value IS NULL OR value = '' THEN
    RAISE EXCEPTION 'no organisation scope is set for this transaction'
      USING ERRCODE = 'insufficient_privilege', HINT = 'Open koppel.kit.tenancy.organisation_scope(...) first.';
  END IF;
  RETURN value::bigint;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("books", "0004_parents_by_statement"), ("organisations", "0001_initial")]

    operations = [
        migrations.RunSQL(SCOPE, migrations.RunSQL.noop),
        *(replace_parent_functions(table, "administration_id", "administrations_administration") for table in LARGE),
    ]
