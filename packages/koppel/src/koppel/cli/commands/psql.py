"""`koppel psql`: SQL as the superuser of the embedded PostgreSQL, with its own psql."""

import os

import typer
from psycopg.conninfo import conninfo_to_dict

from koppel.cli.environment import data_directory, has_external_database
from koppel.kit.cli.errors import CommandError
from koppel.kit.database.embedded_postgres import find_binaries
from koppel.kit.database.embedded_postgres.server import running_addresses

VARIABLES = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "dbname": "PGDATABASE",
}


def psql(context: typer.Context) -> None:
    """Open psql on the embedded database as its superuser; arguments are psql's own, such as -c."""
    if has_external_database():
        raise CommandError("DATABASE_URL names a PostgreSQL of your own: use that server's psql.")
    addresses = running_addresses(data_directory(None) / "postgres")
    if addresses is None:
        raise CommandError("The embedded database does not run: start `koppel up` first.")
    # In variables, because other accounts of the machine see the arguments of a program.
    parts = conninfo_to_dict(addresses.superuser_url)
    os.environ.update({variable: str(parts[name]) for name, variable in VARIABLES.items()})
    program = find_binaries().program("psql")
    os.execv(program, [program, *context.args])  # noqa: S606 - the arguments are the caller's
