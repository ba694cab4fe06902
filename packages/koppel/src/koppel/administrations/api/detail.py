"""One administration over REST: its details, and the changes that a person makes."""

from collections.abc import Container, Iterable
from datetime import date, datetime

from ninja import Router, Schema, Status

from koppel.administrations import restriction, services
from koppel.administrations.access import administration_for
from koppel.administrations.display_state import display_state
from koppel.administrations.inputs import AdministrationInput, RestrictionInput
from koppel.administrations.list.cell_values import display_number
from koppel.administrations.models import Administration
from koppel.audit.subjects import SubjectKind
from koppel.issues.queries import count_open, open_issues
from koppel.kit.web.sentences import render_sentence
from koppel.organisations.requests import AuthenticatedRequest, permission_required
from koppel.organisations.roles import Actor, Permission

router = Router()


class AdministrationOut(Schema):
    """An administration.

    `source_id` is the accounting system's id of the company, `code` its code there, `client_number` the
    organisation's own. `status` is the one that the list shows: of an administration that its connection
    stops `needs_reauth`, `paused` or `removed`. `issues` is the number that need attention. A personal number
    is masked.
    """

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


@router.get("/{int:administration_id}", response=AdministrationOut)
def get_administration(request: AuthenticatedRequest, administration_id: int) -> AdministrationOut:
    """Show one administration."""
    return get_administration_out(request.actor, administration_id)


class ChangedAdministrationOut(AdministrationOut):
    """`changed` names the fields that the request changed; it is empty when all were set already."""

    changed: list[str]


@router.patch("/{int:administration_id}", response=ChangedAdministrationOut)
@permission_required(Permission.CHANGE_ADMINISTRATIONS)
def change_administration(
    request: AuthenticatedRequest, administration_id: int, payload: AdministrationInput
) -> ChangedAdministrationOut:
    """Assign and set, as bulk work on one administration: undone like it, under the id in the audit log. What
    is wrong is refused, and then nothing changes.
    """
    changed = services.change_administration(request.actor, administration_id, payload)
    administration = get_administration_out(request.actor, administration_id)
    return ChangedAdministrationOut(**administration.dict(), changed=changed)


@router.put("/{int:administration_id}/access", response={204: None})
@permission_required(Permission.IMPORT_ADMINISTRATIONS)
def set_access(
    request: AuthenticatedRequest, administration_id: int, payload: RestrictionInput
) -> Status[None]:
    """Restrict an administration to these people, or open it to all."""
    restriction.set_access(request.actor, administration_id, payload)
    return Status(204, None)


@router.put("/{int:administration_id}/favourite", response={204: None})
def add_favourite(request: AuthenticatedRequest, administration_id: int) -> Status[None]:
    """Add an administration to your favourites."""
    services.set_favourite(request.actor, administration_id, is_favourite=True)
    return Status(204, None)


@router.delete("/{int:administration_id}/favourite", response={204: None})
def remove_favourite(request: AuthenticatedRequest, administration_id: int) -> Status[None]:
    """Remove an administration from your favourites."""
    services.set_favourite(request.actor, administration_id, is_favourite=False)
    return Status(204, None)


class IssueOut(Schema):
    """`id` is that of `/issues/{id}`, `code` a stable word, `message` its text in the caller's language."""

    id: int
    code: str
    message: str
    advice: str
    raised_at: datetime


@router.get("/{int:administration_id}/issues", response=list[IssueOut])
def list_issues(request: AuthenticatedRequest, administration_id: int) -> list[IssueOut]:
    """List the issues that need attention, oldest first: neither snoozed nor dismissed."""
    administration = administration_for(request.actor, administration_id)
    open_administration_issues = open_issues(
        request.actor, SubjectKind.ADMINISTRATION, [administration.pk]
    ).get(administration.pk, [])
    return [
        IssueOut(
            id=issue.id,
            code=issue.code,
            message=issue.message,
            advice=issue.advice,
            raised_at=issue.raised_at,
        )
        for issue in open_administration_issues
    ]


def get_administration_out(actor: Actor, administration_id: int) -> AdministrationOut:
    administration = administration_for(actor, administration_id)
    return administration_out(
        administration,
        display_state(actor, administration),
        count_open(actor, SubjectKind.ADMINISTRATION, [administration.pk]).get(administration.pk, 0),
        visible_ids(actor, [administration.predecessor_id]),
    )


def visible_ids(actor: Actor, administration_ids: Iterable[int | None]) -> set[int]:
    """Return the ids of the administrations, among these, that the actor may see."""
    ids = {administration_id for administration_id in administration_ids if administration_id is not None}
    queryset = Administration.objects.visible_to(actor).filter(pk__in=ids)
    return set(queryset.values_list("pk", flat=True))


def administration_out(
    administration: Administration, state: str, issues: int, predecessors: Container[int]
) -> AdministrationOut:
    """`predecessors`: those that exist for the caller; another one is not named."""
    predecessor_id = administration.predecessor_id
    return AdministrationOut(
        id=administration.pk,
        name=administration.name,
        number=display_number(administration),
        client_number=administration.client_number,
        code=administration.remote_company.code,
        country=administration.country,
        base_currency=administration.base_currency,
        sector=administration.sector,
        status=state,
        status_reason=render_sentence(administration.status_reason),
        connection=administration.connection_id,
        source_id=administration.remote_company.external_id,
        division=administration.division.name if administration.division else None,
        template=administration.template.name if administration.template else None,
        restricted=administration.restricted,
        import_id=administration.import_id,
        complete_as_of=administration.complete_as_of,
        client_left_on=administration.client_left_on,
        erase_on=administration.erase_on,
        predecessor=predecessor_id if predecessor_id in predecessors else None,
        issues=issues,
    )
