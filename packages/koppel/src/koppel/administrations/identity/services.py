"""Use cases of an administration's identity after its import: change by a person, lookup in the register at
once and every year.

The register's answer fills in a missing sector, clears the note about a doubtful number, and raises an issue
when the company was closed or renamed. It never changes a number or a name.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from koppel.administrations.access import audited_not_found, get_locked
from koppel.administrations.audit_actions import AdministrationAction
from koppel.administrations.identity.answers import (
    confirm_client,
    is_confirmed_client,
    record_confirmed_identity,
)
from koppel.administrations.identity.shared_numbers import update_shared_number_issues
from koppel.administrations.inputs import IdentityInput
from koppel.administrations.issue_types import AdministrationIssue
from koppel.administrations.models import Administration, ConfirmedIdentity, Status
from koppel.audit.services import KOPPEL_ACTOR, add_audit_entry
from koppel.audit.subjects import Subject, SubjectKind
from koppel.company_registers.clients.protocol import (
    LookupOutcome,
    QueryKind,
    RegisterCode,
    RegisterQuery,
)
from koppel.company_registers.lookup_result import LookupResult
from koppel.company_registers.lookups import (
    build_query,
    cached_results,
    request_lookups,
)
from koppel.company_registers.numbers import NumberNote, mask_number
from koppel.company_registers.numbers.identity import IdentityProblem, check_identity, is_identified
from koppel.issues.services import raise_issue, resolve_issues, resolve_issues_bulk
from koppel.kit import quarantine
from koppel.organisations.roles import Actor, Permission

CHANGES_OF_REGISTER = (
    AdministrationIssue.COMPANY_CLOSED,
    AdministrationIssue.LEGAL_NAME_CHANGED,
    AdministrationIssue.REGISTER_NAME_DIFFERS,
)
"""Issues about the register's entry of a number."""
COLUMNS = ("number", "number_scheme", "number_note", "no_number_reason", "sector", "sector_scheme")
DOUBTS_CLEARED_BY_REGISTER = (
    NumberNote.NOT_FOUND,
    NumberNote.NOT_IN_VIES,
    NumberNote.LOOKS_MISTYPED,
    NumberNote.ZERO_ADDED,
)


def change_identity(
    actor: Actor, administration_id: int, identity_input: IdentityInput
) -> tuple[IdentityProblem, ...]:
    """Store the identity and enqueue its lookup. Returns the problems; with any, nothing is stored.

    A new number that the register knows by another name needs `same_company`. Raises `NoSuchAdministration`.
    """
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    administration = get_locked(actor, administration_id)
    check = check_identity(
        country=administration.country,
        number=identity_input.number,
        reason=identity_input.reason,
        sector=identity_input.sector,
    )
    if check.problems:
        return check.problems
    identity = check.identity
    register_name = (
        differing_register_name(administration, identity.number)
        if identity.number != administration.number
        else ""
    )
    if register_name and not identity_input.same_company:
        message = _("In the register this number belongs to “%(register)s”. Is this the same company?")
        return (
            IdentityProblem(
                field="same_company", code="same_company", message=message % {"register": register_name}
            ),
        )
    if register_name:
        confirm(actor, administration, register_name, identity.number)
    before = {name: getattr(administration, name) for name in COLUMNS}
    for name in COLUMNS:
        setattr(administration, name, getattr(identity, name))
    after = {name: getattr(administration, name) for name in COLUMNS}
    if after != before:
        administration.save(update_fields=list(COLUMNS))
        details = {
            "before": _audit_details(administration, before),
            "after": _audit_details(administration, after),
        }
        add_audit_entry(
            actor.organisation_id,
            actor.audit,
            AdministrationAction.IDENTIFIED,
            subject=_subject(administration),
            details=details,
        )
        resolve_issues(
            administration.organisation_id,
            Subject(SubjectKind.ADMINISTRATION, administration.pk),
            AdministrationIssue.COMPANY_CLOSED,
            AdministrationIssue.LEGAL_NAME_CHANGED,
            AdministrationIssue.IDENTITY_INCOMPLETE,
            AdministrationIssue.REGISTER_NAME_DIFFERS,
        )
        update_shared_number_issues(administration.organisation_id, [administration.pk])
    request_register_check(actor, [administration.pk])
    return ()


def handle_number_change(actor: Actor, administration: Administration) -> None:
    """Resolve the issues of the old number, and enqueue the lookup of the new one."""
    resolve_issues(
        administration.organisation_id,
        Subject(SubjectKind.ADMINISTRATION, administration.pk),
        AdministrationIssue.COMPANY_CLOSED,
        AdministrationIssue.LEGAL_NAME_CHANGED,
        AdministrationIssue.IDENTITY_INCOMPLETE,
        AdministrationIssue.REGISTER_NAME_DIFFERS,
    )
    update_shared_number_issues(administration.organisation_id, [administration.pk])
    request_register_check(actor, [administration.pk])


def request_register_check(actor: Actor, administration_ids: Sequence[int], *, refresh: bool = False) -> int:
    """Enqueue lookups of these administrations in the registers; cached results are applied now.

    Returns the number of lookups. Raises `Quarantined`.
    """
    quarantine.refuse()
    administrations = list(Administration.objects.visible_to(actor).filter(pk__in=administration_ids))
    return _request_lookups(actor.organisation_id, administrations, refresh=refresh)


def handle_import(organisation_id: int, administration_ids: Sequence[int]) -> None:
    """Raise issues for incomplete identities, and enqueue lookups of the others, in the import's
    transaction.
    """
    queryset = Administration.objects.in_organisation(organisation_id).filter(pk__in=administration_ids)
    administrations = list(queryset)
    for administration in administrations:
        if not is_complete(administration):
            raise_issue(
                organisation_id,
                AdministrationIssue.IDENTITY_INCOMPLETE,
                Subject(SubjectKind.ADMINISTRATION, administration.pk),
                {"name": administration.name},
            )
    update_shared_number_issues(organisation_id, administration_ids)
    _request_lookups(organisation_id, administrations, refresh=False)


def differing_register_name(administration: Administration, number: str) -> str:
    """Return the register's name of this number where it differs from ours; '' when a person confirmed that
    it is the same.
    """
    return (
        differing_register_names(administration.organisation_id, [(administration, number)]).get(
            administration.pk, ""
        )
        if number
        else ""
    )


def differing_register_names(
    organisation_id: int, numbers: Iterable[tuple[Administration, str]]
) -> dict[int, str]:
    """Return `differing_register_name` of many, by administration, where there is one."""
    register_queries = {
        administration.pk: (administration, number, build_query(administration.country, number))
        for administration, number in numbers
    }
    lookups = cached_results(
        organisation_id, [query for _one, _number, query in register_queries.values() if query]
    )
    names: dict[int, str] = {}
    for key, (administration, number, query) in register_queries.items():
        lookup = lookups.get(query) if query else None
        if lookup and (name := _unconfirmed_name(administration, number, lookup)):
            names[key] = name
    return names


def _unconfirmed_name(administration: Administration, number: str, lookup: LookupResult) -> str:
    """Return the register's name of this number where it is neither ours, nor legal, nor confirmed."""
    if lookup.query.kind is not QueryKind.NUMBER or not lookup.has_different_name(administration.name):
        return ""
    confirmed, legal_name = administration.confirmed_identity, administration.remote_company.legal_name
    is_confirmed_name = confirmed.number == number and not lookup.has_different_name(confirmed.name)
    is_legal_name = bool(legal_name) and not lookup.has_different_name(legal_name)
    return "" if is_confirmed_name or is_legal_name else lookup.legal_name


def confirm(actor: Actor, administration: Administration, name: str, number: str) -> None:
    """Record a person's word that the register's company of this name and number is this one."""
    at = timezone.now().isoformat()
    administration.confirmed_identity = ConfirmedIdentity(
        name=name, number=number, by=actor.membership_id, at=at
    )
    administration.save(update_fields=["confirmed_identity"])
    record_confirmed_identity(actor, administration)


def is_confirmed(administration: Administration, lookup: LookupResult | None) -> bool:
    """Return whether a person has confirmed exactly this name and number to be the same company."""
    confirmed = administration.confirmed_identity
    is_same_number = confirmed.number == administration.number
    return bool(confirmed and lookup and is_same_number and not lookup.has_different_name(confirmed.name))


def handle_bulk_change(organisation_id: int, columns_by_id: Mapping[int, Collection[str]]) -> None:
    """Update the issues about identities after a bulk operation changed them.

    `columns_by_id`: the changed columns by administration. Register lookups follow within the hour, as after
    an import.
    """
    changed_ids = [
        administration_id for administration_id, columns in columns_by_id.items() if {*COLUMNS} & {*columns}
    ]
    administrations = Administration.objects.in_organisation(organisation_id).filter(pk__in=changed_ids)
    complete = {administration.pk for administration in administrations if is_complete(administration)}
    resolve_issues_bulk(
        organisation_id, SubjectKind.ADMINISTRATION, complete, [AdministrationIssue.IDENTITY_INCOMPLETE]
    )
    renumbered = [
        administration_id for administration_id in changed_ids if "number" in columns_by_id[administration_id]
    ]
    resolve_issues_bulk(
        organisation_id,
        SubjectKind.ADMINISTRATION,
        renumbered,
        CHANGES_OF_REGISTER,
    )
    if renumbered:
        update_shared_number_issues(organisation_id, renumbered)
    for administration in administrations:
        if administration.pk not in complete:
            raise_issue(
                organisation_id,
                AdministrationIssue.IDENTITY_INCOMPLETE,
                Subject(SubjectKind.ADMINISTRATION, administration.pk),
                {"name": administration.name},
            )


def is_complete(administration: Administration) -> bool:
    return is_identified(administration.number, administration.no_number_reason, administration.sector)


def register_query(administration: Administration) -> RegisterQuery | None:
    """Return the query for the register of the administration's country; None without a number, or where no
    register answers.
    """
    return build_query(administration.country, administration.number) if administration.number else None


def cached_register_result(administration: Administration) -> LookupResult | None:
    query = register_query(administration)
    return cached_results(administration.organisation_id, [query]).get(query) if query else None


def acknowledge_changes(actor: Actor, administration_id: int) -> int:
    """Record that the actor has seen that the company is closed or renamed. The issues return only when the
    register has a new result.
    """
    actor.require(Permission.CHANGE_ADMINISTRATIONS)
    administration = Administration.objects.visible_to(actor).filter(pk=administration_id).first()
    if administration is None:
        raise audited_not_found(actor, administration_id)
    if name := differing_register_name(administration, administration.number):
        confirm(actor, administration, name, administration.number)
    confirm_client(actor, administration, cached_register_result(administration))
    subject = Subject(SubjectKind.ADMINISTRATION, administration.pk)
    count = sum(resolve_issues(administration.organisation_id, subject, code) for code in CHANGES_OF_REGISTER)
    if count:
        add_audit_entry(
            actor.organisation_id,
            actor.audit,
            AdministrationAction.REGISTER_RESULT_ACKNOWLEDGED,
            subject=_subject(administration),
        )
    return count


def update_closed_issues(organisation_id: int, administration_ids: Collection[int]) -> None:
    """Raise or resolve the issue of deregistered companies, after a person ended or resumed their
    administrations.
    """
    queryset = Administration.objects.in_organisation(organisation_id).filter(pk__in=administration_ids)
    query_by_id = {
        administration: query for administration in queryset if (query := register_query(administration))
    }
    lookups = cached_results(organisation_id, list(query_by_id.values()))
    answered = []
    for administration, query in query_by_id.items():
        lookup = lookups.get(query)
        if lookup is None or lookup.outcome is not LookupOutcome.CLOSED:
            continue
        if _is_answered(administration, lookup):
            answered.append(administration.pk)
        else:
            _raise_closed(administration, lookup)
    resolve_issues_bulk(
        organisation_id, SubjectKind.ADMINISTRATION, answered, [AdministrationIssue.COMPANY_CLOSED]
    )


def handle_lookup_result(organisation_id: int, before: LookupResult, after: LookupResult) -> None:
    """Apply a register's answer to every administration with this number, in the answer's transaction."""
    query = after.query
    if query.kind is not QueryKind.NUMBER:
        return
    administrations = (
        Administration.objects.in_organisation(organisation_id)
        .select_for_update()
        .filter(country=query.country, number=query.value, withdrawn_at=None)
    )
    for administration in administrations:
        _apply(administration, before, after)


def _request_lookups(
    organisation_id: int, administrations: Sequence[Administration], *, refresh: bool
) -> int:
    query_by_id = {administration.pk: register_query(administration) for administration in administrations}
    queries = [query for query in query_by_id.values() if query]
    cached = cached_results(organisation_id, queries)
    for administration in administrations:
        query = query_by_id[administration.pk]
        if query in cached and cached[query].answered_at and not refresh:
            _apply(administration, cached[query], cached[query])
    return request_lookups(organisation_id, queries, refresh=refresh)


def _apply(administration: Administration, before: LookupResult, after: LookupResult) -> None:
    subject = Subject(SubjectKind.ADMINISTRATION, administration.pk)
    if after.outcome is LookupOutcome.CLOSED:
        is_news = before.outcome is not LookupOutcome.CLOSED or before is after
        if is_news and not _is_answered(administration, after):
            _raise_closed(administration, after)
    elif after.outcome is LookupOutcome.FOUND:
        resolve_issues(administration.organisation_id, subject, AdministrationIssue.COMPANY_CLOSED)
    if before.exists and before.legal_name and after.has_different_name(before.legal_name):
        context = {"old": before.legal_name, "new": after.legal_name}
        raise_issue(administration.organisation_id, AdministrationIssue.LEGAL_NAME_CHANGED, subject, context)
    else:
        _update_name_issue(administration, after)
    changed = _columns_to_fill(administration, after)
    if changed:
        for name, value in changed.items():
            setattr(administration, name, value)
        administration.save(update_fields=list(changed))
        add_audit_entry(
            administration.organisation_id,
            KOPPEL_ACTOR,
            AdministrationAction.REGISTER_VALUES_APPLIED,
            subject=_subject(administration),
            details={"source": after.source, **changed},
        )


def _update_name_issue(administration: Administration, lookup: LookupResult) -> None:
    """Ask with an issue whether the register's company is this one, wherever the number came from."""
    subject = Subject(SubjectKind.ADMINISTRATION, administration.pk)
    code = AdministrationIssue.REGISTER_NAME_DIFFERS
    if name := _unconfirmed_name(administration, administration.number, lookup):
        context = {"name": administration.name, "register": name}
        raise_issue(administration.organisation_id, code, subject, context)
    elif lookup.exists:
        resolve_issues(administration.organisation_id, subject, code)


def _raise_closed(administration: Administration, lookup: LookupResult) -> None:
    closed_on = lookup.closed_on.isoformat() if lookup.closed_on else "–"
    raise_issue(
        administration.organisation_id,
        AdministrationIssue.COMPANY_CLOSED,
        Subject(SubjectKind.ADMINISTRATION, administration.pk),
        {"name": lookup.legal_name or administration.name, "closed_on": closed_on},
    )


def _is_answered(administration: Administration, lookup: LookupResult) -> bool:
    """Return whether the question “is this still a client?” needs no answer any more."""
    has_ended = administration.client_left_on is not None or administration.status == Status.DEACTIVATED
    return has_ended or is_confirmed_client(administration, lookup)


def _columns_to_fill(administration: Administration, after: LookupResult) -> Mapping[str, Any]:
    """Return the columns that the answer changes: a missing sector, and the note about the number."""
    columns: dict[str, Any] = {}
    if not administration.sector and after.sector is not None:
        columns |= {"sector": after.sector.letter, "sector_scheme": after.sector.revision}
    if after.exists and administration.number_note in DOUBTS_CLEARED_BY_REGISTER:
        columns["number_note"] = ""
    # VIES knows only who is registered for VAT: the number may be right, but a person should look at it.
    if after.outcome is LookupOutcome.NOT_FOUND and not administration.number_note:
        is_from_vies = after.source == RegisterCode.VIES
        columns["number_note"] = (NumberNote.NOT_IN_VIES if is_from_vies else NumberNote.NOT_FOUND).value
    return columns


def _audit_details(administration: Administration, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the details of the audit log, which is listed and exported: a person's number is masked."""
    return {**columns, "number": mask_number(columns["number"], administration.country)}


def _subject(administration: Administration) -> Subject:
    return Subject(kind=SubjectKind.ADMINISTRATION, id=administration.pk, name=administration.name)
