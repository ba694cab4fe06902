"""Roles that read the books by SQL: which organisation each belongs to stands in a table that only the owner may touch."""

from django.db import migrations

READERS = """
CREATE SCHEMA koppel_readers;
REVOKE ALL ON SCHEMA koppel_readers FROM PUBLIC;
CREATE TABLE koppel_readers.reader (
  role name PRIMARY KEY CHECK (role LIKE 'koppel\\_reader\\_%'),
  organisation_id bigint NOT NULL,
  made_at timestamptz NOT NULL DEFAULT now(),
  made_by text NOT NULL
);
CREATE FUNCTION koppel_reader_organisation(asking name) RETURNS bigint
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE found bigint;
BEGIN
  SELECT organisation_id INTO found FROM koppel_readers.reader WHERE role = asking;
  IF found IS NULL THEN
    RAISE EXCEPTION '% may read no organisation', asking USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN found;
END $$;
REVOKE ALL ON FUNCTION koppel_reader_organisation(name) FROM PUBLIC;
CREATE OR REPLACE FUNCTION koppel_scope() RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE value text;
BEGIN
  -- Who reads by SQL can SET what they like; their name they cannot choose.
  IF starts_with(current_user::text, 'koppel_reader_') THEN
    RETURN koppel_reader_organisation(current_user);
  END IF;
  value := current_setting('koppel.organisation', true);
  IF value IS NULL OR value = '' THEN
    RAISE EXCEPTION 'no organisation scope is set for this transaction'
      USING ERRCODE = 'insufficient_privilege', HINT = 'Open koppel.kit.tenancy.organisation_scope(...) first.';
  END IF;
  RETURN value::bigint;
END $$;
"""
BACK = """
CREATE OR REPLACE FUNCTION koppel_scope() RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE value text := current_setting('koppel.organisation', true);
BEGIN
  IF value IS NULL OR value = '' THEN
    RAISE EXCEPTION 'no organisation scope is set for this transaction'
      USING ERRCODE = 'insufficient_privilege', HINT = 'Open koppel.kit.tenancy.organisation_scope(...) first.';
  END IF;
  RETURN value::bigint;
END $$;
DROP FUNCTION koppel_reader_organisation(name);
DROP SCHEMA koppel_readers CASCADE;
"""


class Migration(migrations.Migration):
    dependencies = [("books", "0001_initial"), ("organisations", "0001_initial")]

    operations = [migrations.RunSQL(READERS, BACK)]
