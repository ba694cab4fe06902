"""Erases an administration's books in batches, with the payloads of their rows."""

from django.db import connection as django_connection

from koppel.books.models import MODELS_BY_RESOURCE
from koppel.kit.database.sql_files import load_statements

ERASE_BATCH_SIZE = 20_000
_SQL = load_statements("koppel.books")


def erase_books(organisation_id: int, administration_id: int) -> bool:
    """Erase one batch of an administration's books. Returns whether there may be more."""
    remaining = ERASE_BATCH_SIZE
    with django_connection.cursor() as cursor:
        for model in MODELS_BY_RESOURCE.values():
            cursor.execute(
                _SQL["erase_rows"].format(table=model._meta.db_table),
                {"organisation": organisation_id, "administration": administration_id, "limit": remaining},
            )
            remaining -= cursor.rowcount
            if remaining <= 0:
                return True
    return False
