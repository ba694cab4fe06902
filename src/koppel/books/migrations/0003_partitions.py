"""The large tables in partitions by administration: indexes stay shallow, a sync writes one of them, and all that is read or
written together lies together. See docs/decisions/ for why not by time."""

from django.db import migrations

from koppel.kit.tenancy.migration_operations import partitioned_by_hash, tenant_key, tenant_table

PARTITIONS = 16
LARGE = ("books_entry_line", "books_entry", "books_balance")


def _operations():
    for table in LARGE:
        yield partitioned_by_hash(table, "administration_id", "administration_id, external_id", count=PARTITIONS)
        yield tenant_table(table)
        yield tenant_key(table, "administration_id", "administrations_administration", on_delete="CASCADE")


class Migration(migrations.Migration):

    dependencies = [
        ("books", "0002_sql_readers"),
        ("administrations", "0001_initial"),
    ]

    operations = list(_operations())
