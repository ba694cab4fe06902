"""The page of one connection: health, administrations, import policy, owner and timeline."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from koppel.audit.subjects import SubjectKind
from koppel.connections import queries
from koppel.connections.app_registrations.services import environment_of
from koppel.connections.companies.company_rows import (
    CompanyHealthRow,
    PendingDecision,
    list_company_rows,
    list_other_companies,
)
from koppel.connections.display.summaries import ConnectionSummary, summarize
from koppel.connections.hooks import exclude_restricted
from koppel.connections.lifecycle import ownership
from koppel.connections.lifecycle.removal import Removal, may_remove, preview_removal
from koppel.connections.models import Connection, RemoteCompany, TimelineEvent
from koppel.connector.registry import connectors
from koppel.issues.queries import IssueView, open_issues
from koppel.organisations.models import Membership
from koppel.organisations.roles import Actor, Permission


@dataclass(frozen=True)
class ConnectionPage:
    """The content of the page for one actor. Without the permission to change the connection, `listed` and
    `others` are empty.
    """

    connection: Connection
    card: ConnectionSummary
    setup_requirements: str
    """What the accounting system must be set to; '' for one that is not installed any more."""
    environment: str
    """Its name, or its key where no connector knows it."""
    events: list[TimelineEvent]
    rows: list[CompanyHealthRow]
    other_companies: list[PendingDecision]
    companies: int
    """How many the actor may see."""
    listed: list[RemoteCompany]
    """Companies that may be released for import."""
    others: list[Membership]
    """Members who may take the connection over."""
    issues: list[IssueView]
    may_change: bool
    removal: Removal | None
    """What removing it would do; None without the permission."""
    may_remove: bool
    companies_awaiting_transfer: str
    is_pending_owner: bool
    now: datetime


def load_connection_page(actor: Actor, connection_id: int) -> ConnectionPage:
    """Read the page. Raises `NoSuchConnection`."""
    connection = queries.get_connection(actor, connection_id)
    may_change = actor.can(Permission.MANAGE_CONNECTIONS)
    removal = preview_removal(actor, connection.pk) if may_change else None
    return ConnectionPage(
        connection=connection,
        card=summarize(actor, connection),
        setup_requirements=_setup_requirements(connection),
        environment=_environment_title(connection),
        events=queries.timeline(actor, connection),
        rows=list_company_rows(actor, connection),
        other_companies=list_other_companies(actor, connection),
        companies=exclude_restricted(actor, queries.companies_of(actor, connection)).count(),
        listed=list(queries.listed_companies(actor, connection)) if may_change else [],
        others=_possible_new_owners(actor, connection) if may_change else [],
        issues=open_issues(actor, SubjectKind.CONNECTION, [connection.pk]).get(connection.pk, []),
        may_change=may_change,
        removal=removal,
        may_remove=removal is not None and may_remove(actor, removal),
        companies_awaiting_transfer=ownership.companies_awaiting_transfer(actor, connection),
        is_pending_owner=connection.pending_owner_id == actor.membership_id,
        now=timezone.now(),
    )


def _setup_requirements(connection: Connection) -> str:
    connector = connectors().get(connection.connector)
    return str(connector.descriptor.setup_requirements) if connector else ""


def _environment_title(connection: Connection) -> str:
    environment = environment_of(connection.app)
    return str(environment.title) if environment else connection.app.environment


def _possible_new_owners(actor: Actor, connection: Connection) -> list[Membership]:
    return [member for member in ownership.possible_owners(actor) if member.pk != connection.owner_id]
