"""The imported companies of a connection: health of each, and changes that await a person's decision."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from koppel.audit.subjects import SubjectKind
from koppel.connections.companies import resolution
from koppel.connections.companies.changes import CHANGE_ISSUES
from koppel.connections.companies.same_company import OTHER_COMPANY_MESSAGE
from koppel.connections.hooks import exclude_restricted
from koppel.connections.issue_types import ConnectionIssue
from koppel.connections.models import Connection, ConnectionState, RemoteCompany
from koppel.issues.models import Issue
from koppel.kit.database.text_search import Folded
from koppel.kit.web.sentences import render_sentence
from koppel.organisations.roles import Actor

LOST = Q(grant__invalid_since__isnull=False)
FAILING = ~Q(unreachable_code="") | Q(is_listed=False)
ROWS_MAX = 500


@dataclass(frozen=True)
class CompanyChange:
    """Something about a company that is different at the vendor."""

    code: str
    field: str
    """name, code or number."""
    old: str
    new: str
    fingerprint: str


@dataclass(frozen=True)
class PendingDecision:
    """An unresolved change of an administration; the numbers are '' unless it may be another company."""

    administration: int
    name: str
    code: str
    old: str
    new: str
    old_number: str = ""
    new_number: str = ""
    fingerprint: str = field(init=False)
    """What an answer is bound to."""

    def __post_init__(self) -> None:
        fingerprint = resolution.fingerprint_of(
            self.administration, self.old, self.new, self.old_number, self.new_number
        )
        object.__setattr__(self, "fingerprint", fingerprint)

    @property
    def is_confirmed_other(self) -> bool:
        return self.code == ConnectionIssue.OTHER_COMPANY_CONFIRMED


@dataclass(frozen=True)
class CompanyHealthRow:
    """An imported company on a connection's page."""

    company: RemoteCompany
    administration_id: int
    administration: str
    status: str
    health: str
    """ok, failing, awaiting_sign_in, unreachable, unlisted or other_company."""
    message: str
    since: datetime | None
    changes: list[CompanyChange] = field(default_factory=list)


def list_company_rows(actor: Actor, connection: Connection) -> list[CompanyHealthRow]:
    """Return the imported companies that exist for the actor, with their health, failing ones first. At most
    `ROWS_MAX`.
    """
    imported = exclude_restricted(actor, imported_through([connection])).select_related("grant")
    companies = list(
        imported.annotate(needs_attention=_needs_attention()).order_by(
            "-needs_attention", Folded("name"), "pk"
        )[:ROWS_MAX]
    )
    visible_companies = imported.filter(pk__in=[company.pk for company in companies])
    administration_rows = visible_companies.values_list(
        "pk", "administrations__pk", "administrations__name", "administrations__status"
    )
    administrations = {row[0]: row[1:] for row in administration_rows}
    changes = _changes(connection.organisation_id, [row[0] for row in administrations.values()])
    rows = [
        CompanyHealthRow(
            company,
            *administrations[company.pk],
            *_health(connection, company),
            changes.get(administrations[company.pk][0], []),
        )
        for company in companies
    ]
    return sorted(rows, key=lambda row: row.health == "ok" and not row.changes)


def list_other_companies(actor: Actor, connection: Connection) -> list[PendingDecision]:
    """Return the administrations whose company is in conflict, undecided ones first."""
    companies = resolution.imported_companies(actor, connection.pk).exclude(conflict_detected_at=None)
    columns = ("confirmed_name", "conflicting_name", "confirmed_number", "conflicting_number")
    rows = companies.order_by(Folded("name"), "pk").values_list(
        "administrations__pk", "administrations__name", "conflict_rejected_at", *columns
    )
    changes = [
        PendingDecision(
            key,
            name,
            ConnectionIssue.OTHER_COMPANY_CONFIRMED if denied else ConnectionIssue.OTHER_COMPANY,
            *texts,
        )
        for key, name, denied, *texts in rows
    ]
    return sorted(changes, key=lambda change: change.is_confirmed_other)


def list_open_changes(actor: Actor, connection: Connection) -> list[PendingDecision]:
    """Return everything that waits for a person's decision about the companies of a connection."""
    imported = exclude_restricted(actor, imported_through([connection])).values_list(
        "administrations__pk", "administrations__name"
    )
    names = dict(imported)
    changed = _changes(connection.organisation_id, list(names))
    company_changes = [
        PendingDecision(key, names[key], change.code, change.old, change.new)
        for key, changes in changed.items()
        for change in changes
    ]
    return list_other_companies(actor, connection) + company_changes


def imported_through(connections: Sequence[Connection]) -> "QuerySet[RemoteCompany]":
    return RemoteCompany.objects.filter(connection__in=connections, administrations__isnull=False)


def _needs_attention() -> Any:
    """Return the condition by which a row comes first."""
    changed = Issue.objects.filter(
        organisation_id=OuterRef("organisation_id"),
        subject_kind=SubjectKind.ADMINISTRATION,
        subject_id=OuterRef("administrations"),
        code__in=CHANGE_ISSUES,
        resolved_at=None,
    )
    needs_attention = FAILING | LOST | Q(failing_since__isnull=False) | Q(conflict_detected_at__isnull=False)
    return ExpressionWrapper(needs_attention | Exists(changed), output_field=BooleanField())


def _health(connection: Connection, company: RemoteCompany) -> tuple[str, str, datetime | None]:
    """Return (health, message, since) of one imported company; the first that applies."""
    if company.grant.invalid_since or connection.state == ConnectionState.NEEDS_REAUTH:
        return "awaiting_sign_in", _("Waiting for you to sign in again."), company.grant.invalid_since
    if not company.is_listed:
        return (
            "unlisted",
            _("This sign-in no longer reaches the administration. Synced books remain available."),
            None,
        )
    if company.conflict_detected_at:
        return ConnectionIssue.OTHER_COMPANY, _(OTHER_COMPANY_MESSAGE), company.conflict_detected_at
    if company.unreachable_code:
        return "unreachable", render_sentence(company.unreachable_reason), company.described_at
    if company.failing_since:
        return (
            "failing",
            _("The accounting system does not respond. Koppel tries again."),
            company.failing_since,
        )
    return "ok", "", None


def _changes(organisation_id: int, administration_ids: Sequence[int]) -> dict[int, list[CompanyChange]]:
    changes = Issue.objects.in_organisation(organisation_id).filter(
        subject_kind=SubjectKind.ADMINISTRATION,
        subject_id__in=administration_ids,
        code__in=CHANGE_ISSUES,
        resolved_at=None,
    )
    by_administration: dict[int, list[CompanyChange]] = {}
    for issue in changes.order_by("raised_at"):
        context = {key: str(issue.context.get(key, "")) for key in ("field", "old", "new")}
        by_administration.setdefault(issue.subject_id, []).append(
            CompanyChange(
                code=issue.code,
                **context,
                fingerprint=resolution.fingerprint_of(issue.subject_id, context["old"], context["new"]),
            )
        )
    return by_administration
