"""Administrations over REST: what the list and an administration's own pages do."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any

from django.http import QueryDict
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema, Status
from pydantic import Field

from koppel.administrations import restriction, services
from koppel.administrations.bulk import operations
from koppel.administrations.bulk.operations import Selection
from koppel.administrations.effective_settings import COMPARED_KEYS, effective_settings
from koppel.administrations.lifecycle import offboarding, predecessors
from koppel.administrations.list import saved_views
from koppel.administrations.list.query import ID_MAX, ListQuery, parse_query
from koppel.administrations.list.queryset import apply_filters, search
from koppel.administrations.list.rendering import display_number
from koppel.administrations.models import Administration
from koppel.administrations.queries import import_state
from koppel.administrations.scope import administration_for
from koppel.issues.queries import count_open, open_issues
from koppel.kit.web.parameters import UnknownParameter, unknown_value
from koppel.kit.web.schemas import Day, Input
from koppel.organisations.errors import Refused
from koppel.organisations.requests import AuthenticatedRequest, needs
from koppel.organisations.roles import Actor, Permission

router = Router()
LIMIT_MAX = 1000


class Filters(Schema):
    """As in the address bar of the list. Ids as digits, or `none`; several of one kind widen, different kinds narrow.

    `freshness`: fresh, stale, old, never. `issues`: any, none or a code. `number`: missing, incomplete, doubtful, duplicate.
    `lifecycle`: client_left, deactivation_scheduled. `sort`: a column, with `-` in front for descending."""

    q: str = ""
    status: list[str] = []
    division: list[str] = []
    user: list[str] = []
    template: list[str] = []
    sector: list[str] = []
    connection: list[str] = []
    freshness: list[str] = []
    issues: str = ""
    number: str = ""
    lifecycle: str = ""
    favourites: bool = False
    changed: bool = False
    restricted: bool = False
    running: bool = False
    import_id: Annotated[int, Field(ge=1, le=ID_MAX)] | None = None
    sort: str = "name"

    def to_query(self) -> ListQuery:
        """As the address bar says it. What was given empty stays there, to be refused; a flag that is false asks nothing."""
        query = QueryDict(mutable=True)
        for key, value in self.dict(exclude_unset=True, exclude={"import_id"}).items():
            if isinstance(value, list):
                query.setlist(key, value)
            elif value is not False:
                query[key] = "1" if value is True else str(value)
        if self.import_id is not None:
            query["import"] = str(self.import_id)
        return parse_query(query)


class AdministrationOut(Schema):
    """`source_id` is the accounting system's own id of the company, `code` its code there, `client_number` the firm's own.

    `issues` counts the open ones. A personal number is masked."""

    id: int
    name: str
    number: str
    client_number: str
    code: str
    country: str
    base_currency: str
    sector: str
    status: str
    status_reason: str
    connection: int
    source_id: str
    division: str | None
    template: str | None
    restricted: bool
    import_id: int | None
    complete_as_of: datetime | None
    client_left_on: date | None
    erase_on: date | None
    predecessor: int | None
    issues: int


class AdministrationList(Schema):
    total: int
    items: list[AdministrationOut]


@router.get("", response=AdministrationList)
@needs(Permission.VIEW)
def administrations(
    request: AuthenticatedRequest,
    filters: Annotated[Filters, Query()],
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> AdministrationList:
    """The administrations that you may see, filtered and sorted as the list does."""
    query = filters.to_query()
    if query.single.get("import") and import_state(request.actor, int(query.single["import"])) is None:
        raise UnknownParameter([unknown_value("import_id", query.single["import"])])
    page = list(search(request.actor, query)[offset : offset + limit])
    issues = count_open(request.actor.organisation_id, "administration", [one.pk for one in page])
    total = apply_filters(request.actor, query).count()
    return AdministrationList(total=total, items=[_out(one, issues.get(one.pk, 0)) for one in page])


class ViewOut(Schema):
    """`query` is what the list's address bar holds."""

    id: int
    name: str
    query: str
    is_default: bool


@router.get("/views", response=list[ViewOut])
def views(request: AuthenticatedRequest) -> list[Any]:
    """Your saved views of the list."""
    return list(saved_views.list_views(request.actor))


@router.get("/{int:administration_id}", response=AdministrationOut)
def administration(request: AuthenticatedRequest, administration_id: int) -> AdministrationOut:
    """One administration."""
    return _get(request.actor, administration_id)


class Changes(Input):
    """What is absent stays as it is. `division` and `template` null: none. `add` and `remove` are ids of memberships."""

    division: int | None = None
    template: int | None = None
    add: list[int] = []
    remove: list[int] = []
    sector: str | None = None
    number: str | None = None
    client_number: str | None = None


@router.patch("/{int:administration_id}", response=AdministrationOut)
def change(request: AuthenticatedRequest, administration_id: int, changes: Changes) -> AdministrationOut:
    """Assign and set, as bulk work on one administration: undone like it, under the id in the trail."""
    administration_for(request.actor, administration_id)
    params = changes.dict(exclude_unset=True)
    draft = operations.preview(request.actor, "change", params, Selection(ids=[administration_id]))
    operations.start(request.actor, draft.pk)
    return _get(request.actor, administration_id)


class SettingsOut(Schema):
    """`effective_values` with the source of each (administration, template, organisation, default); `values` are set here.

    `limited_by_organisation` names those of which the organisation switched something off."""

    effective_values: dict[str, Any]
    sources: dict[str, str]
    values: dict[str, Any]
    limited_by_organisation: list[str]


@router.get("/{int:administration_id}/settings", response=SettingsOut)
def settings(request: AuthenticatedRequest, administration_id: int) -> SettingsOut:
    """The settings in force, each with where it comes from."""
    return _settings(request.actor, administration_id)


class SettingsIn(Input):
    """Own values; null gives a setting back to template or organisation."""

    values: dict[str, Any]


@router.patch("/{int:administration_id}/settings", response=SettingsOut)
def change_settings(request: AuthenticatedRequest, administration_id: int, payload: SettingsIn) -> SettingsOut:
    """Set here, or give back to template or organisation."""
    services.change_settings(request.actor, administration_id, payload.values)
    return _settings(request.actor, administration_id)


class AccessIn(Input):
    """`people` are ids of memberships: when restricted exactly these, else these are added."""

    restricted: bool
    people: list[int] = []


@router.put("/{int:administration_id}/access", response={204: None})
def set_access(request: AuthenticatedRequest, administration_id: int, payload: AccessIn) -> Status[None]:
    """Restrict it to the people named, whatever their role, or open it again."""
    restriction.set_access(
        request.actor, administration_id, restricted=payload.restricted, membership_ids=payload.people
    )
    return Status(204, None)


@router.put("/{int:administration_id}/favourite", response={204: None})
def favourite(request: AuthenticatedRequest, administration_id: int) -> Status[None]:
    """Your own favourite."""
    services.set_favourite(request.actor, administration_id, is_favourite=True)
    return Status(204, None)


@router.delete("/{int:administration_id}/favourite", response={204: None})
def unfavourite(request: AuthenticatedRequest, administration_id: int) -> Status[None]:
    """No favourite of yours any more."""
    services.set_favourite(request.actor, administration_id, is_favourite=False)
    return Status(204, None)


class OffboardingIn(Input):
    client_left_on: Day
    erase_on: Day


@router.put("/{int:administration_id}/offboarding", response=AdministrationOut)
def offboard(request: AuthenticatedRequest, administration_id: int, payload: OffboardingIn) -> AdministrationOut:
    """The client left: syncing stops, on `erase_on` everything is erased."""
    offboarding.offboard_client(
        request.actor, administration_id, client_left_on=payload.client_left_on, erase_on=payload.erase_on
    )
    return _get(request.actor, administration_id)


@router.delete("/{int:administration_id}/offboarding", response=AdministrationOut)
def cancel_offboarding(request: AuthenticatedRequest, administration_id: int) -> AdministrationOut:
    """The client came back: nothing is erased."""
    offboarding.cancel_offboarding(request.actor, administration_id)
    return _get(request.actor, administration_id)


class PredecessorIn(Input):
    administration: int | None


@router.put("/{int:administration_id}/predecessor", response=AdministrationOut)
def set_predecessor(request: AuthenticatedRequest, administration_id: int, payload: PredecessorIn) -> AdministrationOut:
    """Which earlier administration this one continues; null takes the link away."""
    predecessors.set_predecessor(request.actor, administration_id, payload.administration)
    return _get(request.actor, administration_id)


class WithdrawIn(Input):
    """The administration's name, so that no other one is erased by a wrong number."""

    name: str


@router.post("/{int:administration_id}/withdraw", response={204: None})
def withdraw(request: AuthenticatedRequest, administration_id: int, payload: WithdrawIn) -> Status[None]:
    """Cancel an import that waits, or withdraw a wrong one: gone at once, its data is erased. Cannot be undone."""
    request.actor.require(Permission.IMPORT_ADMINISTRATIONS)
    if administration_for(request.actor, administration_id).name.casefold() != payload.name.strip().casefold():
        raise Refused(_("Type the name of the administration to withdraw it."))
    offboarding.withdraw(request.actor, administration_id)
    return Status(204, None)


class RestrictedOut(Schema):
    id: int
    status: str
    people: Sequence[str]
    is_orphaned: bool


@router.get("/restricted", response=list[RestrictedOut])
@needs(Permission.MANAGE_ORGANISATION)
def restricted(request: AuthenticatedRequest) -> list[Any]:
    """For Administrators: the restricted administrations that exist beside what they see."""
    return list(restriction.list_hidden(request.actor))


class IssueOut(Schema):
    """`code` is a stable word, `message` its text in the caller's language."""

    code: str
    message: str
    advice: str
    raised_at: datetime


@router.get("/{int:administration_id}/issues", response=list[IssueOut])
def issues(request: AuthenticatedRequest, administration_id: int) -> list[IssueOut]:
    """The open issues, oldest first."""
    administration = administration_for(request.actor, administration_id)
    open_administration_issues = open_issues(administration.organisation_id, "administration", [administration.pk]).get(
        administration.pk, []
    )
    return [
        IssueOut(code=issue.code, message=issue.message, advice=issue.advice, raised_at=issue.raised_at)
        for issue in open_administration_issues
    ]


def _get(actor: Actor, administration_id: int) -> AdministrationOut:
    administration = administration_for(actor, administration_id)
    return _out(
        administration,
        count_open(actor.organisation_id, "administration", [administration.pk]).get(administration.pk, 0),
    )


def _settings(actor: Actor, administration_id: int) -> SettingsOut:
    administration = administration_for(actor, administration_id)
    now = effective_settings(administration)
    return SettingsOut(
        effective_values={key: getattr(now, key) for key in COMPARED_KEYS},
        sources={key: source.value for key, source in now.sources.items()},
        values=administration.settings,
        limited_by_organisation=sorted(now.limited_keys),
    )


def _out(administration: Administration, issues: int) -> AdministrationOut:
    return AdministrationOut(
        id=administration.pk,
        name=administration.name,
        number=display_number(administration),
        client_number=administration.client_number,
        code=administration.remote_company.code,
        country=administration.country,
        base_currency=administration.base_currency,
        sector=administration.sector,
        status=administration.status,
        status_reason=administration.status_reason,
        connection=administration.connection_id,
        source_id=administration.remote_company.external_id,
        division=administration.division.name if administration.division else None,
        template=administration.template.name if administration.template else None,
        restricted=administration.restricted,
        import_id=administration.import_id,
        complete_as_of=administration.complete_as_of,
        client_left_on=administration.client_left_on,
        erase_on=administration.erase_on,
        predecessor=administration.predecessor_id,
        issues=issues,
    )
