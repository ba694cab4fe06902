"""Pauses that a token endpoint asked for. They hold for the app registration: the vendor counts calls by its
client id, so a call for another consent would be one too many as well."""

from koppel.kit.database.pool import Database
from koppel.kit.database.sql_files import load_statements

TOKEN_ENDPOINT = "token endpoint"  # noqa: S105 - the name of a row
"""Stands in place of a company in `RateLimit`; no vendor calls a company so."""
SQL = load_statements("koppel.connections")


class TokenPauses:
    """The pauses in PostgreSQL, for all workers and after every restart."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def seconds_left(self, app_id: int) -> float:
        """Return how long the app's token endpoint must not be called; 0 when it may be."""
        async with self._database.installation_transaction() as connection:
            values = {"app_id": app_id, "key": TOKEN_ENDPOINT}
            row = await (await connection.execute(SQL["read_token_pause"], values)).fetchone()
        return max(float(row[0]), 0.0) if row and row[0] is not None else 0.0

    async def add(self, app_id: int, seconds: float) -> None:
        """Store a pause from now on. A longer one that was stored before holds."""
        async with self._database.installation_transaction() as connection:
            values = {"app_id": app_id, "key": TOKEN_ENDPOINT, "seconds": seconds}
            await connection.execute(SQL["store_token_pause"], values)
