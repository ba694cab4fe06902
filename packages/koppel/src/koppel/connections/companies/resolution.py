"""Carry out what a person decides about a changed name or number of a
company, or about another company in its place."""

import hashlib
import json
from collections.abc import Collection, Mapping
from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from koppel.audit.services import add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.connections.audit_actions import ConnectionAction
from koppel.connections.companies.changes import QUESTIONS
from koppel.connections.companies.same_company import (
    claim_context,
    normalize_for_comparison,
    release,
    same_name,
    same_number,
)
from koppel.connections.errors import NoSuchConnection
from koppel.connections.health import add_timeline_event
from koppel.connections.hooks import accept_company_change, exclude_restricted, masked_number, restart_runs
from koppel.connections.inputs import ChangeResolution
from koppel.connections.issue_types import ConnectionIssue
from koppel.connections.models import RemoteCompany, TimelineKind
from koppel.issues.models import Issue
from koppel.issues.services import raise_issue, resolve_issues
from koppel.kit.web.parameters import ID_MAX
from koppel.organisations.errors import Refused
from koppel.organisations.roles import Actor, Permission

CODES = frozenset({*QUESTIONS, ConnectionIssue.OTHER_COMPANY})


def resolve_changes(actor: Actor, connection_id: int, resolution: ChangeResolution) -> int:
    """Apply one decision to the changes of many administrations. Returns how
    many were open; a repetition changes nothing.

    A change later than `viewed_at` is refused; so is a decision about other values than
    those of the `fingerprints` (`fingerprint_of`), also one to leave them. Raises
    `Refused` with a message, and `NoSuchConnection`."""
    actor.require(Permission.IMPORT_ADMINISTRATIONS)
    if resolution.accept is None:
        raise Refused(_("Set `accept` to true or false."), field="accept")
    code, accept, requested_ids = resolution.code, resolution.accept, set(resolution.administrations)
    if code not in CODES or not requested_ids or not all(0 < key <= ID_MAX for key in requested_ids):
        raise NoSuchConnection
    companies = _companies(actor, connection_id, requested_ids)
    if companies.keys() != requested_ids:
        raise NoSuchConnection
    _require_current(actor, companies, code, resolution.fingerprints, resolution.viewed_at)
    if code != ConnectionIssue.OTHER_COMPANY:
        return sum(
            _resolve_change(actor, company, key, ConnectionIssue(code), accept=accept)
            for key, company in companies.items()
        )
    restart_runs(actor.organisation_id, [key for key, company in companies.items() if company.claimed_at])
    return sum(_resolve_other_company(actor, company, key, same=accept) for key, company in companies.items())


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
    """Require the changes that the person saw. The caller has locked
    the companies. Raises `Refused` for others."""
    claimed = {key: company for key, company in companies.items() if company.claimed_at is not None}
    present = {key: _claim_fingerprint(key, company) for key, company in claimed.items()}
    changed_at = {key: company.claimed_at for key, company in claimed.items()}
    if code != ConnectionIssue.OTHER_COMPANY:
        issues = Issue.objects.for_actor(actor).filter(
            code=code,
            resolved_at=None,
            subject_kind=SubjectKind.ADMINISTRATION,
            subject_id__in=companies,
        )
        context = {issue.subject_id: issue.context for issue in issues}
        present = {
            key: fingerprint_of(key, str(fact["old"]), str(fact["new"])) for key, fact in context.items()
        }
        changed_at = {
            key: _changed_at(companies[key], code, str(fact["new"])) for key, fact in context.items()
        }
    is_other = bool(fingerprints) and not set(present.values()) <= set(fingerprints)
    is_later = viewed_at is not None and any((changed_at[key] or viewed_at) > viewed_at for key in present)
    if is_other or is_later:
        raise Refused(_("The accounting system has changed since. Please check again."))


def _claim_fingerprint(key: int, company: RemoteCompany) -> str:
    names = company.confirmed_name, company.claimed_name
    return fingerprint_of(key, *names, company.confirmed_number, company.claimed_number)


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
    """Return the companies by administration, locked in a fixed order,
    so that two decisions wait for each other."""
    imported = imported_companies(actor, connection_id).filter(administrations__in=administration_ids)
    administration_of = dict(imported.values_list("pk", "administrations__pk"))
    locked = RemoteCompany.objects.select_for_update(no_key=True, of=("self",)).select_related("connection")
    return {
        administration_of[company.pk]: company
        for company in locked.for_actor(actor).filter(pk__in=administration_of).order_by("pk")
    }


def _resolve_change(
    actor: Actor, company: RemoteCompany, administration_id: int, code: ConnectionIssue, *, accept: bool
) -> bool:
    subject = Subject(SubjectKind.ADMINISTRATION, administration_id)
    issues = Issue.objects.for_actor(actor).filter(code=code, resolved_at=None)
    issue = issues.filter(subject_kind=subject.kind, subject_id=administration_id).first()
    if issue is None:
        return False
    field, new = str(issue.context["field"]), str(issue.context["new"])
    if accept and code != ConnectionIssue.COMPANY_NUMBER_MISSING:
        _accept_field(actor, administration_id, field, new)
    _confirm_field(company, field, new)
    resolve_issues(actor.organisation_id, subject, code)
    details = {"code": code, "taken": accept, "old": issue.context["old"], "new": new}
    if field.startswith("number"):
        details |= {key: masked_number(str(details[key]), company.country) for key in ("old", "new")}
    _add_audit_entry(actor, company, administration_id, details)
    return True


def _accept_field(actor: Actor, administration_id: int, field: str, value: str) -> None:
    if message := accept_company_change(actor, administration_id, field, value):
        raise Refused(message)


def _confirm_field(company: RemoteCompany, field: str, value: str) -> None:
    """Store the name or number as confirmed. Whether the change was accepted or not, the person decided that
    it is the same company."""
    is_listed_name = field == "name" and (not company.legal_name or same_name(company.legal_name, value))
    if field == "legal_name" or is_listed_name:
        company.confirmed_name = value[:300]
    elif field == "number":
        company.confirmed_number = value[:100]
    company.save(update_fields=["confirmed_name", "confirmed_number"])


def _resolve_other_company(
    actor: Actor, company: RemoteCompany, administration_id: int, *, same: bool
) -> bool:
    if company.claimed_at is None or (not same and company.claim_rejected_at is not None):
        return False
    details = {
        "code": ConnectionIssue.OTHER_COMPANY,
        "taken": same,
        "old": company.confirmed_name,
        "new": company.claimed_name,
        "old_number": masked_number(company.confirmed_number, company.country),
        "new_number": masked_number(company.claimed_number, company.country),
    }
    if same:
        _confirm_new_identity(actor, company, administration_id)
    else:
        _reject_new_identity(actor, company, administration_id)
    _add_audit_entry(actor, company, administration_id, details)
    return True


def _confirm_new_identity(actor: Actor, company: RemoteCompany, administration_id: int) -> None:
    """Store the new identity as confirmed. An administration's name or number that equalled the old one
    changes with it; one that the firm entered itself stays."""
    # A value that is no longer stated stays confirmed: otherwise any next value would be accepted.
    name = company.claimed_name if normalize_for_comparison(company.claimed_name) else company.confirmed_name
    number = (
        company.claimed_number
        if normalize_for_comparison(company.claimed_number)
        else company.confirmed_number
    )
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
        company.connection, TimelineKind.SAME_COMPANY_CONFIRMED, claim_context(company), actor.name
    )
    company.confirmed_name = company.legal_name = name
    company.confirmed_number, company.number = number, company.claimed_number
    resolve_issues(
        company.organisation_id, Subject(SubjectKind.ADMINISTRATION, administration_id), *QUESTIONS
    )
    release(company, [administration_id], requested_by=actor.name)
    company.save()


def _reject_new_identity(actor: Actor, company: RemoteCompany, administration_id: int) -> None:
    company.claim_rejected_at = timezone.now()
    company.save(update_fields=["claim_rejected_at"])
    subject = Subject(SubjectKind.ADMINISTRATION, administration_id)
    resolve_issues(company.organisation_id, subject, ConnectionIssue.OTHER_COMPANY)
    raise_issue(
        company.organisation_id, ConnectionIssue.OTHER_COMPANY_CONFIRMED, subject, claim_context(company)
    )


def _add_audit_entry(
    actor: Actor, company: RemoteCompany, administration_id: int, details: dict[str, object]
) -> None:
    subject = Subject(SubjectKind.ADMINISTRATION, administration_id, company.name)
    add_audit_entry(
        actor.organisation_id,
        actor.audit,
        ConnectionAction.COMPANY_CHANGE_RESOLVED,
        subject=subject,
        details=details,
    )
