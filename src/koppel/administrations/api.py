"""Administrations over REST."""

from datetime import datetime
from typing import Annotated

from ninja import Query, Router, Schema

from koppel.administrations.models import Administration
from koppel.administrations.scope import administration_for, visible_to
from koppel.issues.queries import count_open, open_issues
from koppel.web.doors import MemberRequest

router = Router()
LIMIT_MAX = 1000


class AdministrationOut(Schema):
    """`source_id` is the accounting system's own id of the company. `issues` counts the open ones."""

    id: int
    name: str
    number: str
    country: str
    base_currency: str
    status: str
    status_reason: str
    connection: int
    source_id: str
    division: str | None
    template: str | None
    imported_in: int | None
    complete_as_of: datetime | None
    issues: int


class AdministrationList(Schema):
    total: int
    items: list[AdministrationOut]


@router.get("", response=AdministrationList)
def administrations(
    request: MemberRequest,
    status: str | None = None,
    imported_in: int | None = None,
    q: str = "",
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> AdministrationList:
    """The administrations that you may see, by name."""
    found = visible_to(request.actor).select_related("division", "template", "remote_company")
    if status:
        found = found.filter(status=status)
    if imported_in is not None:
        found = found.filter(imported_in=imported_in)
    if q:
        found = found.filter(name__icontains=q)
    page = list(found.order_by("name", "pk")[offset : offset + limit])
    issues = count_open(request.actor.organisation_id, "administration", [one.pk for one in page])
    return AdministrationList(total=found.count(), items=[_out(one, issues.get(one.pk, 0)) for one in page])


@router.get("/{administration_id}", response=AdministrationOut)
def administration(request: MemberRequest, administration_id: int) -> AdministrationOut:
    """One administration that the caller may see."""
    one = administration_for(request.actor, administration_id)
    issues = count_open(request.actor.organisation_id, "administration", [one.pk])
    return _out(one, issues.get(one.pk, 0))


class IssueOut(Schema):
    """`code` is a stable word, `sentence` its text in the caller's language."""

    code: str
    sentence: str
    advice: str
    raised_at: datetime


@router.get("/{administration_id}/issues", response=list[IssueOut])
def issues(request: MemberRequest, administration_id: int) -> list[IssueOut]:
    """The open issues, oldest first."""
    one = administration_for(request.actor, administration_id)
    found = open_issues(one.organisation_id, "administration", [one.pk]).get(one.pk, [])
    return [
        IssueOut(code=each.code, sentence=each.sentence, advice=each.advice, raised_at=each.raised_at) for each in found
    ]


def _out(one: Administration, issues: int) -> AdministrationOut:
    return AdministrationOut(
        id=one.pk,
        name=one.name,
        number=one.number,
        country=one.country,
        base_currency=one.base_currency,
        status=one.status,
        status_reason=one.status_reason,
        connection=one.connection_id,
        source_id=one.remote_company.external_id,
        division=one.division.name if one.division else None,
        template=one.template.name if one.template else None,
        imported_in=one.imported_in,
        complete_as_of=one.complete_as_of,
        issues=issues,
    )
