"""The test of a connection with one cheap call: on request, and automatically after a long time without
calls.
"""

from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from django.utils.translation import gettext_noop

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.companies.changes import apply_description, mark_unreachable
from koppel.connections.companies.listing import list_vendor_companies
from koppel.connections.hooks import exclude_restricted
from koppel.connections.models import Connection, ConnectionState, GrantReason, RemoteCompany
from koppel.connections.queries import get_connection
from koppel.connections.sessions import Runtime, call_vendor_blocking, describing_session, listing_session
from koppel.connector.errors import ConnectorError, ConsentLost, NotConsented, SetupMissing, Unreachable
from koppel.connector.registry import connector
from koppel.kit import quarantine
from koppel.kit.database.pool import Database
from koppel.kit.database.sql_files import load_statements
from koppel.kit.database.threads import run_in_thread
from koppel.kit.tenancy import organisation_scope
from koppel.kit.web.sentences import render_sentence
from koppel.organisations.roles import Actor, Permission

_SQL = load_statements("koppel.connections")
NOBODY_SIGNED_IN = gettext_noop("Nobody is signed in for this connection.")
IDLE = timedelta(hours=6)
"""How long an active connection may go without a call before it is checked, and checked again."""


@dataclass(frozen=True, kw_only=True)
class ConnectionCheck:
    """The outcome of a check."""

    connection: int
    answered: bool
    state: str
    company: str
    """'' when companies were listed, or when the actor may not read the name."""
    milliseconds: int
    code: str = ""
    """'' when the vendor answered, else the error's stable code."""
    message: str = ""
    """The error for a person."""


def check_connection(actor: Actor, connection_id: int) -> ConnectionCheck:
    """Check a connection for a person. Outside any transaction. The outcome is in the connection's health
    already.

    Raises `NoSuchConnection` and `Quarantined`.
    """
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    quarantine.refuse()
    with organisation_scope(actor.organisation_id):
        connection = get_connection(actor, connection_id)
        subject = Subject(kind=SubjectKind.CONNECTION, id=connection.pk, name=connection.account)
        add_audit_entry(actor.organisation_id, actor.audit, ConnectionAction.PROBED, subject=subject)

    async def call(current: Runtime) -> tuple[int | None, int, ConnectorError | None]:
        return await check_once(current, actor.organisation_id, connection_id)

    began = monotonic()
    company_id: int | None = None
    error: ConnectorError | None
    try:
        company_id, milliseconds, error = call_vendor_blocking(actor.organisation_id, call)
    except Unreachable as late:
        milliseconds, error = round((monotonic() - began) * 1000), late
    with organisation_scope(actor.organisation_id):
        own_companies = RemoteCompany.objects.for_actor(actor).filter(
            connection_id=connection_id, pk=company_id or 0
        )
        company = exclude_restricted(actor, own_companies).values_list("name", flat=True).first() or ""
        state = Connection.objects.for_actor(actor).values_list("state", flat=True).get(pk=connection_id)
    return ConnectionCheck(
        connection=connection_id,
        answered=error is None,
        state=state,
        company=company,
        milliseconds=milliseconds,
        code=error.code if error else "",
        message=render_sentence(error.sentence) if error else "",
    )


async def claim_due_checks(database: Database, limit: int) -> list[tuple[int, int]]:
    """Return (organisation, connection) of what should be checked now, and put off when it is due again."""
    values = {
        "degraded": ConnectionState.DEGRADED.value,
        "active": ConnectionState.ACTIVE.value,
        "needs_reauth": ConnectionState.NEEDS_REAUTH.value,
        "idle": IDLE,
        "limit": limit,
    }
    async with database.installation_transaction() as database_connection:
        rows = await database_connection.execute(_SQL["claim_due_checks"], values)
        return [(int(row[0]), int(row[1])) for row in await rows.fetchall()]


async def check_once(
    current: Runtime, organisation_id: int, connection_id: int
) -> tuple[int | None, int, ConnectorError | None]:
    """Describe a listed company, one that failed latest or answered latest; without one, list the companies.

    Returns the company's id, milliseconds, and the error.
    """
    async with current.database.tenant_transaction(organisation_id) as database:
        rows = await database.execute(_SQL["choose_company_to_check"], {"connection_id": connection_id})
        row = await rows.fetchone()
    if row is None or row[2] is None:
        return None, 0, ConsentLost(GrantReason.NO_GRANT, NOBODY_SIGNED_IN)
    key, company_id, grant_id = row
    began = monotonic()
    error: ConnectorError | None = None
    try:
        if company_id is None:
            await list_vendor_companies(key, await listing_session(current, organisation_id, grant_id))
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
