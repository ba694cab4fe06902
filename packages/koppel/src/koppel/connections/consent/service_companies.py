"""Consent without a person: companies named by their id, each with a grant of its own that the app's
credentials renew.

The ids are stored at once; then a worker describes each company, and the list shows the outcome.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils import timezone

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.app_registrations.services import app_for, mode_of
from koppel.connections.audit_actions import ConnectionAction, timeline_kind
from koppel.connections.companies.discovery import enqueue_descriptions
from koppel.connections.errors import NoSuchAppRegistration, TooManyCompanies
from koppel.connections.health import add_timeline_event
from koppel.connections.models import AppRegistration, Connection, ConnectionState, Grant, RemoteCompany
from koppel.connections.queries import get_connection
from koppel.connections.vault import store_grant
from koppel.connector.contract import ConsentMode, Tokens
from koppel.kit.database.locks import LockName, lock_until_commit
from koppel.kit.encryption import Secret
from koppel.organisations.roles import Actor, Permission

IDS_MAX = 5000
"""Ids that are added at once."""
WAITING_MAX = 10_000
"""Companies of an app that were added and not imported: each is called at the accounting system."""
HEADING_WORDS = frozenset(
    {"id", "ids", "tenant", "tenantid", "company", "name", "naam", "bedrijf", "bedrijfsnaam", "klant"}
    | {"client", "administratie", "administration", "number", "nummer"}
)
"""Words of a first line that is the heading of a list of ids."""


@dataclass(frozen=True)
class ParsedIds:
    """The company ids of a pasted text."""

    ids: tuple[str, ...]
    """In their order, each once."""
    lines: tuple[str, ...]
    """Lines without an id, except headings."""
    duplicates: int
    """The number of repeated ids."""


@dataclass(frozen=True)
class AddResult:
    """The number of new companies, and of those that existed on the app's connection."""

    connection_id: int
    new: int
    existing: int
    new_ids: tuple[str, ...] = ()


def parse_ids(mode: ConsentMode, text: str) -> ParsedIds:
    """Return the company ids in a pasted text or a file, anywhere in a line. Never raises."""
    valid_ids: dict[str, None] = {}
    lines, duplicates = [], 0
    first = next((line for line in text.splitlines() if line.strip()), "")
    for line in text.splitlines():
        ids = [company_id.lower() for company_id in re.findall(mode.company_id_pattern, line)]
        is_heading = line is first and bool(HEADING_WORDS & set(re.findall(r"[^\W\d_]+", line.casefold())))
        if not ids and line.strip() and not is_heading:
            lines.append(line.strip()[:80])
        duplicates += sum(company_id in valid_ids for company_id in ids)
        valid_ids |= dict.fromkeys(ids)
    return ParsedIds(tuple(valid_ids), tuple(lines), duplicates)


def add_companies(actor: Actor, app_id: int, ids: Iterable[str]) -> AddResult:
    """Add companies to the app's connection, and enqueue a job that describes them. In the caller's
    transaction.

    Raises `NoSuchAppRegistration` for an app of another kind, and `TooManyCompanies` when too many would wait
    to be imported.
    """
    actor.require(Permission.MANAGE_CONNECTIONS)
    app = app_for(actor, app_id)
    mode = mode_of(app)
    if mode is None or not mode.is_by_company_id:
        raise NoSuchAppRegistration
    connection, is_new = _connection_of(actor, app)
    requested = list(dict.fromkeys(ids))
    existing = set(
        Grant.objects.for_actor(actor)
        .filter(connection=connection, company_id__in=requested)
        .values_list("company_id", flat=True)
    )
    new = [requested_id for requested_id in requested if requested_id not in existing]
    waiting = RemoteCompany.objects.for_actor(actor).filter(
        connection=connection, administrations__isnull=True
    )
    if new and (count := waiting.count()) + len(new) > WAITING_MAX:
        raise TooManyCompanies(count, WAITING_MAX)
    for company_id in new:
        _store_company(connection, company_id)
    if new:
        action = ConnectionAction.CONNECTED if is_new else ConnectionAction.COMPANY_ADDED
        add_timeline_event(
            connection, timeline_kind(action), {"account": connection.account, "count": len(new)}, actor.name
        )
        subject = Subject(SubjectKind.CONNECTION, connection.pk, connection.account)
        add_audit_entry(
            actor.organisation_id, actor.audit, action, subject=subject, details={"companies": new}
        )
        enqueue_descriptions(actor.organisation_id, connection.pk)
    return AddResult(connection.pk, len(new), len(requested) - len(new), tuple(new))


def retry_companies(actor: Actor, connection_id: int) -> int:
    """Queue another description of the unreachable companies. Return their number."""
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    connection = get_connection(actor, connection_id)
    unreachable_companies = (
        RemoteCompany.objects.for_actor(actor)
        .filter(connection=connection, is_listed=True)
        .exclude(unreachable_code="")
    )
    grants = list(unreachable_companies.values_list("grant_id", flat=True))
    Grant.objects.for_actor(actor).filter(pk__in=grants, invalid_since=None).update(failures=0, retry_at=None)
    count = unreachable_companies.update(described_at=None)
    if count:
        enqueue_descriptions(actor.organisation_id, connection.pk)
    return count


def remove_companies(actor: Actor, connection_id: int, company_ids: Iterable[int]) -> int:
    """Remove companies that the vendor refused and that were never imported. Returns how many."""
    actor.require(Permission.MANAGE_CONNECTIONS)
    connection = get_connection(actor, connection_id)
    mode = mode_of(connection.app)
    if mode is None or not mode.is_by_company_id:
        return 0
    companies = (
        RemoteCompany.objects.for_actor(actor)
        .filter(connection=connection, pk__in=list(company_ids))
        .exclude(unreachable_code="")
    )
    mistaken = companies.filter(administrations__isnull=True)
    grants = list(mistaken.values_list("grant_id", flat=True))
    names = list(mistaken.values_list("external_id", flat=True))
    mistaken.delete()
    Grant.objects.for_actor(actor).filter(pk__in=grants, companies__isnull=True).delete()
    if names:
        subject = Subject(SubjectKind.CONNECTION, connection.pk, connection.account)
        details = {"companies": names}
        add_audit_entry(
            actor.organisation_id,
            actor.audit,
            ConnectionAction.COMPANIES_REMOVED,
            subject=subject,
            details=details,
        )
    return len(names)


def withdraw_companies(actor: Actor, connection_ids: Iterable[int], external_ids: Iterable[str]) -> int:
    """Remove companies that an abandoned import entered and that nobody imported. Returns how many."""
    companies = RemoteCompany.objects.for_actor(actor).filter(
        connection_id__in=list(connection_ids),
        external_id__in=list(external_ids),
        administrations__isnull=True,
    )
    grants = list(companies.values_list("grant_id", flat=True))
    companies.delete()
    Grant.objects.for_actor(actor).filter(pk__in=grants, companies__isnull=True).delete()
    return len(grants)


def _connection_of(actor: Actor, app: AppRegistration) -> tuple[Connection, bool]:
    """Return the app's one connection, and whether it is new."""
    lock_until_commit(LockName.NEW_CONNECTION, actor.organisation_id)
    connections = Connection.objects.for_actor(actor).filter(app=app)
    connection = connections.exclude(state=ConnectionState.REMOVED).select_for_update(of=("self",)).first()
    if connection is not None:
        return connection, False
    mode = mode_of(app)
    created = Connection.objects.create(
        organisation_id=actor.organisation_id,
        connector=app.connector,
        app=app,
        owner_id=actor.membership_id,
        account=app.name or str(mode.account_title if mode else "") or app.client_id,
        state=ConnectionState.ACTIVE,
    )
    return created, True


def _store_company(connection: Connection, company_id: str) -> None:
    """Store a company with a grant whose token has expired, so that the vault fetches the first one like
    every other.
    """
    over = timezone.now()
    grant = store_grant(
        connection.organisation_id, connection, company_id, company_id, Tokens(Secret(""), None, over, over)
    )
    RemoteCompany.objects.create(
        organisation_id=connection.organisation_id,
        connection=connection,
        grant=grant,
        external_id=company_id,
        # Until the company says its name; a name that equals the legal one follows it.
        name=company_id,
        legal_name=company_id,
        is_listed=True,
        last_listed_at=over,
    )
