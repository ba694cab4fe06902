"""What web and workers need to run: a role under row level security, sessions of its own, tables of this
version, and usable keys. `koppel check` reports it; the programs refuse to start without it.
"""

import os
from collections.abc import Iterator
from typing import Any

import psycopg

from koppel.cli.checks.result import CheckFinding
from koppel.cli.preparation import pending_migrations
from koppel.kit.cli.errors import CommandError
from koppel.kit.database.health.readiness import SECRET_KEY_CHARACTERS_MIN
from koppel.kit.encryption import Keyring
from koppel.kit.tenancy.migration_history import reason_unusable

_ROLE_QUERY = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls,
       EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public'
         AND pg_has_role(r.oid, tableowner::regrole, 'USAGE'))
  FROM pg_roles r WHERE r.rolname = current_user
"""
_SESSION = b"SELECT pg_backend_pid()"
POOLED = (
    "DATABASE_URL leads to a pooler in transaction mode, and Koppel's locks and notifications belong to "
    "sessions; use the server's own address, or session mode."
)


def require_startable() -> None:
    """Raise `CommandError` with the first finding that prevents web and workers from running."""
    findings = (check_role, check_pooling, check_migrations, check_secret_key, check_key_form)
    for check in findings:
        finding = check()
        if not finding.is_ok:
            raise CommandError(finding.text)


def check_role() -> CheckFinding:
    """Check that row level security holds for the application role."""
    topic = "application role"
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        row = connection.execute(_ROLE_QUERY).fetchone()
    name, is_superuser, bypasses, owns_tables = row or ("", True, True, True)
    for is_violated, problem in (
        (is_superuser, "is a superuser, so row level security does not hold for it"),
        (bypasses, "has BYPASSRLS, so row level security does not hold for it"),
        (owns_tables, "owns Koppel's tables or belongs to their owner"),
    ):
        if is_violated:
            text = f"The role {name} of DATABASE_URL {problem}; use a plain role of its own."
            return CheckFinding(topic=topic, is_ok=False, text=text)
    return CheckFinding(
        topic=topic, is_ok=True, text=f"The application role {name} is neither superuser nor owner."
    )


def check_pooling() -> CheckFinding:
    """Check that each connection has a session of its own: a pooler in transaction mode shares them."""
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as first, psycopg.connect(url) as second:
        before, of_second, after = _session(first), _session(second), _session(first)
    if before == after != of_second:
        return CheckFinding(topic="sessions", is_ok=True, text="Each connection has a session of its own.")
    return CheckFinding(topic="sessions", is_ok=False, text=POOLED)


def _session(connection: "psycopg.Connection[Any]") -> int:
    row = connection.execute(_SESSION, prepare=False).fetchone()
    return int(row[0]) if row else 0


def check_migrations() -> CheckFinding:
    """Check that the tables are those of this version."""
    alias = "owner" if os.environ.get("KOPPEL_OWNER_DATABASE_URL") else "default"
    try:
        if reason := reason_unusable(alias):
            return CheckFinding(topic="migrations", is_ok=False, text=reason)
        pending = pending_migrations(alias)
    except Exception as error:
        text = f"The state of the tables cannot be read: {str(error).splitlines()[0]}"
        return CheckFinding(topic="migrations", is_ok=False, text=text)
    if pending:
        text = f"{len(pending)} migrations are not applied (first {pending[0]}); run koppel migrate."
        return CheckFinding(topic="migrations", is_ok=False, text=text)
    return CheckFinding(topic="migrations", is_ok=True, text="All migrations are applied.")


def check_secret_key() -> CheckFinding:
    length = len(os.environ.get("KOPPEL_SECRET_KEY", ""))
    if length < SECRET_KEY_CHARACTERS_MIN:
        text = (
            f"KOPPEL_SECRET_KEY has {length} characters; use {SECRET_KEY_CHARACTERS_MIN} random ones or more."
        )
        return CheckFinding(topic="secret key", is_ok=False, text=text)
    return CheckFinding(topic="secret key", is_ok=True, text="KOPPEL_SECRET_KEY is long enough.")


def check_key_form() -> CheckFinding:
    """Check the form of the vault keys. Whether they open what is stored, only `koppel check` tries: with a
    lost key Koppel runs, and syncs wait.
    """
    try:
        keyring = Keyring.parse(os.environ.get("KOPPEL_VAULT_KEYS", ""))
    except ValueError as error:
        return CheckFinding(
            topic="vault keys", is_ok=False, text=f"KOPPEL_VAULT_KEYS cannot be used: {error}"
        )
    return CheckFinding(
        topic="vault keys", is_ok=True, text=f"New secrets are sealed with key {keyring.current}."
    )


def collect_requirements() -> Iterator[CheckFinding]:
    """Yield what a reachable database must fulfil, in the order of repair."""
    yield check_role()
    yield check_pooling()
    yield check_migrations()
