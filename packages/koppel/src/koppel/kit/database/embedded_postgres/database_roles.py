"""The database and its two roles: the owner migrates, the application works under row level security."""

from typing import Any

import psycopg
from psycopg import sql

from koppel.kit.database.embedded_postgres.credentials import APPLICATION, DATABASE, OWNER, ServerCredentials
from koppel.kit.database.superuser_script import superuser_script


def create_database_and_roles(credentials: ServerCredentials) -> None:
    """Create the missing objects; safe to repeat after an interruption at any point."""
    with psycopg.connect(credentials.maintenance_url, autocommit=True) as connection:
        for role, password in ((OWNER, credentials.owner_password), (APPLICATION, credentials.app_password)):
            if not _exists(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", role):
                connection.execute(
                    sql.SQL(
                        "CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS PASSWORD {}"
                    ).format(sql.Identifier(role), sql.Literal(scram_verifier(connection, role, password)))
                )
        if not _exists(connection, "SELECT 1 FROM pg_database WHERE datname = %s", DATABASE):
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(OWNER))
            )
        for statement in (
            "REVOKE ALL ON DATABASE {database} FROM PUBLIC",
            "REVOKE ALL ON DATABASE postgres, template1 FROM PUBLIC",
            "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {application}",
        ):
            connection.execute(
                sql.SQL(statement).format(
                    database=sql.Identifier(DATABASE), application=sql.Identifier(APPLICATION)
                )
            )
    with psycopg.connect(credentials.addresses.superuser_url, autocommit=True) as connection:
        connection.execute(superuser_script(DATABASE, OWNER, APPLICATION).encode())


def scram_verifier(connection: psycopg.Connection[Any], role: str, password: str) -> str:
    """Return what PostgreSQL stores of a password. A statement that fails is in the server's log, with the
    verifier and without the password.
    """
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    return verifier.decode()


def _exists(connection: psycopg.Connection[tuple[object, ...]], query: str, name: str) -> bool:
    return connection.execute(query.encode(), [name]).fetchone() is not None
