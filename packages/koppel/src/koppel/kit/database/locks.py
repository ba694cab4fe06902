"""Named advisory locks of PostgreSQL. Nothing else in Koppel calls `pg_advisory_…`.

A lock consists of a name and ids. Its key is a 64-bit hash of both, so different names do not share keys, and
ids may be as large as a bigint. A transaction lock ends with its transaction, a session lock when it is
released or its session ends.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from enum import StrEnum
from hashlib import blake2b

from django.db import DatabaseError, OperationalError, transaction
from django.db import connection as django_connection
from psycopg.errors import LockNotAvailable

from koppel.kit.database.pool import DatabaseConnection

KEY_BYTES = 8
LOCK_UNTIL_COMMIT_SQL = "SELECT pg_advisory_xact_lock(%s)"
"""Waits for the lock. The parameter is a key, see `lock_key`."""
TRY_SESSION_LOCK_SQL = "pg_try_advisory_lock"
"""A function of one key, for statements that choose in SQL which locks to try."""
_TRY_UNTIL_COMMIT_SQL = "SELECT pg_try_advisory_xact_lock(%s)"
_LOCK_SESSION_SQL = "SELECT set_config('lock_timeout', %s, true), pg_advisory_lock(%s)"
_UNLOCK_SESSION_SQL = "SELECT pg_advisory_unlock(%s)"
_KEEP_SESSION_LOCK_SQL = "SELECT %s OR pg_try_advisory_lock(%s)"
_TRY_SESSION_LOCKS_SQL = "SELECT key FROM unnest(%s::bigint[]) key WHERE pg_try_advisory_lock(key)"
_RELEASE_SESSION_LOCKS_SQL = "SELECT pg_advisory_unlock(key) FROM unnest(%s::bigint[]) key"


class LockName(StrEnum):
    """All advisory locks: the ids of each, its holder, and what it protects."""

    GRANT = "connections.grant"
    """Id: grant. Held by the vault's session while it refreshes the grant's token, as only one process may
    use a refresh token.
    """
    NEW_CONNECTION = "connections.new_connection"
    """Id: organisation. Held from the end of a sign-in to its commit: two sign-ins of one account find the
    same connection.
    """
    CONSENT_ATTEMPT = "connections.consent_attempt"
    """Ids: organisation, consent attempt. Held by the request's session during the exchange of the code; a
    second request for the same attempt waits for the outcome.
    """
    PREDECESSORS = "administrations.predecessors"
    """Id: organisation. Held while the predecessor of an administration is set, until the commit: concurrent
    changes could form a cycle without touching the same rows.
    """
    EXPORT = "kit.export"
    """Ids: organisation, slot. Held while a file is written, until the commit: so many at a time over all
    processes.
    """
    INVITATIONS = "organisations.invitations"
    """Id: organisation. Held from the count of what was sent until the commit: concurrent requests count each
    other.
    """
    WEBHOOK_TESTS = "notifications.webhook_tests"
    """Id: organisation. Held from the count of tests until the commit, likewise."""
    IMPORT_START = "onboarding.import_start"
    """Id: organisation. Held by the wizard's last step until its commit: a company that two accounts reach is
    imported once.
    """
    IMPORT_COMPLETION = "sync.import_completion"
    """Id: import. Held at the end of an administration's first sync until its commit: exactly one is the
    last, and notifies.
    """
    SCHEDULE = "sync.schedule"
    """Id: none. Held by the process that requests due runs, until its commit; others skip the work."""
    MIGRATION = "kit.migration"
    """Id: none. Held by the session of the process that migrates the database; others wait."""
    LEADER = "sync.leader"
    """Id: none. Held by the session of the leading worker, which keeps the schedule."""


class LockTimeout(Exception):
    """Another session held the lock for longer than the caller was willing to wait."""


def lock_key(name: LockName, *ids: int) -> int:
    """Return the key of a lock: a signed 64-bit number, the same in every process and version."""
    text = ":".join([name.value, *map(str, ids)])
    return int.from_bytes(blake2b(text.encode(), digest_size=KEY_BYTES).digest(), "big", signed=True)


def lock_until_commit(name: LockName, *ids: int) -> None:
    """Wait for the lock and hold it until the end of Django's transaction."""
    with django_connection.cursor() as cursor:
        cursor.execute(LOCK_UNTIL_COMMIT_SQL, [lock_key(name, *ids)])


def try_lock_until_commit(name: LockName, *ids: int) -> bool:
    """Take the lock until the end of Django's transaction, unless another session has it."""
    with django_connection.cursor() as cursor:
        cursor.execute(_TRY_UNTIL_COMMIT_SQL, [lock_key(name, *ids)])
        return bool(cursor.fetchone()[0])


@contextmanager
def session_lock(name: LockName, *ids: int, timeout_seconds: int) -> Iterator[None]:
    """Hold the lock during the block, in the session of Django's connection.

    No transaction is open, so the block may call vendors. The lock ends with the session, so a killed process
    blocks no other. Raises `LockTimeout`, and `RuntimeError` within a transaction.
    """
    if django_connection.in_atomic_block:
        raise RuntimeError("A session lock for a block is taken outside of transactions.")
    key = lock_key(name, *ids)
    try:
        # The transaction ends at once: it only scopes the timeout.
        with transaction.atomic(), django_connection.cursor() as cursor:
            cursor.execute(_LOCK_SESSION_SQL, [f"{timeout_seconds}s", key])
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise LockTimeout(name) from None
        raise
    try:
        yield
    finally:
        _unlock_session(key)


def _unlock_session(key: int) -> None:
    try:
        with django_connection.cursor() as cursor:
            cursor.execute(_UNLOCK_SESSION_SQL, [key])
    except DatabaseError:
        django_connection.close()  # ends the session, and the lock with it


async def keep_session_lock(connection: DatabaseConnection, name: LockName, *ids: int, is_held: bool) -> bool:
    """Take the lock for the session, unless this session (`is_held`) or another one has it.

    Session locks are re-entrant, hence `is_held`. The server is queried in either case, so a broken session
    raises.
    """
    cursor = await connection.execute(_KEEP_SESSION_LOCK_SQL, [is_held, lock_key(name, *ids)])
    row = await cursor.fetchone()
    return bool(row and row[0])


async def try_session_locks(connection: DatabaseConnection, name: LockName, ids: Collection[int]) -> set[int]:
    """Take the locks of `ids` for the session, in one statement.

    Returns the ids whose locks no other session has.
    """
    id_by_key = {lock_key(name, lock_id): lock_id for lock_id in sorted(ids)}
    cursor = await connection.execute(_TRY_SESSION_LOCKS_SQL, [list(id_by_key)])
    return {id_by_key[key] for (key,) in await cursor.fetchall()}


async def release_session_locks(connection: DatabaseConnection, name: LockName, ids: Collection[int]) -> None:
    """Release locks that this session holds, in one statement."""
    await connection.execute(_RELEASE_SESSION_LOCKS_SQL, [[lock_key(name, lock_id) for lock_id in ids]])
