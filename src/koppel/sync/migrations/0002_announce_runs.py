from django.db import migrations

ANNOUNCE = """
CREATE FUNCTION sync_run_added() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('koppel_runs', '');
  RETURN NULL;
END $$;
CREATE TRIGGER announce AFTER INSERT ON sync_run FOR EACH STATEMENT EXECUTE FUNCTION sync_run_added();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('sync', '0001_initial'),
    ]

    operations = [
        migrations.RunSQL(ANNOUNCE, "DROP TRIGGER announce ON sync_run; DROP FUNCTION sync_run_added()"),
    ]
