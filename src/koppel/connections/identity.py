"""Same company: what the vendor says of a company is compared with what we know of it, at every listing and in every run.

The immutable id decides which company it is; sessions refuse another one. A changed name, code or number is an issue for a
person and never stops anything.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from django.utils import timezone

from koppel.audit.services import record
from koppel.connections.errors import NoSuchConnection
from koppel.connections.models import RemoteCompany
from koppel.connections.sessions import ReadingSession
from koppel.connections.timeline import note_event
from koppel.connector.contract import Company, CompanyDescription
from koppel.connector.errors import ConnectorError, NotConsented, SetupMissing
from koppel.connector.registry import connector
from koppel.issues.models import Issue
from koppel.issues.services import raise_issue, resolve_issues
from koppel.kit.tenancy import organisation_scope
from koppel.kit.threads import in_django
from koppel.organisations.errors import Refused
from koppel.organisations.policy import Actor, Permission

CHANGES = {
    "name": "company_renamed",
    "legal_name": "company_renamed",
    "code": "company_code_changed",
    "number": "company_number_changed",
}
"""Which issue (and line of the timeline) a changed field raises."""
SAID_AGAIN_AFTER = timedelta(hours=12)
"""What is as known is written no oftener."""


async def same_company(session: ReadingSession, connector_key: str) -> None:
    """At the start of a run, one cheap call: the company still answers to its id, and what changed about it is told.

    Raises what `describe_company` raises; then nothing was written."""
    organisation_id, company_id = session.place.organisation_id, session.place.remote_company_id or 0
    try:
        with session.asking_beforehand():
            found = await connector(connector_key).describe_company(session)
    except (NotConsented, SetupMissing) as refusal:
        refused = refusal
        await in_django(lambda: note_unreachable(organisation_id, company_id, refused))
        raise
    if not _is_known(session.known, found):
        await in_django(lambda: note_described(organisation_id, company_id, found))


def _is_known(known: Mapping[str, Any], found: CompanyDescription) -> bool:
    """The same was said not long ago: there is nothing to write."""
    said = known["described_at"] is not None and timezone.now() - known["described_at"] < SAID_AGAIN_AFTER
    return said and not known["unreachable_code"] and _kept(found).items() <= known.items()


def _kept(found: CompanyDescription) -> dict[str, Any]:
    """The fields of a `RemoteCompany` that a description fills."""
    return {
        "legal_name": found.name[:300],
        "number": (found.number or "")[:100],
        "vat_number": (found.vat_number or "")[:100],
        "country": (found.country or "")[:2],
        "base_currency": (found.base_currency or "")[:3],
        "industry_code": (found.industry_code or "")[:60],
        "units": [list(one) for one in found.units],
    }


def note_described(organisation_id: int, company_id: int, found: CompanyDescription) -> None:
    """Keep what the vendor says of a company, and raise what changed about one that is imported."""
    with organisation_scope(organisation_id):
        company = _locked(organisation_id, company_id)
        if company is None:
            return
        if company.described_at is not None and not company.unreachable_code:
            _compare(company, {"legal_name": found.name, "number": found.number or ""})
        if company.unreachable_code and company.administrations.exists():
            note_event(company.connection, "role_back", {"name": company.name})
        if _plain(company.name) == _plain(company.legal_name):
            company.name = found.name[:300] or company.name
        for field, value in _kept(found).items():
            setattr(company, field, value)
        company.described_at, company.unreachable_code, company.unreachable_reason = timezone.now(), "", ""
        company.save()


def note_unreachable(organisation_id: int, company_id: int, refusal: ConnectorError | None) -> None:
    """The vendor does not let us in to this company (None: it could not be asked, which says nothing about it)."""
    with organisation_scope(organisation_id):
        company = _locked(organisation_id, company_id)
        if company is None:
            return
        if refusal is not None and not company.unreachable_code and company.administrations.exists():
            facts = {"name": company.name, "reason": str(refusal), "code": refusal.code}
            note_event(company.connection, "role_removed", facts)
        if refusal is not None:
            company.unreachable_code, company.unreachable_reason = refusal.code, str(refusal)
        company.described_at = timezone.now()
        company.save(update_fields=["described_at", "unreachable_code", "unreachable_reason"])


def note_listed(organisation_id: int, connection_id: int, companies: Iterable[Company], grants: Iterable[int]) -> None:
    """Before a new list of these grants is kept: what was renamed, is gone or came back. In the caller's transaction."""
    listed = {one.external_id: one for one in companies}
    own = RemoteCompany.objects.filter(organisation_id=organisation_id, connection_id=connection_id)
    imported = own.filter(administrations__isnull=False, grant_id__in=list(grants))
    for known in imported.select_related("connection").distinct():
        now = listed.get(known.external_id)
        subjects = [("administration", key) for key in known.administrations.values_list("pk", flat=True)]
        facts = {"name": known.name, "account": known.connection.account, "connection": connection_id}
        if now is None and known.listed_at is not None:
            note_event(known.connection, "company_gone", facts)
            for subject in subjects:
                raise_issue(organisation_id, "company_gone", subject, facts)
        elif now is not None:
            if known.listed_at is None:
                note_event(known.connection, "company_back", facts)
            for subject in subjects:
                resolve_issues(organisation_id, subject, "company_gone")
            _compare(known, {"name": now.name, "code": now.code})


def _compare(company: RemoteCompany, seen: Mapping[str, str]) -> None:
    for field, new in seen.items():
        old = getattr(company, field)
        if not old or not new or _plain(old) == _plain(new):
            continue
        facts = {"name": company.name, "old": old, "new": new, "field": field, "connection": company.connection_id}
        imported = list(company.administrations.values_list("pk", flat=True))
        for administration_id in imported:
            _raise_change(company.organisation_id, administration_id, CHANGES[field], facts)
        if imported:
            note_event(company.connection, CHANGES[field], facts)


def _raise_change(organisation_id: int, administration_id: int, code: str, facts: Mapping[str, object]) -> None:
    """An open issue remembers what it was at first; back to that, there is nothing left to tell."""
    subject = ("administration", administration_id)
    found = Issue.objects.filter(organisation_id=organisation_id, code=code, resolved_at=None)
    open_one = found.filter(subject_kind=subject[0], subject_id=subject[1]).first()
    first = str(open_one.facts.get("old", "")) if open_one else str(facts["old"])
    if _plain(first) == _plain(str(facts["new"])):
        resolve_issues(organisation_id, subject, code)
    else:
        raise_issue(organisation_id, code, subject, {**facts, "old": first})


def _locked(organisation_id: int, company_id: int) -> RemoteCompany | None:
    found = RemoteCompany.objects.select_for_update(no_key=True, of=("self",)).select_related("connection")
    return found.filter(organisation_id=organisation_id, pk=company_id).first()


def _plain(text: str) -> str:
    """Capitals, spaces and punctuation are no change."""
    return "".join(filter(str.isalnum, text.casefold()))


TakeOver = Callable[[Actor, int, str, str], str]
_take_over: list[TakeOver] = []


def register_take_over(act: TakeOver) -> None:
    """`act(actor, administration_id, field, value)`: it takes what the vendor says. '' or a sentence why not."""
    _take_over[:] = [act]


def settle_change(actor: Actor, connection_id: int, administration_id: int, code: str, *, take: bool) -> None:
    """A person has seen a change: take it over, or leave the administration as it is. Asked twice, it does so once.

    Raises `Refused` with a sentence, and `NoSuchConnection`."""
    actor.require(Permission.IMPORT)
    own = RemoteCompany.objects.filter(organisation_id=actor.organisation_id, connection_id=connection_id)
    company = own.filter(administrations=administration_id).first()
    if company is None or code not in CHANGES.values():
        raise NoSuchConnection
    subject = ("administration", administration_id)
    issue = Issue.objects.filter(
        organisation_id=actor.organisation_id,
        code=code,
        subject_kind=subject[0],
        subject_id=subject[1],
        resolved_at=None,
    ).first()
    if issue is None:
        return
    for act in _take_over if take else ():
        if sentence := act(actor, administration_id, str(issue.facts["field"]), str(issue.facts["new"])):
            raise Refused(sentence)
    resolve_issues(actor.organisation_id, subject, code)
    details = {"code": code, "taken": take, "old": issue.facts["old"], "new": issue.facts["new"]}
    named = ("administration", administration_id, company.name)
    record(actor.organisation_id, actor.audit, "company.change_settled", subject=named, details=details)
