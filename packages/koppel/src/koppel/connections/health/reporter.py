"""Reports of the results of calls: answered, not answered, consent lost. Writes are throttled while all is
well.
"""

from time import monotonic

from koppel.connections.health import states
from koppel.connections.models import ConnectionState
from koppel.kit.database.pool import Database
from koppel.kit.database.sql_files import load_statements
from koppel.kit.database.threads import run_in_thread

_SQL = load_statements("koppel.connections")
SUCCESS_INTERVAL_SECONDS = 5.0
"""How often it is written down that a company was answered; a recovery is noticed within this time."""
FAILURE_INTERVAL_SECONDS = 1.0


class HealthReporter:
    """One per process: forty sessions of one connection write once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._written: dict[tuple[str, int], float] = {}

    async def record_success(self, organisation_id: int, connection_id: int, company_id: int | None) -> None:
        """Record that the vendor responded, whatever the response was."""
        connection_due = self._is_due(("answered", connection_id), SUCCESS_INTERVAL_SECONDS)
        company_due = company_id is not None and self._is_due(
            ("company", company_id), SUCCESS_INTERVAL_SECONDS
        )
        if not connection_due and not company_due:
            return
        state = ""
        async with self._database.tenant_transaction(organisation_id) as database_connection:
            if connection_due:
                values = {"connection_id": connection_id}
                row = await (
                    await database_connection.execute(_SQL["record_connection_answered"], values)
                ).fetchone()
                state = str(row[0]) if row else ""
            if company_due:
                await database_connection.execute(_SQL["record_company_answered"], {"company_id": company_id})
        if state in (ConnectionState.DEGRADED, ConnectionState.NEEDS_REAUTH):
            await run_in_thread(lambda: states.record_success(organisation_id, connection_id))

    async def record_failure(
        self,
        organisation_id: int,
        connection_id: int,
        company_id: int | None,
        message: str,
        *,
        connection_wide: bool,
    ) -> None:
        """Record that the vendor did not respond, or responded that it is out of order."""
        self._written.pop(("answered", connection_id), None)
        self._written.pop(("company", company_id or 0), None)
        if self._is_due(("missed", company_id or -connection_id), FAILURE_INTERVAL_SECONDS):
            await run_in_thread(
                lambda: states.record_failure(
                    organisation_id, connection_id, company_id, message, connection_wide=connection_wide
                )
            )

    async def record_consent_lost(self, organisation_id: int, connection_id: int, message: str) -> None:
        """Record that a person must sign in."""
        self._written.pop(("answered", connection_id), None)
        if self._is_due(("lost", connection_id), FAILURE_INTERVAL_SECONDS):
            await run_in_thread(lambda: states.require_reauth(organisation_id, connection_id, message))

    def _is_due(self, key: tuple[str, int], seconds: float) -> bool:
        before, now = self._written.get(key), monotonic()
        if before is not None and now - before < seconds:
            return False
        self._written[key] = now
        return True
