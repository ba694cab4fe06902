"""Carry out what a person decides about a changed name or number of a company, or about another company in
its place.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import add_actor_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.companies.changes import CHANGE_ISSUES
from koppel.connections.companies.same_company import (
    conflict_context,
    end_conflict,
    normalize_for_comparison,
    same_name,
    same_number,
)
from koppel.connections.errors import NoSuchConnection, OtherRegisterName
from koppel.connections.health import add_timeline_event
from koppel.connections.hooks import (
    accept_company_change,
    confirm_register_name,
    exclude_restricted,
    masked_number,
    other_register_name,
    restart_runs,
)
from koppel.connections.inputs import ChangeResolution
from koppel.connections.issue_types import ConnectionIssue
from koppel.connections.models import RemoteCompany, TimelineKind
from koppel.issues.models import Issue
from koppel.issues.services import raise_issue, resolve_issues
from koppel.kit.web.parameters import ID_MAX
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

CODES = frozenset({*CHANGE_ISSUES, ConnectionIssue.OTHER_COMPANY})


def resolve_changes(actor: Actor, connection_id: int, resolution: ChangeResolution) -> int:
    """Apply one decision to the changes of many administrations. Returns how many were open; a repetition
    changes nothing.

    A change later than `viewed_at` is refused; so is a decision about other values than those of the
    `fingerprints` (`fingerprint_of`), also one to leave them. Raises `Refused` with a message, and
    `NoSuchConnection`. Raises `OtherRegisterName` for a number that needs `same_company`.
    """
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    if resolution.accept is None:
        raise Refused(_("Set `accept` to true or false."), field="accept")
    code, accept, requested_ids = resolution.code, resolution.accept, set(resolution.administrations)
    if (
        code not in CODES
        or not requested_ids
        or not all(0 < administration_id <= ID_MAX for administration_id in requested_ids)
    ):
        raise NoSuchConnection
    companies = _companies(actor, connection_id, requested_ids)
    if companies.keys() != requested_ids:
        raise NoSuchConnection
    _require_current(actor, companies, code, resolution.fingerprints, resolution.viewed_at)
    if code != ConnectionIssue.OTHER_COMPANY:
        return sum(
            _resolve_change(
                actor,
                company,
                administration_id,
                ConnectionIssue(code),
                accept=accept,
                same_company=resolution.same_company,
            )
            for administration_id, company in companies.items()
        )
    conflicting_ids = [
        administration_id for administration_id, company in companies.items() if company.conflict_detected_at
    ]
    restart_runs(actor.organisation_id, conflicting_ids)
    return sum(
        _resolve_other_company(actor, company, administration_id, same=accept)
        for administration_id, company in companies.items()
    )


def fingerprint_of(
    administration_id: int, old: str, new: str, old_number: str = "", new_number: str = ""
) -> str:
    """Return a short hash of what the page shows of a change."""
    parts = [administration_id, old, new, old_number, new_number]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _require_current(
    actor: Actor,
    companies: Mapping[int, RemoteCompany],
    code: str,
    fingerprints: Collection[str],
    viewed_at: datetime | None,
) -> None:
    """Require the changes that the person saw. The caller has locked the companies. Raises `Refused` for
    others.
    """
    conflicting = {
        administration_id: company
        for administration_id, company in companies.items()
        if company.conflict_detected_at
    }
    present = {
        administration_id: _conflict_fingerprint(administration_id, company)
        for administration_id, company in conflicting.items()
    }
    changed_at = {
        administration_id: company.conflict_detected_at for administration_id, company in conflicting.items()
    }
    if code != ConnectionIssue.OTHER_COMPANY:
        issues = Issue.objects.for_actor(actor).filter(
            code=code,
            resolved_at=None,
            subject_kind=SubjectKind.ADMINISTRATION,
            subject_id__in=companies,
        )
        context = {issue.subject_id: issue.context for issue in issues}
        present = {
            administration_id: fingerprint_of(administration_id, str(fact["old"]), str(fact["new"]))
            for administration_id, fact in context.items()
        }
        changed_at = {
            administration_id: _changed_at(companies[administration_id], code, str(fact["new"]))
            for administration_id, fact in context.items()
        }
    is_other = bool(fingerprints) and not set(present.values()) <= set(fingerprints)
    is_later = viewed_at is not None and any(
        (changed_at[administration_id] or viewed_at) > viewed_at for administration_id in present
    )
    if is_other or is_later:
        raise Refused(_("The accounting system has changed since. Please check again."))


def _conflict_fingerprint(administration_id: int, company: RemoteCompany) -> str:
    names = company.confirmed_name, company.conflicting_name
    return fingerprint_of(administration_id, *names, company.confirmed_number, company.conflicting_number)


def _changed_at(company: RemoteCompany, code: str, new: str) -> datetime | None:
    """Return when the accounting system first stated this value, by the timeline's event of the change."""
    lines = company.connection.events.filter(kind=code, context__new=new).order_by("-at")
    return lines.values_list("at", flat=True).first()


def imported_companies(actor: Actor, connection_id: int) -> "QuerySet[RemoteCompany]":
    """Return the connection's imported companies that the actor may see. Each has one administration."""
    remote_companies = RemoteCompany.objects.for_actor(actor).filter(connection_id=connection_id)
    return exclude_restricted(actor, remote_companies).filter(
        administrations__isnull=False, administrations__withdrawn_at=None
    )


def _companies(
    actor: Actor, connection_id: int, administration_ids: Collection[int]
) -> dict[int, RemoteCompany]:
    """Return the companies by administration, locked in a fixed order, so that two decisions wait for each
    other.
    """
    imported = imported_companies(actor, connection_id).filter(administrations__in=administration_ids)
    administration_of = dict(imported.values_list("pk", "administrations__pk"))
    locked = RemoteCompany.objects.select_for_update(no_key=True, of=("self",)).select_related("connection")
    return {
        administration_of[company.pk]: company
        for company in locked.for_actor(actor).filter(pk__in=administration_of).order_by("pk")
    }


def _resolve_change(
    actor: Actor,
    company: RemoteCompany,
    administration_id: int,
    code: ConnectionIssue,
    *,
    accept: bool,
    same_company: bool,
) -> bool:
    subject = Subject(SubjectKind.ADMINISTRATION, administration_id)
    issues = Issue.objects.for_actor(actor).filter(code=code, resolved_at=None)
    issue = issues.filter(subject_kind=subject.kind, subject_id=administration_id).first()
    if issue is None:
        return False
    field, new = str(issue.context["field"]), str(issue.context["new"])
    if accept and code != ConnectionIssue.COMPANY_NUMBER_MISSING:
        if field == "number":
            _require_same_company(actor, company, administration_id, new, same_company=same_company)
        _accept_field(actor, administration_id, field, new)
    _confirm_field(company, field, new)
    resolve_issues(actor.organisation_id, subject, code)
    details = {"code": code, "taken": accept, "old": issue.context["old"], "new": new}
    if field.startswith("number"):
        details |= {key: masked_number(str(details[key]), company.country) for key in ("old", "new")}
    _add_resolved_entry(actor, company, administration_id, details)
    return True


def _require_same_company(
    actor: Actor, company: RemoteCompany, administration_id: int, number: str, *, same_company: bool
) -> None:
    """Require a person's word where the register knows the number by another name. Raises
    `OtherRegisterName`.
    """
    name = other_register_name(actor, administration_id, number)
    if name and not same_company:
        raise OtherRegisterName(company.name, number, name)
    if name:
        confirm_register_name(actor, administration_id, number, name)


def _accept_field(actor: Actor, administration_id: int, field: str, value: str) -> None:
    if message := accept_company_change(actor, administration_id, field, value):
        raise Refused(message)


def _confirm_field(company: RemoteCompany, field: str, value: str) -> None:
    """Store the name or number as confirmed. Whether the change was accepted or not, the person decided that
    it is the same company.
    """
    is_listed_name = field == "name" and (not company.legal_name or same_name(company.legal_name, value))
    if field == "legal_name" or is_listed_name:
        company.confirmed_name = value[:300]
    elif field == "number":
        company.confirmed_number = value[:100]
    company.save(update_fields=["confirmed_name", "confirmed_number"])


def _resolve_other_company(
    actor: Actor, company: RemoteCompany, administration_id: int, *, same: bool
) -> bool:
    if company.conflict_detected_at is None or (not same and company.conflict_rejected_at is not None):
        return False
    details = {
        "code": ConnectionIssue.OTHER_COMPANY,
        "taken": same,
        "old": company.confirmed_name,
        "new": company.conflicting_name,
        "old_number": masked_number(company.confirmed_number, company.country),
        "new_number": masked_number(company.conflicting_number, company.country),
    }
    if same:
        _confirm_new_identity(actor, company, administration_id)
    else:
        _reject_new_identity(actor, company, administration_id)
    _add_resolved_entry(actor, company, administration_id, details)
    return True


def _confirm_new_identity(actor: Actor, company: RemoteCompany, administration_id: int) -> None:
    """Store the new identity as confirmed.

    A name or number of the administration that equalled the old one changes too; one that the organisation
    entered itself stays.
    """
    # A value that is no longer stated stays confirmed: otherwise any next value would be accepted.
    name, number = company.conflicting_name, company.conflicting_number
    if not normalize_for_comparison(name):
        name = company.confirmed_name
    if not normalize_for_comparison(number):
        number = company.confirmed_number
    administration = company.administrations.get(pk=administration_id)
    follows_name = same_name(administration.name, company.confirmed_name)
    follows_number = same_number(administration.number, company.confirmed_number, company.country)
    if follows_name:
        accept_company_change(actor, administration_id, "name", name)
    if administration.number and follows_number:
        accept_company_change(actor, administration_id, "number", number)
    if (
        normalize_for_comparison(company.name) == normalize_for_comparison(company.legal_name)
        or not company.legal_name
    ):
        company.name = name
    add_timeline_event(
        company.connection,
        TimelineKind.SAME_COMPANY_CONFIRMED,
        conflict_context(company),
        actor.name,
        companies=[company.pk],
    )
    company.confirmed_name = company.legal_name = name
    company.confirmed_number, company.number = number, company.conflicting_number
    resolve_issues(
        company.organisation_id, Subject(SubjectKind.ADMINISTRATION, administration_id), *CHANGE_ISSUES
    )
    end_conflict(company, [administration_id], requested_by=actor.name)
    company.save()


def _reject_new_identity(actor: Actor, company: RemoteCompany, administration_id: int) -> None:
    company.conflict_rejected_at = timezone.now()
    company.save(update_fields=["conflict_rejected_at"])
    subject = Subject(SubjectKind.ADMINISTRATION, administration_id)
    resolve_issues(company.organisation_id, subject, ConnectionIssue.OTHER_COMPANY)
    raise_issue(
        company.organisation_id, ConnectionIssue.OTHER_COMPANY_CONFIRMED, subject, conflict_context(company)
    )


def _add_resolved_entry(
    actor: Actor, company: RemoteCompany, administration_id: int, details: Mapping[str, object]
) -> None:
    subject = Subject(kind=SubjectKind.ADMINISTRATION, id=administration_id, name=company.name)
    add_actor_entry(actor, ConnectionAction.COMPANY_CHANGE_RESOLVED, subject, **details)
