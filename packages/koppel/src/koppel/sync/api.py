"""REST endpoints: runs of an administration, and the progress of imports.

Clients may poll every two seconds.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Query, Router, Schema
from ninja.responses import Status

from koppel.administrations.access import administration_for
from koppel.administrations.errors import NoSuchAdministration
from koppel.kit.web.sentences import render_sentence
from koppel.organisations.requests import AuthenticatedRequest, permission_required
from koppel.organisations.roles import Permission
from koppel.sync.changes import queries as history
from koppel.sync.inputs import Resource, SyncInput
from koppel.sync.models import ChangeKind, Run, RunResource
from koppel.sync.progress.import_progress import ImportLine, import_page
from koppel.sync.progress.queries import checkpoints_of, recent_runs
from koppel.sync.progress.run_progress import RunProgress, progress_of_runs
from koppel.sync.runs.services import cancel_run, request_run

router = Router()
imports = Router()
LIMIT_MAX = 1000
Group = Literal["failing", "configuring", "queued", "active", "deactivated"]


class ResourceOut(Schema):
    """The counts of one resource in a run.

    `rows` records were read, with `lines` entry lines. `added`, `changed`, `deleted` and `rejected` count
    what became of them.
    """

    resource: str
    state: str
    mode: str
    pages: int
    rows: int
    lines: int
    expected_total: int | None
    added: int
    changed: int
    deleted: int
    rejected: int
    reason: str


class RunOut(Schema):
    """A run. `seconds` is the time from its first start to its end; null while it is open."""

    id: int
    state: str
    trigger: str
    attempt: int
    reason: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    resources: list[ResourceOut]


class ResourceProgressOut(Schema):
    """The progress of one resource.

    `done` and `expected` count rows (entry lines for entries). `expected` is null when the source states no
    total.
    """

    resource: str
    state: str
    done: int
    expected: int | None
    pages: int
    percent: int
    seconds_left: int | None


class ProgressOut(Schema):
    """The progress of an open run.

    `resource` is being read now. While the run waits for the vendor, `waits_until` and `reason` say how long
    and why.

    `percent` and `seconds_left` are estimated from earlier runs and this run's own pace; null before it
    begins.
    """

    run_id: int
    administration_id: int
    state: str
    trigger: str
    requested_at: datetime
    started_at: datetime | None
    waits_until: datetime | None
    reason: str
    percent: int | None
    seconds_left: int | None
    resource: str
    done: int
    expected: int | None
    rows: int
    pages: int
    resources: list[ResourceProgressOut]


class SyncOut(Schema):
    """`progress` is null when no run is open; `newest` is null before the first run."""

    administration_id: int
    progress: ProgressOut | None
    newest: RunOut | None


class RequestedOut(Schema):
    """`created` is false when a run was open already."""

    created: bool


class CancelledOut(Schema):
    """`cancelled` is false when no run was open."""

    cancelled: bool


class ImportLineOut(Schema):
    administration_id: int
    name: str
    status: str
    reason: str
    progress: ProgressOut | None


class ImportOut(Schema):
    """The visible part of an import; administrations that need attention come first.

    `counts` covers the whole import, by status.
    """

    id: int
    total: int
    active: int
    failed: int
    percent: int
    is_finished: bool
    seconds_left: int | None
    counts: dict[str, int]
    page: int
    pages: int
    administrations: list[ImportLineOut]


@router.get("/{administration_id}/sync", response=SyncOut)
def get_sync(request: AuthenticatedRequest, administration_id: int) -> dict[str, Any]:
    """Return the progress of the open run, and the newest run."""
    administration = administration_for(request.actor, administration_id)
    run = next(iter(recent_runs(administration, 1)), None)
    progress = progress_of_runs(administration.organisation_id, [administration.pk]).get(administration.pk)
    return {
        "administration_id": administration.pk,
        "progress": _progress_schema(progress),
        "newest": _to_schema(run) if run else None,
    }


@router.post("/{administration_id}/sync", response={202: RequestedOut})
@permission_required(Permission.CHANGE_ADMINISTRATIONS)
def start_sync(
    request: AuthenticatedRequest, administration_id: int, payload: SyncInput
) -> Status[dict[str, bool]]:
    """Start a sync, or retry a failed one."""
    created = request_run(request.actor, administration_id, payload)
    return Status(202, {"created": created})


@router.post("/{administration_id}/sync/cancel", response=CancelledOut)
@permission_required(Permission.CHANGE_ADMINISTRATIONS)
def cancel_sync(request: AuthenticatedRequest, administration_id: int) -> dict[str, bool]:
    """Cancel the open run after its current page. Pages already read are kept."""
    return {"cancelled": cancel_run(request.actor, administration_id)}


@router.get("/{administration_id}/sync/runs", response=list[RunOut])
def list_runs(
    request: AuthenticatedRequest, administration_id: int, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> list[RunOut]:
    """List runs, the newest first."""
    administration = administration_for(request.actor, administration_id)
    return [_to_schema(run) for run in recent_runs(administration, limit)]


@imports.get("/{import_id}", response=ImportOut)
def get_import(
    request: AuthenticatedRequest,
    import_id: int,
    status: Group | None = None,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
) -> dict[str, Any]:
    """Return the progress of an import, and a page of its administrations.

    `status` filters by failing, configuring, queued, active or deactivated.
    """
    details = import_page(request.actor, import_id, status or "", page, limit)
    if details is None:
        raise NoSuchAdministration
    return {
        "id": import_id,
        "total": details.state.total,
        "active": details.state.active,
        "failed": details.state.failing,
        "percent": details.percent,
        "is_finished": details.is_finished,
        "seconds_left": details.seconds_left,
        "counts": dict(details.state.counts),
        "page": details.number,
        "pages": details.pages,
        "administrations": [_import_line_schema(line) for line in details.lines],
    }


def _import_line_schema(line: ImportLine) -> dict[str, Any]:
    administration = line.administration
    return {
        "administration_id": administration.pk,
        "name": administration.name,
        "status": administration.status,
        "reason": render_sentence(administration.status_reason),
        "progress": _progress_schema(line.progress),
    }


def _progress_schema(progress: RunProgress | None) -> dict[str, Any] | None:
    if progress is None:
        return None
    resources = [
        {name: getattr(resource, name) for name in ResourceProgressOut.model_fields}
        for resource in progress.resources
    ]
    return {name: getattr(progress, name) for name in ProgressOut.model_fields if name != "resources"} | {
        "resources": resources,
        "reason": render_sentence(progress.reason),
    }


class ResourceStateOut(Schema):
    """How complete a resource is.

    `complete_as_of`: the books contain everything that the source had at this moment. `compared_at`: the
    newest full read, which also finds deletions. `unavailable_reason`: why the source does not provide
    this resource.
    """

    resource: str
    complete_as_of: datetime | None
    compared_at: datetime | None
    available: bool
    unavailable_reason: str


@router.get("/{administration_id}/sync/resources", response=list[ResourceStateOut])
def list_resources(request: AuthenticatedRequest, administration_id: int) -> list[ResourceStateOut]:
    """Return how complete each resource is."""
    checkpoints = checkpoints_of(administration_for(request.actor, administration_id))
    return [
        ResourceStateOut(
            resource=checkpoint.resource,
            complete_as_of=checkpoint.complete_as_of,
            compared_at=checkpoint.last_full_at,
            available=checkpoint.available,
            unavailable_reason=render_sentence(checkpoint.unavailable_reason),
        )
        for checkpoint in checkpoints.values()
    ]


class FieldOut(Schema):
    name: str
    before: str
    after: str


class ChangeOut(Schema):
    """A change of one record.

    `fields` lists the changed fields by their names in Koppel; `before` and `after` are the source's own
    record, or null. `is_renormalised`: another version of Koppel normalised the record at that time, and
    `fields` show both records as today's version does, not what the books held.
    """

    resource: str
    external_id: str
    kind: str
    at: datetime
    period: str
    in_closed_period: bool
    fields: list[FieldOut]
    is_renormalised: bool
    before: str | None
    after: str | None


class ChangesOut(Schema):
    total: int
    page: int
    pages: int
    changes: list[ChangeOut]


@router.get("/{administration_id}/sync/runs/{run_id}/changes", response=ChangesOut)
def list_changes(
    request: AuthenticatedRequest,
    administration_id: int,
    run_id: int,
    resource: Resource | None = None,
    kind: ChangeKind | None = None,
    search: str = "",
    in_closed_period: bool = False,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> ChangesOut:
    """List what a run added, changed and deleted, 50 per page.

    The first full read of a resource is not listed.
    """
    administration = administration_for(request.actor, administration_id)
    run = history.run_of(administration, run_id)
    if run is None:
        raise NoSuchAdministration
    listing = history.changes_of(
        administration, run, history.ChangeFilter(resource or "", kind or "", search, in_closed_period), page
    )
    return ChangesOut(
        total=listing.total,
        page=listing.page,
        pages=listing.pages,
        changes=[_change_schema(change) for change in listing.changes],
    )


def _change_schema(detail: history.ChangeDetail) -> ChangeOut:
    change = detail.change
    return ChangeOut(
        resource=change.resource,
        external_id=change.external_id,
        kind=change.kind,
        at=change.at,
        period=change.period,
        in_closed_period=change.in_closed_period,
        is_renormalised=detail.is_renormalised,
        before=detail.before or None,
        after=detail.after or None,
        fields=[FieldOut(name=field.name, before=field.before, after=field.after) for field in detail.fields],
    )


def _to_schema(run: Run) -> RunOut:
    seconds = (
        (run.finished_at - run.started_at).total_seconds() if run.started_at and run.finished_at else None
    )
    run_resources = sorted(run.run_resources.all(), key=lambda run_resource: run_resource.position)
    return RunOut(
        id=run.pk,
        state=run.state,
        trigger=run.trigger,
        attempt=run.attempt,
        reason=render_sentence(run.reason),
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        seconds=seconds,
        resources=[_resource_schema(run_resource) for run_resource in run_resources],
    )


def _resource_schema(run_resource: RunResource) -> ResourceOut:
    values = {name: getattr(run_resource, name) for name in ResourceOut.model_fields}
    return ResourceOut(**values | {"reason": render_sentence(run_resource.reason)})
