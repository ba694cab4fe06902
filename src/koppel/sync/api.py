"""Runs of an administration and progress of imports over REST. Poll every two seconds; nothing here is slow."""

from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Query, Router, Schema
from ninja.responses import Status
from pydantic import Field

from koppel.administrations.errors import NotThere
from koppel.administrations.scope import administration_for
from koppel.kit.web.schemas import Input
from koppel.organisations.requests import MemberRequest
from koppel.organisations.settings_schema import RESOURCES
from koppel.sync.changes import queries as history
from koppel.sync.models import ChangeKind, Checkpoint, Run, RunResource
from koppel.sync.progress.import_progress import ImportLine, import_page
from koppel.sync.progress.progress import RunProgress, progress_of_runs
from koppel.sync.runs.services import cancel_run, request_run

router = Router()
imports = Router()
LIMIT_MAX = 1000
Resource = Literal[RESOURCES]  # type: ignore[valid-type]  # the keys of a table
Group = Literal["trouble", "configuring", "queued", "active", "deactivated"]


class ResourceOut(Schema):
    """`rows` records were read (`lines` with them); `added`, `changed`, `deleted` and `rejected` count what they did."""

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
    """`seconds` from the first start to the finish; null while it is open."""

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


class PartOut(Schema):
    """`done` and `expected` count rows (entry lines for entries); `expected` null: the source did not say."""

    resource: str
    state: str
    done: int
    expected: int | None
    pages: int
    percent: int
    seconds_left: int | None


class ProgressOut(Schema):
    """A run that waits or is performed. `resource` is the one being read. `waits_until`: it waits for the vendor, for `reason`.

    `percent` and `seconds_left` are null before it begins; they come from what earlier runs took and from its own pace."""

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
    parts: list[PartOut]


class SyncOut(Schema):
    """`progress` null: no run is open. `newest` null: there never was one."""

    administration_id: int
    progress: ProgressOut | None
    newest: RunOut | None


class SyncIn(Input):
    """`resources` null: all that the settings name; an empty list is refused. `full`: read everything again and find what was
    deleted."""

    full: bool = False
    resources: Annotated[list[Resource], Field(min_length=1)] | None = None


class AskedOut(Schema):
    """`begun` false: a run was under way already."""

    begun: bool


class CancelledOut(Schema):
    """`cancelled` false: no run was under way."""

    cancelled: bool


class ImportLineOut(Schema):
    administration_id: int
    name: str
    status: str
    reason: str
    progress: ProgressOut | None


class ImportOut(Schema):
    """What the caller may see of an import; what needs somebody comes first. `counts` by status, of all of it."""

    id: int
    total: int
    active: int
    failed: int
    percent: int
    is_over: bool
    seconds_left: int | None
    counts: dict[str, int]
    page: int
    pages: int
    administrations: list[ImportLineOut]


@router.get("/{administration_id}/sync", response=SyncOut)
def sync(request: MemberRequest, administration_id: int) -> dict[str, Any]:
    """How far the open run is, and the newest run."""
    one = administration_for(request.actor, administration_id)
    newest = Run.objects.filter(organisation_id=one.organisation_id, administration=one).prefetch_related("parts")
    run = newest.order_by("-created_at", "-pk").first()
    progress = progress_of_runs(one.organisation_id, [one.pk]).get(one.pk)
    return {"administration_id": one.pk, "progress": _progress(progress), "newest": _out(run) if run else None}


@router.post("/{administration_id}/sync", response={202: AskedOut})
def start(request: MemberRequest, administration_id: int, asked: SyncIn) -> Status[dict[str, bool]]:
    """Sync now, or try again what failed."""
    begun = request_run(request.actor, administration_id, full=asked.full, resources=asked.resources)
    return Status(202, {"begun": begun})


@router.post("/{administration_id}/sync/cancel", response=CancelledOut)
def cancel(request: MemberRequest, administration_id: int) -> dict[str, bool]:
    """Stop the open run at its page. What was read stays."""
    return {"cancelled": cancel_run(request.actor, administration_id)}


@router.get("/{administration_id}/sync/runs", response=list[RunOut])
def runs(
    request: MemberRequest, administration_id: int, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> list[RunOut]:
    """The newest runs first."""
    one = administration_for(request.actor, administration_id)
    found = Run.objects.filter(organisation_id=one.organisation_id, administration=one).prefetch_related("parts")
    return [_out(run) for run in found.order_by("-created_at", "-pk")[:limit]]


@imports.get("/{import_id}", response=ImportOut)
def one_import(
    request: MemberRequest,
    import_id: int,
    status: Group | None = None,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
) -> dict[str, Any]:
    """How far an import is, and a page of its administrations. `status`: trouble, configuring, queued, active, deactivated."""
    found = import_page(request.actor, import_id, status or "", page, limit)
    if found is None:
        raise NotThere
    return {
        "id": import_id, "total": found.state.total, "active": found.state.active, "failed": found.state.trouble,
        "percent": found.percent, "is_over": found.is_over, "seconds_left": found.seconds_left,
        "counts": dict(found.state.counts), "page": found.number, "pages": found.pages,
        "administrations": [_line(line) for line in found.lines],
    }  # fmt: skip


def _line(line: ImportLine) -> dict[str, Any]:
    one = line.administration
    return {
        "administration_id": one.pk, "name": one.name, "status": one.status, "reason": one.status_reason,
        "progress": _progress(line.progress),
    }  # fmt: skip


def _progress(found: RunProgress | None) -> dict[str, Any] | None:
    if found is None:
        return None
    parts = [{name: getattr(part, name) for name in PartOut.model_fields} for part in found.parts]
    return {name: getattr(found, name) for name in ProgressOut.model_fields if name != "parts"} | {"parts": parts}


class CompleteOut(Schema):
    """`complete_as_of`: everything the source knew at this moment is in the books. `compared_at`: the newest complete read,
    which also proved what is gone. `why_not`: a sentence when the source does not give this resource."""

    resource: str
    complete_as_of: datetime | None
    compared_at: datetime | None
    available: bool
    why_not: str


@router.get("/{administration_id}/sync/resources", response=list[CompleteOut])
def resources(request: MemberRequest, administration_id: int) -> list[CompleteOut]:
    """How complete each resource is."""
    one = administration_for(request.actor, administration_id)
    found = Checkpoint.objects.filter(organisation_id=one.organisation_id, administration=one).order_by("resource")
    return [
        CompleteOut(
            resource=mark.resource, complete_as_of=mark.complete_as_of, compared_at=mark.last_full_at,
            available=mark.available, why_not=mark.why_not,
        )
        for mark in found
    ]  # fmt: skip


class FieldOut(Schema):
    name: str
    before: str
    after: str


class ChangeOut(Schema):
    """`fields` differ, as Koppel names them; `before` and `after` are the source's own record, or null."""

    resource: str
    external_id: str
    kind: str
    at: datetime
    period: str
    in_closed_period: bool
    fields: list[FieldOut]
    before: str | None
    after: str | None


class ChangesOut(Schema):
    total: int
    page: int
    pages: int
    changes: list[ChangeOut]


@router.get("/{administration_id}/sync/runs/{run_id}/changes", response=ChangesOut)
def changes(
    request: MemberRequest, administration_id: int, run_id: int, resource: Resource | None = None,
    kind: ChangeKind | None = None, search: str = "", closed: bool = False,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
) -> ChangesOut:  # fmt: skip
    """What a run added, changed and deleted, 50 on a page. The first complete read of a resource is not repeated here."""
    one = administration_for(request.actor, administration_id)
    run = history.run_of(one, run_id)
    if run is None:
        raise NotThere
    found = history.changes_of(one, run, history.Filter(resource or "", kind or "", search, closed), page)
    return ChangesOut(
        total=found.total, page=found.page, pages=found.pages, changes=[_change(each) for each in found.changes]
    )


def _change(shown: history.Shown) -> ChangeOut:
    change = shown.change
    return ChangeOut(
        resource=change.resource, external_id=change.external_id, kind=change.kind, at=change.at, period=change.period,
        in_closed_period=change.in_closed_period, before=shown.before or None, after=shown.after or None,
        fields=[FieldOut(name=each.name, before=each.before, after=each.after) for each in shown.fields],
    )  # fmt: skip


def _out(run: Run) -> RunOut:
    seconds = (run.finished_at - run.started_at).total_seconds() if run.started_at and run.finished_at else None
    parts = sorted(run.parts.all(), key=lambda part: part.position)
    return RunOut(
        id=run.pk,
        state=run.state,
        trigger=run.trigger,
        attempt=run.attempt,
        reason=run.reason,
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        seconds=seconds,
        resources=[_resource(part) for part in parts],
    )


def _resource(part: RunResource) -> ResourceOut:
    return ResourceOut(**{name: getattr(part, name) for name in ResourceOut.model_fields})
