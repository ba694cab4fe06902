"""A page of entries asks once for its administration, where a foreign key asked a thousand times: a quarter of what PostgreSQL
spent on a first import."""

from django.db import migrations

from koppel.kit.tenancy.migration_operations import tenant_key_by_statement

LARGE = ("books_entry_line", "books_entry", "books_balance")


class Migration(migrations.Migration):
    dependencies = [("books", "0003_partitions"), ("administrations", "0001_initial")]

    operations = [
        tenant_key_by_statement(table, "administration_id", "administrations_administration") for table in LARGE
    ]
