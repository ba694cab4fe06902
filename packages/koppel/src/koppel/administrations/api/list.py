"""The list of administrations over REST: filtered and sorted as on the page, saved views, hidden
administrations.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from django.http import QueryDict
from ninja import Query, Router, Schema
from pydantic import Field

from koppel.administrations import restriction
from koppel.administrations.api.detail import AdministrationOut, administration_out, visible_ids
from koppel.administrations.display_state import display_states
from koppel.administrations.list import saved_views
from koppel.administrations.list.query import ListQuery, parse_query
from koppel.administrations.list.queryset import apply_filters, search
from koppel.administrations.queries import import_state
from koppel.audit.subjects import SubjectKind
from koppel.issues.queries import count_open
from koppel.kit.web.parameters import ID_MAX, UnknownParameter, unknown_value
from koppel.organisations.requests import AuthenticatedRequest, permission_required
from koppel.organisations.roles import Permission

router = Router()
LIMIT_MAX = 1000


class Filters(Schema):
    """The filters of the list, as in the query string of its page.

    Ids are digits, or `none`; several values of one filter widen the list, several filters narrow it.
    `freshness`: fresh, stale, old, never. `issues`: any, none or a code. `number`: missing, incomplete,
    doubtful, duplicate. `lifecycle`: client_left, deactivation_scheduled. `sort`: a column, with `-` in front
    for descending.
    """

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
        """Return the list's query. Empty values are kept, to be refused; a false flag is no filter."""
        query = QueryDict(mutable=True)
        for key, value in self.dict(exclude_unset=True, exclude={"import_id"}).items():
            if isinstance(value, list):
                query.setlist(key, value)
            elif value is not False:
                query[key] = "1" if value is True else str(value)
        if self.import_id is not None:
            query["import"] = str(self.import_id)
        return parse_query(query)


class AdministrationList(Schema):
    total: int
    items: list[AdministrationOut]


@router.get("", response=AdministrationList)
@permission_required(Permission.VIEW)
def list_administrations(
    request: AuthenticatedRequest,
    filters: Annotated[Filters, Query()],
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> AdministrationList:
    """List the administrations that you may see, filtered and sorted as on the page."""
    query = filters.to_query()
    if (
        query.single_filters.get("import")
        and import_state(request.actor, int(query.single_filters["import"])) is None
    ):
        raise UnknownParameter([unknown_value("import_id", query.single_filters["import"])])
    page = list(search(request.actor, query)[offset : offset + limit])
    ids = [administration.pk for administration in page]
    issues = count_open(request.actor, SubjectKind.ADMINISTRATION, ids)
    states = display_states(request.actor, page)
    predecessors = visible_ids(request.actor, [administration.predecessor_id for administration in page])
    total = apply_filters(request.actor, query).count()
    return AdministrationList(
        total=total,
        items=[
            administration_out(
                administration,
                states[administration.pk],
                issues.get(administration.pk, 0),
                predecessors,
            )
            for administration in page
        ],
    )


class ViewOut(Schema):
    """A saved view; `query` is the query string of the list."""

    id: int
    name: str
    query: str
    is_default: bool


@router.get("/views", response=list[ViewOut])
def list_views(request: AuthenticatedRequest) -> list[Any]:
    """List your saved views of the list."""
    return list(saved_views.list_views(request.actor))


class RestrictedOut(Schema):
    id: int
    status: str
    people: Sequence[str]
    is_orphaned: bool


@router.get("/restricted", response=list[RestrictedOut])
@permission_required(Permission.MANAGE_ORGANISATION)
def list_restricted(request: AuthenticatedRequest) -> list[Any]:
    """List the restricted administrations that an Administrator cannot open."""
    return list(restriction.list_hidden(request.actor))
