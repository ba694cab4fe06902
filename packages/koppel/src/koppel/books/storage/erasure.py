"""Erasing an administration's books, a part at a time: rows with the payloads they were made of."""

from django.db import connection

from koppel.books.models import MODELS_BY_RESOURCE

ERASE_BATCH_SIZE = 20_000

_ERASE = """
DELETE FROM {table} WHERE organisation_id = %s AND administration_id = %s AND external_id IN (
  SELECT external_id FROM {table} WHERE administration_id = %s LIMIT %s)
"""
"""By key: a row's physical place (ctid) means another row in each partition."""


def erase_books(organisation_id: int, administration_id: int) -> bool:
    """Erase one part of an administration's books. Returns whether there may be more."""
    remaining = ERASE_BATCH_SIZE
    with connection.cursor() as cursor:
        for model in MODELS_BY_RESOURCE.values():
            cursor.execute(
                _ERASE.format(table=model._meta.db_table),
                [organisation_id, administration_id, administration_id, remaining],
            )
            remaining -= cursor.rowcount
            if remaining <= 0:
                return True
    return False
