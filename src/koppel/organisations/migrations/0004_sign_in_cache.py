from django.db import migrations


class Migration(migrations.Migration):
    """The table of Django's database cache: throttling at sign-in counts in it. `createcachetable` makes the same one."""

    dependencies = [("organisations", "0003_people")]

    operations = [
        migrations.RunSQL(
            """
            CREATE TABLE django_cache (
              cache_key varchar(255) PRIMARY KEY, value text NOT NULL, expires timestamptz NOT NULL);
            CREATE INDEX django_cache_expires ON django_cache (expires);
            """,
            "DROP TABLE django_cache",
        )
    ]
