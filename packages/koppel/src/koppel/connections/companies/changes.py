"""Compare the vendor's description of a company with the stored one, at every listing and in every run.

The immutable id identifies the company; sessions refuse another company. A changed name, code or number
raises an issue and stops nothing, unless both name and number changed (`same_company`).
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone

from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.companies.same_company import (
    OTHER_COMPANY_MESSAGE,
    VendorIdentity,
    may_be_other_company,
    normalize_for_comparison,
    same_number,
    update_conflict,
)
from koppel.connections.errors import OtherCompany
from koppel.connections.health import add_timeline_event
from koppel.connections.issue_types import ConnectionIssue
from koppel.connections.models import RemoteCompany, TimelineKind
from koppel.connections.sessions import ReadingSession
from koppel.connector.contract import Company, CompanyDescription
from koppel.connector.errors import ConnectorError, NotConsented, SetupMissing
from koppel.connector.registry import connector
from koppel.issues.models import Issue
from koppel.issues.services import raise_issue, resolve_issues
from koppel.kit.database.json_fields import MessageContext, MessageFacts
from koppel.kit.database.threads import run_in_thread
from koppel.kit.tenancy import organisation_scope

ISSUES_BY_FIELD = {
    "name": ConnectionIssue.COMPANY_RENAMED,
    "legal_name": ConnectionIssue.COMPANY_RENAMED,
    "code": ConnectionIssue.COMPANY_CODE_CHANGED,
    "number": ConnectionIssue.COMPANY_NUMBER_CHANGED,
}
"""The issue (and the event of the timeline) that a changed field raises."""
CHANGE_ISSUES = frozenset({*ISSUES_BY_FIELD.values(), ConnectionIssue.COMPANY_NUMBER_MISSING})
"""Issues that a person settles while the syncs go on."""
REWRITE_AFTER = timedelta(hours=12)
"""An unchanged description is stored again after this time at the earliest."""


async def verify_company(session: ReadingSession, connector_key: str) -> None:
    """Describe the company at the start of a run, with one cheap call, and raise an issue per change.

    Raises the errors of `describe_company`, and `OtherCompany`: then the description is not stored.
    """
    organisation_id, company_id = session.target.organisation_id, session.target.remote_company_id or 0
    try:
        with session.prefetching():
            description = await connector(connector_key).describe_company(session)
    except (NotConsented, SetupMissing) as refusal:
        refused = refusal
        await run_in_thread(lambda: mark_unreachable(organisation_id, company_id, refused))
        raise
    if _is_stored_recently(session.prefetched, description):
        return
    if not await run_in_thread(
        lambda: apply_description(organisation_id, company_id, description, restart_open_run=False)
    ):
        raise OtherCompany(ConnectionIssue.OTHER_COMPANY, OTHER_COMPANY_MESSAGE)


def _is_stored_recently(identity: Mapping[str, Any], description: CompanyDescription) -> bool:
    """Return whether the same description was stored recently and need not be stored again."""
    is_recent = (
        identity["described_at"] is not None and timezone.now() - identity["described_at"] < REWRITE_AFTER
    )
    if (
        not is_recent
        or identity["unreachable_code"]
        or not _description_fields(description).items() <= identity.items()
    ):
        return False
    return not may_be_other_company(identity, _identity_of(description))


def _identity_of(description: CompanyDescription) -> VendorIdentity:
    return VendorIdentity(description.name, description.number or "", description.country or "")


def _description_fields(description: CompanyDescription) -> dict[str, Any]:
    """Return the fields of a `RemoteCompany` that a description fills."""
    return {
        "legal_name": description.name[:300],
        "number": (description.number or "")[:100],
        "vat_number": (description.vat_number or "")[:100],
        "country": (description.country or "")[:2],
        "base_currency": (description.base_currency or "")[:3],
        "industry_code": (description.industry_code or "")[:60],
        "branches": [list(branch) for branch in description.branches],
    }


def apply_description(
    organisation_id: int, company_id: int, description: CompanyDescription, *, restart_open_run: bool = True
) -> bool:
    """Store a company's description, and raise an issue per change of an imported company.

    Returns False if the vendor describes another company than the confirmed one: then the description is not
    stored, and no books are read until a person decides. `restart_open_run`: restart the company's.
    """
    with organisation_scope(organisation_id):
        company = _lock_company(organisation_id, company_id)
        if company is None:
            return True
        if update_conflict(company, _identity_of(description), restart_open_run=restart_open_run):
            return False
        _compare_values(company, {"legal_name": description.name, "number": description.number or ""})
        _update_number_issue(company, description.number or "")
        if company.unreachable_code and company.administrations.exists():
            add_timeline_event(
                company.connection,
                TimelineKind.COMPANY_ACCESS_RESTORED,
                {"name": company.name},
                companies=[company.pk],
            )
        if not company.legal_name or normalize_for_comparison(company.name) == normalize_for_comparison(
            company.legal_name
        ):
            company.name = description.name[:300] or company.name
        for field, value in _description_fields(description).items():
            setattr(company, field, value)
        company.described_at, company.unreachable_code, company.unreachable_reason = timezone.now(), "", ""
        company.save()
        return True


def mark_unreachable(organisation_id: int, company_id: int, refusal: ConnectorError | None) -> None:
    """Store that the vendor refuses this company. `refusal` None: the call failed, which says nothing about
    the company.
    """
    with organisation_scope(organisation_id):
        company = _lock_company(organisation_id, company_id)
        if company is None:
            return
        if refusal is not None and not company.unreachable_code and company.administrations.exists():
            context = {"name": company.name, "reason": refusal.sentence, "code": refusal.code}
            add_timeline_event(
                company.connection, TimelineKind.COMPANY_ACCESS_LOST, context, companies=[company.pk]
            )
        if refusal is not None:
            company.unreachable_code, company.unreachable_reason = refusal.code, refusal.sentence
        company.described_at = timezone.now()
        company.save(update_fields=["described_at", "unreachable_code", "unreachable_reason"])


def companies_to_describe(
    organisation_id: int, connection_id: int, companies: Iterable[Company], grants: Iterable[int]
) -> dict[int, str]:
    """Return the imported companies that must be described before the list is stored: id → external id.

    The list has another name for them, or they wait for a person's decision.
    """
    listed = {company.external_id: company.name for company in companies}
    remote_companies = RemoteCompany.objects.in_organisation(organisation_id).filter(
        connection_id=connection_id
    )
    imported = remote_companies.filter(administrations__isnull=False, grant_id__in=list(grants))
    rows = imported.values_list("pk", "external_id", "name", "conflict_detected_at")
    return {
        pk: external_id
        for pk, external_id, name, conflict_detected_at in rows
        if external_id in listed
        and (
            conflict_detected_at is not None
            or normalize_for_comparison(listed[external_id]) != normalize_for_comparison(name)
        )
    }


def reconcile_list(
    organisation_id: int,
    connection_id: int,
    companies: Iterable[Company],
    grants: Iterable[int],
    unverified_ids: Collection[str] = (),
) -> None:
    """Raise and resolve issues for companies that a new list renames, misses or has again, before it is
    stored.

    In the caller's transaction. `unverified_ids`: external ids of what may be other companies; their names
    are not compared.
    """
    listed = {company.external_id: company for company in companies}
    remote_companies = RemoteCompany.objects.in_organisation(organisation_id).filter(
        connection_id=connection_id
    )
    imported = remote_companies.filter(administrations__isnull=False, grant_id__in=list(grants))
    for existing in imported.select_related("connection").distinct():
        listing = listed.get(existing.external_id)
        subjects = [
            Subject(SubjectKind.ADMINISTRATION, administration_id)
            for administration_id in existing.administrations.values_list("pk", flat=True)
        ]
        context: MessageContext = {
            "name": existing.name,
            "account": existing.connection.account,
            "connection": connection_id,
        }
        if listing is None and existing.is_listed:
            add_timeline_event(
                existing.connection, TimelineKind.COMPANY_UNLISTED, context, companies=[existing.pk]
            )
            for subject in subjects:
                raise_issue(organisation_id, ConnectionIssue.COMPANY_UNLISTED, subject, context)
        elif listing is not None:
            if not existing.is_listed:
                add_timeline_event(
                    existing.connection, TimelineKind.COMPANY_RELISTED, context, companies=[existing.pk]
                )
            for subject in subjects:
                resolve_issues(organisation_id, subject, ConnectionIssue.COMPANY_UNLISTED)
            if existing.external_id not in unverified_ids:
                _compare_values(existing, {"name": listing.name, "code": listing.code})


def _compare_values(company: RemoteCompany, new_values: Mapping[str, str]) -> None:
    """Raise an issue for each field whose value changed."""
    for field, new in new_values.items():
        old = getattr(company, field) or (company.confirmed_name if field == "legal_name" else "")
        if not old or not new or _is_same(company, field, old, new):
            continue
        context = {
            "name": company.name,
            "old": old,
            "new": new,
            "field": field,
            "connection": company.connection_id,
        }
        imported = list(company.administrations.values_list("pk", flat=True))
        for administration_id in imported:
            _raise_change_issue(company, administration_id, ISSUES_BY_FIELD[field], context)
        if imported:
            add_timeline_event(
                company.connection,
                TimelineKind(ISSUES_BY_FIELD[field].value),
                context,
                companies=[company.pk],
            )


def _is_same(company: RemoteCompany, field: str, old: str, new: str) -> bool:
    return (
        same_number(old, new, company.country)
        if field == "number"
        else normalize_for_comparison(old) == normalize_for_comparison(new)
    )


def _update_number_issue(company: RemoteCompany, new: str) -> None:
    """Raise an issue for a number that the accounting system no longer states, which proves nothing; else
    resolve it.
    """
    for administration_id in company.administrations.values_list("pk", flat=True):
        subject = Subject(SubjectKind.ADMINISTRATION, administration_id)
        if normalize_for_comparison(new):
            resolve_issues(company.organisation_id, subject, ConnectionIssue.COMPANY_NUMBER_MISSING)
        elif company.number:
            context = {"name": company.name, "old": company.number, "new": "", "field": "number_missing"}
            context |= {"connection": str(company.connection_id)}
            raise_issue(company.organisation_id, ConnectionIssue.COMPANY_NUMBER_MISSING, subject, context)


def _raise_change_issue(
    company: RemoteCompany, administration_id: int, code: ConnectionIssue, context: MessageFacts
) -> None:
    """Raise the issue of a change. An open issue keeps the first old value; when the new value is that one,
    it is resolved.
    """
    organisation_id, subject = company.organisation_id, Subject(SubjectKind.ADMINISTRATION, administration_id)
    existing = Issue.objects.in_organisation(organisation_id).filter(code=code, resolved_at=None)
    open_issue = existing.filter(subject_kind=subject.kind, subject_id=administration_id).first()
    first = str(open_issue.context.get("old", "")) if open_issue else str(context["old"])
    if _is_same(company, str(context["field"]), first, str(context["new"])):
        resolve_issues(organisation_id, subject, code)
    else:
        raise_issue(organisation_id, code, subject, {**context, "old": first})


def _lock_company(organisation_id: int, company_id: int) -> RemoteCompany | None:
    queryset = RemoteCompany.objects.select_for_update(no_key=True, of=("self",)).select_related("connection")
    return queryset.in_organisation(organisation_id).filter(pk=company_id).first()
