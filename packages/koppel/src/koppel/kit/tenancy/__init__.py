"""The scope of a transaction: the organisation whose rows it may access, enforced by PostgreSQL.

`with organisation_scope(7): …` opens a transaction (or joins the open one) and sets the organisation for the
row level security policies. `with installation_scope("sign-in"): …` is for the few actions that belong to no
organisation: sign-in, scheduler, vault, key rotation; its reason is logged. A statement without a scope
raises an error.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog
from django.db import connection, transaction

INSTALLATION = 0
"""The scope value that sees every organisation."""
_SCOPE = "koppel_scope"
"""The attribute of Django's connection that has the scope of its transaction."""
_scope_actor: ContextVar[str] = ContextVar("koppel_scope_actor", default="")

log = structlog.get_logger(__name__)


@contextmanager
def organisation_scope(organisation_id: int) -> Iterator[None]:
    """Allow only rows of this organisation within the block, in one transaction."""
    if organisation_id <= INSTALLATION:
        raise ValueError("An organisation's scope needs the id of an organisation.")
    with _scope(organisation_id):
        yield


@contextmanager
def installation_scope(reason: str) -> Iterator[None]:
    """Allow rows of every organisation within the block, for a stated reason, in one transaction."""
    log.debug("installation_scope", reason=reason)
    with _scope(INSTALLATION):
        yield


@contextmanager
def scope_actor(actor: str) -> Iterator[None]:
    """Name in every scope within the block who acts: JSON, which the audit log takes from the scope."""
    token = _scope_actor.set(actor)
    try:
        yield
    finally:
        _scope_actor.reset(token)


def set_scope_sql(organisation_id: int) -> tuple[str, list[str]]:
    """Return the statement that scopes the rest of a transaction.

    For connections that Django does not manage.
    """
    return "SELECT set_config('koppel.organisation', %s, true)", [str(organisation_id)]


def has_scope_of(organisation_id: int) -> bool:
    """Return whether statements are in the organisation's scope already, in a transaction that can go on."""
    is_usable = connection.in_atomic_block and not connection.needs_rollback
    return is_usable and getattr(connection, _SCOPE, None) == organisation_id


@contextmanager
def _scope(value: int) -> Iterator[None]:
    joins, outer_scope = connection.in_atomic_block, getattr(connection, _SCOPE, None)
    with transaction.atomic():
        before = _swap(str(value))
        setattr(connection, _SCOPE, value)
        try:
            yield
        finally:
            setattr(connection, _SCOPE, outer_scope)
            # The scope ends with the transaction.
            if joins and not connection.needs_rollback:
                _swap(before)


def _swap(value: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(current_setting('koppel.organisation', true), ''),"
            " set_config('koppel.organisation', %s, true), set_config('koppel.actor', %s, true)",
            [value, _scope_actor.get()],
        )
        row = cursor.fetchone()
    return str(row[0])
