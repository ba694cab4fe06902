"""Keeps every sequence within this installation's range of ids, and stores its number in the database."""

from django.conf import settings
from django.db import connections, transaction
from django.db.backends.utils import CursorWrapper
from psycopg import sql

from koppel.kit.tenancy.installation_number import id_range

_STORED = "SELECT number FROM kit_installation"
_OUTSIDE = """
SELECT c.relname FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
 WHERE c.relnamespace = 'public'::regnamespace AND pg_get_userbyid(c.relowner) = current_user
   AND s.seqtypid = 'bigint'::regtype
   AND (s.seqmin, s.seqstart, s.seqmax, s.seqcycle) IS DISTINCT FROM (%(first)s, %(first)s, %(last)s, false)
 ORDER BY c.relname
"""
"""All sequences of 64-bit columns, also those of installed packages: new tables get their range without
registration. A few tables of Django and allauth have 32-bit ids (content types, permissions, groups, e-mail
addresses); these never leave the database, and each row has another key by which another installation could
find it.
"""


def stored_number(using: str) -> int | None:
    """Return the number in the database; None before its first migration."""
    with connections[using].cursor() as cursor:
        cursor.execute("SELECT to_regclass('kit_installation') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return None
        return _number(cursor)


def number_conflict(using: str) -> str:
    """Return a message when the setting and the database have different numbers; otherwise ''."""
    stored = stored_number(using)
    if settings.INSTALLATION_NUMBER in (None, stored) or stored is None:
        return ""
    return (
        f"KOPPEL_INSTALLATION_NUMBER is {settings.INSTALLATION_NUMBER}, "
        f"but this database belongs to installation {stored}, as"
        f" do the copies that are restored from it; set it to {stored} or unset it."
    )


def ranges_are_missing(using: str) -> bool:
    """Return whether a sequence could generate an id outside this installation's range.

    This happens if a migration was killed before it set the ranges.
    """
    with connections[using].cursor() as cursor:
        return bool(_sequences_outside(cursor))


def set_id_ranges(using: str) -> None:
    """Limit all sequences to their ranges; run as the owner after migrations.

    A sequence within its range keeps its position.
    """
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        first, last = id_range(_number(cursor))
        for name in _sequences_outside(cursor):
            cursor.execute(sql.SQL("SELECT last_value < %s FROM {}").format(sql.Identifier(name)), [first])
            restart = sql.SQL("RESTART" if cursor.fetchone()[0] else "")
            statement = sql.SQL("ALTER SEQUENCE {} MINVALUE {} START {} MAXVALUE {} NO CYCLE {}")
            cursor.execute(statement.format(sql.Identifier(name), first, first, last, restart))


def _number(cursor: CursorWrapper) -> int:
    cursor.execute(_STORED)
    return int(cursor.fetchone()[0])


def _sequences_outside(cursor: CursorWrapper) -> list[str]:
    cursor.execute(_OUTSIDE, id_range(_number(cursor))._asdict())
    return [name for (name,) in cursor.fetchall()]
