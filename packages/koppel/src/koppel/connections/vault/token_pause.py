"""Pauses that a token endpoint asked for.

A pause holds for the app registration: the vendor counts calls by its client id, so a call for another
consent counts as well.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from django.db import connection as django_connection
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from koppel.connector.errors import ConnectorError
from koppel.kit.database.pool import Database
from koppel.kit.database.sql_files import load_statements
from koppel.kit.tenancy import installation_scope

TOKEN_ENDPOINT = "token endpoint"  # noqa: S105 - the name of a row
"""Stands in place of a company in `RateLimit`; no vendor calls a company so."""
_SQL = load_statements("koppel.connections")


class TokenPauses:
    """The pauses in PostgreSQL, for all workers and after every restart."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def seconds_left(self, app_id: int) -> float:
        """Return how long the app's token endpoint must not be called; 0 when it may be."""
        async with self._database.installation_transaction() as database_connection:
            values = {"app_id": app_id, "key": TOKEN_ENDPOINT}
            row = await (await database_connection.execute(_SQL["read_token_pause"], values)).fetchone()
        return _seconds(row)

    async def add(self, app_id: int, seconds: float) -> None:
        """Store a pause that begins now. A longer stored pause stays."""
        async with self._database.installation_transaction() as database_connection:
            values = {"app_id": app_id, "key": TOKEN_ENDPOINT, "seconds": seconds}
            await database_connection.execute(_SQL["store_token_pause"], values)

    @asynccontextmanager
    async def storing(self, app_id: int) -> AsyncIterator[None]:
        """Store the pause that a failure of the block's calls to the token endpoint asks for."""
        try:
            yield
        except ConnectorError as error:
            if error.requested_pause_seconds:
                await self.add(app_id, error.requested_pause_seconds)
            raise


def token_pause_seconds(app_id: int) -> float:
    """Return how long the app's token endpoint must not be called; 0 when it may be. For web requests."""
    with installation_scope("token pause"), django_connection.cursor() as cursor:
        cursor.execute(_SQL["read_token_pause"], {"app_id": app_id, "key": TOKEN_ENDPOINT})
        return _seconds(cursor.fetchone())


def pause_sentence(seconds: float) -> str:
    """Return what a person reads who signs in while the token endpoint must not be called."""
    until = timezone.localtime(timezone.now() + timedelta(seconds=seconds))
    return _("The accounting system asked Koppel to wait until %s. Try again after that.") % date_format(
        until, "SHORT_DATETIME_FORMAT"
    )


def _seconds(row: Sequence[float | None] | None) -> float:
    return max(float(row[0]), 0.0) if row and row[0] is not None else 0.0
