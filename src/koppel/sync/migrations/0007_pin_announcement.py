"""The trigger that announces runs: no name in it may mean what its caller made it mean."""

from django.db import migrations

from koppel.kit.tenancy.migration_operations import PINNED

ANNOUNCE = f"""
CREATE OR REPLACE FUNCTION public.sync_run_added() RETURNS trigger LANGUAGE plpgsql {PINNED} AS $$
BEGIN
  PERFORM pg_notify('koppel_runs', '');
  RETURN NULL;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("sync", "0006_outages_and_crashes")]

    operations = [migrations.RunSQL(ANNOUNCE, migrations.RunSQL.noop)]
