"""Test whether a connection works, with one cheap call: on request, and automatically when nothing called it for long."""

from dataclasses import dataclass
from time import monotonic

from koppel.audit.services import record
from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.companies.changes import apply_description, mark_unreachable
from koppel.connections.hooks import exclude_restricted
from koppel.connections.models import Connection, RemoteCompany
from koppel.connections.queries import get_connection
from koppel.connections.sessions import Runtime, describing_session, listing_session, run_sync
from koppel.connector.errors import ConnectorError, ConsentLost, NotConsented, SetupMissing
from koppel.connector.registry import connector
from koppel.kit import quarantine
from koppel.kit.database.threads import run_in_thread
from koppel.kit.tenancy import organisation_scope
from koppel.organisations.roles import Actor, Permission


@dataclass(frozen=True)
class ConnectionCheck:
    """The outcome. `code` is '' when the vendor answered, else the error's stable code, with `message` for a person. `company`
    is '' when companies were listed, or when the actor may not read the name."""

    connection: int
    answered: bool
    state: str
    company: str
    milliseconds: int
    code: str = ""
    message: str = ""


DUE_FOR_CHECK = """
WITH due AS (
  SELECT id FROM connections_connection c
   WHERE (state = 'degraded' AND next_probe_at <= now())
      OR (state = 'active' AND coalesce(last_contact_at, created_at) < now() - interval '6 hours'
          AND coalesce(next_probe_at, created_at) <= now())
      OR (state = 'needs_reauth' AND coalesce(next_probe_at, created_at) <= now()
          AND EXISTS (SELECT FROM connections_grant g WHERE g.connection_id = c.id AND g.organisation_id = c.organisation_id
                         AND NOT g.is_pending_transfer AND g.invalid_since IS NULL)
          AND NOT EXISTS (SELECT FROM connections_grant g WHERE g.connection_id = c.id AND g.organisation_id = c.organisation_id
                             AND NOT g.is_pending_transfer AND g.invalid_since IS NULL AND g.failures > 0))
   ORDER BY next_probe_at NULLS FIRST LIMIT %s FOR NO KEY UPDATE SKIP LOCKED)
UPDATE connections_connection c
   SET probe_count = probe_count + 1,
       next_probe_at = now() + CASE WHEN state = 'active' THEN interval '6 hours'
                               ELSE least(30 * power(2, least(probe_count + 1, 10)), 300) * interval '1 second' END
  FROM due WHERE c.id = due.id
RETURNING c.organisation_id, c.id
"""
"""Degraded connections, at growing intervals of up to five minutes; those that nothing called for six hours, four times a day.

And those that need a sign-in although every grant works: a process refreshed one, and stopped before it changed the state."""


def check_connection(actor: Actor, connection_id: int) -> ConnectionCheck:
    """Check a connection for a person. Outside any transaction. The outcome is in the connection's health already.

    Raises `NoSuchConnection` and `Quarantined`."""
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    quarantine.refuse()
    with organisation_scope(actor.organisation_id):
        connection = get_connection(actor, connection_id)
        subject = ("connection", connection.pk, connection.account)
        record(actor.organisation_id, actor.audit, ConnectionAction.PROBED, subject=subject)

    async def call(current: Runtime) -> tuple[int | None, int, ConnectorError | None]:
        return await check_once(current, actor.organisation_id, connection_id)

    company_id, milliseconds, error = run_sync(call)
    with organisation_scope(actor.organisation_id):
        own_companies = RemoteCompany.objects.filter(connection_id=connection_id, pk=company_id or 0)
        company = exclude_restricted(actor, own_companies).values_list("name", flat=True).first() or ""
        state = Connection.objects.values_list("state", flat=True).get(pk=connection_id)
    return ConnectionCheck(
        connection_id, error is None, state, company, milliseconds, error.code if error else "", str(error or "")
    )


_ONE_COMPANY = """
SELECT c.connector, r.id, g.id
  FROM connections_connection c
  LEFT JOIN connections_grant g ON g.connection_id = c.id AND g.organisation_id = c.organisation_id
        AND g.invalid_since IS NULL AND NOT g.is_pending_transfer
  LEFT JOIN connections_remote_company r ON r.grant_id = g.id AND r.organisation_id = g.organisation_id
        AND r.is_listed
 WHERE c.id = %s
 ORDER BY r.unreachable_code = '' DESC NULLS LAST, r.failing_since DESC NULLS FIRST, r.last_contact_at DESC NULLS LAST, g.id
 LIMIT 1
"""


async def check_once(
    current: Runtime, organisation_id: int, connection_id: int
) -> tuple[int | None, int, ConnectorError | None]:
    """Describe a listed company, one that failed latest or answered latest; without one, list the companies.

    Returns the company's id, milliseconds, and the error."""
    async with current.database.tenant_transaction(organisation_id) as database:
        row = await (await database.execute(_ONE_COMPANY, [connection_id])).fetchone()
    if row is None or row[2] is None:
        return None, 0, ConsentLost("no_grant", "Nobody is signed in for this connection.")
    key, company_id, grant_id = row
    began = monotonic()
    error: ConnectorError | None = None
    try:
        if company_id is None:
            await connector(key).list_companies(await listing_session(current, organisation_id, grant_id))
        else:
            description = await connector(key).describe_company(
                await describing_session(current, organisation_id, company_id)
            )
            await run_in_thread(lambda: apply_description(organisation_id, company_id, description))
    except (NotConsented, SetupMissing) as refusal:
        error = setup_error = refusal
        if company_id is not None:
            await run_in_thread(lambda: mark_unreachable(organisation_id, company_id, setup_error))
    except ConnectorError as failure:
        error = failure
    return company_id, round((monotonic() - began) * 1000), error
