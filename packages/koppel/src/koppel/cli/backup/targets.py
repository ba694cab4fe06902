"""Where a backup is restored: an embedded server in a data directory without one, or an empty database."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from koppel.cli.backup.manifest import Manifest
from koppel.cli.backup.restoration import Backup, Target, programs_for, restore_database
from koppel.cli.environment import require_reachable
from koppel.kit.cli.errors import CommandError
from koppel.kit.database.embedded_postgres import EmbeddedPostgres, find_binaries, write_private

STAGING = "postgres.restored"
"""The server's directory until all of it is restored."""
_TABLES = (
    "SELECT count(*) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
)
_MISSING_ROLES = "SELECT name FROM unnest(%s::text[]) name WHERE to_regrole(quote_ident(name)) IS NULL"


def restore_embedded(backup: Backup, home: Path, secrets: bytes, *, by: str) -> None:
    """Restore into a new embedded server of the data directory.

    Until all of it is there, the data directory has no server. Raises `CommandError`.
    """
    refuse_existing_server(home)
    programs = programs_for(backup.manifest, find_binaries().major)
    staging = home / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with EmbeddedPostgres(staging) as server:
            target = _empty_embedded(server.addresses.superuser_url, backup.manifest)
            restore_database(backup, target, programs, by=by)
            _rename_roles(target.superuser_url, _role_names(backup.manifest), back=True)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    if secrets:
        write_private(home / "secrets.json", secrets.decode())
    staging.rename(home / "postgres")


def refuse_existing_server(home: Path) -> None:
    """Require that the data directory has no embedded server. Raises `CommandError`."""
    postgres = home / "postgres"
    if postgres.exists() and any(postgres.iterdir()):
        raise CommandError(
            f"{postgres} holds a database, and a restore overwrites none: restore into another data directory"
            " with --data-dir, or stop Koppel and move that folder away."
        )


def _empty_embedded(superuser_url: str, manifest: Manifest) -> Target:
    """Make the server's database anew, for the roles of the backup; the application may not connect."""
    names = _role_names(manifest)
    _rename_roles(superuser_url, names)
    with psycopg.connect(make_conninfo(superuser_url, dbname="postgres"), autocommit=True) as connection:
        database = sql.Identifier(str(conninfo_to_dict(superuser_url)["dbname"]))
        for statement in (
            "DROP DATABASE {database} WITH (FORCE)",
            "CREATE DATABASE {database} OWNER {owner}",
            "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        ):
            connection.execute(
                sql.SQL(statement).format(database=database, owner=sql.Identifier(manifest.owner))
            )
    return Target(superuser_url=superuser_url, owner=manifest.owner, application=manifest.application)


def _role_names(manifest: Manifest) -> Mapping[str, str]:
    """Return the backup's names of the embedded server's two roles."""
    return {"koppel_owner": manifest.owner, "koppel_app": manifest.application}


def _rename_roles(superuser_url: str, names: Mapping[str, str], *, back: bool = False) -> None:
    """Give the embedded server's roles the backup's names while it is restored: rights follow the roles."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        for embedded, original in names.items():
            before, after = (original, embedded) if back else (embedded, original)
            if before == after:
                continue
            try:
                connection.execute(
                    sql.SQL("ALTER ROLE {} RENAME TO {}").format(
                        sql.Identifier(before), sql.Identifier(after)
                    )
                )
            except psycopg.errors.DuplicateObject:
                raise CommandError(
                    f"The backup's role {original} has the name of the embedded server's superuser;"
                    " restore into a PostgreSQL of your own."
                ) from None


def restore_external(backup: Backup, administrator_url: str, *, by: str) -> None:
    """Restore into the empty database of DATABASE_URL, as a superuser. Raises `CommandError`."""
    database = conninfo_to_dict(os.environ["DATABASE_URL"])
    if not administrator_url:
        raise CommandError(
            "A database of your own is restored as superuser: give its address with --administrator-url."
        )
    require_reachable(administrator_url, "--administrator-url")
    url = make_conninfo(administrator_url, dbname=str(database.get("dbname")))
    manifest = backup.manifest
    with psycopg.connect(url, autocommit=True) as connection:
        _require_empty(connection)
        programs = programs_for(manifest, connection.info.server_version // 10000)
        _require_roles(connection, manifest, str(database.get("user")))
        connection.execute(
            sql.SQL("REVOKE CONNECT ON DATABASE {} FROM {}").format(
                sql.Identifier(connection.info.dbname), sql.Identifier(manifest.application)
            )
        )
    restore_database(
        backup,
        Target(superuser_url=url, owner=manifest.owner, application=manifest.application),
        programs,
        by=by,
    )


def _require_empty(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute("SELECT current_setting('is_superuser') = 'on'").fetchone()
    if not row or not row[0]:
        raise CommandError("The role of --administrator-url is no superuser.")
    row = connection.execute(_TABLES).fetchone()
    if row and row[0]:
        raise CommandError(
            f"The database {connection.info.dbname} has {row[0]} tables, and a restore overwrites none:"
            " create a new one (docs/operations.md, Roles) and name it in DATABASE_URL."
        )


def _require_roles(connection: psycopg.Connection[Any], manifest: Manifest, application: str) -> None:
    names = [manifest.owner, manifest.application]
    missing = [name for (name,) in connection.execute(_MISSING_ROLES, [names]).fetchall()]
    if missing:
        raise CommandError(
            f"The server has no role {' and no role '.join(missing)}, which the backup names; create what is"
            " missing (docs/operations.md, Roles)."
        )
    if application != manifest.application:
        raise CommandError(
            f"DATABASE_URL has the role {application} and the backup {manifest.application}; use that one."
        )
